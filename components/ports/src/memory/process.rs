//! Commands in snapshots: a test says what each of them does.

use std::rc::Rc;

use super::run::yield_now;
use super::tree::FileTree;
use super::{MemoryHost, MemorySnapshot};
use crate::{Agent, Denial, Error, Process, Result, Secret};

/// A secret by name; it has no content here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemorySecret(pub(super) String);

impl Secret for MemorySecret {
    fn id(&self) -> String {
        self.0.clone()
    }
}

/// An SSH agent by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryAgent(pub(super) String);

impl Agent for MemoryAgent {
    fn id(&self) -> String {
        self.0.clone()
    }
}

/// A command as a step gives it to a [`MemoryHost`].
pub type MemoryProcess = Process<MemorySnapshot, MemorySecret, MemoryAgent>;

/// What a command did: the parts of [`Outcome`](crate::Outcome), with a tree in place of the snapshot.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct MemoryOutcome {
    pub status: u8,
    pub reason: Option<String>,
    pub output: Vec<u8>,
    pub files: Option<FileTree>,
    pub remedy: Option<String>,
    /// The paths that it looked at, if something tells.
    pub reads: Option<Vec<String>>,
}

impl MemoryOutcome {
    /// The command succeeded and left these files behind.
    pub fn left(files: FileTree) -> Self {
        Self { files: Some(files), ..Self::default() }
    }

    /// The same, and it looked at these paths only.
    #[must_use]
    pub fn having_read(self, paths: &[&str]) -> Self {
        Self { reads: Some(paths.iter().map(|path| (*path).to_owned()).collect()), ..self }
    }

    /// The command failed after it wrote something.
    pub fn failed(status: u8, output: impl AsRef<[u8]>) -> Self {
        Self { status, output: output.as_ref().to_vec(), ..Self::default() }
    }
}

/// What commands do: none where running them isn't granted.
type Behaviour = Rc<dyn Fn(&MemoryProcess, &FileTree) -> Result<MemoryOutcome>>;

/// Commands of a host.
#[derive(Default)]
pub(super) struct Runs {
    behaviour: Option<Behaviour>,
    seen: Vec<MemoryProcess>,
    now: usize,
    most: usize,
}

impl MemoryHost {
    /// Grants running commands, and says what each of them does to the files that it is given. Without it, `run` is denied. The
    /// working directory and mount points are not made by themselves.
    #[must_use]
    pub fn with_commands(
        self,
        behaviour: impl Fn(&MemoryProcess, &FileTree) -> Result<MemoryOutcome> + 'static,
    ) -> Self {
        self.state_mut().runs.behaviour = Some(Rc::new(behaviour));
        self
    }

    /// Every command that was to be run, in the order they began.
    pub fn commands(&self) -> Vec<MemoryProcess> {
        self.state().runs.seen.clone()
    }

    /// The most commands that ran at the same time.
    pub fn most_commands_at_once(&self) -> usize {
        self.state().runs.most
    }
}

/// Lets the test say what a command does.
pub(super) async fn run(host: &MemoryHost, files: &FileTree, process: MemoryProcess) -> Result<MemoryOutcome> {
    let Some(behaviour) = host.state().runs.behaviour.clone() else {
        return Err(Error::Denied(Denial {
            capability: "snapshots.run".into(),
            subject: process.arguments.join(" "),
            reason: "native commands are not granted".into(),
            remedy: Some("--allow-run".into()),
        }));
    };
    {
        let runs = &mut host.state_mut().runs;
        runs.seen.push(process.clone());
        runs.now += 1;
        runs.most = runs.most.max(runs.now);
    }
    yield_now().await;
    host.state_mut().runs.now -= 1;
    behaviour(&process, files)
}
