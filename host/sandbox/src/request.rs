//! What the host hands to the supervisor, and what it gets back. Paths and arguments are bytes, as the kernel has them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::rung::Rung;

/// A command to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments. A program without `/` is looked up in the PATH of `environment`.
    pub arguments: Vec<Vec<u8>>,
    /// `NAME=VALUE`: the whole environment, secrets included.
    pub environment: Vec<Secret>,
    /// Absolute, inside the root file system.
    pub directory: Vec<u8>,
    /// Who it runs as.
    pub user: User,
    /// Its standard input.
    pub input: Vec<u8>,
}

/// Bytes that are wiped when dropped and never shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Who a command runs as.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct User {
    /// Real, effective and saved user.
    pub uid: u32,
    /// Real, effective and saved group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Something that the command sees at a path and no layer holds. The source lies in the workspace (or the store's caches), is owned as the
/// command shall see it (by the rung's [`Ownership`](crate::rung::Ownership)), and is nobody else's at that time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attachment {
    /// Absolute, inside the root file system; a clean path without `.` and `..`. It is there: a directory for a directory, a file for anything else.
    pub target: Vec<u8>,
    /// What is seen there.
    pub source: AttachmentSource,
}

/// What is seen at an attachment's target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum AttachmentSource {
    /// A directory, file or socket of the host.
    Path {
        /// Absolute.
        path: PathBuf,
        /// Else read-only, where the rung can: writes are dropped afterwards in any case, but for caches.
        writable: bool,
    },
    /// An empty directory in memory, 0777 and sticky, with at most this many bytes where the rung can limit it.
    Tmpfs(Option<u64>),
}

/// The command's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// None: not even loopback of the host.
    None,
    /// Through a proxy, to these hosts only: `example.org`, `*.example.org`.
    Hosts(Vec<String>),
    /// The host's.
    Host,
}

/// Limits of the process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds.
    pub time: Option<u64>,
}

/// A layer below the command's file system, base first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Media type, digest and size of the blob in the store; none where the store has the layer's tar only.
    pub blob: Option<(String, String, u64)>,
    /// Digest of the uncompressed tar.
    pub diff_id: String,
}

/// All that the supervisor needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// What is to be done.
    pub task: Task,
    /// The store's directory.
    pub store: PathBuf,
    /// The session's directory in the store, see [`crate::session`].
    pub session: PathBuf,
    /// The rung to stand on.
    pub rung: Rung,
}

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Run a command.
    Run(Box<Run>),
    /// Remove this session, and those that no process holds any more.
    Clean,
    /// Try what the place allows.
    Probe,
}

/// A run of a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The file system below.
    pub base: Vec<Link>,
    /// What to run.
    pub command: Command,
    /// What it sees besides the file system.
    pub mounts: Vec<Mount>,
    /// What it reaches.
    pub network: Network,
    /// When it is killed.
    pub limits: Limits,
    /// The latest modification time in the new layer: seconds since 1970.
    pub latest: Option<i64>,
    /// Whether the reply shall tell what the command looked at.
    pub witness: bool,
}

/// A mount, before the supervisor has made its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute, inside the root file system.
    pub target: Vec<u8>,
    /// What is seen there.
    pub source: MountSource,
}

/// Where a mount comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum MountSource {
    /// Files of another file system.
    Bind(Files, bool),
    /// A directory of the store that stays.
    Cache {
        /// Names it.
        id: String,
        /// What a new one holds.
        initial: Option<Files>,
        /// Whether it can be written, where the rung can tell.
        writable: bool,
        /// How uses at the same time share it.
        sharing: Sharing,
        /// Mode, owner and group of a new one.
        owner: (u32, u32, u32),
    },
    /// Memory, with a limit in bytes.
    Tmpfs(Option<u64>),
    /// A file with mode, owner and group.
    Secret(Secret, (u32, u32, u32)),
    /// The socket of an agent of the host, with mode, owner and group of what the command sees.
    Agent(PathBuf, (u32, u32, u32)),
}

/// How uses of a cache at the same time share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Sharing {
    Shared,
    Private,
    Locked,
}

/// A file or directory of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The file system.
    pub layers: Vec<Link>,
    /// Where in it; clean, without leading `/`; empty for all.
    pub path: Vec<u8>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself.
    Status(u8),
    /// By a signal.
    Signal(u8),
    /// By the time limit.
    TimedOut,
}

/// What the supervisor answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// The command ended. `changes` is the diff ID of a tar in the store, none where it changed nothing or failed.
    Ended {
        /// How.
        exit: Exit,
        /// The new layer's tar.
        changes: Option<String>,
        /// What the command looked at, if it succeeded and that was asked for; none where the rung can't tell.
        looks: Option<steprun_snapshot::Looks>,
    },
    /// Done, with nothing to tell.
    Done,
    /// What the place allows.
    Probed(crate::probe::Report),
    /// The place or the request made it impossible: a sentence for people.
    Failed(String),
}

impl TryFrom<&Link> for steprun_snapshot::Link {
    type Error = crate::error::Error;

    fn try_from(link: &Link) -> Result<Self, Self::Error> {
        let digest = |text: &str| {
            text.parse().map_err(|error| crate::error::Error::Request(format!("`{text}` is no digest: {error}")))
        };
        let layer = match &link.blob {
            Some((media_type, blob, size)) => {
                let digest = digest(blob)?;
                Some(steprun_snapshot::Descriptor { media_type: media_type.clone(), digest, size: *size })
            }
            None => None,
        };
        Ok(Self { layer, diff_id: digest(&link.diff_id)? })
    }
}

impl From<&steprun_snapshot::Link> for Link {
    fn from(link: &steprun_snapshot::Link) -> Self {
        let blob = link.layer.as_ref().map(|layer| (layer.media_type.clone(), layer.digest.to_string(), layer.size));
        Self { blob, diff_id: link.diff_id.to_string() }
    }
}
