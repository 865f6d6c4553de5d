//! The capability `context`: directories that the caller named, read-only. The door is [`Directory`] itself: it can't name anything
//! outside of what was granted. What is no directory of the caller (an archive, a Git repository) is a [`Snapshot`], which leads nowhere.

use std::sync::Arc;

use steprun_snapshot::{Directory, Entry, Kind, Snapshot, Source, Stat, Store, Timestamp};
use tokio::sync::OnceCell;
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::context::{self, Commit, Host, HostDirectory, HostDirectoryWithStore};
use crate::bindings::types;
use crate::calls::{blocking, session, table_get, table_push};
use crate::error::{CallError, CallResult};
use crate::session::{Session, State};
use crate::sources::Place;

/// A granted directory; opened or fetched when it is used for the first time, so that a missing one is an error of the call that needs it.
/// Clones are one directory.
#[derive(Debug, Clone)]
pub struct DirectoryHandle {
    /// What was named.
    pub place: Arc<Place>,
    /// The path in it; none for all of it.
    part: Option<String>,
    files: Arc<OnceCell<Files>>,
}

/// The files of a granted directory.
#[derive(Debug, Clone)]
pub enum Files {
    /// As they are on disk.
    Directory(Directory),
    /// As they were in an archive, or in a commit.
    Fetched(Snapshot, Option<Commit>),
}

impl DirectoryHandle {
    /// A handle to what an argument named.
    pub fn new(place: Place) -> Self {
        Self { place: Arc::new(place), part: None, files: Arc::default() }
    }

    /// A handle to what was fetched already.
    pub fn fetched(place: Place, files: Files) -> Self {
        Self { place: Arc::new(place), part: None, files: Arc::new(OnceCell::new_with(Some(files))) }
    }

    /// A handle to a directory in it, whose files are these.
    fn part(&self, path: &str, files: Files) -> Self {
        let above = self.part.as_deref().map(|above| format!("{above}/")).unwrap_or_default();
        let files = Arc::new(OnceCell::new_with(Some(files)));
        Self { place: Arc::clone(&self.place), part: Some(format!("{above}{}", path.trim_matches('/'))), files }
    }

    /// As typed, with the path of the part behind it.
    fn name(&self) -> String {
        match &self.part {
            Some(part) => format!("{}/{part}", self.place.to_string().trim_end_matches('/')),
            None => self.place.to_string(),
        }
    }

    /// The files.
    pub async fn open(&self, session: &Arc<Session>) -> CallResult<Files> {
        self.files.get_or_try_init(|| self.place.open(session)).await.cloned()
    }
}

impl Files {
    /// The same as a source of content.
    pub fn source(self) -> Source {
        match self {
            Self::Directory(directory) => Source::Directory(directory),
            Self::Fetched(snapshot, _) => Source::Snapshot(snapshot),
        }
    }

    fn stat(&self, path: &str, follow: bool) -> CallResult<Stat> {
        Ok(match self {
            Self::Directory(directory) => directory.stat(path, follow)?,
            Self::Fetched(snapshot, _) => snapshot.stat(path, follow)?,
        })
    }

    fn list(&self, path: &str) -> CallResult<Vec<Entry>> {
        Ok(match self {
            Self::Directory(directory) => directory.list(path)?,
            Self::Fetched(snapshot, _) => snapshot.list(path)?,
        })
    }

    fn read(&self, path: &str, limit: u64) -> CallResult<Vec<u8>> {
        Ok(match self {
            Self::Directory(directory) => directory.read(path, limit)?,
            Self::Fetched(snapshot, _) => snapshot.read(path, limit)?,
        })
    }

    fn lists(&self, paths: &[String]) -> CallResult<Vec<Vec<Entry>>> {
        match self {
            Self::Directory(directory) => Ok(directory.lists(paths)?),
            Self::Fetched(..) => paths.iter().map(|path| self.list(path)).collect(),
        }
    }

    fn digests(&self, store: &Store, paths: &[String]) -> CallResult<Vec<String>> {
        Ok(match self {
            Self::Directory(directory) => directory.digests(store, paths)?,
            Self::Fetched(snapshot, _) => snapshot.digests(paths)?,
        })
    }

    fn below(&self, path: &str) -> CallResult<Self> {
        Ok(match self {
            Self::Directory(directory) => Self::Directory(directory.below(path)?),
            Self::Fetched(snapshot, commit) => {
                if snapshot.stat(path, true)?.kind != Kind::Directory {
                    return Err(CallError::invalid(format_args!("`{path}` is no directory")));
                }
                Self::Fetched(snapshot.below(path)?.files, commit.clone())
            }
        })
    }

    fn real_path(&self, path: &str) -> CallResult<String> {
        Ok(match self {
            Self::Directory(directory) => directory.real_path(path)?,
            Self::Fetched(snapshot, _) => {
                let real = snapshot.real_path(path)?;
                // A snapshot lets what does not exist be.
                snapshot.stat(&real, false)?;
                real
            }
        })
    }
}

impl Host for State {}

impl HostDirectory for State {
    fn name(&mut self, handle: Resource<DirectoryHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.name())
    }

    fn drop(&mut self, handle: Resource<DirectoryHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostDirectoryWithStore<T> for HasSelf<State> {
    async fn stat(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
        follow: bool,
    ) -> CallResult<context::Stat> {
        let files = files(accessor, &handle).await?;
        blocking(move || Ok(files.stat(&path, follow)?.into())).await
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
    ) -> CallResult<Vec<context::Entry>> {
        let files = files(accessor, &handle).await?;
        blocking(move || Ok(files.list(&path)?.into_iter().map(Into::into).collect())).await
    }

    async fn read(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
        limit: u64,
    ) -> CallResult<Vec<u8>> {
        let files = files(accessor, &handle).await?;
        blocking(move || files.read(&path, limit)).await
    }

    async fn real_path(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
    ) -> CallResult<String> {
        let files = files(accessor, &handle).await?;
        blocking(move || files.real_path(&path)).await
    }

    async fn lists(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        paths: Vec<String>,
    ) -> CallResult<Vec<Vec<context::Entry>>> {
        let files = files(accessor, &handle).await?;
        blocking(move || {
            let lists = files.lists(&paths)?.into_iter();
            Ok(lists.map(|entries| entries.into_iter().map(Into::into).collect()).collect())
        })
        .await
    }

    async fn digests(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        paths: Vec<String>,
    ) -> CallResult<Vec<String>> {
        let (session, files) = (session(accessor)?, files(accessor, &handle).await?);
        blocking(move || files.digests(session.store()?, &paths)).await
    }

    async fn commit(accessor: &Accessor<T, Self>, handle: Resource<DirectoryHandle>) -> CallResult<Option<Commit>> {
        Ok(match files(accessor, &handle).await? {
            Files::Fetched(_, commit) => commit,
            Files::Directory(_) => None,
        })
    }

    async fn below(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
    ) -> CallResult<Resource<DirectoryHandle>> {
        let files = files(accessor, &handle).await?;
        let inner = path.clone();
        let below = blocking(move || files.below(&inner)).await?;
        let part = table_get(accessor, &handle)?.part(&path, below);
        table_push(accessor, part)
    }
}

/// The files behind a handle.
async fn files<T: Send + 'static>(
    accessor: &Accessor<T, HasSelf<State>>,
    handle: &Resource<DirectoryHandle>,
) -> CallResult<Files> {
    table_get(accessor, handle)?.open(&session(accessor)?).await
}

impl types::Host for State {
    fn convert_error(&mut self, error: CallError) -> wasmtime::Result<types::Error> {
        match error {
            CallError::Error(error) => Ok(error),
            CallError::Trap(trap) => Err(trap),
        }
    }
}

impl From<Timestamp> for types::Timestamp {
    fn from(time: Timestamp) -> Self {
        Self { seconds: time.seconds, nanoseconds: time.nanoseconds }
    }
}

impl From<types::Timestamp> for Timestamp {
    fn from(time: types::Timestamp) -> Self {
        Self { seconds: time.seconds, nanoseconds: time.nanoseconds }
    }
}

impl From<Stat> for context::Stat {
    fn from(stat: Stat) -> Self {
        Self {
            kind: match stat.kind {
                Kind::Regular => context::FileKind::Regular,
                Kind::Directory => context::FileKind::Directory,
                Kind::Symlink => context::FileKind::Symlink,
                Kind::Fifo => context::FileKind::Fifo,
                Kind::Socket => context::FileKind::Socket,
                Kind::CharacterDevice => context::FileKind::CharacterDevice,
                Kind::BlockDevice => context::FileKind::BlockDevice,
            },
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            size: stat.size,
            modified: stat.modified.into(),
            target: stat.target,
            link_group: stat.link_group,
        }
    }
}

impl From<Entry> for context::Entry {
    fn from(entry: Entry) -> Self {
        Self { name: entry.name, stat: entry.stat.into() }
    }
}
