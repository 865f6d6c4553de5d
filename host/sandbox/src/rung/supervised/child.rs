//! The process that becomes the command: from the fork to execve.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{DumpableBehavior, Pid, fchdir, getpid, set_dumpable_behavior};

use crate::error::During;
use crate::request::Command;
use crate::rung::start::{detach, die_with, exec, give_up, handed_over, standard_input};
use crate::sys::bpf::Filter;
use crate::sys::capabilities::allow_confinement;
use crate::sys::landlock::Ruleset;
use crate::sys::packet::Packets;
use crate::sys::process::{Side, fork};

/// What the child needs.
pub(super) struct Start<'a> {
    pub(super) command: &'a Command,
    /// Its working directory.
    pub(super) directory: BorrowedFd<'a>,
    pub(super) rules: Ruleset,
    pub(super) filter: &'a Filter,
}

/// A command that waits for its tracer.
pub(super) struct Child {
    pub(super) pid: Pid,
    /// Where its filter's calls arrive.
    pub(super) calls: OwnedFd,
    to: Packets,
}

impl Child {
    /// Lets it become the command: its calls are answered from now on.
    ///
    /// # Errors
    /// EPIPE where it was killed.
    pub(super) fn release(&self) -> io::Result<()> {
        self.to.send(&[0], None)
    }
}

/// Starts a command. The calling process has one thread.
///
/// # Errors
/// What was being done, and why it failed.
pub(super) fn start(start: Start<'_>) -> io::Result<Child> {
    let input = standard_input(&start.command.input)?;
    let (here, there) = Packets::pair()?;
    let parent = getpid();
    match fork()? {
        Side::Child => {
            drop(here);
            let Err(error) = become_it(start, &input, &there, parent);
            give_up(&there, &error)
        }
        Side::Parent(pid) => {
            drop(there);
            let killed = || io::Error::other("the process that becomes the command was killed");
            let calls = handed_over(&here)?.ok_or_else(killed)?;
            Ok(Child { pid, calls, to: here })
        }
    }
}

/// Becomes the command, or comes back with what kept it from that.
fn become_it(start: Start<'_>, input: &OwnedFd, supervisor: &Packets, parent: Pid) -> io::Result<Infallible> {
    detach(input)?;
    fchdir(start.directory).during(|| "changing to the working directory")?;
    // The supervisor hides its memory; this process has to be traced and read from here on, and is about to confine itself.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    die_with(parent)?;
    start.rules.restrict_self().during(|| "applying Landlock rules")?;
    allow_confinement().during(|| "asking for no new privileges")?;
    let calls = start.filter.install_with_listener().during(|| "installing the system call filter")?;
    supervisor.send(&[0], Some(calls.as_fd())).during(|| "handing over the filter's listener")?;
    drop(calls);
    // Waits for its tracer; nothing comes where that is gone, and then this process is killed.
    supervisor.receive(1)?;
    exec(start.command)
}
