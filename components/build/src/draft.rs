//! The changes of one instruction while they are being decided.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use steprun_ports::{
    Change, ChangeEntry, Error, FileKind, Host, Result, Snapshot, Source, SourceFile, Stat, Timestamp, Tree,
};

use crate::owner::Owner;
use crate::paths;

/// A source of content, as the host takes it.
pub(crate) type ContentSource<H> = Source<<H as Host>::Directory, <H as Host>::Snapshot>;

/// Metadata of a new entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) modified: Timestamp,
}

/// What stands at a path, as far as a copy has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Directory,
    Symlink,
    /// A file, fifo or device.
    Other,
}

impl From<FileKind> for Found {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::Directory => Self::Directory,
            FileKind::Symlink => Self::Symlink,
            _ => Self::Other,
        }
    }
}

type Listing = Option<Rc<HashMap<String, Stat>>>;

/// A file system with the changes of one instruction on top. Looks up what is there with one call per directory, and makes one
/// `extend` of all changes at the end.
pub(crate) struct Draft<H: Host> {
    base: H::Snapshot,
    /// The base with some of the entries: lookups start here.
    view: H::Snapshot,
    sources: Vec<ContentSource<H>>,
    entries: Vec<ChangeEntry>,
    /// What `entries` puts at paths since `view` was taken.
    pending: HashMap<String, Found>,
    /// Directories among `pending` that `view` does not have: nothing is below them there.
    fresh: HashSet<String>,
    listings: HashMap<String, Listing>,
    /// Symlinks have come or gone since `view` was taken, so that it can't resolve paths any more.
    stale: bool,
}

impl<H: Host> Draft<H> {
    pub(crate) fn new(base: H::Snapshot) -> Self {
        Self {
            view: base.clone(),
            base,
            sources: Vec::new(),
            entries: Vec::new(),
            pending: HashMap::new(),
            fresh: HashSet::new(),
            listings: HashMap::new(),
            stale: false,
        }
    }

    /// Makes a source's files available to [`Draft::file`].
    pub(crate) fn source(&mut self, source: ContentSource<H>) -> u32 {
        self.sources.push(source);
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    /// The path with all symlinks resolved, in normal form.
    pub(crate) async fn real_path(&mut self, path: &str) -> Result<String> {
        if self.stale {
            self.view = self.base.extend(&self.sources, self.entries.clone()).await?;
            self.pending.clear();
            self.fresh.clear();
            self.listings.clear();
            self.stale = false;
        }
        self.view.real_path(path).await.map(|real| paths::normal(&real))
    }

    /// What stands at a path whose parents are no symlinks.
    pub(crate) async fn look(&mut self, path: &str) -> Result<Found> {
        let Some((parent, name)) = paths::split(path) else {
            return Ok(Found::Directory);
        };
        if let Some(found) = self.pending.get(path) {
            return Ok(*found);
        }
        let listing = self.listing(parent).await?;
        let stat = listing.as_ref().and_then(|entries| entries.get(name));
        Ok(stat.map_or(Found::Nothing, |stat| stat.kind.into()))
    }

    async fn listing(&mut self, directory: &str) -> Result<Listing> {
        if let Some(known) = self.listings.get(directory) {
            return Ok(known.clone());
        }
        let listing = if self.fresh.contains(directory) {
            None
        } else {
            match self.view.list(directory).await {
                Ok(entries) => Some(Rc::new(entries.into_iter().map(|entry| (entry.name, entry.stat)).collect())),
                Err(Error::NotFound(_) | Error::Invalid(_)) => None,
                Err(error) => return Err(error),
            }
        };
        self.listings.insert(directory.to_owned(), listing.clone());
        Ok(listing)
    }

    /// Makes a directory and its missing parents, all with the same metadata; those that are there stay as they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] where something else is in the way.
    pub(crate) async fn ensure_directory(&mut self, path: &str, metadata: Metadata) -> Result<()> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for part in ends.map(|end| &path[..end]).filter(|part| !part.is_empty()) {
            match self.look(part).await? {
                Found::Directory => {}
                Found::Nothing => self.put(part, Change::Directory, metadata).await?,
                Found::Symlink | Found::Other => {
                    return Err(Error::Invalid(format!("/{part} is no directory")));
                }
            }
        }
        Ok(())
    }

    /// A regular file with the content of a source's file.
    pub(crate) async fn file(&mut self, path: &str, source: u32, from: String, metadata: Metadata) -> Result<()> {
        self.put(path, Change::File(SourceFile { source, path: from }), metadata).await
    }

    /// Adds a change. Whether it may replace what is there is for the caller to know.
    pub(crate) async fn put(&mut self, path: &str, change: Change, metadata: Metadata) -> Result<()> {
        let before = self.look(path).await?;
        let after = match &change {
            Change::Directory => Found::Directory,
            Change::Symlink(_) => Found::Symlink,
            Change::Removed => Found::Nothing,
            _ => Found::Other,
        };
        self.stale |= before == Found::Symlink || after == Found::Symlink || after == Found::Nothing;
        if after == Found::Directory && before != Found::Directory {
            self.fresh.insert(path.to_owned());
        }
        self.pending.insert(path.to_owned(), after);
        self.entries.push(ChangeEntry {
            path: path.to_owned(),
            change,
            mode: metadata.mode,
            uid: metadata.owner.uid,
            gid: metadata.owner.gid,
            modified: metadata.modified,
        });
        Ok(())
    }

    /// Takes away what is at a path, if it is in the way of a directory or of something else than a directory.
    pub(crate) async fn clear(&mut self, path: &str, for_directory: bool) -> Result<()> {
        let found = self.look(path).await?;
        let in_the_way = found != Found::Nothing && (found == Found::Directory) != for_directory;
        if in_the_way {
            let nothing = Metadata { mode: 0, owner: Owner::default(), modified: Timestamp::default() };
            self.put(path, Change::Removed, nothing).await?;
        }
        Ok(())
    }

    /// The new file system and the time of its newest entry; none if nothing changes.
    pub(crate) async fn finish(self) -> Result<Option<(H::Snapshot, Timestamp)>> {
        let Some(newest) = self.entries.iter().map(|entry| entry.modified).max() else {
            return Ok(None);
        };
        let snapshot = self.base.extend(&self.sources, self.entries).await?;
        Ok(Some((snapshot, newest)))
    }
}
