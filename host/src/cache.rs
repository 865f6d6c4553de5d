//! The capability `cache`: what a step remembers between its runs. The door is the name space: each step has one of its own.

use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::cache::{Entry, Host, HostWithStore};
use crate::calls::{blocking, session, table_get, table_push};
use crate::error::CallResult;
use crate::session::State;
use crate::store::{BlobHandle, Origin};

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn get(accessor: &Accessor<T, Self>, key: String) -> CallResult<Option<Entry>> {
        let session = session(accessor)?;
        let record = blocking(move || Ok(session.store()?.record(&session.memory, &key)?)).await?;
        let Some(record) = record else { return Ok(None) };
        let blob = |descriptor| table_push(accessor, BlobHandle { descriptor, origin: Origin::Store });
        let blobs = record.blobs.into_iter().map(blob).collect::<CallResult<_>>()?;
        Ok(Some(Entry { content: record.content, blobs, stored: record.stored.into() }))
    }

    async fn put(
        accessor: &Accessor<T, Self>,
        key: String,
        content: Vec<u8>,
        blobs: Vec<Resource<BlobHandle>>,
    ) -> CallResult<()> {
        let session = session(accessor)?;
        let blobs =
            blobs.iter().map(|blob| Ok(table_get(accessor, blob)?.descriptor)).collect::<CallResult<Vec<_>>>()?;
        blocking(move || Ok(session.store()?.put_record(&session.memory, &key, &content, &blobs)?)).await
    }
}
