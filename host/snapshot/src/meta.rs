//! What is known of a file without opening it.

use std::collections::BTreeMap;

use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Kind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
}

/// A moment: seconds and nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// The contract's `stat` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// In bytes; zero of all but regular files.
    pub size: u64,
    /// Modification time.
    pub modified: Timestamp,
    /// Where a symlink points, as it is written, in the form of [`crate::name`].
    pub target: Option<String>,
    /// Equal for hard links of one file; absent where the file has one name.
    pub link_group: Option<u64>,
}

/// The contract's `entry` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// One path component, in the form of [`crate::name`].
    pub name: String,
    /// Symlinks are not followed.
    pub stat: Stat,
}

/// Extended attributes by name.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Attributes that every kind of file has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Timestamp,
    pub(crate) xattrs: Xattrs,
}

impl Attributes {
    /// Of a directory that nothing describes: 0755, root, the epoch.
    pub(crate) fn implied_directory() -> Self {
        Self { mode: 0o755, ..Self::default() }
    }
}

/// A descriptor without its optional properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// Digest of the blob as it is stored.
    pub digest: Digest,
    /// Bytes of the blob as it is stored.
    pub size: u64,
}

/// A layer of an image: its blob, and the digest of its uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}
