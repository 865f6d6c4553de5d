//! All tests, with what they need installed first.

use std::process::{Command, Stdio};

use crate::{Result, call, cargo};

/// Programs that judge what we push or make places to run in, and the Debian packages that have them.
const TOOLS: [(&str, &str); 12] = [
    ("docker-registry", "docker-registry"),
    ("buildah", "buildah"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("runc", "runc"),
    ("busybox", "busybox-static"),
    ("mmdebstrap", "mmdebstrap"),
    ("newuidmap", "uidmap"),
    ("bzip2", "bzip2"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    // It has no program: the file is where `tests/src/places/seccomp.rs` reads it.
    ("/usr/share/containers/seccomp.json", "golang-github-containers-common"),
];

/// Checks the format and the generated reference, runs lints and all tests; `words` go to the test runner.
pub(crate) fn run(words: &[String]) -> Result {
    install_tools()?;
    call(cargo().args(["fmt", "--all", "--check"]))?;
    crate::docs::run(&["--check".to_owned()])?;
    call(cargo().args(["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    let runner: &[&str] = if has_nextest() { &["nextest", "run"] } else { &["test"] };
    // Whoever reads the log of a machine far away wants to see all that fails there.
    call(cargo().args(runner).args(["--release", "--workspace", "--no-fail-fast"]).args(words))
}

fn has_nextest() -> bool {
    let found = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// Installs the tools that are missing, by the system's package manager.
fn install_tools() -> Result {
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(", "));
    call(&mut apt_get(&["update", "--quiet"]))?;
    call(apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]).args(missing))
}

fn apt_get(words: &[&str]) -> Command {
    // Root in a container has no sudo; a person has.
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut command = Command::new(if is_root { "apt-get" } else { "sudo" });
    if !is_root {
        command.arg("apt-get");
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
    command
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
