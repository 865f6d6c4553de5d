//! Process 1 of the command's namespaces.

use std::convert::Infallible;
use std::io;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::channel::{Channel, Message};
use super::{command, network, view};
use crate::error::During;
use crate::request::{Exit, Network};
use crate::rung::start::{give_streams, standard_input};
use crate::rung::{self, Prepared};
use crate::sys::check;
use crate::sys::process::{Side, clone_into, die_with_parent_and_hide, fork, leave, reap, reset_signals};

/// What Docker's builds are called, so that what a program writes down of it is the same.
const HOSTNAME: &[u8] = b"buildkitsandbox";

/// The namespaces of a command, its network aside.
const NAMESPACES: libc::c_int =
    libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;

/// Process 1 as the supervisor has it. Dropped, it is killed, and with it all processes of its namespace.
pub(super) struct Init {
    pid: Pid,
    reaped: bool,
    /// What it tells. The first message that isn't a listener counts.
    pub(super) channel: Channel,
}

impl Init {
    /// Starts it.
    pub(super) fn start(prepared: &Prepared) -> io::Result<Self> {
        let own_network = if prepared.network == Network::Host { 0 } else { libc::CLONE_NEWNET };
        Self::fork(NAMESPACES | own_network, |channel| main(prepared, channel))
    }

    fn fork(namespaces: libc::c_int, main: impl FnOnce(&Channel) -> io::Result<Infallible>) -> io::Result<Self> {
        let (here, there) = Channel::pair()?;
        match clone_into(namespaces).during(|| "starting a process in new namespaces")? {
            Side::Parent(pid) => Ok(Self { pid, reaped: false, channel: here }),
            Side::Child => {
                drop(here);
                let Err(error) = main(&there);
                // Nobody is left to hear of a failure to tell.
                let _ = there.send(Message::Failed(error.to_string()));
                leave(1)
            }
        }
    }

    /// Its number outside.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// It was waited for, so that its number may be another process' by now.
    pub(super) fn reaped(&mut self) {
        self.reaped = true;
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if !self.reaped {
            // It is our child, which was not waited for: there is nothing that could fail. It becomes waitable when all others are dead.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = reap(self.pid);
        }
    }
}

/// Tries whether the place allows the namespaces and the /proc that a command gets. Called inside of [`enter`](super::enter).
///
/// # Errors
/// What it refuses.
pub(crate) fn try_namespaces() -> io::Result<()> {
    let init = Init::fork(NAMESPACES | libc::CLONE_NEWNET, |channel| {
        view::process_files()?;
        channel.send(Message::Ended(Exit::Status(0)))?;
        leave(0)
    })?;
    match init.channel.receive()? {
        Some(Message::Ended(_)) => Ok(()),
        Some(Message::Failed(reason)) => Err(io::Error::other(reason)),
        Some(Message::Listener(_)) | None => Err(io::Error::other("process 1 of the new namespaces was killed")),
    }
}

/// The life of process 1. Comes back with what kept the command from being started.
fn main(prepared: &Prepared, channel: &Channel) -> io::Result<Infallible> {
    die_with_parent_and_hide()?;
    if channel.is_orphaned() {
        leave(1);
    }
    forget_keys();
    reset_signals();
    rustix::system::sethostname(HOSTNAME).during(|| "setting the host name")?;
    if prepared.network != Network::Host {
        network::raise_loopback()?;
    }
    if let Network::Hosts(_) = prepared.network {
        channel.send(Message::Listener(network::listen()?))?;
    }
    view::enter(&prepared.root, &prepared.attachments, prepared.network != Network::Host)?;
    give_streams(&prepared.command.user);
    let input = standard_input(&prepared.command.input)?;
    match fork()? {
        Side::Child => command::become_it(&prepared.command, &input),
        Side::Parent(command) => {
            drop(input);
            keep_only(channel)?;
            let exit = outlive(command)?;
            channel.send(Message::Ended(exit))?;
            leave(0)
        }
    }
}

/// Leaves the session keyring, which is inherited and no namespace covers. A kernel without keyrings has none to leave.
fn forget_keys() {
    // SAFETY: a null pointer asks for a keyring without name (keyctl(2)).
    unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}

/// Closes every descriptor but the channel's: output ends when the command closes it, and nothing here leads out of the sandbox.
fn keep_only(channel: &Channel) -> io::Result<()> {
    let kept = channel.number();
    for (first, last) in [(0, kept - 1), (kept + 1, u32::MAX)] {
        // SAFETY: what is closed is used by nobody: this process only waits from here on, and ends without dropping anything.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
    }
    Ok(())
}

/// Reaps whatever ends until the command does. Others may go on: they die with this process.
fn outlive(command: Pid) -> io::Result<Exit> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => return Ok(rung::wait::exit(status)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
