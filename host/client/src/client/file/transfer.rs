//! One file from its first byte to its last, over as many connections as that takes.

use std::time::SystemTime;

use bytes::{Buf, Bytes};
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::RemoteFile;
use crate::exchange::body::Body;
use crate::exchange::wire::{Failure, Outgoing};
use crate::exchange::{Exchange, Patience, REFUSAL_LIMIT, read_limited};
use crate::object;
use crate::retry::{is_transient, retry_after};
use crate::transport::NoAnswer;
use crate::{Error, ObjectStore, Result};

/// Where a file is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) url: &'a Url,
    /// The store that it is an object of.
    pub(super) store: Option<&'a ObjectStore>,
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

/// A file on its way.
pub(super) struct Transfer<'a> {
    exchange: &'a Exchange,
    place: Place<'a>,
    subject: String,
    patience: Patience,
    limit: u64,
    /// The validator of a file that need not come again.
    known: Option<HeaderValue>,
    at: At,
}

impl<'a> Transfer<'a> {
    /// One of a file of at most `limit` bytes; `known` is the validator of an earlier one.
    pub(super) fn new(
        exchange: &'a Exchange,
        place: Place<'a>,
        subject: String,
        limit: u64,
        known: Option<HeaderValue>,
    ) -> Self {
        let patience = exchange.patience(&subject);
        Self { exchange, place, subject, patience, limit, known, at: At::default() }
    }

    /// What it is about, for messages.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Asks for the file; false if it is known.
    pub(super) async fn begin(&mut self) -> Result<bool> {
        self.at.response = self.open().await?;
        self.known = None;
        Ok(self.at.response.is_some())
    }

    /// What is known of the file after its last byte.
    pub(super) fn into_file(self) -> RemoteFile {
        let At { position, modified, validator, .. } = self.at;
        let validator = validator.and_then(|value| value.to_str().ok().map(str::to_owned));
        RemoteFile { size: position, modified, validator }
    }

    /// The next bytes; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
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
            let response = match self.ask().await {
                Ok(response) => response,
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
            if let (Some(store), false) = (self.place.store, status.is_success()) {
                return Err(self.refused(store, response).await);
            }
            self.look_at(&response)?;
            return Ok(Some(response));
        }
    }

    async fn ask(&self) -> std::result::Result<Response, Failure> {
        let Place { url, store } = self.place;
        let mut headers = self.headers()?;
        if let Some(store) = store {
            store.sign(url, &mut headers, SystemTime::now());
        }
        let outgoing = Outgoing { method: Method::GET, headers, body: Body::Empty, subject: &self.subject };
        match store {
            Some(_) => self.exchange.wire.send(url, &outgoing, None).await,
            None => self.exchange.wire.follow(url, &outgoing, None).await.map(|answer| answer.response),
        }
    }

    /// Why a store gives no object, in its own words.
    async fn refused(&self, store: &ObjectStore, mut response: Response) -> Error {
        let status = response.status();
        let body = read_limited(self.exchange.transport(), &mut response, REFUSAL_LIMIT).await;
        let words = object::words(&body.ok().flatten().unwrap_or_default());
        let said = if words.is_empty() { status.to_string() } else { format!("{status}: {words}") };
        let subject = self.subject.clone();
        match status {
            StatusCode::NOT_FOUND => Error::NotFound { subject, reason: format!("the store answers {said}") },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Error::Status { subject, status: format!("{said} ({})", store.asker()) }
            }
            _ => Error::Status { subject, status: said },
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
    fn look_at(&mut self, response: &Response) -> Result<()> {
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
