//! The capability `context`: directories of the caller, read-only. The door is [`Directory`] itself: it can't name anything
//! outside of what was granted.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use steprun_snapshot::{Directory, Entry, Kind, Stat, Timestamp};
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::context::{self, Host, HostDirectory, HostDirectoryWithStore};
use crate::bindings::types;
use crate::calls::{blocking, table_get};
use crate::error::{CallError, CallResult};
use crate::session::State;

/// A granted directory; opened when it is used for the first time, so that a missing one is an error of the call that needs it.
#[derive(Debug, Clone)]
pub struct DirectoryHandle {
    path: PathBuf,
    opened: Arc<OnceLock<Directory>>,
}

impl DirectoryHandle {
    /// A handle to what an argument named.
    pub fn new(path: PathBuf) -> Self {
        Self { path, opened: Arc::default() }
    }

    /// The directory, opened.
    pub fn open(&self) -> CallResult<Directory> {
        if let Some(directory) = self.opened.get() {
            return Ok(directory.clone());
        }
        let directory = Directory::open(&self.path, self.path.display().to_string())?;
        Ok(self.opened.get_or_init(|| directory).clone())
    }
}

impl Host for State {}

impl HostDirectory for State {
    fn name(&mut self, handle: Resource<DirectoryHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.path.display().to_string())
    }

    fn drop(&mut self, handle: Resource<DirectoryHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send> HostDirectoryWithStore<T> for HasSelf<State> {
    async fn stat(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
        follow: bool,
    ) -> CallResult<context::Stat> {
        let handle = table_get(accessor, &handle)?;
        let stat = blocking(move || Ok(handle.open()?.stat(&path, follow)?)).await?;
        Ok(stat.into())
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
    ) -> CallResult<Vec<context::Entry>> {
        let handle = table_get(accessor, &handle)?;
        blocking(move || Ok(handle.open()?.list(&path)?.into_iter().map(Into::into).collect())).await
    }

    async fn read(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
        limit: u64,
    ) -> CallResult<Vec<u8>> {
        let handle = table_get(accessor, &handle)?;
        blocking(move || Ok(handle.open()?.read(&path, limit)?)).await
    }

    async fn real_path(
        accessor: &Accessor<T, Self>,
        handle: Resource<DirectoryHandle>,
        path: String,
    ) -> CallResult<String> {
        let handle = table_get(accessor, &handle)?;
        blocking(move || Ok(handle.open()?.real_path(&path)?)).await
    }
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
