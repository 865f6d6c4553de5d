//! Where the result of a command goes.

use steprun_ports::{ArchiveFormat, Failure, Host, ImageArgument, OutputFile, OutputImage, Repository};

use crate::arguments::full_name;
use crate::bundle::Bundle;
use crate::query::print;
use crate::transfer::{Rules, fetch_blobs, push_blobs, put_manifest};

/// Where the result of a command goes.
pub(crate) enum Target<H: Host> {
    /// Into a repository: under a tag, or none to put it under its digest alone.
    Repository(H::Repository, Option<String>),
    /// Into a file for `docker load`, with the name that it has there.
    File(H::OutputFile, Option<String>),
}

impl<H: Host> Target<H> {
    /// The place of an image: its tag. What a digest names can't be overwritten, so the result then is known by its own digest.
    pub(crate) fn image(image: ImageArgument<H::Repository>) -> Self {
        let tag = image.tag.filter(|_| image.digest.is_none());
        Self::Repository(image.repository, tag)
    }

    /// What `--tag` (under its name) and `--output` say.
    pub(crate) fn given(host: &H, tag: &str) -> Option<Self> {
        let named = host.images(tag).pop();
        match host.output_files("output").pop() {
            Some(file) => Some(Self::File(file, named.as_ref().map(full_name))),
            None => named.map(Self::image),
        }
    }

    /// Whether it holds one image and no index.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(..))
    }

    /// Brings the result there. What has come into a repository is printed as `registry/repository@digest`.
    pub(crate) async fn take(self, host: &H, bundle: Bundle<H::Blob>, rules: Rules) -> Result<(), Failure> {
        match self {
            Self::Repository(repository, tag) => {
                let digest = bundle.root.descriptor.digest.clone();
                put(host, &repository, tag.as_deref(), bundle, rules).await?;
                let made = format!("{}@{digest}", repository.name());
                host.set("digest", &digest);
                host.set("image", &made);
                print(host, format!("{made}\n").as_bytes()).await
            }
            Self::File(file, name) => {
                let Bundle { root, blobs, .. } = bundle;
                fetch_blobs(host, &blobs, rules.jobs).await?;
                let names = name.into_iter().collect();
                let image = OutputImage { media_type: root.descriptor.media_type, manifest: root.content, names };
                let written = file.write_image(ArchiveFormat::Docker, image, &blobs).await;
                written.map_err(|error| Failure::because(format!("can't write {}", file.name()), error))
            }
        }
    }
}

/// Puts an image with all that it refers to: what a manifest names comes before it, the tag last.
pub(crate) async fn put<H: Host>(
    host: &H,
    to: &H::Repository,
    tag: Option<&str>,
    bundle: Bundle<H::Blob>,
    rules: Rules,
) -> Result<(), Failure> {
    let Bundle { children, root, blobs } = bundle;
    push_blobs(host, to, blobs, rules).await?;
    let mut put: Vec<&str> = Vec::new();
    for child in &children {
        let digest = child.descriptor.digest.as_str();
        if !put.contains(&digest) {
            put_manifest(to, digest, child).await?;
            put.push(digest);
        }
    }
    put_manifest(to, tag.unwrap_or(&root.descriptor.digest), &root).await
}
