//! A /dev of the command's own.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chmodat, makedev, mknodat, open, symlinkat};

use crate::rung::devices::{LINKS, all};

const ANYBODY: Mode = Mode::from_raw_mode(0o666);

/// Makes a directory with the usual nodes and links. `pts` is empty: pseudo-terminals take a mount.
///
/// # Errors
/// Says what the place lacks where it gives no nodes, or none that can be opened.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    make_directory(directory, 0o755)?;
    make_directory(&directory.join("shm"), 0o1777)?;
    make_directory(&directory.join("pts"), 0o755)?;
    for (name, major, minor) in all() {
        let node = directory.join(name);
        mknodat(CWD, &node, FileType::CharacterDevice, ANYBODY, makedev(major, minor)).map_err(|error| {
            let reason = format!(
                "making the device /dev/{name}: {error}; the rung `chroot` takes root with CAP_MKNOD, which Docker gives and Podman does not \
                 (`--cap-add mknod`); `--isolation supervised` takes none"
            );
            io::Error::new(io::Error::from(error).kind(), reason)
        })?;
        // The mask takes bits away.
        chmodat(CWD, &node, ANYBODY, AtFlags::empty())?;
    }
    for (name, target) in LINKS {
        symlinkat(target, CWD, directory.join(name))?;
    }
    open(directory.join("null"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        let reason = format!(
            "opening a device in `{}`: {error}; the store lies on a file system that is mounted `nodev`, or devices are forbidden to this container",
            directory.display()
        );
        io::Error::new(io::Error::from(error).kind(), reason)
    })?;
    Ok(())
}

/// A directory with exactly this mode.
pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(mode))?;
    chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())?;
    Ok(())
}
