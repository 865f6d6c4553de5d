//! Manifests and configs of the images that arguments name.

use steprun_image::{Document, Error, Manifest, Platform, media_type};
use steprun_ports::{self as ports, Blob, Descriptor, Failure, ImageArgument, Repository};

use crate::arguments::full_name;

/// Largest config that is read. Docker's own limit is 4 MiB; some builders write more history.
const CONFIG_LIMIT: u64 = 16 << 20;

/// A document that can't be understood.
pub(crate) fn malformed(name: &str, error: &Error) -> Failure {
    Failure::failed(format!("{name}: {error}"))
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

/// One image: the digest of its manifest, and the manifest read.
pub(crate) struct Image {
    pub(crate) digest: String,
    pub(crate) manifest: Manifest,
}

/// The image for a platform.
pub(crate) async fn one<R: Repository>(image: &ImageArgument<R>, platform: &Platform) -> Result<Image, Failure> {
    let ports::Manifest { descriptor, content } = fetch(image, Some(platform)).await?;
    let manifest = match Document::parse(&descriptor.media_type, &content) {
        Ok(Document::Manifest(manifest)) => *manifest,
        Ok(Document::Index(index)) => return Err(malformed(&full_name(image), &Error::MediaType(index.media_type))),
        Err(error) => return Err(malformed(&full_name(image), &error)),
    };
    Ok(Image { digest: descriptor.digest, manifest })
}

/// The bytes of an image's config.
pub(crate) async fn config<R: Repository>(image: &ImageArgument<R>, manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    let reading = |error| Failure::because(format!("can't read the config of {}", full_name(image)), error);
    image.repository.blob(&manifest.config.port()).read(CONFIG_LIMIT).await.map_err(reading)
}
