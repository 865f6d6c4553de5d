//! Platforms as people type them.

use steprun_image::Platform;
use steprun_ports::Failure;

/// Reads `linux/arm64`, `linux/arm/v7`, or an architecture alone, which means Linux.
///
/// # Errors
/// A usage failure if it is malformed; several platforms at once aren't supported yet.
pub(crate) fn parse(text: &str) -> Result<Platform, Failure> {
    if text.contains(',') {
        return Err(Failure::usage(format!("`{text}` names several platforms, which is not supported yet"))
            .hint("build each platform on its own"));
    }
    let known_systems = ["linux", "windows", "darwin", "freebsd"];
    let full = match text.contains('/') || known_systems.contains(&text) || text.is_empty() {
        true => text.to_owned(),
        false => format!("linux/{text}"),
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
        for bad in ["", "linux", "linux/", "a/b/c/d", "linux/amd64,linux/arm64", "linux/am d64"] {
            assert_eq!(parse(bad).unwrap_err().kind, steprun_ports::FailureKind::Usage, "{bad}");
        }
    }
}
