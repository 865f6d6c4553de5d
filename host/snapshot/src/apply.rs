//! Archives laid over a tree: a layer by the rules of whiteouts (OCI image-spec, layer.md), any other archive as it is.

use std::sync::Arc;

use crate::content::{Content, Origin};
use crate::tar::{Body, Item};
use crate::tree::{Directory, Leaf, LeafBody, Node, Tree};
use crate::{Error, Result, name};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names of aufs' own bookkeeping.
const RESERVED: &[u8] = b".wh..wh.";

/// What `.wh.` names mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whiteouts {
    /// They take away what lower layers have.
    Apply,
    /// They are names like others.
    Keep,
}

/// The whiteout that takes a clean path away. Fails with [`Error::Invalid`] on a name that is itself one.
pub(crate) fn whiteout_of(path: &[u8]) -> Vec<u8> {
    let (parent, last) = name::split_last(path).unwrap_or_default();
    name::join(parent, &[WHITEOUT, last].concat())
}

/// What a whiteout of [`whiteout_of`] takes away.
pub(crate) fn hidden_by(whiteout: &[u8]) -> Vec<u8> {
    let (parent, last) = name::split_last(whiteout).unwrap_or_default();
    name::join(parent, last.strip_prefix(WHITEOUT).unwrap_or(last))
}

/// Whether a name can't be in a layer, because it would be read as a whiteout.
pub(crate) fn is_whiteout(last: &[u8]) -> bool {
    last.starts_with(WHITEOUT)
}

/// Lays an archive over a tree. `content` makes the content of a file from where it begins and which parts are there.
pub(crate) fn apply(tree: &mut Tree, items: Vec<Item>, origin: &Extents<'_>, whiteouts: Whiteouts) -> Result<()> {
    if whiteouts == Whiteouts::Apply {
        // First, and only here: they hit lower layers, wherever in the archive they stand.
        for item in &items {
            take_away(tree, &item.path)?;
        }
    }
    for item in items {
        let last = name::split_last(&item.path).map_or(&b""[..], |(_, last)| last);
        if whiteouts == Whiteouts::Keep || !is_whiteout(last) {
            put(tree, item, origin)?;
        }
    }
    Ok(())
}

/// The archive that files' content is in, and where in its origin it begins.
pub(crate) enum Extents<'a> {
    /// In an uncompressed tar.
    Of { origin: &'a Origin, begin: u64 },
    /// In bytes that are at hand.
    Inline(&'a [u8]),
}

impl Extents<'_> {
    fn content(&self, offset: u64, size: u64, map: Option<Vec<crate::tar::sparse::Segment>>) -> Result<Content> {
        match (self, map) {
            (Self::Of { origin, begin }, map) => {
                Ok(Content::Extent { origin: (*origin).clone(), offset: begin + offset, map: map.map(Arc::from) })
            }
            (Self::Inline(bytes), None) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(offset + size).ok());
                let part = range.and_then(|(start, end)| bytes.get(start..end));
                part.map(|part| Content::Inline(part.into()))
                    .ok_or_else(|| Error::Invalid("the archive ends within a file".into()))
            }
            (Self::Inline(_), Some(_)) => {
                Err(Error::Unsupported("sparse files in an archive of inline bytes are not supported".into()))
            }
        }
    }
}

fn take_away(tree: &mut Tree, path: &[u8]) -> Result<()> {
    let Some((parent, last)) = name::split_last(path) else { return Ok(()) };
    let Some(hidden) = last.strip_prefix(WHITEOUT) else { return Ok(()) };
    let parent = tree.resolve(parent, true)?.path;
    if last == OPAQUE {
        tree.clear(&parent);
    } else if !last.starts_with(RESERVED) && !matches!(hidden, b"" | b"." | b"..") {
        tree.remove(&name::join(&parent, hidden));
    }
    Ok(())
}

fn put(tree: &mut Tree, item: Item, origin: &Extents<'_>) -> Result<()> {
    let path = real(tree, &item.path)?;
    let Item { attributes, body, .. } = item;
    let body = match body {
        Body::Directory => return tree.put(&path, Node::Directory(Arc::new(Directory::empty(attributes))), true),
        Body::HardLink(target) => return link(tree, &path, &target),
        Body::Regular { size, offset, map } => LeafBody::Regular { size, content: origin.content(offset, size, map)? },
        Body::Symlink(target) => LeafBody::Symlink(target.into()),
        Body::Fifo => LeafBody::Fifo,
        Body::Device { block, major, minor } => LeafBody::Device { block, major, minor },
    };
    tree.put(&path, Node::Leaf(Arc::new(Leaf { attributes, body, group: None })), false)
}

fn link(tree: &mut Tree, path: &[u8], target: &[u8]) -> Result<()> {
    let target = real(tree, target)?;
    let missing = || {
        Error::Invalid(format!(
            "the archive links `{}` to `{}`, where no file is",
            name::encode(path),
            name::encode(&target)
        ))
    };
    let leaf = tree.share_leaf(&target).ok_or_else(missing)?;
    if path == target { Ok(()) } else { tree.put(path, Node::Leaf(leaf), false) }
}

/// An entry's place: symlinks in its parents are followed inside the tree, as unpackers do in a root file system; missing parents are made.
fn real(tree: &mut Tree, path: &[u8]) -> Result<Vec<u8>> {
    let Some((parent, last)) = name::split_last(path) else { return Ok(Vec::new()) };
    if !matches!(tree.get(parent), Some(Node::Directory(_))) {
        let parent = tree.resolve(parent, true)?.path;
        tree.make_directories(&parent)?;
        return Ok(name::join(&parent, last));
    }
    Ok(path.to_vec())
}
