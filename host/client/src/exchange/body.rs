//! Bodies of requests.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::client::Progress;
use crate::transport::Activity;
use crate::{BlobSource, ByteStream, Error};

/// What a request carries. Every kind can be sent again.
#[derive(Clone)]
pub(crate) enum Body<'a> {
    Empty,
    Bytes(Bytes),
    Part(Part<'a>),
}

/// A range of a blob that is streamed.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    pub(crate) source: &'a dyn BlobSource,
    /// In bytes, as is `length`.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) progress: &'a Progress,
    /// What the blob is called in messages.
    pub(crate) subject: String,
}

/// A failure of a source while its bytes were being sent. The connection's own error would hide it.
#[derive(Clone, Default)]
pub(crate) struct SourceFailure(Arc<Mutex<Option<Error>>>);

impl SourceFailure {
    fn set(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Part<'_> {
    /// Opens the source. The stream ends with an error if the source is shorter than `length`.
    pub(crate) async fn stream(&self, activity: &Activity, failure: &SourceFailure) -> Result<reqwest::Body, Error> {
        let opened = self.source.open(self.offset).await;
        let bytes = opened.map_err(|e| source_error(&self.subject, e))?;
        let (activity, failure) = (activity.clone(), failure.clone());
        let (progress, subject) = (self.progress.clone(), self.subject.clone());
        let end = self.offset + self.length;
        let mut position = self.offset;
        let ended = futures_util::stream::iter([None]);
        let body = taken(bytes, self.length).map(Some).chain(ended).filter_map(move |chunk| {
            let checked = match chunk {
                Some(Ok(bytes)) => {
                    position += bytes.len() as u64;
                    activity.mark();
                    progress.report(position);
                    Some(Ok(bytes))
                }
                Some(Err(e)) => {
                    failure.set(source_error(&subject, e));
                    Some(Err(std::io::Error::other("the source failed")))
                }
                None if position < end => {
                    let reason = format!("the source ended after {position} of {end} bytes");
                    let kind = std::io::ErrorKind::UnexpectedEof;
                    failure.set(source_error(&subject, std::io::Error::new(kind, reason)));
                    Some(Err(std::io::Error::other("the source failed")))
                }
                None => None,
            };
            std::future::ready(checked)
        });
        Ok(reqwest::Body::wrap_stream(body))
    }
}

/// The first `length` bytes of a stream, in the pieces that it gives: they are not copied.
fn taken(bytes: ByteStream, length: u64) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    stream::try_unfold((bytes, length), |(mut bytes, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(mut piece) = bytes.next().await.transpose()? else { return Ok(None) };
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - piece.len() as u64;
        Ok(Some((piece, (bytes, left))))
    })
}

/// An error of a source: its own words, or the error of the registry that it is read from.
fn source_error(subject: &str, error: std::io::Error) -> Error {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(inner) => inner.clone(),
        None => Error::io(subject, &error),
    }
}
