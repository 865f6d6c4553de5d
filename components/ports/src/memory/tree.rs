//! A file system as a value: what directories and snapshots in memory are made of.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::{Denial, Entry, Error, FileKind, Result, Stat, Timestamp};

/// How many symlinks one path may lead through: Linux' own limit.
const MAX_LINKS: usize = 40;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NodeKind {
    File(Rc<[u8]>),
    Directory,
    Symlink(String),
    Fifo,
    Device { block: bool, major: u32, minor: u32 },
}

/// A file with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub modified: Timestamp,
    /// Equal for hard links of one file.
    pub link_group: Option<u64>,
}

impl Node {
    /// A node of root's, modified at the epoch.
    pub fn new(kind: NodeKind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, modified: Timestamp::default(), link_group: None }
    }

    /// The bytes of a regular file.
    pub fn content(&self) -> Option<&[u8]> {
        match &self.kind {
            NodeKind::File(content) => Some(content),
            _ => None,
        }
    }

    fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    fn stat(&self) -> Stat {
        let kind = match &self.kind {
            NodeKind::File(_) => FileKind::Regular,
            NodeKind::Directory => FileKind::Directory,
            NodeKind::Symlink(_) => FileKind::Symlink,
            NodeKind::Fifo => FileKind::Fifo,
            NodeKind::Device { block: true, .. } => FileKind::BlockDevice,
            NodeKind::Device { block: false, .. } => FileKind::CharacterDevice,
        };
        let target = match &self.kind {
            NodeKind::Symlink(target) => Some(target.clone()),
            _ => None,
        };
        Stat {
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.content().map_or(0, |content| content.len() as u64),
            modified: self.modified,
            target,
            link_group: self.link_group,
        }
    }
}

/// What [`FileTree::resolve`] does where a component does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Fails with [`Error::NotFound`]; with [`Error::Denied`] where a symlink led out of the root, as a granted directory does.
    Fail,
    /// Keeps it and those behind it as they are.
    Keep,
}

/// Files by path, without leading `/`. The root is there without being listed.
///
/// The building methods take and give the tree, so that a test writes a file system as one expression. They make missing parents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree {
    nodes: BTreeMap<String, Node>,
}

impl FileTree {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a regular file of mode 0o644.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.node(path, Node::new(NodeKind::File(content.as_ref().into()), 0o644))
    }

    /// With a directory of mode 0o755.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.node(path, Node::new(NodeKind::Directory, 0o755))
    }

    /// With a symlink.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.node(path, Node::new(NodeKind::Symlink(target.into()), 0o777))
    }

    /// With another name of a file.
    ///
    /// # Panics
    /// If `target` is not there.
    #[must_use]
    pub fn hard_link(mut self, path: &str, target: &str) -> Self {
        let target = literal(target).expect("a path of a test");
        let node = self.join_link_group(&target).unwrap_or_else(|| panic!("no file `{target}` to link to"));
        self.node(path, node)
    }

    /// With any node.
    #[must_use]
    pub fn node(mut self, path: &str, node: Node) -> Self {
        let path = literal(path).expect("a path of a test");
        for (end, _) in path.match_indices('/') {
            let parent = Node::new(NodeKind::Directory, 0o755);
            self.nodes.entry(path[..end].to_owned()).or_insert(parent);
        }
        self.nodes.insert(path, node);
        self
    }

    /// With another mode of a file that is there.
    #[must_use]
    pub fn mode(self, path: &str, mode: u32) -> Self {
        self.edit(path, |node| node.mode = mode)
    }

    /// With another owner of a file that is there.
    #[must_use]
    pub fn owner(self, path: &str, uid: u32, gid: u32) -> Self {
        self.edit(path, |node| (node.uid, node.gid) = (uid, gid))
    }

    /// With another modification time of a file that is there, in seconds since the epoch.
    #[must_use]
    pub fn modified(self, path: &str, seconds: i64) -> Self {
        self.edit(path, |node| node.modified = Timestamp { seconds, nanoseconds: 0 })
    }

    fn edit(mut self, path: &str, change: impl FnOnce(&mut Node)) -> Self {
        let path = literal(path).expect("a path of a test");
        change(self.nodes.get_mut(&path).unwrap_or_else(|| panic!("no file `{path}`")));
        self
    }

    /// The node at a path, taken literally.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path.trim_start_matches('/'))
    }

    /// The bytes of the regular file at a path, taken literally.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        self.get(path).and_then(Node::content)
    }

    /// All paths with their nodes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// All paths, sorted.
    pub fn paths(&self) -> Vec<&str> {
        self.nodes.keys().map(String::as_str).collect()
    }

    pub(super) fn insert(&mut self, path: String, node: Node) {
        self.nodes.insert(path, node);
    }

    /// Removes a path with all below it.
    pub(super) fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// What is below a directory, taken literally.
    pub(super) fn below(&self, path: &str) -> Result<Self> {
        if !self.is_directory(path) {
            return Err(Error::Invalid(format!("`{path}` is no directory")));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let inside = self.nodes.iter().filter_map(|(path, node)| Some((path.strip_prefix(&prefix)?, node)));
        Ok(Self { nodes: inside.map(|(path, node)| (path.to_owned(), node.clone())).collect() })
    }

    pub(super) fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.nodes.get(path).is_some_and(Node::is_directory)
    }

    /// The node at a path, which from now on belongs to a group of links.
    pub(super) fn join_link_group(&mut self, path: &str) -> Option<Node> {
        let next = 1 + self.nodes.values().filter_map(|node| node.link_group).max().unwrap_or(0);
        let node = self.nodes.get_mut(path)?;
        node.link_group.get_or_insert(next);
        Some(node.clone())
    }

    /// The path with symlinks resolved inside the tree; `follow` says whether one in the last component is.
    pub(super) fn resolve(&self, path: &str, follow: bool, missing: Missing) -> Result<String> {
        let not_found = |escaped: bool| {
            if escaped { leads_out(path) } else { Error::NotFound(format!("`{path}` does not exist")) }
        };
        let mut pending: VecDeque<String> = components(path);
        let mut done: Vec<String> = Vec::new();
        let (mut links, mut escaped) = (0, false);
        while let Some(component) = pending.pop_front() {
            if component == ".." {
                escaped |= done.pop().is_none() && links > 0;
                continue;
            }
            done.push(component);
            match (self.nodes.get(&done.join("/")).map(|node| &node.kind), missing) {
                (Some(NodeKind::Symlink(target)), _) if follow || !pending.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Error::Invalid(format!("`{path}` leads through too many symlinks")));
                    }
                    done.pop();
                    if target.starts_with('/') {
                        done.clear();
                        escaped = true;
                    }
                    for component in components(target).into_iter().rev() {
                        pending.push_front(component);
                    }
                }
                (Some(NodeKind::Directory), _) => {}
                (Some(_), _) if pending.is_empty() => {}
                (_, Missing::Fail) => return Err(not_found(escaped)),
                (_, Missing::Keep) => done.extend(pending.drain(..)),
            }
        }
        Ok(done.join("/"))
    }

    pub(super) fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        let path = self.resolve(path, follow, Missing::Fail)?;
        Ok(match self.nodes.get(&path) {
            Some(node) => node.stat(),
            None => Node::new(NodeKind::Directory, 0o755).stat(),
        })
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let resolved = self.resolve(path, true, Missing::Fail)?;
        if !self.is_directory(&resolved) {
            return Err(Error::Invalid(format!("`{path}` is no directory")));
        }
        let prefix = if resolved.is_empty() { resolved } else { resolved + "/" };
        let entries = self.nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        Ok(entries
            .filter(|(path, _)| !path[prefix.len()..].contains('/'))
            .map(|(path, node)| Entry { name: path[prefix.len()..].to_owned(), stat: node.stat() })
            .collect())
    }

    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let resolved = self.resolve(path, true, Missing::Fail)?;
        let content = self.content(&resolved).ok_or_else(|| Error::Invalid(format!("`{path}` is no regular file")))?;
        within(path, content, limit)
    }
}

/// The content, unless it is larger than `limit` bytes.
pub(super) fn within(name: &str, content: &[u8], limit: u64) -> Result<Vec<u8>> {
    if content.len() as u64 > limit {
        return Err(Error::Invalid(format!("`{name}` is larger than {limit} bytes")));
    }
    Ok(content.to_vec())
}

fn components(path: &str) -> VecDeque<String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

/// A path to be taken literally, without leading `/`.
pub(super) fn literal(path: &str) -> Result<String> {
    let parts = components(path);
    if parts.iter().any(|part| part == "..") || path.contains('\0') {
        return Err(Error::Invalid(format!("`{}` is no literal path", path.escape_debug())));
    }
    Ok(Vec::from(parts).join("/"))
}

fn leads_out(path: &str) -> Error {
    Error::Denied(Denial {
        capability: "context.read".into(),
        subject: path.into(),
        reason: "a symlink leads out of the directory".into(),
        remedy: None,
    })
}
