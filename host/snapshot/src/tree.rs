//! A file system as a persistent tree: versions share what they have in common, so a change costs the directories on its path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::Content;
use crate::meta::Attributes;
use crate::{Error, Kind, Result, Stat, name};

/// Symlinks of one path, as in BuildKit's resolver.
const MAX_LINKS: usize = 255;
/// Nested directories. Bounds recursion; a path of Linux has at most 2,048 components.
pub(crate) const MAX_DEPTH: usize = 1024;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Directory(Arc<Directory>),
    Leaf(Arc<Leaf>),
}

/// A directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) attributes: Attributes,
    pub(crate) children: BTreeMap<Box<[u8]>, Node>,
}

/// Anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) attributes: Attributes,
    pub(crate) body: LeafBody,
    /// Equal for names of one file.
    pub(crate) group: Option<u64>,
}

/// What a leaf is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeafBody {
    Regular { size: u64, content: Content },
    Symlink(Box<[u8]>),
    Fifo,
    Device { block: bool, major: u32, minor: u32 },
}

/// A number for a new group of hard links, unlike any other in this process.
pub(crate) fn new_group() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Directory {
    pub(crate) fn empty(attributes: Attributes) -> Self {
        Self { attributes, children: BTreeMap::new() }
    }
}

impl Node {
    /// What every kind of file has.
    pub(crate) fn attributes(&self) -> &Attributes {
        match self {
            Self::Directory(directory) => &directory.attributes,
            Self::Leaf(leaf) => &leaf.attributes,
        }
    }

    /// The contract's view.
    pub(crate) fn stat(&self) -> Stat {
        let (attributes, kind, size, target, link_group) = match self {
            Self::Directory(directory) => (&directory.attributes, Kind::Directory, 0, None, None),
            Self::Leaf(leaf) => {
                let (kind, size, target) = match &leaf.body {
                    LeafBody::Regular { size, .. } => (Kind::Regular, *size, None),
                    LeafBody::Symlink(target) => (Kind::Symlink, 0, Some(name::encode(target))),
                    LeafBody::Fifo => (Kind::Fifo, 0, None),
                    LeafBody::Device { block: true, .. } => (Kind::BlockDevice, 0, None),
                    LeafBody::Device { block: false, .. } => (Kind::CharacterDevice, 0, None),
                };
                (&leaf.attributes, kind, size, target, leaf.group)
            }
        };
        let Attributes { mode, uid, gid, modified, .. } = *attributes;
        Stat { kind, mode, uid, gid, size, modified, target, link_group }
    }
}

/// Where a path leads.
pub(crate) struct Resolved<'t> {
    /// Without symlinks; components from the first missing one on are as they were.
    pub(crate) path: Vec<u8>,
    pub(crate) node: Option<&'t Node>,
}

/// A whole file system. Its root is always a directory.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: Node,
}

impl Tree {
    pub(crate) fn empty() -> Self {
        Self { root: Node::Directory(Arc::new(Directory::empty(Attributes::implied_directory()))) }
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Makes a directory the root, with all that it holds.
    pub(crate) fn set_root(&mut self, root: Node) {
        if matches!(root, Node::Directory(_)) {
            self.root = root;
        }
    }

    /// What is at a clean, literal path.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Node> {
        name::components(path).try_fold(&self.root, |node, component| match node {
            Node::Directory(directory) => directory.children.get(component),
            Node::Leaf(_) => None,
        })
    }

    /// Resolves symlinks as if the tree were the root file system: `..` stops at the root. `follow` is for a symlink in the last
    /// component. Fails with [`Error::Invalid`] on a loop of links.
    pub(crate) fn resolve(&self, path: &[u8], follow: bool) -> Result<Resolved<'_>> {
        self.resolve_passing(path, follow, &mut |_| ())
    }

    /// The same, which also tells the literal paths that count besides the one it ends at: symlinks that are followed, and what `..` leaves.
    pub(crate) fn resolve_passing(
        &self,
        path: &[u8],
        follow: bool,
        passed: &mut dyn FnMut(Vec<u8>),
    ) -> Result<Resolved<'_>> {
        let joined = |stack: &[(&[u8], Option<&Node>)]| {
            stack.iter().fold(Vec::new(), |path, (component, _)| name::join(&path, component))
        };
        let mut stack: Vec<(&[u8], Option<&Node>)> = Vec::new();
        let mut pending: Vec<&[u8]> = name::components(path).rev().collect();
        let mut links = 0;
        while let Some(component) = pending.pop() {
            if component == b".." {
                passed(joined(&stack));
                stack.pop();
                continue;
            }
            let here = stack.last().map_or(Some(&self.root), |(_, node)| *node);
            let node = match here {
                Some(Node::Directory(directory)) => directory.children.get(component),
                _ => None,
            };
            let target = match node {
                Some(Node::Leaf(leaf)) if follow || !pending.is_empty() => match &leaf.body {
                    LeafBody::Symlink(target) => Some(target),
                    _ => None,
                },
                _ => None,
            };
            let Some(target) = target else {
                stack.push((component, node));
                continue;
            };
            links += 1;
            passed(name::join(&joined(&stack), component));
            if links > MAX_LINKS {
                return Err(Error::Invalid(format!("the symlinks of `{}` don't end", name::encode(path))));
            }
            if target.first() == Some(&b'/') {
                stack.clear();
            }
            pending.extend(name::components(target).rev());
        }
        let node = stack.last().map_or(Some(&self.root), |(_, node)| *node);
        Ok(Resolved { path: joined(&stack), node })
    }

    /// Puts a node at a clean path, in place of what is there. A directory takes over the entries of one that is there if `merge`.
    /// Fails with [`Error::Invalid`] if the parent is no directory.
    pub(crate) fn put(&mut self, path: &[u8], node: Node, merge: bool) -> Result<()> {
        let Some((parent, last)) = name::split_last(path) else {
            return self.put_root(node);
        };
        let parent = self.directory_mut(parent).ok_or_else(|| no_parent(path))?;
        match (parent.children.get_mut(last), node) {
            (Some(Node::Directory(there)), Node::Directory(new)) if merge => {
                Arc::make_mut(there).attributes = new.attributes.clone();
            }
            (Some(there), node) => *there = node,
            (None, node) => {
                parent.children.insert(last.into(), node);
            }
        }
        Ok(())
    }

    fn put_root(&mut self, node: Node) -> Result<()> {
        match (&mut self.root, node) {
            (Node::Directory(root), Node::Directory(new)) => {
                Arc::make_mut(root).attributes = new.attributes.clone();
                Ok(())
            }
            _ => Err(Error::Invalid("the root of a file system can't be anything but a directory".into())),
        }
    }

    /// Takes away what is at a clean path, if anything.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        if self.get(path).is_none() {
            return;
        }
        match name::split_last(path) {
            Some((parent, last)) => {
                if let Some(parent) = self.directory_mut(parent) {
                    parent.children.remove(last);
                }
            }
            None => self.clear(path),
        }
    }

    /// Takes away the entries of a directory, if there is one.
    pub(crate) fn clear(&mut self, path: &[u8]) {
        if let Some(directory) = self.directory_mut(path) {
            directory.children.clear();
        }
    }

    /// Makes the leaf at a clean path one that can have several names; gives it. None if there is no leaf.
    pub(crate) fn share_leaf(&mut self, path: &[u8]) -> Option<Arc<Leaf>> {
        let (parent, last) = name::split_last(path)?;
        let Some(Node::Leaf(leaf)) = self.get(path) else { return None };
        if leaf.group.is_some() {
            return Some(leaf.clone());
        }
        let shared = Arc::new(Leaf { group: Some(new_group()), ..Leaf::clone(leaf) });
        self.directory_mut(parent)?.children.insert(last.into(), Node::Leaf(shared.clone()));
        Some(shared)
    }

    /// Makes directories (0755, root, the epoch) where a clean path has none. Fails with [`Error::Invalid`] on what is no directory there.
    pub(crate) fn make_directories(&mut self, path: &[u8]) -> Result<()> {
        let mut made = Vec::new();
        if name::components(path).count() >= MAX_DEPTH {
            return Err(Error::Invalid(format!("a path has more than {MAX_DEPTH} components")));
        }
        for component in name::components(path) {
            made = name::join(&made, component);
            match self.get(&made) {
                Some(Node::Directory(_)) => {}
                Some(Node::Leaf(_)) => return Err(no_parent(&name::join(&made, b"..."))),
                None => self.put(
                    &made,
                    Node::Directory(Arc::new(Directory::empty(Attributes::implied_directory()))),
                    false,
                )?,
            }
        }
        Ok(())
    }

    fn directory_mut(&mut self, path: &[u8]) -> Option<&mut Directory> {
        // Looked at first: a missing path must not cost the copies that the way to it would be.
        if !matches!(self.get(path), Some(Node::Directory(_))) || name::components(path).count() >= MAX_DEPTH {
            return None;
        }
        let mut node = &mut self.root;
        for component in name::components(path) {
            let Node::Directory(directory) = node else { return None };
            node = Arc::make_mut(directory).children.get_mut(component)?;
        }
        match node {
            Node::Directory(directory) => Some(Arc::make_mut(directory)),
            Node::Leaf(_) => None,
        }
    }
}

fn no_parent(path: &[u8]) -> Error {
    Error::Invalid(format!("`{}` can't be put where it belongs: its parent is no directory", name::encode(path)))
}
