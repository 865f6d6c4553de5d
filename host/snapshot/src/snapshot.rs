//! A file system as a value.
use crate::{Directory, Entry, Error, Layer, Result, Stat, Store, Timestamp};
use std::sync::Arc;

/// Where the content of files comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A granted directory.
    Directory(Directory),
    /// Another snapshot.
    Snapshot(Snapshot),
}

/// What an entry puts at its path; the contract's `change`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Change {
    /// A regular file with the content and extended attributes of a source's file.
    File {
        source: usize,
        path: String,
    },
    Inline(Vec<u8>),
    Directory,
    Symlink(String),
    HardLink(String),
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Removed,
}

/// One change of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ChangeEntry {
    pub path: String,
    pub change: Change,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Timestamp,
}

/// Brings a layer's blob into the store when its bytes are needed for the first time.
pub trait Fetch: Send + Sync {
    /// Makes `store` contain the blob. Called from any thread, at most when the store lacks it.
    fn fetch(&self, store: &Store) -> Result<()>;
}

/// A file system. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot;

#[allow(unused_variables)]
impl Snapshot {
    /// The empty file system.
    pub fn scratch() -> Self {
        Self
    }
    /// The file system of layers, base first. `fetch` is asked for a blob only if its table of contents, or later its content, is needed and the store lacks it.
    pub fn from_layers(store: &Store, layers: Vec<(Layer, Arc<dyn Fetch>)>) -> Result<Self> {
        not_yet()
    }
    /// The content of a tar archive, or none if the file is no archive.
    pub fn from_archive(store: &Store, source: &Source, path: &str) -> Result<Option<Self>> {
        not_yet()
    }
    /// Metadata of a path.
    pub fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        not_yet()
    }
    /// Entries of a directory.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>> {
        not_yet()
    }
    /// A small file.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        not_yet()
    }
    /// The path without symlinks.
    pub fn real_path(&self, path: &str) -> Result<String> {
        not_yet()
    }
    /// This file system with changes.
    pub fn extend(&self, sources: &[Source], entries: Vec<ChangeEntry>) -> Result<Self> {
        not_yet()
    }
    /// The last `extend` as a layer.
    pub fn pack(&self, store: &Store, compression: crate::Compression) -> Result<Option<Layer>> {
        not_yet()
    }
    /// The whole file system as a tar.
    pub fn export(&self, to: &mut dyn std::io::Write) -> Result<()> {
        not_yet()
    }
}
fn not_yet<T>() -> Result<T> {
    Err(Error::Unsupported("not in this commit".into()))
}
