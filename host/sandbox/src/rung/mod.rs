//! The ladder: how a command is kept apart from its host, strongest first.

mod chroot;
mod devices;
mod file;
mod filter;
mod legacy;
mod memory;
mod path;
mod procfs;
mod serve;
pub(crate) mod start;
mod supervised;
mod times;
mod userns;
pub(crate) mod wait;
mod xattr;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use self::chroot::recover;
pub(crate) use self::userns::{enter, overlay, try_namespaces};
use crate::request::{Attachment, Command, Exit, Limits, Network};

/// A rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rung {
    /// Paths of system calls are resolved by a supervisor, ownership is kept in a table: needs no privilege at all.
    Supervised,
    /// chroot as root without CAP_SYS_ADMIN: what an unprivileged container gives.
    Chroot,
    /// User, mount, PID, IPC, UTS (and network) namespaces with a full id map, on an overlay.
    Userns,
}

/// How owners, modes, device nodes and privileged attributes are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// On the files themselves.
    Real,
    /// In a table, see [`steprun_snapshot::disk::Owners`]: all files belong to the supervisor's user and have at least u+rw (directories u+rwx).
    Table,
}

/// A root file system that is ready, and what to run in it. Standard output and error of the supervisor are the command's.
pub struct Prepared {
    /// Where the root file system lies. On [`Rung::Userns`] it may be a mount point of an overlay, made before the rung is asked.
    pub root: PathBuf,
    /// What to run.
    pub command: Command,
    /// What it sees besides, outer targets first.
    pub attachments: Vec<Attachment>,
    /// What it reaches.
    pub network: Network,
    /// When it is killed.
    pub limits: Limits,
    /// Owners of files, for [`Ownership::Table`]: the rung reads it and records changes.
    pub owners: steprun_snapshot::disk::Owners,
    /// Whether somebody wants to know what the command looks at.
    pub witness: bool,
    /// Readable when the supervisor is asked to stop: the host has closed its end. The rung kills the tree then and returns [`io::ErrorKind::Interrupted`].
    pub stop: OwnedFd,
}

/// What a rung leaves behind.
pub struct Ran {
    /// How the command ended. All processes of its tree are dead.
    pub exit: Exit,
    /// Owners as the command left them.
    pub owners: steprun_snapshot::disk::Owners,
    /// What the command looked at, where that was asked for; none where the rung can't tell.
    pub looks: Option<steprun_snapshot::Looks>,
}

impl Rung {
    /// The word of `--isolation` and `doctor`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Userns => "userns",
            Self::Chroot => "chroot",
            Self::Supervised => "supervised",
        }
    }

    /// How this rung keeps owners.
    pub fn ownership(self) -> Ownership {
        match self {
            Self::Userns | Self::Chroot => Ownership::Real,
            Self::Supervised => Ownership::Table,
        }
    }

    /// Runs a command. Called in the supervisor, which has no other thread yet; on [`Rung::Userns`] inside the namespaces, as their process 1.
    ///
    /// # Errors
    /// What kept the command from being started; never its own failure.
    pub(crate) fn run(self, prepared: Prepared) -> io::Result<Ran> {
        match self {
            Self::Userns => userns::run(prepared),
            Self::Chroot => chroot::run(prepared),
            Self::Supervised => supervised::run(prepared),
        }
    }
}
