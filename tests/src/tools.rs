//! Other people's tools, from Debian's packages.

use std::path::PathBuf;
use std::process::Command;

/// Tool and package.
const PACKAGES: [(&str, &str); 4] =
    [("docker-registry", "docker-registry"), ("skopeo", "skopeo"), ("umoci", "umoci"), ("cargo", "cargo")];

/// A command that runs a tool of the `PATH`.
pub fn tool(name: &str) -> Command {
    let package = PACKAGES.iter().find(|(tool, _)| *tool == name).map_or(name, |(_, package)| package);
    let path = find(name).unwrap_or_else(|| {
        panic!("this test needs `{name}`, which is not in PATH: install it with `apt-get install {package}`")
    });
    Command::new(path)
}

fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|directory| directory.join(name)).find(|path| path.is_file())
}
