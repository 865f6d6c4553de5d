//! The process that becomes the command: from the fork to execve.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};
use rustix::process::{
    DumpableBehavior, Pid, Signal, fchdir, getpid, getppid, set_dumpable_behavior, set_parent_process_death_signal,
};

use crate::request::Command;
use crate::rung::chroot::child::{detach, hand_over, standard_input, step};
use crate::rung::start::exec;
use crate::sys::bpf::Filter;
use crate::sys::capabilities::allow_confinement;
use crate::sys::check;
use crate::sys::landlock::Ruleset;

/// The longest reason that is told.
const LONGEST: usize = 4096;

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
    to: OwnedFd,
}

impl Child {
    /// Lets it become the command: its calls are answered from now on.
    ///
    /// # Errors
    /// EPIPE where it was killed.
    pub(super) fn release(&self) -> io::Result<()> {
        rustix::io::write(&self.to, &[0])?;
        Ok(())
    }
}

/// Starts a command. The calling process has one thread.
///
/// # Errors
/// What was being done, and why it failed.
pub(super) fn start(start: Start<'_>) -> io::Result<Child> {
    let input = standard_input(&start.command.input)?;
    let (here, there) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let parent = getpid();
    // SAFETY: one thread, so no lock is held by another and all of memory is consistent in the child.
    let Some(pid) = Pid::from_raw(check(unsafe { libc::fork() }.into())? as i32) else {
        drop(here);
        let Err(error) = become_it(start, &input, &there, parent);
        let reason = error.to_string();
        let _ = rustix::io::write(&there, &reason.as_bytes()[..reason.len().min(LONGEST)]);
        // SAFETY: ends the process without running what the parent registered.
        unsafe { libc::_exit(1) }
    };
    drop(there);
    let calls = listener(&here)?;
    Ok(Child { pid, calls, to: here })
}

/// Becomes the command, or comes back with what kept it from that.
fn become_it(
    start: Start<'_>,
    input: &OwnedFd,
    supervisor: &OwnedFd,
    parent: Pid,
) -> io::Result<std::convert::Infallible> {
    detach(input)?;
    step("changing to the working directory", fchdir(start.directory))?;
    // The supervisor hides its memory; this process has to be traced and read from here on, and is about to confine itself.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    step("applying Landlock rules", start.rules.restrict_self())?;
    step("asking for no new privileges", allow_confinement())?;
    let calls = step("installing the system call filter", start.filter.install_with_listener())?;
    step("handing over the filter's listener", hand_over(supervisor, calls.as_fd()))?;
    drop(calls);
    rustix::io::read(supervisor, &mut [0; 1])?;
    exec(start.command)
}

/// The filter's listener, or why the child couldn't make it.
fn listener(from: &OwnedFd) -> io::Result<OwnedFd> {
    let mut bytes = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let length = rustix::io::retry_on_intr(|| {
        recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC)
    })?
    .bytes;
    let handed = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    handed.ok_or_else(|| {
        let reason = if length == 0 {
            "the process that becomes the command was killed".into()
        } else {
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        io::Error::other(reason)
    })
}
