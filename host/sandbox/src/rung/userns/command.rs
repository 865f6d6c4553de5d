//! The last steps of the process that becomes the command.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, chdir, setrlimit, setsid, umask};

use super::{During, filter};
use crate::request::Command;
use crate::rung::start::{become_user, exec};
use crate::sys::capabilities::{DOCKER, keep_only};
use crate::sys::check;

/// Becomes the command. Comes back with what kept it from that.
pub(super) fn become_it(command: &Command, input: OwnedFd) -> io::Result<std::convert::Infallible> {
    setsid()?;
    rustix::stdio::dup2_stdin(&input)?;
    // All others are closed by execve, the channel included, by which a failure until then is told.
    // SAFETY: marks descriptors, and closes none.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    umask(Mode::from_raw_mode(0o022));
    // As root, as runc does it: a directory that only root may search is still a working directory.
    let directory = OsStr::from_bytes(&command.directory);
    chdir(directory).during(|| format!("changing to the working directory {}", directory.to_string_lossy()))?;
    filter::install().during(|| "installing the system call filter")?;
    keep_only(DOCKER).during(|| "dropping capabilities")?;
    become_user(&command.user).during(|| format!("becoming user {}:{}", command.user.uid, command.user.gid))?;
    exec(command)
}
