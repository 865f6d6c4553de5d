//! Snapshots as files on a disk: written out for a command to work in, and read back for what it changed.
//!
//! [`write`] makes a directory hold a snapshot, [`Index::of`] remembers how that looked, and [`changes`] says what is different now. All of them assume
//! that nobody else works in the directory meanwhile. Names of an image are never followed as links: each file is reached by
//! descriptors of the directories above it, which are directories of the snapshot.

mod assemble;
mod changes;
mod index;
mod look;
mod make;
mod place;
mod plan;
mod remove;
mod restore;
mod same;
mod scan;
mod settle;
mod target;
#[cfg(test)]
mod tests;
mod upper;
mod walk;
mod write;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::Xattrs;

pub use changes::Changes;
pub use index::Index;
pub use remove::remove;
pub use restore::restore;
pub use scan::{Owned, Scan, State, changes};
pub use write::{Limits, write};

/// What is known of a file besides what the disk says, by device and inode. A file that is not here belongs to 0:0 with the mode it has on disk.
pub type Owners = HashMap<(u64, u64), Owner>;

/// Owner, mode and privileged properties of a file that the disk can't hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The mode, where it is not that on disk: 0 to 0o7777.
    pub mode: Option<u32>,
    /// A device node, which is an empty regular file on disk: block else character, major, minor.
    pub device: Option<(bool, u32, u32)>,
    /// Attributes of the `security` and `trusted` namespaces, and others that the disk did not take.
    pub xattrs: Xattrs,
}

/// Where [`write`] puts owners, modes, device nodes and privileged attributes.
#[derive(Debug)]
pub enum Owning<'a> {
    /// On the files. The table gets what the disk refused: attributes, and device nodes in a user namespace.
    Real {
        /// By device and inode.
        table: &'a mut Owners,
        /// Whether this is a user namespace, where no device node can be made: they become empty files.
        userns: bool,
    },
    /// Into the table. On disk all is this process's own, and at least readable and writable for it.
    Table(&'a mut Owners),
}

impl<'a> Owning<'a> {
    /// The way, and the table that goes with it.
    fn into_parts(self) -> (settle::How, &'a mut Owners) {
        match self {
            Self::Real { table, userns } => (settle::How::Real { userns }, table),
            Self::Table(table) => (settle::How::Table, table),
        }
    }
}
