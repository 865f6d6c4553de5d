//! The supervisor: a process of its own for each run, single-threaded until a rung decides otherwise.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use steprun_snapshot::{Link, Looks, Snapshot, Store};

use crate::error::{Result, doing};
use crate::request::{Exit, Run, Task};
use crate::rung::{self, Prepared, Rung};
use crate::session::{Abandoned, Session};
use crate::workspace::{self, Workspace, chain_of};
use crate::{Reply, Request, attach, frame, probe};

/// Serves the one request that comes over standard input. For a process that does nothing else; its environment should be empty.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // The host reads this as output of the command, and then finds that the reply is missing.
        Err(error) => {
            eprintln!("steprun: the sandbox's supervisor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    // Secrets pass through this process: no core dump, and no look into it by what it runs.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::umask(rustix::fs::Mode::empty());
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let request: Request = frame::read(&mut socket)?;
    // Who cleans up takes no part in what is removed.
    let session = match request.task {
        Task::Clean => None,
        Task::Run(_) | Task::Probe => Some(Session::join(&request.session)?),
    };
    let stop = socket.try_clone()?;
    let reply = perform(request, session, stop.into());
    frame::write(&mut socket, &reply)
}

/// Does what is asked, in the namespaces that its rung needs. Those are entered by a child, whose reply is handed on.
fn perform(request: Request, session: Option<Session>, stop: OwnedFd) -> Reply {
    if request.rung != Rung::Userns || matches!(request.task, Task::Probe) {
        return reply(task(request, session, stop));
    }
    let inside = || -> io::Result<Reply> {
        let (mut ours, mut theirs) = UnixStream::pair()?;
        rung::enter(move || i32::from(frame::write(&mut theirs, &reply(task(request, session, stop))).is_err()))?;
        frame::read(&mut ours)
    };
    inside().unwrap_or_else(|error| Reply::Failed(format!("the sandbox's namespaces: {error}")))
}

fn reply(outcome: Result<Reply>) -> Reply {
    outcome.unwrap_or_else(|error| Reply::Failed(error.to_string()))
}

fn task(request: Request, _session: Option<Session>, stop: OwnedFd) -> Result<Reply> {
    let store = Store::open(&request.store)?;
    match request.task {
        Task::Run(run) => self::run(&store, &request.session, request.rung, *run, stop),
        Task::Clean => {
            for session in Abandoned::all(store.root()) {
                let cleaned = clean(&store, session.path()).and_then(|()| session.end());
                cleaned.map_err(doing("remove what an earlier build left behind"))?;
            }
            Ok(Reply::Done)
        }
        Task::Probe => Ok(Reply::Probed(probe::probe(&request.session))),
    }
}

/// Root file system ready, command run, changes found.
fn run(store: &Store, session: &Path, rung: Rung, run: Run, stop: OwnedFd) -> Result<Reply> {
    let links = run.base.iter().map(Link::try_from).collect::<Result<Vec<_>>>()?;
    let base = Snapshot::from_links(store, &links)?;
    let mut workspace = Workspace::take(session, rung, &links).map_err(doing("make a workspace"))?;
    let outcome = ready(store, rung, run, stop, &links, &base, &mut workspace);
    match &outcome {
        Ok(Ended { exit: Exit::Status(0), changes, .. }) => {
            let mut chain = chain_of(&links);
            chain.extend(changes.clone());
            workspace.keep(chain);
        }
        Ok(_) => workspace.keep_base(),
        Err(_) => workspace.discard(),
    }
    outcome.map(|Ended { exit, changes, looks }| Reply::Ended { exit, changes, looks })
}

/// A command that ended.
struct Ended {
    exit: Exit,
    /// The diff ID of its changes, if it succeeded and made any.
    changes: Option<String>,
    looks: Option<Looks>,
}

fn ready(
    store: &Store,
    rung: Rung,
    run: Run,
    stop: OwnedFd,
    links: &[Link],
    base: &Snapshot,
    workspace: &mut Workspace,
) -> Result<Ended> {
    let root = workspace.prepare(store, links, base)?;
    let hidden = attach::hidden(base, &run)?;
    let own_looks = if run.witness { attach::looks(base, &run)? } else { Looks::default() };
    let before = Workspace::before(&root, &hidden)?;
    let attached = attach::attach(store, base, workspace, &root.path, rung, &run)?;
    let owners = std::mem::take(workspace.owners());
    let prepared = Prepared {
        root: root.path.clone(),
        command: run.command,
        attachments: attached.attachments.clone(),
        network: run.network,
        limits: run.limits,
        owners,
        witness: run.witness,
        stop,
    };
    let ran = rung.run(prepared).map_err(doing("start the command in its sandbox"))?;
    *workspace.owners() = ran.owners;
    attached.detach(workspace.owners()).map_err(doing("take mounts away"))?;
    if ran.exit != Exit::Status(0) {
        return Ok(Ended { exit: ran.exit, changes: None, looks: None });
    }
    let changes = workspace.changes(store, base, &root, &before, &hidden, run.latest)?;
    let looks = ran.looks.map(|looks| looks.and(own_looks));
    Ok(Ended { exit: ran.exit, changes, looks })
}

/// Removes an abandoned session. Bases of its workspaces go back into the store.
fn clean(store: &Store, session: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(session) {
        // Killed between the removal of the directory and that of its lock, or between their beginnings.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            workspace::end(store, &path)?;
        }
    }
    steprun_snapshot::disk::remove(session)
}
