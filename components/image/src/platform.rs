//! Platforms.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::document::{Fields, Writer};
use crate::{Error, Result};

/// A platform in the words of the OCI image-spec, normalised as containerd does it (`platforms/database.go`): `x86_64` is `amd64`,
/// `aarch64` is `arm64`, `arm` alone is `arm/v7`, and `arm64/v8` and `amd64/v1` have no variant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
    /// `v7`.
    pub variant: Option<String>,
    /// Of Windows: `10.0.17763.1234`.
    pub os_version: Option<String>,
    os_features: Vec<String>,
    rest: Map<String, Value>,
}

impl Platform {
    /// A platform of these words, normalised.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = match os.to_lowercase().as_str() {
            "macos" => "darwin".into(),
            _ => os.to_lowercase(),
        };
        let (architecture, variant) = normalise(&architecture.to_lowercase(), variant.map(str::to_lowercase));
        Self { os, architecture, variant, ..Self::default() }
    }

    pub(crate) fn read(value: Value) -> Result<Self> {
        let mut fields = Fields::of("platform", value)?;
        let architecture = fields.text("architecture")?.unwrap_or_default();
        let os = fields.text("os")?.unwrap_or_default();
        let os_version = fields.text("os.version")?;
        let os_features = fields.texts("os.features")?;
        let variant = fields.text("variant")?;
        Ok(Self { os, architecture, variant, os_version, os_features, rest: fields.rest() })
    }

    pub(crate) fn write(&self) -> Value {
        Writer::default()
            .always("architecture", self.architecture.as_str())
            .always("os", self.os.as_str())
            .some("os.version", self.os_version.as_deref())
            .list("os.features", &self.os_features)
            .some("variant", self.variant.as_deref())
            .rest(&self.rest)
    }

    /// The same, normalised.
    pub fn normalised(&self) -> Self {
        let os_version = self.os_version.clone();
        Self { os_version, ..Self::new(&self.os, &self.architecture, self.variant.as_deref()) }
    }

    /// Whether an image for `offered` is one for this platform: operating system, architecture and variant are equal after
    /// normalisation, and the version of the system begins with the one asked for.
    pub fn matches(&self, offered: &Self) -> bool {
        let (own, other) = (self.normalised(), offered.normalised());
        let version = own.os_version.as_deref().is_none_or(|wanted| {
            other.os_version.as_deref().and_then(|version| version.strip_prefix(wanted)).is_some_and(ends_component)
        });
        (&own.os, &own.architecture, &own.variant) == (&other.os, &other.architecture, &other.variant) && version
    }

    /// Whether a machine of this platform runs images for `offered`: those that match, and those for older versions of its
    /// architecture (containerd `platforms/compare.go`).
    pub fn runs(&self, offered: &Self) -> bool {
        self.matches(offered) || self.older_version(offered).is_some()
    }

    /// The version of `offered`, if it is an older one of this architecture.
    pub(crate) fn older_version(&self, offered: &Self) -> Option<u32> {
        let (own, other) = (self.normalised(), offered.normalised());
        let same = (&own.os, &own.architecture) == (&other.os, &other.architecture);
        let version = own.variant_version()?;
        other.variant_version().filter(|other| same && *other < version)
    }

    /// 7 for `v7`; `amd64` and `arm64` without a variant are 1 and 8. None for variants that are no such numbers.
    fn variant_version(&self) -> Option<u32> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("amd64", None) => Some(1),
            ("arm64", None) => Some(8),
            (_, variant) => variant?.strip_prefix('v')?.parse().ok(),
        }
    }

    /// Whether it is what BuildKit writes beside its attestations: `unknown/unknown`.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

fn ends_component(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

fn normalise(architecture: &str, variant: Option<String>) -> (String, Option<String>) {
    let variant = variant.filter(|variant| !variant.is_empty());
    let (architecture, variant) = match (architecture, variant.as_deref()) {
        ("i386", _) => ("386", None),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant.filter(|variant| *variant != "v1")),
        ("aarch64" | "arm64", Some("8" | "v8")) => ("arm64", None),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("arm", Some("8")) => ("arm", Some("v8")),
        (other, variant) => (other, variant),
    };
    (architecture.to_owned(), variant.map(str::to_owned))
}

/// `os/architecture` or `os/architecture/variant`, each with `:os-version` behind it as crane writes it.
impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || Error::Platform(text.to_owned());
        let (words, os_version) = match text.split_once(':') {
            Some((words, version)) => (words, Some(version.to_owned())),
            None => (text, None),
        };
        let known = |word: &&str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        let words: Vec<&str> = words.split('/').collect();
        if !words.iter().all(known) || os_version.as_deref() == Some("") {
            return Err(malformed());
        }
        match words.as_slice() {
            [os, architecture] => Ok(Self { os_version, ..Self::new(os, architecture, None) }),
            [os, architecture, variant] => Ok(Self { os_version, ..Self::new(os, architecture, Some(variant)) }),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))?;
        self.os_version.iter().try_for_each(|version| write!(f, ":{version}"))
    }
}
