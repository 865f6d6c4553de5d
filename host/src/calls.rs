//! What all capabilities need to serve a call.

use std::any::Any;

use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::error::CallResult;
use crate::session::{Session, State};
use std::sync::Arc;

/// A copy of the host's object behind a handle. Objects are cheap to clone, so that no call holds the table while it waits.
pub fn table_get<T, H>(accessor: &Accessor<T, HasSelf<State>>, handle: &Resource<H>) -> CallResult<H>
where
    T: Send + 'static,
    H: Any + Send + Clone,
{
    Ok(accessor.with(|mut access| access.get().table.get(handle).cloned())?)
}

/// Puts an object behind a new handle.
pub fn table_push<T, H>(accessor: &Accessor<T, HasSelf<State>>, object: H) -> CallResult<Resource<H>>
where
    T: Send + 'static,
    H: Any + Send,
{
    Ok(accessor.with(|mut access| access.get().table.push(object))?)
}

/// What the run shares, or a trap before there is a run.
pub fn session<T: Send + 'static>(accessor: &Accessor<T, HasSelf<State>>) -> CallResult<Arc<Session>> {
    Ok(accessor.with(|mut access| access.get().session().cloned())?)
}

/// Does work that reads files or computes, beside the component.
pub async fn blocking<R: Send + 'static>(work: impl FnOnce() -> CallResult<R> + Send + 'static) -> CallResult<R> {
    tokio::task::spawn_blocking(work).await?
}
