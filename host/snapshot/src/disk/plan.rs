//! What has to be done to make one tree on disk into another, in which order.

use std::collections::HashMap;
use std::sync::Arc;

use oci_spec::image::Digest;

use crate::content::{Content, Origin};
use crate::diff::{self, Difference, Differences, Written};
use crate::layer::TarOrigin;
use crate::meta::Attributes;
use crate::tree::{Leaf, LeafBody, Node, Tree};
use crate::{Result, apply};

/// A plan. The parts are done in their order.
#[derive(Default)]
pub(super) struct Plan {
    /// What goes away, with all below it.
    pub(super) removed: Vec<Vec<u8>>,
    /// Parents first.
    pub(super) directories: Vec<Directory>,
    /// Regular files, by the place that their content comes from; the batches don't depend on each other.
    pub(super) batches: Vec<Batch>,
    /// What has no content.
    pub(super) specials: Vec<(Vec<u8>, Arc<Leaf>)>,
    /// New names, and the names of the files that they are for.
    pub(super) links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Entries in all.
    pub(super) entries: u64,
    /// Bytes of content that will be written; holes don't count.
    pub(super) bytes: u64,
}

/// A directory whose attributes are set, after it is made if it is `new`.
pub(super) struct Directory {
    pub(super) path: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) new: bool,
    /// Extended attributes that it has had until now.
    pub(super) stale: Vec<Vec<u8>>,
}

/// Files whose content lies in one tar, in its order; or without one.
pub(super) struct Batch {
    pub(super) tar: Option<Arc<TarOrigin>>,
    pub(super) files: Vec<RegularFile>,
}

/// A regular file.
pub(super) struct RegularFile {
    pub(super) path: Vec<u8>,
    pub(super) leaf: Arc<Leaf>,
    pub(super) size: u64,
    pub(super) content: Content,
}

impl RegularFile {
    fn offset(&self) -> u64 {
        match &self.content {
            Content::Extent { offset, .. } => *offset,
            Content::Inline(_) => 0,
        }
    }

    /// Bytes that are stored of it: all but holes.
    pub(super) fn stored(&self) -> u64 {
        match &self.content {
            Content::Extent { map: Some(map), .. } => map.iter().map(|segment| segment.length).sum(),
            _ => self.size,
        }
    }
}

impl Plan {
    /// Plans the way from one tree to another. Fails with [`crate::Error::Invalid`] on a name that no layer can hold.
    pub(super) fn new(from: &Tree, to: &Tree) -> Result<Self> {
        let mut plan = Self::default();
        let mut differences = diff::diff(from, to)?;
        // Its time changes with each entry.
        differences.insert(Vec::new(), Difference::Put(to.root().clone()));
        plan.entries = differences.len() as u64;
        plan.sort(from, differences);
        Ok(plan)
    }

    fn sort(&mut self, from: &Tree, differences: Differences) {
        let mut written = Written::default();
        let mut batches: HashMap<Option<Digest>, Batch> = HashMap::new();
        for (path, difference) in differences {
            match difference {
                Difference::Whiteout => self.removed.push(apply::hidden_by(&path)),
                Difference::Put(Node::Directory(directory)) => {
                    self.directory(from.get(&path), path, directory.attributes.clone())
                }
                Difference::Put(Node::Leaf(leaf)) => {
                    if from.get(&path).is_some() {
                        self.removed.push(path.clone());
                    }
                    if let Some(earlier) = written.earlier(&path, &leaf) {
                        self.links.push((path, earlier.to_vec()));
                        continue;
                    }
                    self.leaf(&mut batches, path, leaf);
                }
            }
        }
        self.batches = batches.into_values().collect();
        for batch in &mut self.batches {
            batch.files.sort_by_key(RegularFile::offset);
            self.bytes += batch.files.iter().map(RegularFile::stored).sum::<u64>();
        }
        // The longest first, for an even load.
        self.batches.sort_by_key(|batch| std::cmp::Reverse(batch.files.iter().map(RegularFile::stored).sum::<u64>()));
    }

    fn directory(&mut self, before: Option<&Node>, path: Vec<u8>, attributes: Attributes) {
        let (new, stale) = match before {
            Some(Node::Directory(before)) => {
                let gone = |name: &&Vec<u8>| !attributes.xattrs.contains_key(*name);
                (false, before.attributes.xattrs.keys().filter(gone).cloned().collect())
            }
            // The root is there, whatever was in it.
            None if path.is_empty() => (false, Vec::new()),
            Some(Node::Leaf(_)) => {
                self.removed.push(path.clone());
                (true, Vec::new())
            }
            None => (true, Vec::new()),
        };
        self.directories.push(Directory { path, attributes, new, stale });
    }

    fn leaf(&mut self, batches: &mut HashMap<Option<Digest>, Batch>, path: Vec<u8>, leaf: Arc<Leaf>) {
        let LeafBody::Regular { size, content } = &leaf.body else {
            self.specials.push((path, leaf));
            return;
        };
        let tar = match content {
            Content::Extent { origin: Origin::Tar(tar), .. } => Some(tar.clone()),
            _ => None,
        };
        let batch = batches
            .entry(tar.as_ref().map(|tar| tar.diff_id().clone()))
            .or_insert_with(|| Batch { tar, files: Vec::new() });
        let (size, content) = (*size, content.clone());
        batch.files.push(RegularFile { path, leaf, size, content });
    }
}
