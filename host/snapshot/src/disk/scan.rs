//! Finding what changed in a directory that held a snapshot.

use std::path::Path;

use super::assemble::Assembly;
use super::look::Look;
use super::place::Place;
use super::walk::Hidden;
use super::{Changes, Index, Owners};
use crate::{Result, Snapshot};

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
/// hard-linked file of the base is a change of that name only; a link that was broken with no other change is none.
///
/// # Errors
/// [`crate::Error::Io`] on what can't be read, [`crate::Error::Unsupported`] on an overlay that was mounted with other options.
pub fn changes(scan: Scan<'_>) -> Result<Changes> {
    let (path, before) = match scan.state {
        State::Plain { root, before } => (root, Some(before)),
        State::Upper(upper) => (upper, None),
    };
    let place = Place::open(path)?;
    let hidden = Hidden::new(scan.skip);
    let now = Index::of_place(&place, &hidden)?;
    let look = Look::new(&place, scan.owned, before)?;
    Assembly::new(look, scan.base.tree(), &now, scan.latest).assemble(before, &hidden)
}
