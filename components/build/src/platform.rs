//! Platforms: `os/architecture[/variant]` (containerd `platforms`).

use std::fmt;

use serde_json::Value;
use steprun_ports::Failure;

/// What an image runs on, in the words of the image-spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    pub(crate) variant: Option<String>,
    pub(crate) os_version: Option<String>,
}

impl Platform {
    /// Reads `linux/arm64`, `arm64`, `linux/arm/v7`, in other spellings too: `x86_64`, `aarch64`, `armhf`.
    ///
    /// # Errors
    /// If it is malformed; several platforms at once aren't supported yet.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!("`{text}` is no platform"))
                .hint("write `os/architecture`, for example `linux/amd64`")
        };
        if text.contains(',') {
            return Err(Failure::usage(format!("`{text}` names several platforms, which is not supported yet"))
                .hint("build each platform on its own"));
        }
        let well_formed =
            |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || !parts.iter().all(|part| well_formed(&part)) {
            return Err(wrong());
        }
        let lower: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
        match lower.as_slice() {
            [os] if ["linux", "windows", "darwin", "freebsd"].contains(&os.as_str()) => Err(wrong()),
            [architecture] => Ok(Self::normal("linux", architecture, None)),
            [os, architecture] => Ok(Self::normal(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::normal(os, architecture, Some(variant))),
            _ => Err(wrong()),
        }
    }

    /// One spelling for each platform, without variants that are the default.
    fn normal(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("i386" | "i686", _) => ("386", None),
            ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64", None),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            other => other,
        };
        Self {
            os: if os == "macos" { "darwin" } else { os }.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            os_version: None,
        }
    }

    /// The platform of an entry of an index; none if it does not say.
    pub(crate) fn of_descriptor(descriptor: &Value) -> Option<Self> {
        let platform = descriptor.get("platform")?;
        let text = |name| platform.get(name).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
        let mut found = Self::normal(text("os")?, text("architecture")?, text("variant"));
        found.os_version = text("os.version").map(str::to_owned);
        Some(found)
    }

    /// This platform, with the variant of an image for the same one if this has none (BuildKit `finalizeResultImage`).
    pub(crate) fn or_variant_of(&self, image: &Self) -> Self {
        let same = self.os == image.os && self.architecture == image.architecture;
        let inherited = if same { image } else { self };
        Self {
            variant: self.variant.clone().or_else(|| inherited.variant.clone()),
            os_version: self.os_version.clone().or_else(|| inherited.os_version.clone()),
            ..self.clone()
        }
    }

    /// How well an image's platform suits this one: 0 is best, none not at all. An arm machine runs images of older variants.
    pub(crate) fn rank(&self, image: &Self) -> Option<u32> {
        let image = Self::normal(&image.os, &image.architecture, image.variant.as_deref());
        if self.os != image.os {
            return None;
        }
        let version = |variant: &Option<String>| {
            variant.as_deref().and_then(|variant| variant.strip_prefix('v')?.parse::<u32>().ok())
        };
        match (self.architecture.as_str(), image.architecture.as_str()) {
            ("arm64", "arm") => Some(100 + 8u32.saturating_sub(version(&image.variant).unwrap_or(7))),
            (own, other) if own != other => None,
            ("arm", _) => version(&self.variant)?.checked_sub(version(&image.variant)?),
            ("amd64", _) => version(&self.variant).unwrap_or(1).checked_sub(version(&image.variant).unwrap_or(1)),
            ("arm64", _) => Some(u32::from(self.variant != image.variant)),
            _ => (self.variant == image.variant || image.variant.is_none()).then_some(0),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("armhf", "linux/arm/v7"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), normal, "{text}");
        }
        for bad in ["", "linux", "linux/", "a/b/c/d", "linux/amd64,linux/arm64", "linux/am d64"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_variant_is_best() {
        let platform = |text| Platform::parse(text).unwrap();
        for (wanted, image, rank) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v2", None),
            ("linux/amd64", "linux/arm64", None),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64", "linux/arm/v7", Some(101)),
            ("linux/amd64", "windows/amd64", None),
            ("linux/s390x", "linux/s390x", Some(0)),
        ] {
            assert_eq!(platform(wanted).rank(&platform(image)), rank, "{wanted} {image}");
        }
    }
}
