//! The last steps of the process that becomes the command.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::process::chdir;

use super::filter;
use crate::error::During;
use crate::request::Command;
use crate::rung::start::{become_user, detach, exec};
use crate::sys::capabilities::{DOCKER, keep_only};

/// Becomes the command. Comes back with what kept it from that.
pub(super) fn become_it(command: &Command, input: &OwnedFd) -> io::Result<std::convert::Infallible> {
    // The channel, by which a failure until then is told, is closed by execve as well.
    detach(input)?;
    // As root, as runc does it: a directory that only root may search is still a working directory.
    let directory = OsStr::from_bytes(&command.directory);
    chdir(directory).during(|| format!("changing to the working directory {}", directory.to_string_lossy()))?;
    filter::install().during(|| "installing the system call filter")?;
    keep_only(DOCKER).during(|| "dropping capabilities")?;
    become_user(&command.user).during(|| format!("becoming user {}:{}", command.user.uid, command.user.gid))?;
    exec(command)
}
