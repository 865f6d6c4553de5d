//! The process that becomes the command: from the fork to execve.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, chdir, chroot, getpid};

use crate::error::During;
use crate::request::Command;
use crate::rung::start::{become_user, detach, die_with, exec, give_streams, give_up, handed_over, standard_input};
use crate::sys::bpf::Filter;
use crate::sys::capabilities::{CHROOT, allow_confinement, keep_only};
use crate::sys::landlock::Ruleset;
use crate::sys::packet::Packets;
use crate::sys::process::{Side, fork};

/// What keeps the command in.
pub(super) struct Confinement<'a> {
    pub(super) root: &'a Path,
    /// None where the kernel has no Landlock.
    pub(super) rules: Option<Ruleset>,
    /// Leaves calls to the supervisor.
    pub(super) filter: Filter,
}

/// A command that was started.
pub(super) struct Child {
    pub(super) pid: Pid,
    /// Where its filter's calls arrive.
    pub(super) calls: OwnedFd,
}

/// Starts a command. The calling process has one thread.
///
/// # Errors
/// What was being done, and why it failed. A program that can't be executed is no error: the command says so itself, see [`exec`].
pub(super) fn start(command: &Command, confinement: Confinement<'_>) -> io::Result<Child> {
    let input = standard_input(&command.input)?;
    let (here, there) = Packets::pair()?;
    let parent = getpid();
    match fork()? {
        Side::Child => {
            drop(here);
            let Err(error) = become_it(command, confinement, &input, &there, parent);
            give_up(&there, &error)
        }
        Side::Parent(pid) => {
            drop(there);
            let killed = || io::Error::other("the command was killed before it was started");
            let calls = handed_over(&here)?.ok_or_else(killed)?;
            // Closed by execve, so that the end says: started.
            handed_over(&here)?;
            Ok(Child { pid, calls })
        }
    }
}

/// Becomes the command, or comes back with what kept it from that.
fn become_it(
    command: &Command,
    confinement: Confinement<'_>,
    input: &OwnedFd,
    supervisor: &Packets,
    parent: Pid,
) -> io::Result<Infallible> {
    let Confinement { root, rules, filter } = confinement;
    detach(input)?;
    give_streams(&command.user);
    chroot(root).during(|| "changing the root directory")?;
    // As root, as runc does it: a directory that only root may search can still be the working directory.
    let directory = OsStr::from_bytes(&command.directory);
    chdir(directory).during(|| format!("changing to the working directory {}", directory.display()))?;
    if let Some(rules) = rules {
        rules.restrict_self().during(|| "applying Landlock rules")?;
    }
    allow_confinement().during(|| "asking for no new privileges")?;
    let calls = filter.install_with_listener().during(|| "installing the system call filter")?;
    supervisor.send(&[0], Some(calls.as_fd())).during(|| "handing over the filter's listener")?;
    keep_only(CHROOT).during(|| "dropping capabilities (which takes CAP_SETPCAP)")?;
    let user = &command.user;
    become_user(user).during(|| format!("becoming user {}:{}", user.uid, user.gid))?;
    // Comes last, after the last change of credentials.
    die_with(parent)?;
    exec(command)
}
