//! Native commands of `snapshots.run`: granted by the caller, run by a supervisor in the strongest sandbox that the place allows.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{DumpableBehavior, Resource as Limit, Rlimit, set_dumpable_behavior, setrlimit};
use steprun_sandbox::launch::Launcher;
use steprun_sandbox::request::{Command, Exit, Limits, Link, Mount, Network, Run, Secret, Task, User};
use steprun_sandbox::session::Session as Workplace;
use steprun_sandbox::{Reply, Request, Rung};
use steprun_snapshot::{Descriptor, Looks, Snapshot, Store};

use crate::bindings::{snapshots, types};
use crate::calls::blocking;
use crate::cli::options::Isolation;
use crate::error::{CallError, CallResult};
use crate::grants::CommandNetwork;
use crate::progress::Display;
use crate::session::Session;

/// The word that makes this binary a supervisor.
pub const SUPERVISOR: &str = "sandbox-supervisor";

/// How much of a command's last output its error can show, in bytes.
const TAIL: usize = 16 * 1024;

/// The media type of what a command read, and the most bytes that such a document may have.
const READS: &str = "application/vnd.steprun.reads.v1";
/// See [`READS`].
pub const MOST_READS: u64 = 256 << 20;

/// A command with all that its handles stand for.
pub struct Order {
    /// The file system that it runs in.
    pub snapshot: Snapshot,
    /// As the step put it.
    pub process: snapshots::Process,
    /// `NAME=VALUE`, secrets included.
    pub environment: Vec<Secret>,
    /// Sources of mounts, looked up.
    pub mounts: Vec<Mount>,
    /// What it may reach, see [`admit`].
    pub network: Network,
}

/// The sandbox of one run of a step: found out when the first command wants it.
#[derive(Debug)]
pub struct Sandbox {
    isolation: Isolation,
    place: Mutex<Option<Arc<Place>>>,
}

/// Where commands run.
#[derive(Debug)]
struct Place {
    rung: Rung,
    workplace: Workplace,
}

impl Sandbox {
    /// Nothing is tried yet.
    pub fn new(isolation: Isolation) -> Self {
        Self { isolation, place: Mutex::default() }
    }

    fn place(&self, store: &Store, session: &Session) -> CallResult<Arc<Place>> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = &*place {
            return Ok(Arc::clone(place));
        }
        close_to_others();
        let failed = |error: std::io::Error| CallError::io("can't begin a sandbox", error);
        let workplace = Workplace::begin(store.root()).map_err(failed)?;
        let rung = choose(self.isolation, &probe(store, &workplace).map_err(failed)?)?;
        session.policies.check_rung(rung)?;
        session.display.info(&format!("RUN in a sandbox of kind {}", rung.name()));
        Ok(Arc::clone(place.insert(Arc::new(Place { rung, workplace }))))
    }

    /// Removes what commands left in the store's workplaces, of this run and of earlier ones that were killed. Waits for supervisors that still end theirs.
    pub fn close(&self, session: &Session) {
        steprun_sandbox::launch::settle(std::time::Duration::from_secs(10));
        let Some(store) = session.opened_store() else { return };
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).take().and_then(Arc::into_inner);
        let cleaned = match place {
            Some(place) => clean(store, place.workplace, place.rung),
            None if steprun_sandbox::session::is_any_abandoned(store.root()) => clean_after_others(store),
            None => return,
        };
        if let Err(error) = cleaned {
            session.display.warn(&format!("could not clean up after RUN: {error}"));
        }
    }
}

/// From now on this process holds credentials beside commands that may run as the same user: no core dump, and nobody of that user looks into it.
fn close_to_others() {
    // A kernel that refuses either leaves what the sandbox itself keeps apart.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Limit::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Asks a fresh process what the place allows.
///
/// # Errors
/// If it can't be started, or ends early.
pub fn probe(store: &Store, workplace: &Workplace) -> std::io::Result<steprun_sandbox::probe::Report> {
    let request = Request {
        task: Task::Probe,
        store: store.root().to_owned(),
        session: workplace.path().to_owned(),
        rung: Rung::Supervised,
    };
    let mut said = Vec::new();
    let running = Launcher::myself(SUPERVISOR).start(&request)?;
    match running.finish(|output| said.extend_from_slice(output))? {
        Reply::Probed(report) => Ok(report),
        Reply::Failed(reason) => Err(std::io::Error::other(reason)),
        reply => Err(std::io::Error::other(format!("an unexpected reply: {reply:?}"))),
    }
}

/// Ends a session and removes its directory, and those that killed hosts left behind.
///
/// # Errors
/// If something can't be removed.
pub fn clean(store: &Store, workplace: Workplace, rung: Rung) -> std::io::Result<()> {
    let request =
        Request { task: Task::Clean, store: store.root().to_owned(), session: workplace.path().to_owned(), rung };
    // Held until here, it kept others from cleaning up before us.
    drop(workplace);
    match Launcher::myself(SUPERVISOR).start(&request)?.finish(|_| ())? {
        Reply::Failed(reason) => Err(std::io::Error::other(reason)),
        _ => Ok(()),
    }
}

/// Removes what killed hosts left behind, by one who has run no command itself.
fn clean_after_others(store: &Store) -> std::io::Result<()> {
    let workplace = Workplace::begin(store.root())?;
    let rung = probe(store, &workplace)?.preferred().unwrap_or(Rung::Supervised);
    clean(store, workplace, rung)
}

fn choose(isolation: Isolation, report: &steprun_sandbox::probe::Report) -> CallResult<Rung> {
    let wanted = match isolation {
        Isolation::Auto => None,
        Isolation::Userns => Some(Rung::Userns),
        Isolation::Chroot => Some(Rung::Chroot),
        Isolation::Supervised => Some(Rung::Supervised),
    };
    let refused = |rung: Rung| match report.rungs.iter().find(|(known, _)| *known == rung) {
        Some((_, Err(missing))) => format!("{}: {missing}", rung.name()),
        _ => format!("{}: not known here", rung.name()),
    };
    let unsupported = |message: String| Err(CallError::Error(types::Error::Unsupported(message)));
    match (wanted, report.preferred()) {
        (None, Some(rung)) => Ok(rung),
        (None, None) => {
            let all: Vec<String> = report.rungs.iter().map(|(rung, _)| refused(*rung)).collect();
            unsupported(format!("this place allows no sandbox for commands; {}", all.join("; ")))
        }
        (Some(rung), _) if report.rungs.iter().any(|(known, outcome)| *known == rung && outcome.is_ok()) => Ok(rung),
        (Some(rung), _) => {
            unsupported(format!("the sandbox that `--isolation` asks for is not possible here: {}", refused(rung)))
        }
    }
}

/// What a command left behind, without handles.
#[derive(Debug, Default)]
pub struct Left {
    /// The file system, if the command succeeded.
    pub files: Option<Snapshot>,
    /// What it saw of the one before, a document in the store.
    pub reads: Option<Descriptor>,
}

/// Runs a command; gives how it ended and what it left behind.
///
/// # Errors
/// What kept it from being started. A command that fails is no error.
pub async fn run(session: Arc<Session>, order: Order) -> CallResult<(snapshots::Outcome, Left)> {
    let shown = order.process.arguments.join(" ");
    let offline = order.network == Network::None && order.process.network == snapshots::Network::Default;
    let remedy = offline.then(|| "it had no network: `--allow-net` grants it".to_owned());
    let (send, receive) = tokio::sync::oneshot::channel();
    let work = blocking(move || {
        let store = session.store()?;
        // The place is let go at once: its end must not wait for this thread's.
        let request = request(store, &*session.sandbox.place(store, &session)?, &order)?;
        let failed = |error| CallError::io(format_args!("can't run `{shown}`"), error);
        let running = Launcher::myself(SUPERVISOR).start(&request).map_err(failed)?;
        drop(request);
        // Dropped with the call, it ends the command. A call that is gone already has dropped it.
        let _ = send.send(running.stopper().map_err(failed)?);
        let mut lines = Lines::new(&order.process.label, &session.display);
        let reply = running.finish(|output| lines.take(output)).map_err(failed)?;
        let output = lines.finish();
        match reply {
            Reply::Ended { exit, changes, looks } => {
                let files =
                    (exit == Exit::Status(0)).then(|| left_behind(store, &order.snapshot, changes)).transpose()?;
                let reads = looks.and_then(|looks| reads(store, &order, looks, &session.display));
                let (status, reason) = ended(exit, order.process.time_limit);
                let outcome = snapshots::Outcome { status, reason, output, snapshot: None, remedy, reads: None };
                Ok((outcome, Left { files, reads }))
            }
            Reply::Failed(reason) => Err(CallError::Error(types::Error::Io(reason))),
            reply => Err(CallError::io("the sandbox's supervisor", format_args!("an unexpected reply: {reply:?}"))),
        }
    });
    let guard = async {
        let stopper = receive.await;
        std::future::pending::<()>().await;
        drop(stopper);
    };
    tokio::select! {
        outcome = work => outcome,
        () = guard => Err(CallError::trap("a command without an end")),
    }
}

/// The door of the capability: what a command may reach, if it may run at all.
///
/// # Errors
/// [`types::Error::Denied`] unless the caller granted it and no policy forbids it.
pub fn admit(session: &Session, process: &snapshots::Process) -> CallResult<Network> {
    let shown = process.arguments.join(" ");
    let granted = session.commands.check(&shown)?;
    session.policies.check_run(&shown)?;
    match (process.network, granted) {
        (snapshots::Network::None, _) | (snapshots::Network::Default, CommandNetwork::None) => Ok(Network::None),
        (snapshots::Network::Default, CommandNetwork::Hosts(hosts)) => Ok(Network::Hosts(hosts.clone())),
        (_, CommandNetwork::All) => Ok(Network::Host),
        (snapshots::Network::Host, _) => Err(CallError::denied(
            "snapshots.run",
            format_args!("{shown} (network=host)"),
            "the host's network is not granted as a whole",
            Some("`--allow-net` would grant it".to_owned()),
        )),
    }
}

fn request(store: &Store, place: &Place, order: &Order) -> CallResult<Request> {
    let process = &order.process;
    let bytes = |text: &str| Ok::<_, CallError>(steprun_snapshot::name::decode(text)?.to_vec());
    let command = Command {
        arguments: process.arguments.iter().map(|argument| bytes(argument)).collect::<CallResult<_>>()?,
        environment: order.environment.clone(),
        directory: bytes(&process.working_directory)?,
        user: User { uid: process.user.uid, gid: process.user.gid, groups: process.user.groups.clone() },
        input: process.standard_input.clone(),
    };
    if command.arguments.is_empty() || command.arguments.iter().any(|argument| argument.contains(&0)) {
        return Err(CallError::invalid("a command needs a program, and no argument can hold a NUL byte"));
    }
    Ok(Request {
        task: Task::Run(Box::new(Run {
            base: links(&order.snapshot, store)?,
            command,
            mounts: order.mounts.clone(),
            network: order.network.clone(),
            limits: Limits { time: process.time_limit },
            latest: process.latest.map(|latest| latest.seconds),
            witness: process.reads.is_some(),
        })),
        store: store.root().to_owned(),
        session: place.workplace.path().to_owned(),
        rung: place.rung,
    })
}

/// The layers of a file system, all of which are in the store then.
pub fn links(snapshot: &Snapshot, store: &Store) -> CallResult<Vec<Link>> {
    Ok(snapshot.links(store)?.iter().map(Link::from).collect())
}

/// Keeps what a command, and the step for it, saw of its file system. Where that can't be told the command counts all the same.
fn reads(store: &Store, order: &Order, mut looks: Looks, display: &Display) -> Option<Descriptor> {
    let mut keep = || -> CallResult<Descriptor> {
        for path in order.process.reads.iter().flatten() {
            looks.add_all(order.snapshot.trail(&steprun_snapshot::name::decode(path)?)?);
        }
        let document = order.snapshot.reads(store, &looks)?.encode()?;
        let digest = store.put_bytes(&document)?;
        Ok(Descriptor { media_type: READS.to_owned(), digest, size: document.len() as u64 })
    };
    match keep() {
        Ok(document) => Some(document),
        Err(error) => {
            display.warn(&format!("what the command read is not recorded: {error}"));
            None
        }
    }
}

/// The file system after a command. Without changes it is the same, and packs to nothing.
fn left_behind(store: &Store, before: &Snapshot, changes: Option<String>) -> CallResult<Snapshot> {
    match changes {
        Some(diff_id) => Ok(before.after_run(store, &crate::store::parse_digest(&diff_id)?)?),
        None => Ok(before.extend(&[], Vec::new())?),
    }
}

/// Status and reason, as a shell and `timeout` have them.
fn ended(exit: Exit, limit: Option<u64>) -> (u8, Option<String>) {
    match exit {
        Exit::Status(status) => (status, None),
        Exit::Signal(signal) => (128u8.saturating_add(signal), Some(format!("it was ended by signal {signal}"))),
        Exit::TimedOut => (124, Some(format!("it did not end within {} seconds", limit.unwrap_or_default()))),
    }
}

/// Shows output line by line, and keeps its end.
struct Lines<'a> {
    label: &'a str,
    display: &'a Display,
    line: Vec<u8>,
    tail: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// A longer line is shown in pieces.
    const LONGEST: usize = 8 * 1024;

    fn new(label: &'a str, display: &'a Display) -> Self {
        Self { label, display, line: Vec::new(), tail: Vec::new() }
    }

    fn take(&mut self, output: &[u8]) {
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= Self::LONGEST {
                self.show();
            }
        }
        self.tail.extend_from_slice(output);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    fn show(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.display.output(self.label, &String::from_utf8_lossy(&line));
    }

    fn finish(mut self) -> Vec<u8> {
        if !self.line.is_empty() {
            self.show();
        }
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.split_off(excess)
    }
}
