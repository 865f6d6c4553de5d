//! Look-ups of a command, and the nodes of a tree that they depend on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name;
use crate::tree::{Node, Tree};

/// How much of what is at a path counts. What counts more includes what counts less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reach {
    /// What it is: of a file its content, too.
    Itself,
    /// The names in it, too, if it is a directory.
    Entries,
    /// All that is below it, too.
    Below,
}

/// Literal paths (no component is a symlink that was followed), without leading `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks(BTreeMap<Vec<u8>, Reach>);

/// A node that look-ups depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch<'t> {
    /// None where there is none.
    pub(super) node: Option<&'t Node>,
    /// Whether its entries count.
    pub(super) is_listed: bool,
}

/// By path.
type Touched<'t> = BTreeMap<Vec<u8>, Touch<'t>>;

impl Looks {
    /// Adds one.
    pub fn add(&mut self, path: Vec<u8>, reach: Reach) {
        let known = self.0.entry(path).or_insert(reach);
        *known = reach.max(*known);
    }

    /// Adds some, of what is at a path itself.
    pub fn add_all(&mut self, paths: impl IntoIterator<Item = Vec<u8>>) {
        paths.into_iter().for_each(|path| self.add(path, Reach::Itself));
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        others.0.into_iter().for_each(|(path, reach)| self.add(path, reach));
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes that they depend on in a tree: what is at the paths, and the directories above. Where a path leads through what is missing, or is no
    /// directory, that is all there is to see.
    pub(super) fn touched<'t>(&self, tree: &'t Tree) -> Touched<'t> {
        let mut touched = Touched::new();
        for (path, reach) in &self.0 {
            let Some(node) = walk(&mut touched, tree, path) else { continue };
            match reach {
                Reach::Itself => {}
                Reach::Entries => list(&mut touched, path, node),
                Reach::Below => all_below(&mut touched, path, node),
            }
        }
        touched
    }
}

/// Touches all on the way to a path. Gives what is there.
fn walk<'t>(touched: &mut Touched<'t>, tree: &'t Tree, path: &[u8]) -> Option<&'t Node> {
    let (mut at, mut here) = (Vec::new(), tree.root());
    touch(touched, &at, Some(here));
    for component in name::components(path) {
        let Node::Directory(directory) = here else { return None };
        at = name::join(&at, component);
        let node = directory.children.get(component);
        touch(touched, &at, node);
        here = node?;
    }
    Some(here)
}

fn touch<'t>(touched: &mut Touched<'t>, path: &[u8], node: Option<&'t Node>) {
    if !touched.contains_key(path) {
        touched.insert(path.to_owned(), Touch { node, is_listed: false });
    }
}

fn list<'t>(touched: &mut Touched<'t>, path: &[u8], node: &'t Node) {
    if let Node::Directory(_) = node {
        touched.insert(path.to_owned(), Touch { node: Some(node), is_listed: true });
    }
}

fn all_below<'t>(touched: &mut Touched<'t>, path: &[u8], node: &'t Node) {
    let mut ahead = vec![(path.to_owned(), node)];
    while let Some((path, node)) = ahead.pop() {
        touch(touched, &path, Some(node));
        list(touched, &path, node);
        if let Node::Directory(directory) = node {
            ahead.extend(directory.children.iter().map(|(child, node)| (name::join(&path, child), node)));
        }
    }
}
