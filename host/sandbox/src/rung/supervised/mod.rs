//! The rung `supervised`: no privilege at all, as for an ordinary user in a container without capabilities.
//!
//! System calls with paths come to this process (seccomp user notification, [`serve`](super::serve)), which does them inside the root ([`world`], [`calls`]) and hands
//! back results or descriptors. Those that only the calling thread can do are rewritten while it stands (ptrace, [`trace`], [`rewrite`]).
//! Who the command is, who owns files, and what modes they have is kept in tables ([`ids`], [`owners`]). The command itself is confined by
//! Landlock to what it may see, so that a race in this process opens nothing more.
//!
//! What this rung can't do, and the others can: chroot(2) to another directory, ptrace(2), pseudo-terminals, i386 programs, programs on memfds,
//! paths longer than PATH_MAX less the root's own, and sizes of tmpfs.
//!
//! What it can't prevent: Landlock knows nothing of connections to local sockets by path, so a process that changes such an address in another thread,
//! between our look at it and the kernel's, connects to any socket of the host that this user could.

mod area;
mod calls;
mod child;
mod clock;
mod exec;
mod filter;
mod ids;
mod lookup;
mod owners;
mod process;
mod registers;
mod rewrite;
mod scratch;
mod trace;
mod view;
mod witness;
mod world;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{getpid, set_child_subreaper, umask};

use self::area::{Area, Areas, Server};
use self::child::{Child, Start};
use self::clock::{Clock, Verdict};
use self::ids::Ids;
use self::owners::Table;
use self::process::{Process, Processes};
use self::scratch::Scratch;
use self::trace::Tracer;
use self::witness::Witness;
use self::world::{Caller, Last, World};
use super::serve::Service;
// Shared with the rung `chroot`, and used by the modules below.
use super::{Prepared, Ran, devices, file, legacy, memory, path, procfs, serve, times, xattr};
use crate::error::During;
use crate::network::reach::Reach;
use crate::request::{Attachment, AttachmentSource, Exit, Limits, User};
use crate::rung::wait::exit;
use crate::sys::landlock::{Access, Ports, Ruleset, Support};

/// Runs a command. Threads that serve it may outlive it; they end with the process.
pub(super) fn run(mut prepared: Prepared) -> io::Result<Ran> {
    // Modes are given as the command wants them, its own mask taken off.
    umask(Mode::empty());
    set_child_subreaper(Some(getpid()))?;
    let scratch = Scratch::new(&prepared.root).during(|| "making a directory beside the root file system")?;
    let owners = std::mem::take(&mut prepared.owners);
    let mut world = World::new(&prepared.root, owners)?;
    world.witness = prepared.witness.then(Witness::default);
    let result = furnish(&mut world, &scratch, &prepared.attachments).and_then(|()| {
        let world = Arc::new(world);
        let exit = supervise(&world, &scratch, prepared)?;
        let looks = world.witness.as_ref().and_then(Witness::take);
        Ok((exit, world.owners.take(), looks))
    });
    match result {
        Ok((exit, mut owners, looks)) => {
            scratch.remove(&mut owners)?;
            Ok(Ran { exit, owners, looks })
        }
        Err(error) => {
            // What went wrong first is told.
            let _ = scratch.remove(&mut Default::default());
            Err(error)
        }
    }
}

/// Puts `/dev`, `/proc` and the attachments into the world.
fn furnish(world: &mut World, scratch: &Scratch, attachments: &[Attachment]) -> io::Result<()> {
    world.attach(b"/proc", &scratch.proc(), false, Server::Processes)?;
    world.attach(b"/dev", &scratch.dev(), true, Server::Disk)?;
    for (name, major, minor) in devices::all() {
        let stat = file::stat(open(scratch.dev().join(name), OFlags::PATH, Mode::empty())?)?;
        world.owners.change(&stat, |owner| {
            (owner.mode, owner.device) = (Some(0o666), Some((false, major, minor)));
        });
    }
    for Attachment { target, source } in attachments {
        match source {
            AttachmentSource::Path { path, writable } => world.attach(target, path, *writable, Server::Disk)?,
            AttachmentSource::Tmpfs(_) => world.attach(target, &scratch.directory()?, true, Server::Disk)?,
        }
    }
    Ok(())
}

fn supervise(world: &Arc<World>, scratch: &Scratch, prepared: Prepared) -> io::Result<Exit> {
    let Prepared { mut command, network, limits, stop, .. } = prepared;
    let reach = Reach::new(network, &mut command.environment)?;
    let filter = filter::filter(&reach);
    let directory = world.find(&first_caller(), &command.directory, Last::Follow).map_err(|error| {
        let error = io::Error::from(error);
        let directory = String::from_utf8_lossy(&command.directory);
        io::Error::new(error.kind(), format!("changing to the working directory {directory}: {error}"))
    })?;
    let rules = confine(world, reach.ports())?;
    let start = Start { command: &command, directory: directory.file.as_fd(), rules, filter: &filter };
    let child = child::start(start)?;
    let waited = follow(world, scratch, &child, &command.user, reach, limits, &stop);
    match waited? {
        (Verdict::Stopped, _) => Err(io::ErrorKind::Interrupted.into()),
        (Verdict::TimedOut, _) => Ok(Exit::TimedOut),
        (Verdict::None, exit) => Ok(exit),
    }
}

/// Lets the command run, until it and all that it started have ended.
fn follow(
    world: &Arc<World>,
    scratch: &Scratch,
    child: &Child,
    user: &User,
    reach: Reach,
    limits: Limits,
    stop: &std::os::fd::OwnedFd,
) -> io::Result<(Verdict, Exit)> {
    let pid = child.pid.as_raw_nonzero().get();
    world.processes.start(pid, Ids::of(user));
    trace::seize(pid).during(|| "tracing the command (which takes ptrace of own children)")?;
    let calls = child.calls.try_clone()?;
    let service = Service::start(world, calls).during(|| "listening to the command's system calls")?;
    // Sockets are made by the threads that answer all other calls.
    reach.serve_proxy()?;
    let clock = Clock::start(child.pid, limits, stop.try_clone()?).during(|| "minding the clock")?;
    child.release()?;
    let mut tracer = Tracer::new(world, scratch);
    let status = tracer.run(pid);
    let verdict = clock.end();
    tracer.end()?;
    service.end();
    Ok((verdict, exit(status?)))
}

/// The rules that confine the command. There is no way without them: a thread could change a rewritten path before the kernel reads it, and execute
/// the host's programs.
fn confine(world: &World, ports: Ports) -> io::Result<Ruleset> {
    let rules = Ruleset::new(Support::of_kernel(), ports)?;
    for (path, writable) in world.areas.hosts() {
        rules.allow(path, if writable { Access::Full } else { Access::Read })?;
    }
    Ok(rules)
}

/// Who looks for things before the command runs: root.
fn first_caller() -> Caller {
    let id = getpid().as_raw_nonzero().get();
    Caller { thread: id, process: Arc::new(Process::new(id, Ids::of(&User::default()))) }
}

impl World {
    /// A root file system alone.
    fn new(root: &Path, owners: steprun_snapshot::disk::Owners) -> io::Result<Self> {
        let path = |path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        Ok(Self {
            areas: Areas::new(Area::new(Vec::new(), root, true, Server::Disk)?),
            owners: Table::new(owners),
            processes: Processes::default(),
            witness: None,
            proc: path("/proc")?,
            descriptors: path("/proc/self/fd")?,
        })
    }

    /// Puts a file or directory of the host at a place.
    fn attach(&mut self, target: &[u8], host: &Path, writable: bool, server: Server) -> io::Result<()> {
        let caller = first_caller();
        let target = self.without_links(&caller, target, Last::Follow)?;
        let hidden = self.find(&caller, &target, Last::Keep).ok().map(|found| found.stat);
        let area = Area::new(target, host, writable, server)?;
        self.areas.add(area, hidden.as_ref());
        Ok(())
    }
}
