//! The calls that a registry answers: manifests, lists, blobs down, blobs up.

mod copy;
mod file;
mod lists;
mod manifests;
mod pull;
mod referrers;
mod token;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oci_spec::image::Digest;
use tokio::sync::Mutex;

use crate::exchange::Exchange;
use crate::{Keychain, RepositoryName, Result, RetryPolicy, TlsSettings};
pub use file::RemoteFile;
use upload::UploadPlace;

/// Called with a registry and the text of a warning that it sent (`Warning: 299`), once for each text.
pub type OnWarning = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Called after each request with a line about it: method, URL without its query, status or why there is none, milliseconds.
pub type OnRequest = Arc<dyn Fn(&str) + Send + Sync>;

/// How a [`Client`] behaves.
#[derive(Clone)]
pub struct Config {
    /// The `User-Agent` of each request.
    pub user_agent: String,
    /// Who asks.
    pub keychain: Keychain,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// How often to try.
    pub retry: RetryPolicy,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a connection may be silent while an answer or a transfer is under way. There is no limit on the whole.
    pub idle_timeout: Duration,
    /// The largest body of one upload request, in bytes. `None` sends a blob in one request, and falls back to chunks only when
    /// the registry or a proxy refuses that.
    pub upload_chunk: Option<u64>,
    /// What to do with warnings.
    pub on_warning: Option<OnWarning>,
    /// What to do with lines about requests.
    pub on_request: Option<OnRequest>,
}

impl Default for Config {
    /// No credentials, the system's authorities, five tries, 20 s to connect and 60 s of silence.
    fn default() -> Self {
        Config {
            user_agent: concat!("steprun/", env!("CARGO_PKG_VERSION")).to_owned(),
            keychain: Keychain::anonymous(),
            tls: TlsSettings::default(),
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            upload_chunk: None,
            on_warning: None,
            on_request: None,
        }
    }
}

/// An OCI descriptor without its optional properties.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// The bytes of a manifest or index, verified against their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The media type.
    pub media_type: String,
    /// The digest of `content`.
    pub digest: Digest,
    /// The bytes as the registry keeps them.
    pub content: Bytes,
}

/// A manifest that refers to another one as its subject: a signature, a bill of materials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The referring manifest.
    pub descriptor: Descriptor,
    /// What it says that it is. Some tools leave it out here and state it in the manifest only.
    pub artifact_type: Option<String>,
    /// Its annotations, as the registry lists them.
    pub annotations: BTreeMap<String, String>,
}

/// How a blob came to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was there.
    Existing,
    /// Mounted from another repository of the registry: no bytes moved.
    Mounted,
    /// Uploaded from the source, or streamed from another registry.
    Uploaded,
}

/// What the registry made of a mount.
#[derive(Debug)]
pub enum Mount {
    /// The blob is in the repository now.
    Mounted,
    /// The registry did not mount it, and waits for an upload instead.
    NotMounted(UploadSession),
}

/// An upload that was started. Go on with it ([`Client::push_blob_in`]) or cancel it ([`Client::cancel`]).
#[derive(Debug)]
pub struct UploadSession {
    repository: RepositoryName,
    place: UploadPlace,
}

/// Told how many bytes of a blob have been transferred so far. Goes back when a transfer starts over.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(u64) + Send + Sync>>);

impl Progress {
    /// Calls `report` with the bytes transferred so far, often and from any thread.
    pub fn new(report: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Progress(Some(Arc::new(report)))
    }

    pub(crate) fn report(&self, transferred: u64) {
        if let Some(report) = &self.0 {
            report(transferred);
        }
    }

    /// Tells nobody.
    pub fn none() -> Self {
        Progress(None)
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress" } else { "Progress::none" })
    }
}

/// A client of registries. Cheap to clone; clones share connections, tokens and what was learnt about registries. Any number of
/// calls may run at once: how many is the caller's choice.
#[derive(Clone)]
pub struct Client {
    exchange: Arc<Exchange>,
    upload_chunk: Option<u64>,
    /// Fallback tags of referrers are read, changed and written; one at a time, so that no entry of ours is lost.
    referrers: Arc<Mutex<()>>,
}

impl Client {
    /// Makes a client. Reads the certificates that `config` names; asks no registry.
    ///
    /// # Errors
    /// [`crate::Error::Io`] and [`crate::Error::Invalid`] for a certificate file that can't be read.
    pub fn new(config: Config) -> Result<Self> {
        Ok(Client {
            exchange: Arc::new(Exchange::new(&config)?),
            upload_chunk: config.upload_chunk.map(|chunk| chunk.max(1)),
            referrers: Arc::default(),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// `registry/repository@digest`, for messages.
fn blob_subject(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{repository}@{digest}")
}

#[cfg(test)]
mod tests;
