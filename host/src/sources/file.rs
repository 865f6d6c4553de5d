//! Files behind URLs, into the store.

use std::time::SystemTime;

use steprun_client::{Digest, ObjectStore, Url};
use steprun_snapshot::Descriptor;

use super::known::Known;
use crate::bindings::types;
use crate::error::{CallError, CallResult};
use crate::session::Session;
use crate::store::{BlobHandle, Origin, Sink};

/// No fetched file is larger, in bytes: a server that never ends must not fill every disk.
const LARGEST: u64 = 64 << 30;

/// A file that was fetched.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its content.
    pub blob: BlobHandle,
    /// When it was last modified, as its server says.
    pub modified: Option<SystemTime>,
}

/// Fetches the file behind a URL, unless it is in the store and its server says that it has not changed. Whether that is granted was asked before.
///
/// # Errors
/// `not-found`, `corrupt` if it does not have the digest, `invalid` for a URL of another scheme or one with credentials.
pub async fn fetch(session: &Session, url: &Url, digest: Option<&Digest>) -> CallResult<Fetched> {
    fetch_from(session, None, url, digest).await
}

/// The same for an object of a store, which answers for who asks.
///
/// # Errors
/// As for [`fetch`], and refusals in the store's words.
pub(super) async fn fetch_object(
    session: &Session,
    objects: &ObjectStore,
    url: &Url,
    digest: Option<&Digest>,
) -> CallResult<Fetched> {
    fetch_from(session, Some(objects), url, digest).await
}

async fn fetch_from(
    session: &Session,
    objects: Option<&ObjectStore>,
    url: &Url,
    digest: Option<&Digest>,
) -> CallResult<Fetched> {
    let store = session.store()?;
    let known = Known::read(store, url).filter(|known| digest.is_none_or(|digest| *digest == known.digest));
    let writer = match digest {
        Some(digest) => store.writer_for(digest)?,
        None => store.writer()?,
    };
    let mut sink = Sink { writer, reader: None };
    let validator = known.as_ref().map(|known| known.validator.as_str());
    let client = session.client()?;
    let fetched = match objects {
        Some(objects) => client.fetch_object(objects, url, LARGEST, validator, &mut sink).await?,
        None => client.fetch_file(url, LARGEST, validator, &mut sink).await?,
    };
    let file = match (fetched, known) {
        (Some(file), _) => file,
        (None, Some(known)) => return Ok(known.fetched()),
        (None, None) => return Err(CallError::invalid(format_args!("{url} did not change, but was never fetched"))),
    };
    let (digest, size) = sink.writer.finish(digest.map(|digest| (digest, file.size))).map_err(|error| match error {
        steprun_snapshot::Error::Corrupt(reason) => {
            CallError::Error(types::Error::Corrupt(format!("{}: {reason}", super::place_of(url))))
        }
        error => error.into(),
    })?;
    let modified = file.modified;
    match file.validator {
        Some(validator) => {
            let known = Known { validator, digest, size, modified };
            known.write(store, url);
            Ok(known.fetched())
        }
        None => Ok(fetched_blob(digest, size, modified)),
    }
}

pub(super) fn fetched_blob(digest: Digest, size: u64, modified: Option<SystemTime>) -> Fetched {
    let descriptor = Descriptor { media_type: "application/octet-stream".to_owned(), digest, size };
    Fetched { blob: BlobHandle { descriptor, origin: Origin::Store }, modified }
}
