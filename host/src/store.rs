//! The capability `store`: blobs by digest, local or still in a registry.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use steprun_client::{FileSource, Progress, RepositoryName};
use steprun_snapshot::{BlobWriter, Descriptor, Fetch, Recompression, Store};
use tokio::io::AsyncWrite;
use tokio::runtime::Handle;
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::arrival::{self, Giver};
use crate::bindings::store::{Host, HostBlob, HostBlobWithStore, HostWithStore, LayerCompression};
use crate::bindings::types;
use crate::calls::{blocking, session, table_get, table_push};
use crate::error::{CallError, CallResult};
use crate::local::LocalImages;
use crate::session::{Session, State};

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
pub enum Origin {
    /// In the local store.
    Store,
    /// In a repository that the step may pull from.
    Repository(RepositoryName),
    /// In a file or directory that an argument named.
    Local(Arc<LocalImages>),
}

/// A blob.
#[derive(Debug, Clone)]
pub struct BlobHandle {
    /// Media type, digest, size.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub origin: Origin,
}

impl BlobHandle {
    /// Brings the bytes into the store, unless they are there, and says in which file. For threads that may wait.
    pub fn fetch(&self, session: &Session, runtime: &Handle) -> CallResult<PathBuf> {
        self.fetch_for(session, runtime, None)
    }

    /// The same; bytes of a registry are given to a reader, too.
    fn fetch_for(&self, session: &Session, runtime: &Handle, reader: Option<&Giver>) -> CallResult<PathBuf> {
        let store = session.store()?;
        let path = store.blob_path(&self.descriptor.digest)?;
        // Of two that want the same layer at once, the second waits for the first and finds it here.
        let turn = session.turn(&self.descriptor.digest);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_in(store) {
            return Ok(path);
        }
        let repository = match &self.origin {
            Origin::Repository(repository) => repository,
            Origin::Local(images) => {
                images.open(store)?.store_blob(store, &self.descriptor)?;
                return Ok(path);
            }
            Origin::Store => return Err(self.lost()),
        };
        let (digest, size) = (&self.descriptor.digest, self.descriptor.size);
        // The client verifies what it gives.
        let mut sink = Sink { writer: store.writer_of_verified(digest)?, reader: reader.cloned() };
        let client = session.client()?;
        runtime.block_on(client.pull_blob(repository, digest, Some(size), &mut sink, &Progress::none()))?;
        sink.writer.finish(Some((digest, size)))?;
        Ok(path)
    }

    fn is_in(&self, store: &Store) -> bool {
        store.contains(&self.descriptor.digest) == Some(self.descriptor.size)
    }

    /// Said where a blob of the store is not there any more.
    pub fn lost(&self) -> CallError {
        CallError::Error(types::Error::NotFound(format!(
            "the blob {} is no longer in the store",
            self.descriptor.digest
        )))
    }

    /// A source for uploads: the file in the store.
    pub fn file(&self, store: &Store) -> Option<FileSource> {
        self.is_in(store).then(|| store.blob_path(&self.descriptor.digest).ok())?.map(|path| FileSource { path })
    }
}

/// Lets a snapshot ask for a layer's bytes when it needs them.
pub struct LayerFetch {
    /// The layer's blob.
    pub blob: BlobHandle,
    /// The run.
    pub session: Arc<Session>,
    /// To wait for the transfer on.
    pub runtime: Handle,
}

impl Fetch for LayerFetch {
    fn fetch(&self, _store: &Store) -> steprun_snapshot::Result<()> {
        match self.blob.fetch(&self.session, &self.runtime) {
            Ok(_) => Ok(()),
            // On its way through the snapshot library, which knows nothing of registries.
            Err(error) => Err(steprun_snapshot::Error::External(Box::new(error))),
        }
    }

    fn stream(&self, store: &Store) -> steprun_snapshot::Result<Option<Box<dyn Read + Send>>> {
        let Origin::Repository(_) = self.blob.origin else { return self.fetch(store).map(|()| None) };
        let (giver, arriving) = arrival::channel();
        let (blob, session, runtime) = (self.blob.clone(), Arc::clone(&self.session), self.runtime.clone());
        self.runtime.spawn_blocking(move || {
            let outcome = blob.fetch_for(&session, &runtime, Some(&giver));
            giver.end(outcome);
        });
        Ok(Some(Box::new(arriving)))
    }
}

/// A blob's file for a transfer: writing to it waits for the disk, and for who reads the bytes beside.
pub struct Sink {
    /// The file.
    pub writer: BlobWriter,
    /// Who reads them beside.
    pub reader: Option<Giver>,
}

impl AsyncWrite for Sink {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let written = std::io::Write::write(&mut self.writer, bytes);
        if let (Ok(count), Some(reader)) = (&written, &self.reader) {
            reader.give(&bytes[..*count]);
        }
        std::task::Poll::Ready(written)
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn put(
        accessor: &Accessor<T, Self>,
        media_type: String,
        content: Vec<u8>,
    ) -> CallResult<Resource<BlobHandle>> {
        let session = session(accessor)?;
        let blob = blocking(move || {
            let size = content.len() as u64;
            let digest = session.store()?.put_bytes(&content)?;
            Ok(BlobHandle { descriptor: Descriptor { media_type, digest, size }, origin: Origin::Store })
        })
        .await?;
        table_push(accessor, blob)
    }

    async fn recompress(
        accessor: &Accessor<T, Self>,
        layer: Resource<BlobHandle>,
        compression: LayerCompression,
    ) -> CallResult<Resource<BlobHandle>> {
        let (session, layer) = (session(accessor)?, table_get(accessor, &layer)?);
        let compression = match compression {
            LayerCompression::Gzip => Recompression::Gzip,
            LayerCompression::Zstd => Recompression::Zstd,
        };
        let runtime = tokio::runtime::Handle::current();
        let blob = blocking(move || {
            layer.fetch(&session, &runtime)?;
            let descriptor = steprun_snapshot::recompress(session.store()?, &layer.descriptor.digest, compression)?;
            Ok(BlobHandle { descriptor, origin: Origin::Store })
        })
        .await?;
        table_push(accessor, blob)
    }
}

impl HostBlob for State {
    fn descriptor(&mut self, handle: Resource<BlobHandle>) -> wasmtime::Result<types::Descriptor> {
        Ok((&self.table.get(&handle)?.descriptor).into())
    }

    fn drop(&mut self, handle: Resource<BlobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostBlobWithStore<T> for HasSelf<State> {
    async fn read(accessor: &Accessor<T, Self>, handle: Resource<BlobHandle>, limit: u64) -> CallResult<Vec<u8>> {
        let (session, blob) = (session(accessor)?, table_get(accessor, &handle)?);
        if blob.descriptor.size > limit {
            let (digest, size) = (&blob.descriptor.digest, blob.descriptor.size);
            return Err(CallError::invalid(format_args!(
                "the blob {digest} has {size} bytes, more than the {limit} asked for"
            )));
        }
        let runtime = tokio::runtime::Handle::current();
        blocking(move || {
            blob.fetch(&session, &runtime)?;
            Ok(session.store()?.read_blob(&blob.descriptor.digest, limit)?)
        })
        .await
    }

    async fn fetch(accessor: &Accessor<T, Self>, handle: Resource<BlobHandle>) -> CallResult<()> {
        let (session, blob) = (session(accessor)?, table_get(accessor, &handle)?);
        let runtime = tokio::runtime::Handle::current();
        blocking(move || blob.fetch(&session, &runtime).map(drop)).await
    }
}

impl From<&Descriptor> for types::Descriptor {
    fn from(descriptor: &Descriptor) -> Self {
        Self { media_type: descriptor.media_type.clone(), digest: descriptor.digest.to_string(), size: descriptor.size }
    }
}

impl TryFrom<types::Descriptor> for Descriptor {
    type Error = CallError;

    fn try_from(descriptor: types::Descriptor) -> CallResult<Self> {
        Ok(Self { digest: parse_digest(&descriptor.digest)?, media_type: descriptor.media_type, size: descriptor.size })
    }
}

/// A digest that a component wrote.
pub fn parse_digest(text: &str) -> CallResult<steprun_client::Digest> {
    text.parse().map_err(|e| CallError::invalid(format_args!("`{text}` is not a digest: {e}")))
}
