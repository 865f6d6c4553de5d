//! A file system as a value.

mod below;
mod change;
mod history;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::apply::{self, Extents, Whiteouts};
use crate::content::{Content, Origin};
use crate::directory::with_xattrs;
use crate::hash::{Hasher, Hashing};
use crate::layer::{TarOrigin, Toc};
use crate::tree::{LeafBody, Node, Tree};
use crate::{Directory, Entry, Error, Fetch, Layer, Result, Stat, Store, name, parallel};
use history::History;

pub use below::Part;
pub use change::{Change, ChangeEntry};
pub use history::Link;
pub(crate) use history::write_changes;

/// Where the content of files comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A granted directory.
    Directory(Directory),
    /// Another snapshot.
    Snapshot(Snapshot),
}

/// A file system: names, metadata, and where content lies. Cheap to clone; versions share what they have in common.
#[derive(Debug, Clone)]
pub struct Snapshot(Arc<Versions>);

#[derive(Debug)]
struct Versions {
    tree: Tree,
    history: History,
}

impl Snapshot {
    /// The empty file system.
    pub fn scratch() -> Self {
        Self::new(Tree::empty(), History::Layers(Vec::new()))
    }

    /// The file system of an image's layers, base first. A layer is fetched only if the store lacks its table of contents, or when a file
    /// in it is read for the first time. Fails with [`Error::Corrupt`] if a layer has not its diff ID, and [`Error::Invalid`] if one is no tar archive.
    pub fn from_layers(store: &Store, layers: Vec<(Layer, Arc<dyn Fetch>)>) -> Result<Self> {
        let tar = |(layer, fetch)| Arc::new(TarOrigin::of_layer(store, layer, fetch));
        Self::of_tars(layers.into_iter().map(tar).collect())
    }

    /// Metadata of a path. Symlinks in its parents are resolved inside the snapshot; `follow` says whether one in the last component is.
    /// Fails with [`Error::NotFound`], and [`Error::Invalid`] on a loop of links.
    pub fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        self.find(path, follow).map(Node::stat)
    }

    /// The entries of a directory, sorted by the bytes of their names; symlinks in `path` are resolved.
    /// Fails as [`Snapshot::stat`] does, and with [`Error::Invalid`] if it is no directory.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let Node::Directory(directory) = self.find(path, true)? else {
            return Err(Error::Invalid(format!("`{path}` is no directory")));
        };
        Ok(directory
            .children
            .iter()
            .map(|(file, node)| Entry { name: name::encode(file), stat: node.stat() })
            .collect())
    }

    /// A small file, symlinks resolved. Fails as [`Snapshot::stat`] does, and with [`Error::Invalid`] if it is no regular file or
    /// larger than `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let (content, size) =
            regular(self.find(path, true)?).ok_or_else(|| Error::Invalid(format!("`{path}` is no regular file")))?;
        if size > limit {
            return Err(Error::Invalid(format!("`{path}` is larger than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        let mut reader = content.open(size)?;
        reader.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        reader.finish()?;
        Ok(bytes)
    }

    /// A digest for each path: of the content, and of the extended attributes. Fails as [`Snapshot::read`] does.
    pub fn digests(&self, paths: &[String]) -> Result<Vec<String>> {
        let one = |path: &String| {
            let node = self.find(path, false)?;
            let no_file = || Error::Invalid(format!("`{path}` is no regular file"));
            let (content, size) = regular(node).ok_or_else(no_file)?;
            let mut reader = content.open(size)?;
            let mut hashing = Hashing::new(io::sink(), Hasher::sha256());
            io::copy(&mut reader, &mut hashing).map_err(Error::io("read", path))?;
            reader.finish()?;
            Ok(with_xattrs(hashing.hasher.finish(), &node.attributes().xattrs).to_string())
        };
        parallel::map(paths, one).into_iter().collect()
    }

    /// Writes a file of any size, symlinks resolved. Fails as [`Snapshot::stat`] does, and with [`Error::Invalid`] if it is no regular file.
    pub fn write_file(&self, path: &str, to: &mut dyn Write) -> Result<()> {
        let (content, size) =
            regular(self.find(path, true)?).ok_or_else(|| Error::Invalid(format!("`{path}` is no regular file")))?;
        let mut reader = content.open(size)?;
        io::copy(&mut reader, to).map_err(Error::io("copy", path))?;
        reader.finish()
    }

    /// The path with all symlinks resolved, without leading `/`; empty for the root. Components from the first one that does not exist
    /// on are kept. Fails with [`Error::Invalid`] on a loop of links.
    pub fn real_path(&self, path: &str) -> Result<String> {
        Ok(name::encode(&self.tree().resolve(&name::decode(path)?, true)?.path))
    }

    /// This file system with changes, in their order. Content of a source is named, not copied; files of directories are looked at
    /// once, so that [`Snapshot::pack`] can tell if they change. Fails with [`Error::Invalid`] on a change that can't be applied.
    pub fn extend(&self, sources: &[Source], entries: Vec<ChangeEntry>) -> Result<Self> {
        let mut tree = self.tree().clone();
        entries.into_iter().try_for_each(|entry| change::apply(&mut tree, sources, entry))?;
        Ok(Self::new(tree, History::changed(Some(self.clone()))))
    }

    /// The content of an archive that is no layer: nothing was before it, and it changed nothing.
    pub(crate) fn of_archive(tree: Tree) -> Self {
        Self::new(tree, History::changed(None))
    }

    fn new(tree: Tree, history: History) -> Self {
        Self(Arc::new(Versions { tree, history }))
    }

    /// Tables of contents are read side by side: decompressing one layer can't be divided.
    fn of_tars(tars: Vec<Arc<TarOrigin>>) -> Result<Self> {
        let mut tree = Tree::empty();
        for (tar, contents) in tars.iter().zip(parallel::map(&tars, |tar| tar.contents())) {
            lay(&mut tree, tar, contents?)?;
        }
        Ok(Self::new(tree, History::Layers(tars)))
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.0.tree
    }

    /// Before the last change.
    pub(crate) fn base(&self) -> &Tree {
        match &self.0.history {
            History::Changed { before: Some(before), .. } | History::Laid { before, .. } => before.tree(),
            History::Layers(_) | History::Changed { before: None, .. } => self.tree(),
        }
    }

    /// The archive that the last change is, if it came as one.
    pub(crate) fn laid(&self) -> Option<&TarOrigin> {
        match &self.0.history {
            History::Laid { tar, .. } => Some(tar),
            _ => None,
        }
    }

    fn find(&self, path: &str, follow: bool) -> Result<&Node> {
        let resolved = self.tree().resolve(&name::decode(path)?, follow)?;
        resolved.node.ok_or_else(|| Error::NotFound(format!("there is no `{path}`")))
    }
}

/// Content and size of a regular file.
pub(crate) fn regular(node: &Node) -> Option<(&Content, u64)> {
    match node {
        Node::Leaf(leaf) => match &leaf.body {
            LeafBody::Regular { size, content } => Some((content, *size)),
            _ => None,
        },
        Node::Directory(_) => None,
    }
}

/// Lays a layer over a tree.
fn lay(tree: &mut Tree, tar: &Arc<TarOrigin>, contents: Toc) -> Result<()> {
    let origin = Origin::Tar(tar.clone());
    apply::apply(tree, contents.items, &Extents::Of { origin: &origin, begin: 0 }, Whiteouts::Apply)
}
