//! Files of any server: no registry, no credentials, no digest that is known before.

use std::time::SystemTime;

use bytes::{Buf, Bytes};
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Client;
use crate::exchange::body::Body;
use crate::exchange::wire::{Failure, Outgoing};
use crate::exchange::{Exchange, Patience};
use crate::retry::{is_transient, retry_after};
use crate::transport::NoAnswer;
use crate::{Error, Result};

/// What is known of a file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// In bytes.
    pub size: u64,
    /// `Last-Modified`, if the server said it.
    pub modified: Option<SystemTime>,
    /// What tells later whether the file is still the same: a strong `ETag`, else `Last-Modified` (RFC 9110, section 13.1.5).
    pub validator: Option<String>,
}

impl Client {
    /// Writes the file behind an `http` or `https` URL to `sink`, which is flushed, not closed. No credentials are sent. Redirects are followed, but none
    /// from TLS to plain HTTP, nor one from elsewhere to this machine. A transfer that breaks off goes on where it stopped, if the server
    /// says how to tell that the file is still the same. With the validator of an earlier transfer nothing is written if the file has not changed
    /// since; then there is no answer.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Status`] for other refusals, [`Error::Invalid`] for a URL of another scheme, one with credentials, and a file
    /// of more than `limit` bytes; [`Error::Corrupt`] if the file changed meanwhile, [`Error::Io`] for the sink.
    pub async fn fetch_file<W: AsyncWrite + Unpin>(
        &self,
        url: &Url,
        limit: u64,
        known: Option<&str>,
        sink: &mut W,
    ) -> Result<Option<RemoteFile>> {
        let subject = shown(url);
        check(url).map_err(|reason| Error::Invalid { subject: subject.clone(), reason })?;
        let patience = self.exchange.patience(&subject);
        let known = known.and_then(|known| HeaderValue::from_str(known).ok());
        let mut transfer =
            Transfer { exchange: &self.exchange, url, subject, patience, limit, known, at: At::default() };
        let Some(response) = transfer.open().await? else { return Ok(None) };
        transfer.known = None;
        transfer.at.response = Some(response);
        while let Some(bytes) = transfer.next().await? {
            let wrote = sink.write_all(&bytes).await;
            wrote.map_err(|error| Error::io(&*transfer.subject, &error))?;
        }
        sink.flush().await.map_err(|error| Error::io(&*transfer.subject, &error))?;
        let At { position, modified, validator, .. } = transfer.at;
        let validator = validator.and_then(|value| value.to_str().ok().map(str::to_owned));
        Ok(Some(RemoteFile { size: position, modified, validator }))
    }
}

/// A URL for messages: its query may hold a signature.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Neither can fail for a URL with a host, and one without is refused.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.into()
}

fn check(url: &Url) -> std::result::Result<(), String> {
    match url.scheme() {
        "http" | "https" if url.username().is_empty() && url.password().is_none() => Ok(()),
        "http" | "https" => {
            Err("a URL with credentials is refused: it would be kept in places that others can read".to_owned())
        }
        scheme => Err(format!("files are fetched by http and https, not by `{scheme}`")),
    }
}

/// How far a transfer is.
#[derive(Default)]
struct At {
    response: Option<Response>,
    position: u64,
    /// How many bytes of the response come before the position.
    skip: u64,
    /// What must be unchanged for a transfer to go on.
    validator: Option<HeaderValue>,
    modified: Option<SystemTime>,
}

struct Transfer<'a> {
    exchange: &'a Exchange,
    url: &'a Url,
    subject: String,
    patience: Patience,
    limit: u64,
    /// The validator of a file that need not come again.
    known: Option<HeaderValue>,
    at: At,
}

impl Transfer<'_> {
    /// The next bytes; none after the last.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.at.response.is_none() {
                self.at.response = self.open().await?;
            }
            let Some(response) = &mut self.at.response else { continue };
            match self.exchange.transport().chunk(response).await {
                Ok(None) => return Ok(None),
                Ok(Some(bytes)) => {
                    let bytes = self.accept(bytes)?;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Err(failure) => self.broken(&failure.reason).await?,
            }
        }
    }

    fn accept(&mut self, mut bytes: Bytes) -> Result<Bytes> {
        let known = usize::try_from(self.at.skip).unwrap_or(usize::MAX).min(bytes.len());
        bytes.advance(known);
        self.at.skip -= known as u64;
        self.at.position += bytes.len() as u64;
        if !bytes.is_empty() {
            self.patience.reset();
        }
        if self.at.position > self.limit { Err(self.too_large()) } else { Ok(bytes) }
    }

    /// Waits after the connection broke, if the transfer can go on at all.
    async fn broken(&mut self, reason: &str) -> Result<()> {
        self.at.response = None;
        let reason = format!("{reason}, after {} bytes", self.at.position);
        let resumable = self.at.position == 0 || self.at.validator.is_some();
        let failure = if resumable { NoAnswer::passing(reason) } else { NoAnswer::lasting(reason) };
        self.patience.after(Failure::NoAnswer(failure)).await
    }

    /// Asks for the bytes from the position on; none where they are known.
    async fn open(&mut self) -> Result<Option<Response>> {
        loop {
            let headers = self.headers()?;
            let outgoing = Outgoing { method: Method::GET, headers, body: Body::Empty, subject: &self.subject };
            let response = match self.exchange.wire.follow(self.url, &outgoing, None).await {
                Ok(answer) => answer.response,
                Err(failure) => {
                    self.patience.after(failure).await?;
                    continue;
                }
            };
            let status = response.status();
            if is_transient(status) {
                let asked = retry_after(response.headers(), SystemTime::now());
                self.patience.wait(format!("the server answers {status}"), asked).await?;
                continue;
            }
            if status == StatusCode::NOT_MODIFIED && self.known.is_some() {
                return Ok(None);
            }
            self.begin(&response)?;
            return Ok(Some(response));
        }
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let (Some(validator), 1..) = (&self.at.validator, self.at.position) {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.at.position));
            headers.insert(RANGE, range.map_err(|error| self.changed(&error.to_string()))?);
            headers.insert(IF_RANGE, validator.clone());
        } else if let Some(known) = &self.known {
            let condition = if known.as_bytes().starts_with(b"\"") { IF_NONE_MATCH } else { IF_MODIFIED_SINCE };
            headers.insert(condition, known.clone());
        }
        Ok(headers)
    }

    /// Looks at the head of an answer.
    fn begin(&mut self, response: &Response) -> Result<()> {
        let subject = self.subject.clone();
        let validator = validator(response.headers());
        match response.status() {
            StatusCode::OK if self.at.position > 0 && validator != self.at.validator => {
                return Err(self.changed("it changed while it was fetched"));
            }
            StatusCode::OK => self.at.skip = self.at.position,
            StatusCode::PARTIAL_CONTENT if self.at.position > 0 => self.check_range(response)?,
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let reason = format!("the server answers {}", response.status());
                return Err(Error::NotFound { subject, reason });
            }
            status => return Err(Error::Status { subject, status: status.to_string() }),
        }
        let modified = response.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
        self.at.modified = modified.and_then(|text| httpdate::parse_http_date(text).ok());
        self.at.validator = validator;
        let whole = response.content_length().map(|length| length.saturating_add(self.at.position - self.at.skip));
        if whole.is_some_and(|whole| whole > self.limit) { Err(self.too_large()) } else { Ok(()) }
    }

    /// `Content-Range: bytes START-END/TOTAL` must start where we asked.
    fn check_range(&mut self, response: &Response) -> Result<()> {
        self.at.skip = 0;
        let text = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let start = text.strip_prefix("bytes ").and_then(|rest| rest.split('-').next()?.parse::<u64>().ok());
        match start {
            Some(start) if start == self.at.position => Ok(()),
            _ => Err(self.changed(&format!("bytes from {} on were asked for, `{text}` came", self.at.position))),
        }
    }

    fn changed(&self, reason: &str) -> Error {
        Error::Corrupt { subject: self.subject.clone(), reason: reason.to_owned() }
    }

    fn too_large(&self) -> Error {
        Error::Invalid { subject: self.subject.clone(), reason: format!("it has more than {} bytes", self.limit) }
    }
}

fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}
