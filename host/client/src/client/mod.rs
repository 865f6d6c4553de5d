//! The calls that a registry answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oci_spec::image::Digest;
use tokio::io::AsyncWrite;

use crate::{BlobSource, Keychain, RepositoryName, Result, RetryPolicy, Selector, TlsSettings};

/// Called with a registry and the text of a warning that it sent (`Warning: 299`), once for each text.
pub type OnWarning = Arc<dyn Fn(&str, &str) + Send + Sync>;

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
}

/// Told how many bytes of a blob have been transferred so far. Goes back when a transfer starts over.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(u64) + Send + Sync>>);

impl Progress {
    /// Calls `report` with the bytes transferred so far, often and from any thread.
    pub fn new(report: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Progress(Some(Arc::new(report)))
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
pub struct Client;

impl Client {
    /// Makes a client. Reads the certificates that `config` names; asks no registry.
    ///
    /// # Errors
    /// [`crate::Error::Io`] and [`crate::Error::Invalid`] for a certificate file that can't be read.
    pub fn new(config: Config) -> Result<Self> {
        todo!("{}", config.user_agent)
    }

    /// What a tag or digest refers to, or none. Costs a HEAD request, and a GET where the registry's answer lacks the digest.
    pub async fn head(&self, repository: &RepositoryName, selector: &Selector) -> Result<Option<Descriptor>> {
        todo!("{repository} {selector}")
    }

    /// Reads a manifest of at most 4 MiB.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]; [`crate::Error::Corrupt`] if it does not have the digest asked for, or not the one that the
    /// registry announces.
    pub async fn manifest(&self, repository: &RepositoryName, selector: &Selector) -> Result<Manifest> {
        todo!("{repository} {selector}")
    }

    /// Puts a manifest under a tag or its digest, and gives its digest. What it refers to must be there. Where the manifest has
    /// a subject and the registry no referrers API, the fallback tag of the subject is kept up.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        selector: &Selector,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> Result<Digest> {
        todo!("{repository} {selector} {media_type} {:?}", content.into())
    }

    /// Deletes a manifest (a digest) or a tag.
    pub async fn delete_manifest(&self, repository: &RepositoryName, selector: &Selector) -> Result<()> {
        todo!("{repository} {selector}")
    }

    /// All tags, in the registry's order.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Vec<String>> {
        todo!("{repository}")
    }

    /// The manifests whose subject is `digest`, from the referrers API or, where there is none, from the fallback tag.
    pub async fn referrers(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>> {
        todo!("{repository} {digest}")
    }

    /// Whether the repository holds a blob. Costs a HEAD request.
    pub async fn blob_exists(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        todo!("{repository} {digest}")
    }

    /// Makes a blob of the repository `from` available in `repository`, without moving bytes. Both must be of one registry.
    pub async fn mount(&self, repository: &RepositoryName, digest: &Digest, from: &RepositoryName) -> Result<Mount> {
        todo!("{repository} {digest} {from}")
    }

    /// Writes a blob to `sink` and gives its size in bytes. Digest and (if given) size are verified while the bytes pass; on
    /// [`crate::Error::Corrupt`] the sink holds bytes that must be thrown away. A transfer that breaks off goes on where it
    /// stopped. `sink` is flushed, not closed.
    pub async fn pull_blob<W: AsyncWrite + Unpin>(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: Option<u64>,
        sink: &mut W,
        progress: &Progress,
    ) -> Result<u64> {
        let _ = (size, sink, progress);
        todo!("{repository} {digest}")
    }

    /// Uploads a blob of `size` bytes, unless it is there.
    pub async fn push_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        source: &dyn BlobSource,
        progress: &Progress,
    ) -> Result<PushOutcome> {
        let _ = (size, source, progress);
        todo!("{repository} {digest}")
    }

    /// Uploads a blob of `size` bytes in a session that [`Client::mount`] left open.
    pub async fn push_blob_in(
        &self,
        session: UploadSession,
        digest: &Digest,
        size: u64,
        source: &dyn BlobSource,
        progress: &Progress,
    ) -> Result<()> {
        let _ = (size, source, progress);
        todo!("{} {digest}", session.repository)
    }

    /// Gives up an upload.
    pub async fn cancel(&self, session: UploadSession) -> Result<()> {
        todo!("{}", session.repository)
    }

    /// Makes a blob of the repository `from`, of any registry, available in `to` by the cheapest way: it is there, a mount, a
    /// stream from one registry to the other that never touches the disk. The digest is verified while the bytes pass.
    pub async fn copy_blob(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        digest: &Digest,
        size: u64,
        progress: &Progress,
    ) -> Result<PushOutcome> {
        let _ = (size, progress);
        todo!("{from} {to} {digest}")
    }

    /// Fails unless the registry would let this caller push: starts an upload and cancels it.
    pub async fn check_push(&self, repository: &RepositoryName) -> Result<()> {
        todo!("{repository}")
    }
}
