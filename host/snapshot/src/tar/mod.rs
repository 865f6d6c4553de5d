//! Tar archives: reading them with limits, and writing them the same way each time.

pub(crate) mod input;
pub(crate) mod pax;
pub(crate) mod read;
pub(crate) mod sparse;
pub(crate) mod write;

use serde::{Deserialize, Serialize};

use crate::meta::Attributes;
use sparse::Segment;

/// Size of a header, and what content is padded to.
pub(crate) const BLOCK: u64 = 512;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Relative, without `.`, `..` and empty components; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) attributes: Attributes,
    pub(crate) body: Body,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// `offset` is where the content begins in the archive; of a sparse file, `map` says which parts of it are there.
    Regular {
        size: u64,
        offset: u64,
        map: Option<Vec<Segment>>,
    },
    Directory,
    Symlink(Vec<u8>),
    /// The path is clean as [`Item::path`] is.
    HardLink(Vec<u8>),
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
}
