//! What counts of a node.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::contents::Known;
use crate::name;
use crate::tree::{LeafBody, Node, Tree};

/// A node, as a command sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Digest of all but the content: kind, mode, owner, extended attributes, where a link leads, numbers of a device, other names of the file.
    pub(super) attributes: [u8; 32],
    /// Of a regular file.
    pub(super) content: Known,
}

/// Other names of files that have some: a write by one of them is seen by all. Only those that were asked for are known.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<u64, Vec<Vec<u8>>>);

impl Names {
    /// Of some nodes of a tree.
    pub(super) fn of(tree: &Tree, nodes: &[&Node]) -> Self {
        let wanted: BTreeSet<u64> = nodes.iter().filter_map(|node| group(node)).collect();
        let mut names = Self::default();
        if !wanted.is_empty() {
            names.collect(tree, &wanted);
        }
        names
    }

    fn collect(&mut self, tree: &Tree, wanted: &BTreeSet<u64>) {
        let mut ahead = vec![(Vec::new(), tree.root())];
        while let Some((path, node)) = ahead.pop() {
            if let Some(group) = group(node).filter(|group| wanted.contains(group)) {
                self.0.entry(group).or_default().push(path);
            } else if let Node::Directory(directory) = node {
                ahead.extend(directory.children.iter().map(|(child, node)| (name::join(&path, child), node)));
            }
        }
        self.0.values_mut().for_each(|names| names.sort_unstable());
    }

    /// None of a file with one name.
    fn of_node(&self, node: &Node) -> &[Vec<u8>] {
        let names = group(node).and_then(|group| self.0.get(&group));
        names.map(Vec::as_slice).filter(|names| names.len() > 1).unwrap_or_default()
    }
}

fn group(node: &Node) -> Option<u64> {
    match node {
        Node::Leaf(leaf) => leaf.group,
        Node::Directory(_) => None,
    }
}

/// What a command sees of a node.
pub(super) fn seen(node: &Node, names: &Names, content: Known) -> Seen {
    let attributes = node.attributes();
    let mut frames = Frames::default();
    frames.add(kind(node));
    for number in [attributes.mode, attributes.uid, attributes.gid] {
        frames.add(&number.to_be_bytes());
    }
    frames.count(attributes.xattrs.len());
    for (name, value) in &attributes.xattrs {
        frames.add(name);
        frames.add(value);
    }
    if let Node::Leaf(leaf) = node {
        match &leaf.body {
            LeafBody::Symlink(target) => frames.add(target),
            LeafBody::Device { major, minor, .. } => {
                frames.add(&major.to_be_bytes());
                frames.add(&minor.to_be_bytes());
            }
            LeafBody::Regular { .. } | LeafBody::Fifo => {}
        }
    }
    let names = names.of_node(node);
    frames.count(names.len());
    names.iter().for_each(|name| frames.add(name));
    Seen { attributes: frames.finish(), content }
}

/// The names in a directory, and what they stand for; of anything else there are none.
pub(super) fn entries(node: &Node) -> [u8; 32] {
    let mut frames = Frames::default();
    if let Node::Directory(directory) = node {
        for (name, node) in &directory.children {
            frames.add(name);
            frames.add(kind(node));
        }
    }
    frames.finish()
}

fn kind(node: &Node) -> &'static [u8] {
    match node {
        Node::Directory(_) => b"directory",
        Node::Leaf(leaf) => match leaf.body {
            LeafBody::Regular { .. } => b"file",
            LeafBody::Symlink(_) => b"symlink",
            LeafBody::Fifo => b"fifo",
            LeafBody::Device { block: true, .. } => b"block device",
            LeafBody::Device { block: false, .. } => b"character device",
        },
    }
}

/// A digest of pieces, each with its length before it.
#[derive(Default)]
pub(super) struct Frames(Sha256);

impl Frames {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.count(piece.len());
        self.0.update(piece);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_be_bytes());
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
