//! Manifests and configs of the images that arguments name.

use steprun_image::{Document, Error, Manifest, Platform, media_type};
use steprun_ports::{self as ports, Descriptor, Failure, ImageArgument, Repository};

use crate::arguments::full_name;

/// A document that can't be understood.
pub(crate) fn malformed(name: &str, error: &Error) -> Failure {
    Failure::failed(format!("{name}: {error}"))
}

/// A manifest read, called `name` in messages.
pub(crate) fn parse(name: &str, manifest: &ports::Manifest) -> Result<Document, Failure> {
    let ports::Manifest { descriptor, content } = manifest;
    Document::parse(&descriptor.media_type, content).map_err(|error| malformed(name, &error))
}

/// A manifest of a repository.
pub(crate) async fn by_digest<R: Repository>(repository: &R, digest: &str) -> Result<ports::Manifest, Failure> {
    let manifest = repository.manifest(digest).await;
    manifest.map_err(|error| Failure::because(format!("can't read {}@{digest}", repository.name()), error))
}

/// The manifest or index of an image; with a platform, the manifest of an index's image for it.
pub(crate) async fn fetch<R: Repository>(
    image: &ImageArgument<R>,
    platform: Option<&Platform>,
) -> Result<ports::Manifest, Failure> {
    let name = full_name(image);
    let reading = |error| Failure::because(format!("can't read {name}"), error);
    let mut manifest = image.repository.manifest(image.reference()).await.map_err(reading)?;
    let Some(platform) = platform else { return Ok(manifest) };
    // Indexes may hold indexes. They end, since none can hold its own digest.
    while media_type::is_index(&manifest.descriptor.media_type) {
        let child = child(&manifest, platform).map_err(|error| malformed(&name, &error))?;
        manifest = image.repository.manifest(&child.digest).await.map_err(reading)?;
    }
    Ok(manifest)
}

fn child(manifest: &ports::Manifest, platform: &Platform) -> Result<Descriptor, Error> {
    match Document::parse(&manifest.descriptor.media_type, &manifest.content)? {
        Document::Index(index) => Ok(index.image_for(platform)?.port()),
        Document::Manifest(_) => Ok(manifest.descriptor.clone()),
    }
}

/// One image: the digest and the bytes of its manifest, and the manifest read.
pub(crate) struct Image {
    pub(crate) digest: String,
    pub(crate) content: Vec<u8>,
    pub(crate) manifest: Manifest,
}

/// The image for a platform.
pub(crate) async fn one<R: Repository>(image: &ImageArgument<R>, platform: &Platform) -> Result<Image, Failure> {
    let found = fetch(image, Some(platform)).await?;
    let manifest = self::image(&full_name(image), &found)?;
    Ok(Image { digest: found.descriptor.digest, content: found.content, manifest })
}

/// The manifest of an image read, called `name` in messages; an index is none.
pub(crate) fn image(name: &str, manifest: &ports::Manifest) -> Result<Manifest, Failure> {
    match parse(name, manifest)? {
        Document::Manifest(manifest) => Ok(*manifest),
        Document::Index(index) => Err(malformed(name, &Error::MediaType(index.media_type))),
    }
}
