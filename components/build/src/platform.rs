//! Platforms as people type them.

use steprun_image::Platform;
use steprun_ports::Failure;

/// Architectures that may stand alone, in all spellings (containerd `platforms/database.go`, `isKnownArch`).
const ARCHITECTURES: &[&str] = &[
    "386", "i386", "amd64", "x86_64", "x86-64", "arm", "armhf", "armel", "arm64", "aarch64", "loong64", "mips",
    "mipsle", "mips64", "mips64le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
];

/// Reads `linux/arm64`, `linux/arm/v7`, or a known architecture alone, which means Linux.
///
/// # Errors
/// A usage failure if it is malformed.
pub(crate) fn parse(text: &str) -> Result<Platform, Failure> {
    let full = match ARCHITECTURES.contains(&text.to_lowercase().as_str()) {
        true => format!("linux/{text}"),
        false => text.to_owned(),
    };
    full.parse().map_err(|error: steprun_image::Error| Failure::usage(error.to_string()))
}

/// The platforms in values of `--platform`, each of which may name several; each once, in the order given.
///
/// # Errors
/// A usage failure if one is malformed.
pub(crate) fn list(texts: &[String]) -> Result<Vec<Platform>, Failure> {
    let mut platforms = Vec::new();
    for text in texts.iter().flat_map(|text| text.split(',')) {
        let platform = parse(text.trim())?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
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
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), normal, "{text}");
        }
        for bad in ["", "linux", "lin", "amd46", "linux/", "a/b/c/d", "linux/amd64,linux/arm64", "linux/am d64"] {
            assert_eq!(parse(bad).unwrap_err().kind, steprun_ports::FailureKind::Usage, "{bad}");
        }
    }

    #[test]
    fn several_platforms() {
        let read = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            list(&texts).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read(&[]).unwrap(), "");
        assert_eq!(read(&["linux/arm64,linux/amd64", "arm"]).unwrap(), "linux/arm64 linux/amd64 linux/arm/v7");
        assert_eq!(read(&["linux/amd64, x86_64", "amd64"]).unwrap(), "linux/amd64");
        assert!(read(&["linux/amd64,"]).is_err());
    }
}
