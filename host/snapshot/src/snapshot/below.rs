//! A part of a snapshot as a file system of its own.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::Snapshot;
use super::history::History;
use crate::tree::{Node, Tree};
use crate::{Error, Result, name};

/// A file or directory of a snapshot.
#[derive(Debug, Clone)]
pub struct Part {
    /// What is in the directory; or the one file.
    pub files: Snapshot,
    /// The file's name, if it is no directory.
    pub file: Option<OsString>,
}

impl Snapshot {
    /// What is at a path, symlinks resolved, as a file system of its own. Fails with [`Error::NotFound`].
    pub fn below(&self, path: &str) -> Result<Part> {
        let resolved = self.tree().resolve(&name::decode(path)?, true)?;
        let node = resolved.node.ok_or_else(|| Error::NotFound(format!("there is no `{path}`")))?;
        let mut tree = Tree::empty();
        let file = match node {
            Node::Directory(_) => {
                tree.set_root(node.clone());
                None
            }
            Node::Leaf(_) => {
                let last = name::split_last(&resolved.path).map_or(&b"file"[..], |(_, last)| last);
                tree.put(last, node.clone(), false)?;
                Some(OsString::from_vec(last.to_vec()))
            }
        };
        Ok(Part { files: Self::new(tree, History::changed(None)), file })
    }
}
