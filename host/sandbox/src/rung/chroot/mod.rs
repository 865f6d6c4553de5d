//! The rung `chroot`: root without CAP_SYS_ADMIN, as in an unprivileged container, where nothing can be mounted and no namespace be made.
//!
//! What keeps the command in is chroot(2) without the right to do it again, Landlock on the root directory, few capabilities, and a filter of
//! system calls. What it sees besides the image ([`attach`]) is moved into the root and out again. The supervisor serves its /proc ([`proc`]). All
//! its processes are killed at the end ([`Tree`]).
//!
//! What this rung can't do, and the stronger one can: enforce read-only attachments and sizes of tmpfs, give pseudo-terminals, execute
//! /proc/self/exe, keep System V IPC apart, and, on kernels before 6.12, hide the other processes of the place from signals.

mod attach;
mod child;
mod devices;
mod filter;
mod leftovers;
mod proc;
mod record;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::Pid;

pub(crate) use self::record::recover;

use self::attach::Attached;
use self::child::{Child, Confinement};
use self::proc::Proc;
use super::serve::Service;
use super::{Prepared, Ran};
use crate::network::reach::Reach;
use crate::request::{Attachment, Command, Exit};
use crate::rung::wait::Waited;
use crate::sys::landlock::{Access, Ports, Ruleset, Support};
use crate::sys::tree::Tree;

/// Runs a command. Threads that serve it outlive it; they end with the process.
pub(super) fn run(prepared: Prepared) -> io::Result<Ran> {
    let Prepared { root, mut command, attachments, network, limits, owners, stop, .. } = prepared;
    let tree = Tree::new()?;
    let reach = Reach::new(network, &mut command.environment)?;
    let mut attached = Attached::new(&root)?;
    let mut service = None;
    let waited = furnish(&mut attached, &attachments).and_then(|listing| {
        let proc = Arc::new(Proc::new(&root, listing)?);
        let (child, calls) = start(&root, &command, &reach)?;
        service = Some(Service::start(&proc, calls)?);
        reach.serve_proxy()?;
        tree.wait(child, limits, Instant::now(), stop.as_fd())
    });
    // Whatever went wrong: first nobody is left, and no call of theirs is being done; then all is put back.
    let killed = tree.kill();
    if let Some(service) = service {
        service.end();
    }
    let restored = attached.restore();
    let exit = match waited? {
        Waited::Ended(exit) => exit,
        Waited::TimedOut => Exit::TimedOut,
        Waited::Stopped => return Err(io::ErrorKind::Interrupted.into()),
    };
    killed?;
    restored?;
    Ok(Ran { exit, owners, looks: None })
}

/// Puts into the root what the command sees besides it. Gives the directory at its /proc.
fn furnish(attached: &mut Attached, attachments: &[Attachment]) -> io::Result<OwnedFd> {
    attached.devices()?;
    let listing = attached.processes()?;
    attached.all(attachments)?;
    Ok(listing)
}

/// Starts the command. Gives where its calls arrive, too.
fn start(root: &Path, command: &Command, reach: &Reach) -> io::Result<(Pid, OwnedFd)> {
    let support = Support::of_kernel();
    let rules = match (support.files(), reach.ports()) {
        (false, Ports::Any) => None,
        // Refused with a reason where ports are to be confined and can't be.
        (_, ports) => Some(Ruleset::new(support, ports)?),
    };
    if let Some(rules) = &rules {
        rules.allow(root, Access::Full)?;
    }
    let Child { pid, calls } =
        child::start(command, Confinement { root, rules, filter: filter::filter(reach, support) })?;
    Ok((pid, calls))
}
