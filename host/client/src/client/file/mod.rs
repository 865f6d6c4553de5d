//! Files of any server, and objects of stores: no registry, no digest that is known before.

mod transfer;

use std::time::SystemTime;

use reqwest::Url;
use reqwest::header::HeaderValue;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Client;
use crate::{Error, ObjectStore, Result};
use transfer::{Place, Transfer};

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
        self.fetch(Place { url, store: None }, limit, known, sink).await
    }

    /// The same for an object of a store, which is asked with the store's login. No redirect is followed: what leads elsewhere must not get a
    /// signed request.
    ///
    /// # Errors
    /// As for [`Client::fetch_file`]; [`Error::Status`] in the store's own words.
    pub async fn fetch_object<W: AsyncWrite + Unpin>(
        &self,
        store: &ObjectStore,
        url: &Url,
        limit: u64,
        known: Option<&str>,
        sink: &mut W,
    ) -> Result<Option<RemoteFile>> {
        self.fetch(Place { url, store: Some(store) }, limit, known, sink).await
    }

    async fn fetch<W: AsyncWrite + Unpin>(
        &self,
        place: Place<'_>,
        limit: u64,
        known: Option<&str>,
        sink: &mut W,
    ) -> Result<Option<RemoteFile>> {
        let subject = shown(place.url);
        check(place.url).map_err(|reason| Error::Invalid { subject: subject.clone(), reason })?;
        let known = known.and_then(|known| HeaderValue::from_str(known).ok());
        let mut transfer = Transfer::new(&self.exchange, place, subject, limit, known);
        if !transfer.begin().await? {
            return Ok(None);
        }
        while let Some(bytes) = transfer.next().await? {
            let wrote = sink.write_all(&bytes).await;
            wrote.map_err(|error| Error::io(transfer.subject(), &error))?;
        }
        sink.flush().await.map_err(|error| Error::io(transfer.subject(), &error))?;
        Ok(Some(transfer.into_file()))
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
