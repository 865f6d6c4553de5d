//! What the last `extend` changed, as the entries of a layer.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::apply::{is_whiteout, whiteout_of};
use crate::tree::{Directory, Leaf, Node, Tree};
use crate::{Error, Result, name};

/// An entry of a layer.
#[derive(Debug, Clone)]
pub(crate) enum Difference {
    /// What is there now.
    Put(Node),
    /// Something is not there any more.
    Whiteout,
}

/// Entries of a layer by path; iterating gives them in the order of the layer, parents before what they hold.
pub(crate) type Differences = BTreeMap<Vec<u8>, Difference>;

/// The entries that make `base` into `tree`. Each comes with the directories above it, as other builders do: where an unpacker makes
/// a layer's files before it looks at lower layers, a missing parent would get a mode of the unpacker's choice.
/// Fails with [`Error::Invalid`] on a name that a layer can't hold.
pub(crate) fn diff(base: &Tree, tree: &Tree) -> Result<Differences> {
    let mut differences = Differences::new();
    compare(&mut differences, &[], Some(base.root()), tree.root())?;
    complete_groups(&mut differences, base, tree)?;
    add_parents(&mut differences, tree);
    Ok(differences)
}

/// The whole tree, as differences to nothing; the root too.
pub(crate) fn all(tree: &Tree) -> Differences {
    let mut everything = Differences::new();
    visit(tree.root(), &mut Vec::new(), &mut |path, node| {
        everything.insert(path.to_vec(), Difference::Put(node.clone()));
    });
    everything
}

fn compare(found: &mut Differences, path: &[u8], before: Option<&Node>, after: &Node) -> Result<()> {
    match (before, after) {
        (Some(Node::Directory(before)), Node::Directory(after)) => compare_directories(found, path, before, after),
        (Some(Node::Leaf(before)), Node::Leaf(after)) if Arc::ptr_eq(before, after) || before == after => Ok(()),
        (_, Node::Leaf(_)) => put(found, path, after),
        (_, Node::Directory(directory)) => {
            put(found, path, after)?;
            directory.children.iter().try_for_each(|(file, child)| compare(found, &name::join(path, file), None, child))
        }
    }
}

fn compare_directories(
    found: &mut Differences,
    path: &[u8],
    before: &Arc<Directory>,
    after: &Arc<Directory>,
) -> Result<()> {
    if Arc::ptr_eq(before, after) {
        return Ok(());
    }
    if before.attributes != after.attributes {
        put(found, path, &Node::Directory(after.clone()))?;
    }
    for file in before.children.keys().filter(|file| !after.children.contains_key(*file)) {
        let gone = name::join(path, file);
        // A name that no layer can hold can't come from one.
        if !is_whiteout(file) {
            found.insert(whiteout_of(&gone), Difference::Whiteout);
        }
    }
    after
        .children
        .iter()
        .try_for_each(|(file, child)| compare(found, &name::join(path, file), before.children.get(file), child))
}

fn put(found: &mut Differences, path: &[u8], node: &Node) -> Result<()> {
    if name::components(path).any(is_whiteout) {
        return Err(Error::Invalid(format!(
            "`{}` can't be in a layer, where its name means a removal",
            name::encode(path)
        )));
    }
    found.insert(path.to_vec(), Difference::Put(node.clone()));
    Ok(())
}

/// A new name of a file that lower layers have: all its names go into the layer, since a layer's links must lead to files of the same layer.
fn complete_groups(differences: &mut Differences, base: &Tree, tree: &Tree) -> Result<()> {
    let changed: HashSet<u64> = differences.values().filter_map(group).collect();
    if changed.is_empty() || !any_group(base.root(), &changed) {
        return Ok(());
    }
    let mut names = Vec::new();
    visit(tree.root(), &mut Vec::new(), &mut |path, node| {
        if let Node::Leaf(leaf) = node
            && leaf.group.is_some_and(|group| changed.contains(&group))
        {
            names.push((path.to_vec(), node.clone()));
        }
    });
    names.into_iter().try_for_each(|(path, node)| put(differences, &path, &node))
}

fn group(difference: &Difference) -> Option<u64> {
    match difference {
        Difference::Put(Node::Leaf(leaf)) => leaf.group,
        _ => None,
    }
}

fn any_group(node: &Node, groups: &HashSet<u64>) -> bool {
    match node {
        Node::Leaf(leaf) => leaf.group.is_some_and(|group| groups.contains(&group)),
        Node::Directory(directory) => directory.children.values().any(|child| any_group(child, groups)),
    }
}

fn add_parents(differences: &mut Differences, tree: &Tree) {
    let mut parents = BTreeSet::new();
    for path in differences.keys() {
        let mut path = path.as_slice();
        while let Some((parent, _)) = name::split_last(path) {
            if parent.is_empty() || !parents.insert(parent.to_vec()) {
                break;
            }
            path = parent;
        }
    }
    for parent in parents {
        if let Some(node) = tree.get(&parent) {
            differences.entry(parent).or_insert_with(|| Difference::Put(node.clone()));
        }
    }
}

fn visit(node: &Node, path: &mut Vec<u8>, see: &mut dyn FnMut(&[u8], &Node)) {
    see(path, node);
    if let Node::Directory(directory) = node {
        for (file, child) in &directory.children {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(file);
            visit(child, path, see);
            path.truncate(length);
        }
    }
}

/// Finds the name under which a leaf was written already, so that the next one becomes a hard link.
#[derive(Default)]
pub(crate) struct Written(std::collections::HashMap<u64, Vec<u8>>);

impl Written {
    /// The earlier name, or none if this is the first.
    pub(crate) fn earlier(&mut self, path: &[u8], leaf: &Leaf) -> Option<&[u8]> {
        use std::collections::hash_map::Entry;
        match self.0.entry(leaf.group?) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                entry.insert(path.to_vec());
                None
            }
        }
    }
}
