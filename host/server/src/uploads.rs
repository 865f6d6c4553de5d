//! Uploads of blobs: in one request, in a session of chunks, or as a mount of what another repository has
//! (distribution-spec, "Pushing blobs").
//!
//! A session lives in memory, its content in a file that vanishes with it. So an upload that is never closed leaves nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, header};
use hyper::body::{Body, Bytes};

use crate::error::Error;
use crate::names::{Digest, Repository};
use crate::responses::{Answer, received};
use crate::routes::{Query, Registry};
use crate::storage::Store;
use crate::writer::Writer;

/// A session that nobody touched for so long is given up.
const EXPIRY: Duration = Duration::from_secs(3600);

/// The uploads under way.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: Mutex<HashMap<String, Arc<Session>>>,
}

#[derive(Debug)]
struct Session {
    repository: Repository,
    touched: Mutex<Instant>,
    /// None once the upload was closed, cancelled, or given up after the disk failed. Locked while a body is received.
    writer: tokio::sync::Mutex<Option<Writer>>,
}

impl Uploads {
    fn start(&self, store: &Store, repository: &Repository) -> Result<String, Error> {
        let writer = Writer::new(store)?;
        let session = Session {
            repository: repository.clone(),
            touched: Mutex::new(Instant::now()),
            writer: tokio::sync::Mutex::new(Some(writer)),
        };
        let id = new_id();
        let mut open = lock(&self.open);
        open.retain(|_, session| !session.has_expired());
        open.insert(id.clone(), Arc::new(session));
        Ok(id)
    }

    fn find(&self, id: &str, repository: &Repository) -> Result<Arc<Session>, Error> {
        let open = lock(&self.open);
        let session = open.get(id).filter(|session| session.repository == *repository).cloned();
        let session = session.ok_or_else(|| Error::UploadUnknown(id.to_owned()))?;
        *lock(&session.touched) = Instant::now();
        Ok(session)
    }

    fn remove(&self, id: &str) {
        lock(&self.open).remove(id);
    }
}

impl Session {
    /// One that is receiving is not idle, however long that takes.
    fn has_expired(&self) -> bool {
        lock(&self.touched).elapsed() > EXPIRY && self.writer.try_lock().is_ok()
    }
}

/// A panic elsewhere leaves these maps whole: no operation on them stops half-way.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 32 random hexadecimal digits. `RandomState` is seeded by the system and differs on each call.
fn new_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

/// `POST`: mounts, takes a whole blob, or starts a session.
pub(crate) async fn post<B>(
    registry: &Arc<Registry>,
    repository: Repository,
    query: &Query,
    body: B,
) -> Result<Answer, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    if let Some(digest) = query.get("mount") {
        let digest = digest.parse()?;
        let from = query.get("from").map(str::parse::<Repository>).transpose()?;
        return mount_or_start(registry, repository, digest, from).await;
    }
    if let Some(digest) = query.get("digest") {
        let digest = digest.parse()?;
        let writer = registry.blocking(|registry| Ok(Writer::new(&registry.store)?)).await?;
        let appended = writer.append(body, None).await;
        appended.result?;
        let writer = appended.writer.ok_or(Error::Internal)?;
        return commit(registry, repository, writer, digest).await;
    }
    start(registry, repository).await
}

/// Without `from`, or where that has no such blob, the spec's fall-back is a session.
async fn mount_or_start(
    registry: &Arc<Registry>,
    repository: Repository,
    digest: Digest,
    from: Option<Repository>,
) -> Result<Answer, Error> {
    let target = repository.clone();
    let mounted = registry
        .blocking(move |registry| {
            let Some(from) = from else { return Ok(None) };
            if registry.store.blob_size(&from, &digest)?.is_none() {
                return Ok(None);
            }
            registry.store.link_blob(&target, &digest)?;
            Ok(Some(created(&target, &digest)))
        })
        .await?;
    match mounted {
        Some(answer) => Ok(answer),
        None => start(registry, repository).await,
    }
}

async fn start(registry: &Arc<Registry>, repository: Repository) -> Result<Answer, Error> {
    registry
        .blocking(move |registry| {
            let id = registry.uploads.start(&registry.store, &repository)?;
            Ok(progress(StatusCode::ACCEPTED, &repository, &id, 0))
        })
        .await
}

/// `PATCH`: appends a chunk.
pub(crate) async fn patch<B>(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    headers: &HeaderMap,
    body: B,
) -> Result<Answer, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let session = registry.uploads.find(id, repository)?;
    let mut slot = session.writer.lock().await;
    let length = append(registry, repository, id, &mut slot, headers, body).await?;
    Ok(progress(StatusCode::ACCEPTED, repository, id, length))
}

/// `PUT`: appends the rest, if any, and makes the whole a blob. Whatever is wrong with the content ends the session.
pub(crate) async fn put<B>(
    registry: &Arc<Registry>,
    repository: Repository,
    id: &str,
    query: &Query,
    headers: &HeaderMap,
    body: B,
) -> Result<Answer, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let session = registry.uploads.find(id, &repository)?;
    let digest =
        query.get("digest").ok_or_else(|| Error::DigestInvalid("closing an upload needs ?digest=".to_owned()))?;
    let digest = digest.parse()?;
    let mut slot = session.writer.lock().await;
    append(registry, &repository, id, &mut slot, headers, body).await?;
    let writer = slot.take().ok_or_else(|| Error::UploadUnknown(id.to_owned()))?;
    registry.uploads.remove(id);
    commit(registry, repository, writer, digest).await
}

/// `GET`: how far the upload is.
pub(crate) async fn status(registry: &Registry, repository: &Repository, id: &str) -> Result<Answer, Error> {
    let session = registry.uploads.find(id, repository)?;
    let slot = session.writer.lock().await;
    let writer = slot.as_ref().ok_or_else(|| Error::UploadUnknown(id.to_owned()))?;
    Ok(progress(StatusCode::NO_CONTENT, repository, id, writer.length()))
}

/// `DELETE`: cancels.
pub(crate) async fn cancel(registry: &Registry, repository: &Repository, id: &str) -> Result<Answer, Error> {
    let session = registry.uploads.find(id, repository)?;
    registry.uploads.remove(id);
    session.writer.lock().await.take();
    Ok(Answer::new(StatusCode::NO_CONTENT))
}

/// Appends a body to a session and gives the length that results.
async fn append<B>(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    slot: &mut Option<Writer>,
    headers: &HeaderMap,
    body: B,
) -> Result<u64, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let offset = slot.as_ref().ok_or_else(|| Error::UploadUnknown(id.to_owned()))?.length();
    let range = chunk_range(headers)?;
    if let Some((start, _)) = range
        && start != offset
    {
        return Err(Error::UploadOutOfOrder { start, offset, location: location(repository, id) });
    }
    let writer = slot.take().ok_or(Error::Internal)?;
    let appended = writer.append(body, range.map(|(start, end)| end - start + 1)).await;
    *slot = appended.writer;
    let Some(writer) = slot else {
        registry.uploads.remove(id);
        return appended.result.and(Err(Error::Internal));
    };
    appended.result.map(|()| writer.length())
}

/// `Content-Range: START-END`, inclusive; the spec's form has no unit. Some clients write RFC 9110's `bytes START-END/SIZE`.
fn chunk_range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, Error> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let invalid = || Error::UploadInvalid(format!("Content-Range {value:?} is not START-END"));
    let text = value.to_str().map_err(|_| invalid())?;
    let text = text.strip_prefix("bytes").unwrap_or(text).trim_start_matches([' ', '=']);
    let text = text.split_once('/').map_or(text, |(range, _size)| range);
    let (start, end) = text.split_once('-').ok_or_else(invalid)?;
    let start = decimal(start).ok_or_else(invalid)?;
    let end = decimal(end).ok_or_else(invalid)?;
    // The limit keeps `end - start + 1` from overflowing.
    if start <= end && end < u64::MAX { Ok(Some((start, end))) } else { Err(invalid()) }
}

/// Digits only: `parse` alone would take a sign.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

async fn commit(
    registry: &Arc<Registry>,
    repository: Repository,
    writer: Writer,
    digest: Digest,
) -> Result<Answer, Error> {
    registry
        .blocking(move |registry| {
            let file = writer.verify(&digest)?;
            registry.store.keep_content(file, &digest)?;
            registry.store.link_blob(&repository, &digest)?;
            Ok(created(&repository, &digest))
        })
        .await
}

fn location(repository: &Repository, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

fn progress(status: StatusCode, repository: &Repository, id: &str, length: u64) -> Answer {
    Answer::new(status)
        .header("location", location(repository, id))
        .header("range", received(length))
        .header("docker-upload-uuid", id)
}

fn created(repository: &Repository, digest: &Digest) -> Answer {
    Answer::new(StatusCode::CREATED)
        .header("location", format!("/v2/{repository}/blobs/{digest}"))
        .header("docker-content-digest", digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
            chunk_range(&headers).ok().flatten()
        };
        assert_eq!(of("0-9"), Some((0, 9)));
        assert_eq!(of("10-10"), Some((10, 10)));
        assert_eq!(of("bytes 5-9/10"), Some((5, 9)));
        assert_eq!(of("bytes=5-9"), Some((5, 9)));
        for bad in
            ["", "-", "1-", "-1", "9-0", "a-b", "+1-2", "0-18446744073709551615", "0-18446744073709551616", "0 - 1"]
        {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert!(chunk_range(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn identifiers_differ() {
        assert_ne!(new_id(), new_id());
        assert_eq!(new_id().len(), 32);
    }
}
