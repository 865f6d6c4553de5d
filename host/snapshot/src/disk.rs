//! Snapshots as files on a disk: written out for a command to work in, and read back for what it changed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::Xattrs;

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
    /// Attributes of the `security` and `trusted` namespaces.
    pub xattrs: Xattrs,
}
