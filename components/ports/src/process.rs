//! A native command in a snapshot: what it is, and how it ended.

use crate::Timestamp;

/// A secret that an argument named. Its content never reaches the step.
pub trait Secret: Clone {
    /// The name that the caller gave it.
    fn id(&self) -> String;
}

/// An SSH agent that an argument named.
pub trait Agent: Clone {
    /// The name that the caller gave it; `default` where none was given.
    fn id(&self) -> String;
}

/// Who a command runs as.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What a command sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Network {
    None,
    #[default]
    Default,
    Host,
}

/// How uses of a cache at the same time share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

/// Mode and owner of what is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Files of a snapshot, seen by a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount<S> {
    /// Where they are.
    pub snapshot: S,
    /// A file or directory there; symlinks are resolved.
    pub path: String,
    /// Writes are possible, and dropped afterwards.
    pub writable: bool,
}

/// A directory that outlives the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount<S> {
    /// Equal ids are one directory.
    pub id: String,
    /// What a new one holds.
    pub initial: Option<BindMount<S>>,
    /// Whether it can be written.
    pub writable: bool,
    /// What users at the same time see.
    pub sharing: Sharing,
    /// Of a new directory.
    pub access: Access,
}

/// What is seen at a mount point: of snapshots `S`, secrets `K`, agents `A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource<S, K, A> {
    /// Files of a snapshot.
    Bind(BindMount<S>),
    /// A directory that outlives the run.
    Cache(CacheMount<S>),
    /// Memory: how many bytes it may hold.
    Tmpfs(Option<u64>),
    /// A secret as a file.
    Secret(K, Access),
    /// An agent's socket.
    Agent(A, Access),
}

/// Something that a command sees and no layer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<S, K, A> {
    /// Where it is seen.
    pub target: String,
    /// What is seen there.
    pub source: MountSource<S, K, A>,
}

/// A command to run with a snapshot as its root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process<S, K, A> {
    /// What people see before each line of its output.
    pub label: String,
    /// Program and arguments. A program without `/` is looked up in the PATH of `environment`.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Variables whose values are secrets.
    pub secret_environment: Vec<(String, K)>,
    /// Made where it is missing.
    pub working_directory: String,
    /// Who it runs as.
    pub user: User,
    /// What it sees besides the snapshot.
    pub mounts: Vec<Mount<S, K, A>>,
    /// What it reaches.
    pub network: Network,
    /// Empty: end of file at once.
    pub standard_input: Vec<u8>,
    /// In seconds.
    pub time_limit: Option<u64>,
    /// The latest modification time that the new layer may hold.
    pub latest: Option<Timestamp>,
    /// Asks what of the snapshot the command sees, besides these paths, which the step has read itself to make up this process.
    pub reads: Option<Vec<String>>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<S, B> {
    /// Its exit status; 128 + n where signal n ended it, 124 where the time limit did.
    pub status: u8,
    /// Why it ended, where its own status does not say.
    pub reason: Option<String>,
    /// The end of what it wrote to its standard output and error.
    pub output: Vec<u8>,
    /// The file system that it left behind; present where the status is 0.
    pub snapshot: Option<S>,
    /// What the step's user could grant to help a command that failed.
    pub remedy: Option<String>,
    /// What the command saw of its file system, as [`Process::reads`] asked for; none where nothing can tell.
    pub reads: Option<B>,
}

/// How something differs from what a command saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It was not there.
    New,
    /// It is no longer there.
    Gone,
    /// It is another file, or has another mode, owner, content or target.
    Changed,
    /// A directory that was listed has other entries.
    Entries,
}

/// Where a file system doesn't look as it did to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The first such path.
    pub path: String,
    /// How.
    pub kind: DifferenceKind,
}
