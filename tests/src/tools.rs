//! Other people's tools, from Debian's packages.

use std::path::PathBuf;
use std::process::Command;

/// Tool and package, where the names differ.
const PACKAGES: [(&str, &str); 4] =
    [("busybox", "busybox-static"), ("newuidmap", "uidmap"), ("setpriv", "util-linux"), ("xz", "xz-utils")];

/// A command that runs a tool of the `PATH`.
pub fn tool(name: &str) -> Command {
    Command::new(path_of(name))
}

/// Where a tool of the `PATH` is.
pub(crate) fn path_of(name: &str) -> PathBuf {
    let package = PACKAGES.iter().find(|(tool, _)| *tool == name).map_or(name, |(_, package)| package);
    find(name).unwrap_or_else(|| {
        panic!("this test needs `{name}`, which is not in PATH: install it with `apt-get install {package}`")
    })
}

fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|directory| directory.join(name)).find(|path| path.is_file())
}
