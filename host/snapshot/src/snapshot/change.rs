//! Changes of a snapshot.

use std::sync::Arc;

use super::{Source, regular};
use crate::content::{Content, FileOrigin};
use crate::directory::xattrs;
use crate::meta::{Attributes, Xattrs};
use crate::tree::{Directory, Leaf, LeafBody, Node, Tree};
use crate::{Error, Result, Timestamp, name};

/// What an entry puts at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A regular file with the content and extended attributes of a source's file (of directories: `security.capability` and `user.*`),
    /// or the device node that a snapshot has there.
    File {
        /// Index into the list of sources.
        source: usize,
        /// Taken literally: no symlink is followed.
        path: String,
    },
    /// A regular file with these bytes.
    Inline(Vec<u8>),
    /// A directory. One that is there keeps its entries and extended attributes.
    Directory,
    /// A symlink to this target.
    Symlink(String),
    /// Another name of the file at this path.
    HardLink(String),
    /// A fifo.
    Fifo,
    /// A device node.
    Device {
        /// Block, else character.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// What is at the path, with all below it, goes away. Only the path counts.
    Removed,
}

/// One change of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEntry {
    /// Where, taken literally: no symlink is followed. The parent must be there.
    pub path: String,
    /// What.
    pub change: Change,
    /// 0 to 0o7777. Ignored for symlinks, which have 0o777, and for hard links.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub modified: Timestamp,
}

/// Applies one change.
pub(super) fn apply(tree: &mut Tree, sources: &[Source], entry: ChangeEntry) -> Result<()> {
    let path = name::literal(&entry.path)?;
    let mut attributes = attributes(&entry)?;
    let body = match entry.change {
        Change::Removed if path.is_empty() => {
            return Err(Error::Invalid("the root of a file system can't be removed".into()));
        }
        Change::Removed => {
            tree.remove(&path);
            return Ok(());
        }
        Change::Directory => {
            if let Some(Node::Directory(there)) = tree.get(&path) {
                attributes.xattrs.clone_from(&there.attributes.xattrs);
            }
            return tree.put(&path, Node::Directory(Arc::new(Directory::empty(attributes))), true);
        }
        Change::HardLink(target) => return link(tree, &path, &target),
        Change::File { source, path } => {
            let (body, found) = file(sources, source, &path)?;
            attributes.xattrs = found;
            body
        }
        Change::Inline(bytes) => LeafBody::Regular { size: bytes.len() as u64, content: Content::Inline(bytes.into()) },
        Change::Symlink(target) => {
            attributes.mode = 0o777;
            LeafBody::Symlink(symlink_target(&entry.path, &target)?)
        }
        Change::Fifo => LeafBody::Fifo,
        Change::Device { block, major, minor } => device(&entry.path, block, major, minor)?,
    };
    tree.put(&path, Node::Leaf(Arc::new(Leaf { attributes, body, group: None })), false)
}

fn attributes(entry: &ChangeEntry) -> Result<Attributes> {
    let ChangeEntry { path, mode, uid, gid, modified, .. } = entry;
    if *mode > 0o7777 {
        return Err(Error::Invalid(format!("the mode {mode:#o} of `{path}` is more than 0o7777")));
    }
    if modified.nanoseconds >= 1_000_000_000 {
        return Err(Error::Invalid(format!(
            "the modification time of `{path}` has {} nanoseconds",
            modified.nanoseconds
        )));
    }
    Ok(Attributes { mode: *mode, uid: *uid, gid: *gid, modified: *modified, xattrs: Xattrs::new() })
}

fn file(sources: &[Source], index: usize, path: &str) -> Result<(LeafBody, Xattrs)> {
    let source = sources
        .get(index)
        .ok_or_else(|| Error::Invalid(format!("there is no source {index}, only {}", sources.len())))?;
    let literal = name::literal(path)?;
    match source {
        Source::Directory(directory) => {
            let (file, identity) = directory.open_literal(&literal)?;
            let xattrs =
                xattrs(&file).map_err(Error::io("read the extended attributes of", directory.full(&literal)))?;
            let content = Content::of_file(FileOrigin { directory: directory.clone(), path: literal, identity });
            Ok((LeafBody::Regular { size: identity.size, content }, xattrs))
        }
        Source::Snapshot(snapshot) => {
            let node = snapshot
                .tree()
                .get(&literal)
                .ok_or_else(|| Error::NotFound(format!("there is no `{path}` in source {index}")))?;
            match (node, regular(node)) {
                (Node::Leaf(leaf), Some((content, size))) => {
                    Ok((LeafBody::Regular { size, content: content.clone() }, leaf.attributes.xattrs.clone()))
                }
                (Node::Leaf(leaf), None) if matches!(leaf.body, LeafBody::Device { .. }) => {
                    Ok((leaf.body.clone(), leaf.attributes.xattrs.clone()))
                }
                _ => Err(Error::Invalid(format!("`{path}` in source {index} is no regular file"))),
            }
        }
    }
}

fn link(tree: &mut Tree, path: &[u8], target: &str) -> Result<()> {
    let target_path = name::literal(target)?;
    let leaf = tree.share_leaf(&target_path);
    let leaf = leaf.ok_or_else(|| {
        Error::Invalid(format!("`{}` can't be linked to `{target}`, where no file is", name::encode(path)))
    })?;
    if path == target_path { Ok(()) } else { tree.put(path, Node::Leaf(leaf), false) }
}

fn symlink_target(path: &str, target: &str) -> Result<Box<[u8]>> {
    match name::decode(target)? {
        empty if empty.is_empty() => Err(Error::Invalid(format!("the symlink `{path}` has an empty target"))),
        target => Ok(target.into()),
    }
}

/// The numbers that Linux has: 12 and 20 bits.
fn device(path: &str, block: bool, major: u32, minor: u32) -> Result<LeafBody> {
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(Error::Invalid(format!("the device `{path}` has the impossible number {major}:{minor}")));
    }
    Ok(LeafBody::Device { block, major, minor })
}
