//! Doing several things at once in one task.

use std::future::Future;

use futures_util::{StreamExt, TryStreamExt, stream};

/// Runs an operation on every item, at most `limit` of them at a time (0 counts as 1), and gives the results in the order of the
/// items. The first failure ends it: operations that are under way are cancelled.
pub async fn concurrently<I, F, Fut, T, E>(limit: usize, items: I, operation: F) -> std::result::Result<Vec<T>, E>
where
    I: IntoIterator,
    F: FnMut(I::Item) -> Fut,
    Fut: Future<Output = std::result::Result<T, E>>,
{
    stream::iter(items.into_iter().map(operation)).buffered(limit.max(1)).try_collect().await
}

/// Awaits two results at the same time. The first failure ends it.
pub async fn both<A, B, E>(
    first: impl Future<Output = std::result::Result<A, E>>,
    second: impl Future<Output = std::result::Result<B, E>>,
) -> std::result::Result<(A, B), E> {
    futures_util::future::try_join(first, second).await
}
