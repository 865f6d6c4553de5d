//! The capability `snapshots`: file systems as values. A handle gives nothing that its sources did not already grant.

use std::path::Path;
use std::sync::Arc;

use steprun_sandbox::request::{Files, Mount, MountSource, Secret, Sharing};
use steprun_snapshot::{
    Change, ChangeEntry, Compression, Difference, DifferenceKind, Directory, Fetch, Layer, Reads, Snapshot, Source,
    Timestamp, output,
};
use wasmtime::component::{Accessor, HasSelf, Resource};
use zeroize::Zeroizing;

use crate::bindings::snapshots::{self, Host, HostSnapshot, HostSnapshotWithStore, HostWithStore};
use crate::bindings::{context, types};
use crate::calls::{blocking, session, table_get, table_push};
use crate::commands::{self, Order};
use crate::error::{CallError, CallResult};
use crate::inputs::InputFileHandle;
use crate::outputs::{OutputDirectoryHandle, OutputFileHandle};
use crate::session::{Session, State};
use crate::store::{BlobHandle, LayerFetch, Origin, parse_digest};

/// A snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotHandle(pub Snapshot);

/// A source behind its handle.
async fn source<T: Send + 'static>(
    accessor: &Accessor<T, HasSelf<State>>,
    source: &snapshots::Source,
) -> CallResult<Source> {
    Ok(match source {
        snapshots::Source::Directory(handle) => table_get(accessor, handle)?.open(&session(accessor)?).await?.source(),
        snapshots::Source::Snapshot(handle) => Source::Snapshot(table_get(accessor, handle)?.0),
    })
}

fn layer_out<T: Send + 'static>(accessor: &Accessor<T, HasSelf<State>>, layer: Layer) -> CallResult<snapshots::Layer> {
    let diff_id = layer.diff_id.to_string();
    let blob = table_push(accessor, BlobHandle { descriptor: layer.descriptor, origin: Origin::Store })?;
    Ok(snapshots::Layer { blob, diff_id })
}

impl Host for State {
    fn scratch(&mut self) -> wasmtime::Result<Resource<SnapshotHandle>> {
        Ok(self.table.push(SnapshotHandle(Snapshot::scratch()))?)
    }
}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn from_layers(
        accessor: &Accessor<T, Self>,
        layers: Vec<snapshots::BorrowedLayer>,
    ) -> CallResult<Resource<SnapshotHandle>> {
        let session = session(accessor)?;
        let runtime = tokio::runtime::Handle::current();
        let mut found: Vec<(Layer, Arc<dyn Fetch>)> = Vec::with_capacity(layers.len());
        for layer in layers {
            let blob: BlobHandle = table_get(accessor, &layer.blob)?;
            let described = Layer { descriptor: blob.descriptor.clone(), diff_id: parse_digest(&layer.diff_id)? };
            found.push((
                described,
                Arc::new(LayerFetch { blob, session: Arc::clone(&session), runtime: runtime.clone() }),
            ));
        }
        let snapshot = blocking(move || Ok(Snapshot::from_layers(session.store()?, found)?)).await?;
        table_push(accessor, SnapshotHandle(snapshot))
    }

    async fn from_archive(
        accessor: &Accessor<T, Self>,
        from: snapshots::Source,
        path: String,
    ) -> CallResult<Option<Resource<SnapshotHandle>>> {
        let (session, from) = (session(accessor)?, source(accessor, &from).await?);
        let snapshot = blocking(move || Ok(Snapshot::from_archive(session.store()?, &from, &path)?)).await?;
        snapshot.map(|snapshot| table_push(accessor, SnapshotHandle(snapshot))).transpose()
    }

    async fn from_blob(
        accessor: &Accessor<T, Self>,
        blob: Resource<BlobHandle>,
        name: String,
        mode: u32,
        modified: types::Timestamp,
    ) -> CallResult<Resource<SnapshotHandle>> {
        let (session, blob) = (session(accessor)?, table_get(accessor, &blob)?);
        let runtime = tokio::runtime::Handle::current();
        let file = move || single_file(&session, &blob.fetch(&session, &runtime)?, name, mode, modified.into());
        table_push(accessor, SnapshotHandle(blocking(file).await?))
    }

    async fn import_layer(
        accessor: &Accessor<T, Self>,
        file: Resource<InputFileHandle>,
    ) -> CallResult<snapshots::Layer> {
        let (session, file) = (session(accessor)?, table_get(accessor, &file)?);
        let file = file.open(&session).await?;
        let layer = blocking(move || Ok(steprun_snapshot::import_layer(session.store()?, file)?)).await?;
        layer_out(accessor, layer)
    }
}

impl HostSnapshot for State {
    fn drop(&mut self, handle: Resource<SnapshotHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostSnapshotWithStore<T> for HasSelf<State> {
    async fn stat(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        path: String,
        follow: bool,
    ) -> CallResult<context::Stat> {
        Ok(table_get(accessor, &handle)?.0.stat(&path, follow)?.into())
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        path: String,
    ) -> CallResult<Vec<context::Entry>> {
        Ok(table_get(accessor, &handle)?.0.list(&path)?.into_iter().map(Into::into).collect())
    }

    async fn read(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        path: String,
        limit: u64,
    ) -> CallResult<Vec<u8>> {
        let snapshot = table_get(accessor, &handle)?.0;
        blocking(move || Ok(snapshot.read(&path, limit)?)).await
    }

    async fn real_path(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        path: String,
    ) -> CallResult<String> {
        Ok(table_get(accessor, &handle)?.0.real_path(&path)?)
    }

    async fn extend(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        sources: Vec<snapshots::Source>,
        entries: Vec<snapshots::ChangeEntry>,
    ) -> CallResult<Resource<SnapshotHandle>> {
        let snapshot = table_get(accessor, &handle)?.0;
        let mut content = Vec::with_capacity(sources.len());
        for one in &sources {
            content.push(source(accessor, one).await?);
        }
        let entries = entries.into_iter().map(change_entry).collect();
        let extended = blocking(move || Ok(snapshot.extend(&content, entries)?)).await?;
        table_push(accessor, SnapshotHandle(extended))
    }

    async fn run(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        mut process: snapshots::Process,
    ) -> CallResult<snapshots::Outcome> {
        let (session, snapshot) = (session(accessor)?, table_get(accessor, &handle)?.0);
        let mut environment: Vec<Secret> = Vec::new();
        for (name, value) in std::mem::take(&mut process.environment) {
            environment.push(variable(&name, value.into_bytes())?);
        }
        for (name, secret) in std::mem::take(&mut process.secret_environment) {
            environment.push(variable(&name, table_get(accessor, &secret)?.read()?)?);
        }
        // Checked before anything is fetched for it.
        let network = commands::admit(&session, &process)?;
        let mut mounts = Vec::new();
        for mount in std::mem::take(&mut process.mounts) {
            let target = steprun_snapshot::name::decode(&mount.target)?.to_vec();
            mounts.push(Mount { target, source: mount_source(accessor, &session, mount.source).await? });
        }
        let order = Order { snapshot, process, environment, mounts, network };
        let (mut outcome, left) = commands::run(session, order).await?;
        outcome.snapshot = left.files.map(|files| table_push(accessor, SnapshotHandle(files))).transpose()?;
        let reads = left.reads.map(|descriptor| BlobHandle { descriptor, origin: Origin::Store });
        outcome.reads = reads.map(|blob| table_push(accessor, blob)).transpose()?;
        Ok(outcome)
    }

    async fn differs(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        reads: Resource<BlobHandle>,
    ) -> CallResult<Option<snapshots::Difference>> {
        let (session, snapshot) = (session(accessor)?, table_get(accessor, &handle)?.0);
        let (reads, runtime) = (table_get(accessor, &reads)?, tokio::runtime::Handle::current());
        blocking(move || {
            reads.fetch(&session, &runtime)?;
            let store = session.store()?;
            let document = store.read_blob(&reads.descriptor.digest, commands::MOST_READS)?;
            let found = snapshot.differs(store, &Reads::decode(&document)?)?;
            Ok(found.map(|Difference { path, kind }| snapshots::Difference { path, kind: kind.into() }))
        })
        .await
    }

    async fn pack(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        compression: snapshots::Compression,
    ) -> CallResult<Option<snapshots::Layer>> {
        let (session, snapshot) = (session(accessor)?, table_get(accessor, &handle)?.0);
        let compression = match compression {
            snapshots::Compression::None => Compression::None,
            snapshots::Compression::Gzip => Compression::Gzip,
        };
        let layer = blocking(move || Ok(snapshot.pack(session.store()?, compression)?)).await?;
        layer.map(|layer| layer_out(accessor, layer)).transpose()
    }

    async fn write_file(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        path: String,
        to: Resource<OutputFileHandle>,
    ) -> CallResult<()> {
        let (snapshot, to) = (table_get(accessor, &handle)?.0, table_get(accessor, &to)?);
        blocking(move || to.write_with(|out| snapshot.write_file(&path, out))).await
    }

    async fn export(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        to: Resource<OutputFileHandle>,
    ) -> CallResult<()> {
        let (snapshot, to) = (table_get(accessor, &handle)?.0, table_get(accessor, &to)?);
        blocking(move || to.write_with(|out| snapshot.export(out))).await
    }

    async fn unpack(
        accessor: &Accessor<T, Self>,
        handle: Resource<SnapshotHandle>,
        to: Resource<OutputDirectoryHandle>,
        below: String,
    ) -> CallResult<Vec<String>> {
        let (snapshot, to) = (table_get(accessor, &handle)?.0, table_get(accessor, &to)?);
        let path = to.below(&below)?;
        blocking(move || Ok(output::write_files(&path, &snapshot)?)).await
    }
}

/// A file of the store as the only one of a file system. It gets a name that stays for the run: the store's own may be replaced by an equal file,
/// which is not the one that was looked at.
fn single_file(session: &Session, blob: &Path, name: String, mode: u32, modified: Timestamp) -> CallResult<Snapshot> {
    const CONTENT: &str = "content";
    let private = session.store()?.private_directory()?;
    let content = private.path().join(CONTENT);
    std::fs::hard_link(blob, &content)
        .or_else(|_| std::fs::copy(blob, &content).map(drop))
        .map_err(|error| CallError::io(format_args!("can't take `{}`", blob.display()), error))?;
    let source = Source::Directory(Directory::open(private.path(), "store")?);
    let change = Change::File { source: 0, path: CONTENT.to_owned() };
    let entry = ChangeEntry { path: name, change, mode, uid: 0, gid: 0, modified };
    let files = Snapshot::scratch().extend(&[source], vec![entry])?;
    session.keep(private);
    Ok(files)
}

/// `NAME=VALUE` for the kernel.
fn variable(name: &str, value: Vec<u8>) -> CallResult<Secret> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains(&0) {
        return Err(CallError::invalid(format_args!(
            "`{name}` can't be an environment variable, or not with that value"
        )));
    }
    let mut variable = Zeroizing::new(format!("{name}=").into_bytes());
    variable.extend_from_slice(&Zeroizing::new(value));
    Ok(Secret(variable))
}

/// What a mount's handles stand for.
async fn mount_source<T: Send + 'static>(
    accessor: &Accessor<T, HasSelf<State>>,
    session: &Arc<Session>,
    source: snapshots::MountSource,
) -> CallResult<MountSource> {
    use snapshots::MountSource as Contract;
    Ok(match source {
        Contract::Bind(bind) => {
            let writable = bind.writable;
            MountSource::Bind(files(accessor, session, bind).await?, writable)
        }
        Contract::Cache(cache) => MountSource::Cache {
            id: cache.id,
            initial: match cache.initial {
                Some(initial) => Some(files(accessor, session, initial).await?),
                None => None,
            },
            writable: cache.writable,
            sharing: match cache.sharing {
                snapshots::Sharing::Shared => Sharing::Shared,
                snapshots::Sharing::Private => Sharing::Private,
                snapshots::Sharing::Locked => Sharing::Locked,
            },
            owner: (cache.mode, cache.uid, cache.gid),
        },
        Contract::Tmpfs(size) => MountSource::Tmpfs(size),
        Contract::Secret(mount) => {
            let content = Zeroizing::new(table_get(accessor, &mount.secret)?.read()?);
            MountSource::Secret(Secret(content), (mount.mode, mount.uid, mount.gid))
        }
        Contract::Agent(mount) => {
            let agent = table_get(accessor, &mount.agent)?.0;
            MountSource::Agent(agent.socket, (mount.mode, mount.uid, mount.gid))
        }
    })
}

/// The part of a snapshot that a mount shows.
async fn files<T: Send + 'static>(
    accessor: &Accessor<T, HasSelf<State>>,
    session: &Arc<Session>,
    bind: snapshots::BindMount,
) -> CallResult<Files> {
    let (session, snapshot) = (Arc::clone(session), table_get(accessor, &bind.snapshot)?.0);
    blocking(move || {
        let path = snapshot.real_path(&bind.path)?;
        snapshot.stat(&path, false)?;
        let layers = commands::links(&snapshot, session.store()?)?;
        Ok(Files { layers, path: steprun_snapshot::name::decode(&path)?.to_vec() })
    })
    .await
}

impl From<DifferenceKind> for snapshots::DifferenceKind {
    fn from(kind: DifferenceKind) -> Self {
        match kind {
            DifferenceKind::New => Self::New,
            DifferenceKind::Gone => Self::Gone,
            DifferenceKind::Changed => Self::Changed,
            DifferenceKind::Entries => Self::Entries,
        }
    }
}

fn change_entry(entry: snapshots::ChangeEntry) -> ChangeEntry {
    ChangeEntry {
        path: entry.path,
        change: match entry.change {
            snapshots::Change::File(file) => Change::File { source: file.source as usize, path: file.path },
            snapshots::Change::Inline(content) => Change::Inline(content),
            snapshots::Change::Directory => Change::Directory,
            snapshots::Change::Symlink(target) => Change::Symlink(target),
            snapshots::Change::HardLink(target) => Change::HardLink(target),
            snapshots::Change::Fifo => Change::Fifo,
            snapshots::Change::Device((block, major, minor)) => Change::Device { block, major, minor },
            snapshots::Change::Removed => Change::Removed,
        },
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        modified: types::Timestamp::into(entry.modified),
    }
}
