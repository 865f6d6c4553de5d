//! An image or index with all that it refers to.

use std::collections::BTreeSet;

use steprun_image::{Document, media_type};
use steprun_ports::{Descriptor, Failure, Manifest, Repository, concurrently};

use crate::draft::Finished;
use crate::fetch;

/// A manifest or index, ready to be put into a repository or file together with what it refers to.
pub(crate) struct Bundle<B> {
    /// The manifests that the root leads to. Each stands behind those that it refers to; one may be there twice.
    pub(crate) children: Vec<Manifest>,
    pub(crate) root: Manifest,
    /// Configs, layers and what else the manifests refer to.
    pub(crate) blobs: Vec<B>,
}

impl<B> From<Finished<B>> for Bundle<B> {
    fn from(Finished { manifest, blobs }: Finished<B>) -> Self {
        Self { children: Vec::new(), root: manifest, blobs }
    }
}

impl<B> Bundle<B> {
    /// Takes the bundle of a child in: what stays is its root's descriptor.
    pub(crate) fn absorb(children: &mut Vec<Manifest>, blobs: &mut Vec<B>, child: Self) -> Descriptor {
        let descriptor = child.root.descriptor.clone();
        children.extend(child.children);
        children.push(child.root);
        blobs.extend(child.blobs);
        descriptor
    }
}

/// What a manifest refers to.
struct References {
    documents: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
}

/// All that is below a manifest as it is, read from its repository.
pub(crate) async fn whole<R: Repository>(
    repository: &R,
    root: Manifest,
    jobs: usize,
) -> Result<Bundle<R::Blob>, Failure> {
    let read = async |child: &Descriptor| fetch::by_digest(repository, &child.digest).await;
    let Bundle { children, root, blobs } = tree(&repository.name(), root, jobs, read).await?;
    let blobs = blobs.iter().map(|blob| repository.blob(blob)).collect();
    Ok(Bundle { children, root, blobs })
}

/// All that is below a manifest, which `read` gives; of blobs the descriptors, each once. `place` is where it is in messages.
pub(crate) async fn tree(
    place: &str,
    root: Manifest,
    jobs: usize,
    read: impl AsyncFn(&Descriptor) -> Result<Manifest, Failure>,
) -> Result<Bundle<Descriptor>, Failure> {
    let References { documents: mut wanted, mut blobs } = references(place, &root)?;
    let mut levels: Vec<Vec<Manifest>> = Vec::new();
    while !wanted.is_empty() {
        let mut seen = BTreeSet::new();
        wanted.retain(|child| seen.insert(child.digest.clone()));
        let level = concurrently(jobs, &wanted, |child| read(child)).await?;
        wanted = Vec::new();
        for manifest in &level {
            let found = references(place, manifest)?;
            wanted.extend(found.documents);
            blobs.extend(found.blobs);
        }
        levels.push(level);
    }
    let mut seen = BTreeSet::new();
    blobs.retain(|blob| seen.insert(blob.digest.clone()));
    Ok(Bundle { children: levels.into_iter().rev().flatten().collect(), root, blobs })
}

fn references(place: &str, manifest: &Manifest) -> Result<References, Failure> {
    let name = format!("{place}@{}", manifest.descriptor.digest);
    let (documents, blobs) = match fetch::parse(&name, manifest)? {
        Document::Manifest(manifest) => (Vec::new(), manifest.blobs().into_iter().map(|blob| blob.port()).collect()),
        // An index may name anything; what is no manifest is kept as a blob.
        Document::Index(index) => index
            .manifests
            .iter()
            .map(steprun_image::Descriptor::port)
            .partition(|child| is_document(&child.media_type)),
    };
    Ok(References { documents, blobs })
}

/// Whether it is asked for as a manifest.
pub(crate) fn is_document(media_type: &str) -> bool {
    media_type::is_index(media_type) || media_type::is_manifest(media_type)
}
