//! The overlay that a command works in.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount};

use crate::error::During;

/// Mounts an overlay at `at`: `lowers` from the topmost to the base, never written; `upper` gets the changes; `work` is an empty directory of the
/// same file system as `upper`. To be called inside of [`enter`](super::enter).
///
/// Attributes are of the `user.overlay` namespace, which needs no privilege (5.11). Nothing is synced to the disk (`volatile`, 5.10): an upper directory
/// counts only after its run has ended, and a crash of the machine loses the build anyway.
///
/// # Errors
/// EINVAL where `upper` lies on a file system that can't be an upper one, such as an overlay (a container's own root) or NFS.
pub(crate) fn overlay(lowers: &[&Path], upper: &Path, work: &Path, at: &Path) -> io::Result<()> {
    let open = |path: &Path| -> io::Result<OwnedFd> {
        openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .during(|| format!("opening {}", path.display()))
    };
    let lowers = lowers.iter().map(|path| open(path)).collect::<io::Result<Vec<_>>>()?;
    let (upper_fd, work_fd) = (open(upper)?, open(work)?);
    let options = options(&lowers, &upper_fd, &work_fd);
    match try_mount(at, &format!("{options},volatile")) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => try_mount(at, &options),
        other => other,
    }
    .during(|| format!("mounting an overlay whose changes go to {}", upper.display()))
}

/// Directories are named by descriptors: no `:`, `,` or `\` needs escaping, whose rules differ between kernels, and more than two hundred layers fit
/// into the one page of mount(2), where images have 127 at most.
fn options(lowers: &[OwnedFd], upper: &OwnedFd, work: &OwnedFd) -> String {
    let path = |descriptor: &OwnedFd| format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let lowers = lowers.iter().map(path).collect::<Vec<_>>().join(":");
    // An index would refuse an upper directory that was used before with another lower one.
    format!("userxattr,index=off,lowerdir={lowers},upperdir={},workdir={}", path(upper), path(work))
}

fn try_mount(at: &Path, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    Ok(mount("overlay", at, "overlay", MountFlags::empty(), options.as_c_str())?)
}
