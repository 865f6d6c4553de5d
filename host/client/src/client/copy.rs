//! Blobs from one repository to another, without the disk.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use oci_spec::image::Digest;

use super::pull::BlobStream;
use super::{Client, Mount, Progress, PushOutcome};
use crate::exchange::Exchange;
use crate::verify::Verifier;
use crate::{BlobSource, ByteStream, OpenFuture, RepositoryName, Result};

impl Client {
    /// Makes a blob of the repository `from`, of any registry, available in `to` by the cheapest way: it is there, a mount, a
    /// stream from one registry to the other that never touches the disk. The digest is verified while the bytes pass.
    ///
    /// # Errors
    /// Those of [`Client::pull_blob`] and [`Client::push_blob`]; each names the repository that it is about.
    pub async fn copy_blob(
        &self,
        from: &RepositoryName,
        to: &RepositoryName,
        digest: &Digest,
        size: u64,
        progress: &Progress,
    ) -> Result<PushOutcome> {
        // A mount of what is there succeeds too, so that it need not be asked for first.
        let session = match from.registry() == to.registry() {
            true => match self.mount(to, digest, from).await? {
                Mount::Mounted => return Ok(PushOutcome::Mounted),
                Mount::NotMounted(session) => Some(session),
            },
            false => None,
        };
        if self.blob_exists(to, digest).await? {
            if let Some(session) = session {
                // It is cleaned up by the registry in time, where it can't be cancelled.
                let _ = self.cancel(session).await;
            }
            return Ok(PushOutcome::Existing);
        }
        let session = match session {
            Some(session) => session,
            None => self.start_upload(to).await?,
        };
        let source = RegistrySource {
            exchange: Arc::clone(&self.exchange),
            repository: from.clone(),
            digest: digest.clone(),
            size,
            verifier: BlobStream::verifier(from, digest)?,
        };
        self.push_blob_in(session, digest, size, &source, progress).await?;
        Ok(PushOutcome::Uploaded)
    }
}

/// A blob that lies in a registry. All its readers share one hash, so that an upload that goes back is still verified as a whole.
struct RegistrySource {
    exchange: Arc<Exchange>,
    repository: RepositoryName,
    digest: Digest,
    size: u64,
    verifier: Arc<Mutex<Verifier>>,
}

impl BlobSource for RegistrySource {
    fn open(&self, offset: u64) -> OpenFuture<'_> {
        let blob = BlobStream::new(
            Arc::clone(&self.exchange),
            &self.repository,
            &self.digest,
            Some(self.size),
            offset,
            Arc::clone(&self.verifier),
        );
        let bytes = stream::try_unfold(blob, |mut blob| async move {
            let next = blob.next().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(next.map(|bytes| (bytes, blob)))
        });
        let bytes: ByteStream = Box::pin(bytes);
        Box::pin(std::future::ready(Ok(bytes)))
    }
}
