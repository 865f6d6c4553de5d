//! What a command saw of a file system, and whether another one looks the same to it.
//!
//! A sandbox tells the literal paths that the kernel went through ([`Looks`]). What is at each of them in the file system that the command began with, and
//! at all directories above, are [`Reads`]: facts, each a function of one node of a tree. If all of them hold in another tree, each look-up ends there as it
//! did, and so by induction does the command, as far as it depends on files. No time is among the facts, as none is in any key of a cache: of a file
//! its content stands for it, of a directory its entries do, where they were listed.

mod contents;
mod facts;
mod looks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::looks::{Looks, Reach};

use self::contents::Known;
use self::facts::{Names, Seen, entries, seen};
use crate::snapshot::Snapshot;
use crate::tree::{Node, Tree};
use crate::{Error, Result, Store, name};

/// First bytes of the document. The number changes with the form of [`Fact`], and with what goes into its digests.
const MAGIC: &[u8] = b"steprun reads 1\n";

/// What a command saw of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads(BTreeMap<Vec<u8>, Fact>);

/// What was at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fact {
    /// None where nothing was.
    node: Option<Seen>,
    /// Of the names in a directory that was listed, and what they stand for.
    entries: Option<[u8; 32]>,
}

/// Where a file system doesn't look as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In the form of [`crate::name`], without leading `/`.
    pub path: String,
    /// How.
    pub kind: DifferenceKind,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It was not there.
    New,
    /// It is no longer there.
    Gone,
    /// It is another file, or has another mode, owner, content or target.
    Changed,
    /// A directory has other entries.
    Entries,
}

impl Reads {
    /// As bytes, for a store.
    ///
    /// # Errors
    /// None that is known of: all of it can be written.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let body = postcard::to_stdvec(&self.0).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok([MAGIC, &body].concat())
    }

    /// What [`Reads::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let body = bytes.strip_prefix(MAGIC).and_then(|body| postcard::from_bytes(body).ok());
        body.map(Self).ok_or_else(|| Error::Invalid("this is no record of what a command read".to_owned()))
    }

    /// Of how many paths there are facts.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none; the root is always among them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Snapshot {
    /// What a command that made these look-ups, and began with this file system, saw of it.
    ///
    /// # Errors
    /// If content can't be read, or is no longer what it was when it was listed.
    pub fn reads(&self, store: &Store, looks: &Looks) -> Result<Reads> {
        let touched = looks.touched(self.tree());
        let nodes: Vec<&Node> = touched.values().filter_map(|touch| touch.node).collect();
        let names = Names::of(self.tree(), &nodes);
        let mut known = contents::known(store, &nodes)?.into_iter();
        let mut fact = |touch: &looks::Touch<'_>| Fact {
            node: touch.node.map(|node| seen(node, &names, known.next().unwrap_or_default())),
            entries: touch.is_listed.then(|| touch.node.map(entries)).flatten(),
        };
        Ok(Reads(touched.iter().map(|(path, touch)| (path.clone(), fact(touch))).collect()))
    }

    /// The first path at which this file system does not look as it did to a command; none where all is the same.
    ///
    /// # Errors
    /// As [`Snapshot::reads`].
    pub fn differs(&self, store: &Store, reads: &Reads) -> Result<Option<Difference>> {
        let found = reads.0.iter().map(|(path, fact)| (path, fact, self.tree().get(path)));
        let nodes: Vec<&Node> = found.clone().filter_map(|(_, _, node)| node).collect();
        let names = Names::of(self.tree(), &nodes);
        let mut doubtful = Vec::new();
        for (path, fact, node) in found {
            match compare(fact, node, &names) {
                Verdict::Same => {}
                Verdict::Differs(kind) => return Ok(Some(difference(path, kind))),
                Verdict::Content => doubtful.extend(node.map(|node| (path, fact, node))),
            }
        }
        let nodes: Vec<&Node> = doubtful.iter().map(|(_, _, node)| *node).collect();
        let changed = doubtful.into_iter().zip(contents::known(store, &nodes)?).find(|((_, fact, _), known)| {
            let recorded = fact.node.as_ref().and_then(|seen| seen.content.digest);
            recorded.is_none() || recorded != known.digest
        });
        Ok(changed.map(|((path, ..), _)| difference(path, DifferenceKind::Changed)))
    }

    /// The literal paths that a look-up of `path` in this file system goes through, a symlink at the end followed. What a step or a sandbox looks up before a
    /// command begins is told this way.
    ///
    /// # Errors
    /// Of a path that is none, and of a loop of links.
    pub fn trail(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut passed = Vec::new();
        let resolved = Tree::resolve_passing(self.tree(), path, true, &mut |at| passed.push(at))?;
        passed.push(resolved.path);
        Ok(passed)
    }
}

/// What comes of a comparison without reading.
enum Verdict {
    Same,
    Differs(DifferenceKind),
    /// Equal but for the content, which lies elsewhere.
    Content,
}

fn compare(fact: &Fact, node: Option<&Node>, names: &Names) -> Verdict {
    let (before, node) = match (&fact.node, node) {
        (None, None) => return Verdict::Same,
        (None, Some(_)) => return Verdict::Differs(DifferenceKind::New),
        (Some(_), None) => return Verdict::Differs(DifferenceKind::Gone),
        (Some(before), Some(node)) => (before, node),
    };
    let now = seen(node, names, Known::by_place(node));
    if before.attributes != now.attributes {
        return Verdict::Differs(DifferenceKind::Changed);
    }
    if fact.entries.is_some_and(|before| before != entries(node)) {
        return Verdict::Differs(DifferenceKind::Entries);
    }
    let is_regular = crate::snapshot::regular(node).is_some();
    let same_place = before.content.place.is_some() && before.content.place == now.content.place;
    if is_regular && !same_place { Verdict::Content } else { Verdict::Same }
}

fn difference(path: &[u8], kind: DifferenceKind) -> Difference {
    Difference { path: name::encode(path), kind }
}
