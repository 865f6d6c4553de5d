//! `blob`: the bytes of a blob.

use steprun_image::Document;
use steprun_ports::{Blob, Descriptor, Failure, Host, ImageArgument, Repository, concurrently};

use crate::arguments::{full_name, image};
use crate::bundle::whole;
use crate::copy::tagged;
use crate::fetch;
use crate::query::{PRINT_LIMIT, print, tags};

/// Manifests that are read at the same time in search of one.
const SEARCHES: usize = 8;

pub(crate) async fn blob<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "blob")?;
    let Some(digest) = image.digest.clone() else {
        let failure = Failure::usage(format!("`{}` names no blob", image.typed));
        return Err(failure.hint("a blob is named by its digest: registry.example/app@sha256:..."));
    };
    let descriptor = find_blob(&image, &digest).await?;
    if descriptor.size > PRINT_LIMIT {
        let message =
            format!("{} has {} bytes; up to {PRINT_LIMIT} can be printed", full_name(&image), descriptor.size);
        return Err(Failure::failed(message).hint("`pull` writes an image with all its blobs, whatever their size"));
    }
    let content = image.repository.blob(&descriptor).read(PRINT_LIMIT).await;
    let content = content.map_err(|error| Failure::because(format!("can't read {}", full_name(&image)), error))?;
    print(host, &content).await
}

/// The descriptor of a blob. A registry is asked for a blob of a certain size, which the manifests of the repository tell.
async fn find_blob<R: Repository>(image: &ImageArgument<R>, digest: &str) -> Result<Descriptor, Failure> {
    let repository = &image.repository;
    for tags in tags(repository).await?.chunks(SEARCHES) {
        let search = async |tag: &String| {
            let tagged = tagged(repository, tag);
            let root = fetch::fetch(&tagged, None).await?;
            if let Document::Manifest(manifest) = fetch::parse(&full_name(&tagged), &root)? {
                return Ok(manifest.blobs().into_iter().find(|blob| blob.digest == digest).map(|blob| blob.port()));
            }
            let whole = whole(repository, root, 1).await?;
            Ok::<_, Failure>(whole.blobs.iter().map(Blob::descriptor).find(|blob| blob.digest == digest))
        };
        if let Some(found) = concurrently(SEARCHES, tags, search).await?.into_iter().flatten().next() {
            return Ok(found);
        }
    }
    let failure = Failure::failed(format!("no tag of {} leads to the blob {digest}", repository.name()));
    Err(failure.hint("only blobs of tagged images can be found"))
}
