//! Blobs down: verified while they pass, resumed where they broke off.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use oci_spec::image::Digest;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::manifests::length;
use super::{Client, Progress, blob_subject};
use crate::auth::Access;
use crate::exchange::wire::Failure;
use crate::exchange::{Call, Exchange, Patience, Target};
use crate::retry::is_transient;
use crate::transport::NoAnswer;
use crate::verify::Verifier;
use crate::{Error, RepositoryName, Result};

impl Client {
    /// Whether the repository holds a blob. Costs a HEAD request.
    pub async fn blob_exists(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        Ok(self.head_blob(repository, digest).await?.is_some())
    }

    /// The size of a blob in bytes; none if the repository does not hold it. Costs a HEAD request.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the registry does not tell the size.
    pub async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>> {
        let Some(headers) = self.head_blob(repository, digest).await? else { return Ok(None) };
        let untold = || Error::Invalid {
            subject: blob_subject(repository, digest),
            reason: "the registry does not tell the size of the blob".to_owned(),
        };
        length(&headers).ok_or_else(untold).map(Some)
    }

    async fn head_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<HeaderMap>> {
        let target = Target::Path(format!("blobs/{digest}"));
        let subject = blob_subject(repository, digest);
        let call = Call::new(Method::HEAD, target, Access::pull(repository), subject);
        let response = self.exchange.send(&call).await?;
        match response.status() {
            status if status.is_success() => Ok(Some(response.headers().clone())),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.exchange.error(&call, response).await),
        }
    }

    /// Writes a blob to `sink` and gives its size in bytes. Digest and (if given) size are verified while the bytes pass, and
    /// the last of them are held back until they are: on [`Error::Corrupt`] the sink holds bytes that must be thrown away. A
    /// transfer that breaks off goes on where it stopped. `sink` is flushed, not closed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Io`] for the sink.
    pub async fn pull_blob<W: AsyncWrite + Unpin>(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: Option<u64>,
        sink: &mut W,
        progress: &Progress,
    ) -> Result<u64> {
        let subject = blob_subject(repository, digest);
        let verifier = BlobStream::verifier(repository, digest)?;
        let exchange = Arc::clone(&self.exchange);
        let mut blob = BlobStream::new(exchange, repository, digest, size, 0, verifier);
        let mut written = 0;
        while let Some(bytes) = blob.next().await? {
            let wrote = sink.write_all(&bytes).await;
            wrote.map_err(|e| Error::io(&*subject, &e))?;
            written += bytes.len() as u64;
            progress.report(written);
        }
        sink.flush().await.map_err(|e| Error::io(&*subject, &e))?;
        Ok(written)
    }
}

/// The bytes of a blob from some offset on, as they come.
pub(super) struct BlobStream {
    exchange: Arc<Exchange>,
    call: Call<'static>,
    verifier: Arc<Mutex<Verifier>>,
    patience: Patience,
    size: Option<u64>,
    response: Option<Response>,
    /// Where in the blob the next bytes to be given out stand.
    position: u64,
    /// How many bytes of the response come before that: a registry that knows no ranges sends all again.
    skip: u64,
    /// The last bytes, until it is known that more follow or that all is well.
    held: Option<Bytes>,
    ended: bool,
}

impl BlobStream {
    /// What checks a blob; shared by the streams that read it in turn.
    pub(super) fn verifier(repository: &RepositoryName, digest: &Digest) -> Result<Arc<Mutex<Verifier>>> {
        let invalid = |reason| Error::Invalid { subject: blob_subject(repository, digest), reason };
        Ok(Arc::new(Mutex::new(Verifier::new(digest).map_err(invalid)?)))
    }

    pub(super) fn new(
        exchange: Arc<Exchange>,
        repository: &RepositoryName,
        digest: &Digest,
        size: Option<u64>,
        offset: u64,
        verifier: Arc<Mutex<Verifier>>,
    ) -> Self {
        let target = Target::Path(format!("blobs/{digest}"));
        let subject = blob_subject(repository, digest);
        let patience = exchange.patience(&subject);
        BlobStream {
            exchange,
            call: Call::new(Method::GET, target, Access::pull(repository), subject),
            verifier,
            patience,
            size,
            response: None,
            position: offset,
            skip: 0,
            held: None,
            ended: false,
        }
    }

    /// The next bytes; none after the last. The last are given out only when the whole is verified.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            match self.receive().await? {
                Some(bytes) => {
                    if let Some(previous) = self.held.replace(bytes) {
                        return Ok(Some(previous));
                    }
                }
                None => {
                    self.ended = true;
                    self.verify()?;
                }
            }
        }
        Ok(self.held.take())
    }

    async fn receive(&mut self) -> Result<Option<Bytes>> {
        loop {
            let response = match &mut self.response {
                Some(response) => response,
                None => {
                    let opened = self.open().await?;
                    self.response.insert(opened)
                }
            };
            match self.exchange.transport().chunk(response).await {
                Ok(Some(bytes)) => {
                    let bytes = self.accept(bytes)?;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) if self.size.is_none_or(|size| self.position == size) => return Ok(None),
                Ok(None) => self.broken("the answer ended too early").await?,
                // All is there; how the connection ends does not matter.
                Err(_) if self.size == Some(self.position) => return Ok(None),
                Err(failure) => self.broken(&failure.reason).await?,
            }
        }
    }

    /// Takes bytes of the response in: drops what came before, hashes the rest.
    fn accept(&mut self, mut bytes: Bytes) -> Result<Bytes> {
        let dropped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        bytes.advance(dropped);
        self.skip -= dropped as u64;
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let mut verifier = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
        verifier.update(self.position, &bytes);
        drop(verifier);
        self.position += bytes.len() as u64;
        self.patience.reset();
        match self.size {
            Some(size) if self.position > size => {
                Err(self.corrupt(format!("it has more than the {size} bytes announced")))
            }
            _ => Ok(bytes),
        }
    }

    /// Waits after the connection broke.
    async fn broken(&mut self, reason: &str) -> Result<()> {
        self.response = None;
        let of = self.size.map_or(String::new(), |size| format!(" of {size}"));
        let failure = NoAnswer::passing(format!("{reason}, after {}{of} bytes", self.position));
        self.patience.after(Failure::NoAnswer(failure)).await
    }

    /// Asks for the bytes from the position on.
    async fn open(&mut self) -> Result<Response> {
        self.call.headers.clear();
        if self.position > 0 {
            let range = format!("bytes={}-", self.position);
            // Digits and ASCII letters are a header value.
            let value = HeaderValue::from_str(&range).map_err(|e| self.corrupt(e.to_string()))?;
            self.call.headers.insert(RANGE, value);
        }
        loop {
            let mut response = match self.exchange.once(&self.call).await {
                Ok(response) => response,
                Err(failure) => {
                    self.patience.after(failure).await?;
                    continue;
                }
            };
            let status = response.status();
            if is_transient(status) {
                let refusal = self.exchange.refusal(&mut response).await;
                let headers = response.headers();
                self.patience.after_status(status, headers, &refusal).await?;
                continue;
            }
            match status {
                StatusCode::OK => self.skip = self.position,
                StatusCode::PARTIAL_CONTENT => {
                    self.skip = 0;
                    self.check_range(&response)?;
                }
                _ => return Err(self.exchange.error(&self.call, response).await),
            }
            self.check_length(&response)?;
            return Ok(response);
        }
    }

    /// `Content-Range: bytes START-END/TOTAL` must start where we asked.
    fn check_range(&self, response: &Response) -> Result<()> {
        let header = response.headers().get(CONTENT_RANGE);
        let text = header.and_then(|v| v.to_str().ok()).unwrap_or_default();
        let start = text.strip_prefix("bytes ").and_then(|rest| rest.split('-').next());
        match start.and_then(|start| start.parse::<u64>().ok()) {
            Some(start) if start == self.position => Ok(()),
            _ => {
                Err(self
                    .corrupt(format!("bytes from {} on were asked for, the registry sends `{text}`", self.position)))
            }
        }
    }

    /// Learns the size, or checks it before anything is read.
    fn check_length(&mut self, response: &Response) -> Result<()> {
        let Some(length) = response.content_length() else { return Ok(()) };
        let whole = self.position - self.skip + length;
        match self.size {
            Some(size) if size != whole => Err(self.corrupt(format!("it has {whole} bytes, not the {size} announced"))),
            _ => {
                self.size = Some(whole);
                Ok(())
            }
        }
    }

    fn verify(&self) -> Result<()> {
        let verifier = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
        match verifier.mismatch() {
            Some(found) => Err(self.corrupt(format!("its bytes have the digest {found}"))),
            None => Ok(()),
        }
    }

    fn corrupt(&self, reason: String) -> Error {
        Error::Corrupt { subject: self.call.subject.clone(), reason }
    }
}
