//! What figures depend on: the machine, and the versions of the tools.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use steprun_tests::binary;

use crate::cases::is_installed;

/// How each tool is asked for its version.
const VERSIONS: [(&str, &[&str]); 7] = [
    ("crane", &["version"]),
    ("skopeo", &["--version"]),
    ("oras", &["version"]),
    ("buildah", &["--version"]),
    ("docker", &["version", "--format", "{{.Server.Version}}"]),
    ("executor", &["version"]),
    ("docker-registry", &["--version"]),
];

/// Cores and memory, and the tools that are installed, as a sentence.
pub(crate) fn description() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let own = named("steprun", Command::new(binary()).arg("--version"));
    let others = VERSIONS.iter().filter(|(program, _)| is_installed(program));
    let others = others.map(|(program, words)| named(program, Command::new(program).args(*words)));
    let tools: Vec<String> = [own].into_iter().chain(others).collect();
    let memory = memory().map(|gib| format!(", {gib} GiB of memory")).unwrap_or_default();
    format!("{cores} cores{memory}, Linux {}; {}.", kernel(), tools.join(", "))
}

fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kib + (1 << 19)) >> 20)
}

/// Major and minor.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.split(['.', '-']).take(2).collect::<Vec<_>>().join(".").trim().to_owned()
}

/// A tool and its version, as it tells it.
fn named(program: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match version(&text) {
        Some(version) => format!("{program} {version}"),
        None => format!("{program} (of no release)"),
    }
}

/// The first word that looks like a version.
fn version(text: &str) -> Option<&str> {
    let words = text.split_whitespace().map(|word| word.trim_start_matches('v'));
    words.filter(|word| word.contains('.')).find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        for (text, found) in [
            ("buildah version 1.28.2 (image-spec 1.1.0-rc2)", Some("1.28.2")),
            ("Kaniko version :  v1.24.0\n", Some("1.24.0")),
            ("docker-registry github.com/docker/distribution 2.8.2+ds1", Some("2.8.2+ds1")),
            ("could not determine build information", None),
        ] {
            assert_eq!(version(text), found);
        }
    }
}
