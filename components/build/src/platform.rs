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
/// A usage failure if it is malformed; several platforms at once aren't supported yet.
pub(crate) fn parse(text: &str) -> Result<Platform, Failure> {
    if text.contains(',') {
        return Err(Failure::usage(format!("`{text}` names several platforms, which is not supported yet"))
            .hint("build each platform on its own"));
    }
    let full = match ARCHITECTURES.contains(&text.to_lowercase().as_str()) {
        true => format!("linux/{text}"),
        false => text.to_owned(),
    };
    full.parse().map_err(|error: steprun_image::Error| Failure::usage(error.to_string()))
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
}
