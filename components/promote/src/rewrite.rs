//! Changing an image, or every image of an index: the index stays one, with all that it says of its images.

use steprun_image::{Descriptor, Document, Index, Manifest, Platform, media_type};
use steprun_ports::{self as ports, Failure, Host, ImageArgument, Level, Repository, concurrently};

use crate::bundle::{Bundle, is_document, whole};
use crate::draft::{self, Draft};
use crate::fetch;

/// An image that is to be changed.
pub(crate) struct Original<B> {
    /// `registry/repository@digest`.
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) draft: Draft<B>,
}

/// Changes the image that an argument names. Of an index, each image is changed; with a platform, only the image for it is taken, and
/// the result is that image alone. Attestations go, since they are about the images as they were; other artifacts stay as they are.
pub(crate) async fn rewrite<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    platform: Option<&Platform>,
    jobs: usize,
    change: impl AsyncFn(Original<H::Blob>) -> Result<Draft<H::Blob>, Failure>,
) -> Result<Bundle<H::Blob>, Failure> {
    let root = fetch::fetch(image, platform).await?;
    let rewriter = Rewriter { host, repository: &image.repository, jobs, change };
    match fetch::parse(&rewriter.name(&root.descriptor.digest), &root)? {
        Document::Manifest(manifest) => {
            let digest = root.descriptor.digest;
            if manifest.is_image() {
                return rewriter.image(digest, *manifest).await;
            }
            let (name, kind) = (rewriter.name(&digest), &manifest.config.media_type);
            Err(Failure::failed(format!("{name} is no container image: its config is `{kind}`")))
        }
        Document::Index(index) => rewriter.index(*index).await,
    }
}

struct Rewriter<'a, H: Host, F> {
    host: &'a H,
    repository: &'a H::Repository,
    jobs: usize,
    change: F,
}

impl<H: Host, F> Rewriter<'_, H, F>
where
    F: AsyncFn(Original<H::Blob>) -> Result<Draft<H::Blob>, Failure>,
{
    fn name(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository.name())
    }

    async fn image(&self, digest: String, manifest: Manifest) -> Result<Bundle<H::Blob>, Failure> {
        let name = self.name(&digest);
        let draft = Draft::read(self.repository, &name, manifest).await?;
        let changed = (self.change)(Original { name, digest, draft }).await?;
        Ok(changed.finish(self.host).await?.into())
    }

    async fn index(&self, mut index: Index) -> Result<Bundle<H::Blob>, Failure> {
        let is_attestation = |entry: &Descriptor| entry.platform.as_ref().is_some_and(Platform::is_unknown);
        let (attestations, entries): (Vec<_>, Vec<_>) = index.manifests.drain(..).partition(is_attestation);
        if !attestations.is_empty() {
            let message =
                format!("the result has no attestations: {} were about the images as they were", attestations.len());
            self.host.log(Level::Warning, &message);
        }
        let (documents, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| is_document(&entry.media_type));
        let bundles = concurrently(self.jobs, &documents, |entry| Box::pin(self.entry(entry))).await?;
        let (mut children, mut blobs) = (Vec::new(), Vec::new());
        for (entry, bundle) in documents.into_iter().zip(bundles) {
            let descriptor = Bundle::absorb(&mut children, &mut blobs, bundle);
            index.manifests.push(entry.replaced_by(&descriptor));
        }
        blobs.extend(others.iter().map(|other| self.repository.blob(&other.port())));
        index.manifests.extend(others);
        let root = finish_index(self.host, index).await?;
        Ok(Bundle { children, root, blobs })
    }

    /// What becomes of an entry of an index.
    async fn entry(&self, entry: &Descriptor) -> Result<Bundle<H::Blob>, Failure> {
        let manifest = fetch::by_digest(self.repository, &entry.digest).await?;
        match fetch::parse(&self.name(&entry.digest), &manifest)? {
            Document::Manifest(parsed) if parsed.is_image() => self.image(entry.digest.clone(), *parsed).await,
            Document::Manifest(_) => whole(self.repository, manifest, self.jobs).await,
            Document::Index(index) => self.index(*index).await,
        }
    }
}

/// An index whose entries have changed. Docker's becomes OCI's if an entry is: Docker's may not name such.
pub(crate) async fn finish_index<H: Host>(host: &H, mut index: Index) -> Result<ports::Manifest, Failure> {
    if index.manifests.iter().any(|entry| !media_type::is_docker(&entry.media_type)) {
        index.media_type = media_type::to_oci(&index.media_type).into();
    }
    draft::describe(host, &index.media_type, index.to_bytes()).await
}
