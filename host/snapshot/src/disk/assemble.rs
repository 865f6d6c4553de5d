//! The tree that a directory has become, made of the base and of what was found.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::look::{Found, FoundLeaf, Look};
use super::walk::{Hidden, Stamp};
use super::{Changes, Index};
use crate::meta::Attributes;
use crate::tree::{Directory, Leaf, LeafBody, Node, Tree, new_group};
use crate::{Error, Result, Timestamp, name};

/// The names of one file, with what was found there.
type Names = Vec<(Vec<u8>, FoundLeaf)>;

/// The new tree, as far as it is known.
pub(super) struct Assembly<'a> {
    look: Look<'a>,
    base: &'a Tree,
    now: &'a Index,
    latest: Option<i64>,
    tree: Tree,
    /// By device and inode: all names of a file come together.
    leaves: BTreeMap<(u64, u64), Names>,
    sockets: Vec<Vec<u8>>,
}

impl<'a> Assembly<'a> {
    /// Begins with the base; `now` is what is there.
    pub(super) fn new(look: Look<'a>, base: &'a Tree, now: &'a Index, latest: Option<i64>) -> Self {
        Self { look, base, now, latest, tree: base.clone(), leaves: BTreeMap::new(), sockets: Vec::new() }
    }

    /// Puts everything that is not as it was `before`; without that (in the upper directory of an overlay), everything.
    pub(super) fn assemble(mut self, before: Option<&Index>, hidden: &Hidden<'_>) -> Result<Changes> {
        for (path, _) in before.into_iter().flat_map(Index::iter).filter(|(path, _)| self.now.get(path).is_none()) {
            self.tree.remove(path);
        }
        let changed = |(path, stamp): &(&[u8], &Stamp)| !before.is_some_and(|before| before.is_unchanged(path, stamp));
        let mut dirty: Vec<_> = self.now.iter().filter(changed).collect();
        // Parents come first.
        dirty.sort_unstable_by_key(|(path, _)| *path);
        for (path, stamp) in dirty {
            self.see(path, stamp)?;
        }
        for names in std::mem::take(&mut self.leaves).into_values() {
            self.put_leaves(names)?;
        }
        for parent in hidden.parents() {
            let mut parent = parent;
            while self.quieten(parent)? == Quiet::Removed {
                parent = name::split_last(parent).map_or(&b""[..], |(above, _)| above);
            }
        }
        Ok(Changes { base: self.base.clone(), tree: self.tree, sockets: self.sockets })
    }

    fn see(&mut self, path: &[u8], stamp: &Stamp) -> Result<()> {
        match self.look.at(path, stamp, self.base.get(path))? {
            Found::Whiteout => self.tree.remove(path),
            Found::Socket => {
                self.tree.remove(path);
                self.sockets.push(path.to_vec());
            }
            Found::Directory { attributes, opaque } => {
                if opaque {
                    self.tree.clear(path);
                }
                self.put_directory(path, attributes)?;
            }
            Found::Leaf(leaf) => self.leaves.entry(stamp.key).or_default().push((path.to_vec(), leaf)),
        }
        Ok(())
    }

    fn put_directory(&mut self, path: &[u8], found: Attributes) -> Result<()> {
        let base = match self.base.get(path) {
            Some(Node::Directory(directory)) => Some(&directory.attributes),
            _ => None,
        };
        let mut attributes = self.settled(found, base);
        if let Some(base) = base.filter(|_| path.is_empty()) {
            // The root's time is nobody's business: mount points and the workspace's own making change it.
            attributes.modified = base.modified;
        }
        if matches!(self.tree.get(path), Some(Node::Directory(there)) if there.attributes == attributes) {
            return Ok(());
        }
        self.make_parents(path)?;
        self.tree.put(path, Node::Directory(Arc::new(Directory::empty(attributes))), true)
    }

    /// Directories on the way that the base does not have though they were there: mount points were made in them.
    fn make_parents(&mut self, path: &[u8]) -> Result<()> {
        let Some((parent, _)) = name::split_last(path) else { return Ok(()) };
        if matches!(self.tree.get(parent), Some(Node::Directory(_))) {
            return Ok(());
        }
        match self.now.get(parent).copied() {
            Some(stamp) => self.see(parent, &stamp),
            None => Err(Error::Invalid(format!("`{}` has no parent directory", name::encode(path)))),
        }
    }

    /// Puts all names of one file.
    fn put_leaves(&mut self, names: Names) -> Result<()> {
        let kept: Option<Vec<Arc<Leaf>>> = names.iter().map(|(path, found)| self.equal(path, found)).collect();
        if let Some(kept) = kept.filter(|kept| is_one_file(&names, kept)) {
            for ((path, _), leaf) in names.into_iter().zip(kept) {
                self.put_leaf(&path, leaf)?;
            }
            return Ok(());
        }
        let group = (names.len() > 1).then(new_group);
        let mut shared: Option<Arc<Leaf>> = None;
        for (path, FoundLeaf { attributes, body, .. }) in names {
            let leaf = shared.get_or_insert_with(|| {
                let attributes = Attributes { modified: self.clamped(attributes.modified), ..attributes };
                Arc::new(Leaf { attributes, body, group })
            });
            let leaf = leaf.clone();
            self.put_leaf(&path, leaf)?;
        }
        Ok(())
    }

    fn put_leaf(&mut self, path: &[u8], leaf: Arc<Leaf>) -> Result<()> {
        if matches!(self.tree.get(path), Some(Node::Leaf(there)) if Arc::ptr_eq(there, &leaf)) {
            return Ok(());
        }
        self.make_parents(path)?;
        self.tree.put(path, Node::Leaf(leaf), false)
    }

    /// The base's file at a path, if what was found there is no other but for its links.
    fn equal(&self, path: &[u8], found: &FoundLeaf) -> Option<Arc<Leaf>> {
        let Some(Node::Leaf(base)) = self.base.get(path) else { return None };
        let mut attributes = self.settled(found.attributes.clone(), Some(&base.attributes));
        if matches!(base.body, LeafBody::Symlink(_)) {
            // They have none on disk, and archives have all sorts.
            attributes.mode = base.attributes.mode;
        }
        (found.same_body && attributes == base.attributes).then(|| base.clone())
    }

    /// Attributes as a layer has them. A time that differs from the base's only by what a layer doesn't hold is the base's.
    fn settled(&self, found: Attributes, base: Option<&Attributes>) -> Attributes {
        let clamped = self.clamped(found.modified);
        match base {
            Some(base) if base.modified == found.modified || base.modified == clamped => {
                let same = Attributes { modified: base.modified, ..found };
                if same == *base { same } else { Attributes { modified: clamped, ..same } }
            }
            _ => Attributes { modified: clamped, ..found },
        }
    }

    fn clamped(&self, at: Timestamp) -> Timestamp {
        let seconds = self.latest.map_or(at.seconds, |latest| at.seconds.min(latest));
        Timestamp { seconds, nanoseconds: 0 }
    }

    /// Undoes what making a mount point did to the directory that it is in: gives it its time back if nothing else happened to it, and removes
    /// it if it is new and empty.
    fn quieten(&mut self, path: &[u8]) -> Result<Quiet> {
        let Some(Node::Directory(after)) = self.tree.get(path) else { return Ok(Quiet::Kept) };
        let before = match self.base.get(path) {
            Some(Node::Directory(before)) => before,
            None if after.children.is_empty() => {
                self.tree.remove(path);
                return Ok(Quiet::Removed);
            }
            _ => return Ok(Quiet::Kept),
        };
        let attributes = Attributes { modified: before.attributes.modified, ..after.attributes.clone() };
        if attributes == before.attributes && after.attributes != attributes && has_same_entries(before, after) {
            self.tree.put(path, Node::Directory(Arc::new(Directory::empty(attributes))), true)?;
        }
        Ok(Quiet::Kept)
    }
}

/// What became of a directory that a mount point is in.
#[derive(PartialEq, Eq)]
enum Quiet {
    Kept,
    Removed,
}

/// Whether no entry came, went or was replaced. What is in directories below doesn't matter.
fn has_same_entries(before: &Directory, after: &Directory) -> bool {
    before.children.len() == after.children.len()
        && before.children.iter().zip(&after.children).all(|((a, before), (b, after))| {
            a == b
                && match (before, after) {
                    (Node::Leaf(before), Node::Leaf(after)) => Arc::ptr_eq(before, after),
                    (Node::Directory(_), Node::Directory(_)) => true,
                    _ => false,
                }
        })
}

/// Whether the names of one file on disk, each equal to a leaf of the base, are names of one file there. A name alone may have been linked
/// there: an overlay breaks links by itself, and that is no change.
fn is_one_file(names: &[(Vec<u8>, FoundLeaf)], base: &[Arc<Leaf>]) -> bool {
    let linked = || base.iter().all(|leaf| leaf.group.is_some() && leaf.group == base[0].group);
    base.len() == 1 || (names.iter().all(|(_, found)| found.original) && linked())
}
