//! A directory of the caller, read-only.
use crate::{Entry, Error, Result, Stat};
use std::path::Path;

/// A granted directory.
#[derive(Debug, Clone)]
pub struct Directory;

#[allow(unused_variables)]
impl Directory {
    /// Opens a directory; `name` is how its caller typed it.
    pub fn open(path: &Path, name: impl Into<String>) -> Result<Self> {
        not_yet()
    }
    /// As typed.
    pub fn name(&self) -> &str {
        ""
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
}
fn not_yet<T>() -> Result<T> {
    Err(Error::Unsupported("not in this commit".into()))
}
