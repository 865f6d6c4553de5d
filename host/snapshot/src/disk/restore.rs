//! A directory made again what it was when it was written.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};

use super::look::is_common;
use super::place::Place;
use super::plan::Plan;
use super::settle::How;
use super::walk::{Hidden, Stamp};
use super::write::carry_out;
use super::{Index, Limits, Owning};
use crate::directory::xattrs_where;
use crate::tree::{Directory, Node, Tree};
use crate::{Error, Result, Snapshot, Timestamp, Xattrs, name};

/// Makes the directory `root` hold `snapshot` again: [`super::write`] has made it hold that, `before` and the table are of that moment, and commands
/// have worked in it since. Only what is not surely as it was is removed or written anew. Gives how the directory looks now; none if
/// nothing had to be done. If it fails, `root` and the table are good for nothing but [`remove()`](super::remove()).
///
/// # Errors
/// As [`super::write`].
pub fn restore(
    snapshot: &Snapshot,
    before: &Index,
    root: &Path,
    owning: Owning<'_>,
    limits: Limits,
) -> Result<Option<Index>> {
    let place = Place::open(root)?;
    let (how, table) = owning.into_parts();
    let now = Index::of_place(&place, &Hidden::new(&[]))?;
    // What was known of a file is not true of the next one that gets its inode.
    let kept: HashSet<_> =
        now.iter().filter(|(path, stamp)| before.is_unchanged(path, stamp)).map(|(_, stamp)| stamp.key).collect();
    table.retain(|key, _| kept.contains(key));
    let (mut removed, left) = Damage { place: &place, how, before, now: &now }.assess(snapshot.tree())?;
    let Some(left) = left else { return Ok(None) };
    let mut plan = Plan::new(&left, snapshot.tree())?;
    limits.check(&plan)?;
    removed.append(&mut plan.removed);
    plan.removed = removed;
    // A few files of large archives: these are decompressed into the store once, instead of each time.
    plan.batches.iter_mut().for_each(|batch| batch.tar = None);
    carry_out(&plan, &place, how, table)?;
    Index::of_place(&place, &Hidden::new(&[])).map(Some)
}

/// What commands have done to a directory.
struct Damage<'a> {
    place: &'a Place,
    how: How,
    before: &'a Index,
    now: &'a Index,
}

impl Damage<'_> {
    /// What has to be removed, and the tree that is there then: `tree` without what is lost, and with other times for directories that
    /// something happened to. No tree if nothing happened.
    fn assess(&self, tree: &Tree) -> Result<(Vec<Vec<u8>>, Option<Tree>)> {
        let mut removed = BTreeSet::new();
        let mut left = tree.clone();
        for (path, _) in self.before.iter().filter(|(path, _)| self.now.get(path).is_none()) {
            left.remove(path);
        }
        let changed = |(path, stamp): &(&[u8], &Stamp)| !self.before.is_unchanged(path, stamp);
        let mut any = self.before.iter().any(|(path, _)| self.now.get(path).is_none());
        for (path, stamp) in self.now.iter().filter(changed) {
            any = true;
            if stamp.kind == FileType::Directory && matches!(tree.get(path), Some(Node::Directory(_))) {
                self.disturb(&mut left, path)?;
            } else {
                left.remove(path);
                removed.insert(path);
            }
        }
        // What is below something that goes, goes with it.
        let inner = |path: &[u8]| ancestors(path).any(|above| removed.contains(above));
        let outermost = removed.iter().filter(|path| !inner(path)).map(|path| path.to_vec()).collect();
        Ok((outermost, any.then_some(left)))
    }

    /// Makes a directory of the tree one whose attributes have to be set: it has a time that it should not have, and the extended attributes
    /// that are on disk.
    fn disturb(&self, left: &mut Tree, path: &[u8]) -> Result<()> {
        let Some(Node::Directory(wanted)) = left.get(path) else { return Ok(()) };
        let mut attributes = wanted.attributes.clone();
        attributes.modified = Timestamp { seconds: attributes.modified.seconds ^ 1, ..attributes.modified };
        attributes.xattrs.extend(self.xattrs(path)?);
        left.put(path, Node::Directory(Arc::new(Directory::empty(attributes))), true)
    }

    /// What a command may have set on a directory.
    fn xattrs(&self, path: &[u8]) -> Result<Xattrs> {
        let real = self.how != How::Table;
        let shows = |attribute: &[u8]| is_common(attribute) || (real && attribute.starts_with(b"trusted."));
        let directory = self.place.directory(path, OFlags::RDONLY);
        directory
            .and_then(|directory| xattrs_where(&directory, shows))
            .map_err(Error::io("read the extended attributes of", self.place.full(path)))
    }
}

/// The directories that a path is in, innermost first, without the root.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(name::split_last(path), |(above, _)| name::split_last(above))
        .map(|(above, _)| above)
        .filter(|above| !above.is_empty())
}
