//! Finding what changed in a directory that held a snapshot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::look::{Found, FoundLeaf, Look};
use super::place::Place;
use super::walk::{Hidden, Stamp};
use super::{Changes, Index, Owners};
use crate::meta::Attributes;
use crate::tree::{Directory, Leaf, LeafBody, Node, Tree, new_group};
use crate::{Error, Result, Snapshot, Timestamp, name};

/// What is compared with what. Nobody works in the directory any more.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// What the directory held.
    pub base: &'a Snapshot,
    /// Where to look.
    pub state: State<'a>,
    /// Where owners are.
    pub owned: Owned<'a>,
    /// Paths that are left out with all below them: clean, without leading `/`. What the base has there stays. A directory that one of
    /// them is in keeps its time if nothing else happened in it, so that mount points can be made there.
    pub skip: &'a [Vec<u8>],
    /// The latest modification time of what changed, in seconds since 1970: later ones become this one.
    pub latest: Option<i64>,
}

/// Where the changes are.
#[derive(Debug, Clone, Copy)]
pub enum State<'a> {
    /// In the directory that held the base when the index was made of it (with the same `skip`).
    Plain {
        /// The directory.
        root: &'a Path,
        /// How it was.
        before: &'a Index,
    },
    /// In the upper directory of an overlay that has the base below, mounted without `redirect_dir` and `metacopy`.
    Upper(&'a Path),
}

/// Where the owners are that [`super::write`] put.
#[derive(Debug, Clone, Copy)]
pub enum Owned<'a> {
    /// On the files; the table has what the disk refused when the base was written.
    Real(&'a Owners),
    /// In the table, which was kept up to date.
    Table(&'a Owners),
}

impl<'a> Owned<'a> {
    /// The table.
    pub(super) fn table(self) -> &'a Owners {
        match self {
            Self::Real(table) | Self::Table(table) => table,
        }
    }
}

/// Finds what changed. A file counts as changed if its metadata or content is another than the base's: what was only written anew as
/// it was does not. Modification times lose their fractions, as those of copied files do. In an overlay, a change through one name of a
/// hard-linked file of the base is a change of that name only.
///
/// # Errors
/// [`Error::Io`] on what can't be read, [`Error::Unsupported`] on an overlay that was mounted with other options.
pub fn changes(scan: Scan<'_>) -> Result<Changes> {
    let (path, before) = match scan.state {
        State::Plain { root, before } => (root, Some(before)),
        State::Upper(upper) => (upper, None),
    };
    let place = Place::open(path)?;
    let hidden = Hidden::new(scan.skip);
    let now = Index::of_place(&place, &hidden)?;
    let look = Look::new(&place, scan.owned, before)?;
    let base = scan.base.tree();
    let assembly = Assembly {
        look,
        base,
        now: &now,
        latest: scan.latest,
        tree: base.clone(),
        leaves: BTreeMap::new(),
        sockets: Vec::new(),
    };
    assembly.assemble(before, &hidden)
}

struct Assembly<'a> {
    look: Look<'a>,
    base: &'a Tree,
    now: &'a Index,
    latest: Option<i64>,
    tree: Tree,
    /// By device and inode: all names of a file come together.
    leaves: BTreeMap<(u64, u64), Vec<(Vec<u8>, FoundLeaf)>>,
    sockets: Vec<Vec<u8>>,
}

impl Assembly<'_> {
    fn assemble(mut self, before: Option<&Index>, hidden: &Hidden<'_>) -> Result<Changes> {
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
            self.quieten(parent)?;
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
    fn put_leaves(&mut self, names: Vec<(Vec<u8>, FoundLeaf)>) -> Result<()> {
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

    /// Gives a directory its time back if nothing happened to it but that.
    fn quieten(&mut self, path: &[u8]) -> Result<()> {
        let (Some(Node::Directory(before)), Some(Node::Directory(after))) = (self.base.get(path), self.tree.get(path))
        else {
            return Ok(());
        };
        let mut attributes = after.attributes.clone();
        attributes.modified = before.attributes.modified;
        let alone = attributes == before.attributes
            && before.children.len() == after.children.len()
            && before.children.iter().zip(&after.children).all(|((a, before), (b, after))| {
                a == b
                    && match (before, after) {
                        (Node::Leaf(before), Node::Leaf(after)) => Arc::ptr_eq(before, after),
                        (Node::Directory(_), Node::Directory(_)) => true,
                        _ => false,
                    }
            });
        if alone && after.attributes != attributes {
            self.tree.put(path, Node::Directory(Arc::new(Directory::empty(attributes))), true)?;
        }
        Ok(())
    }
}

/// Whether the names of one file on disk, each equal to a leaf of the base, are names of one file there, and no link was broken.
fn is_one_file(names: &[(Vec<u8>, FoundLeaf)], base: &[Arc<Leaf>]) -> bool {
    let originals = names.iter().all(|(_, found)| found.original);
    match base {
        [one] => originals || one.group.is_none(),
        many => originals && many.iter().all(|leaf| leaf.group.is_some() && leaf.group == many[0].group),
    }
}
