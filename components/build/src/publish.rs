//! The image's way out: tags, files, standard output.

use serde_json::json;
use steprun_ports::{
    ArchiveFormat, Blob, Descriptor, Failure, Host, ImageArgument, Level, OutputDirectory, OutputFile, OutputImage,
    Repository, Snapshot, concurrently,
};

use crate::arguments::Outputs;
use crate::assemble::Image;
use crate::product::Product;

/// Requests to registries under way at the same time.
const AT_ONCE: usize = 8;

/// The repositories of destinations, each once: two tags in one repository need its blobs once.
pub(crate) fn repositories<H: Host>(outputs: &Outputs<H>) -> Vec<H::Repository> {
    let mut found: Vec<H::Repository> = Vec::new();
    for destination in outputs.destinations() {
        if !found.iter().any(|known| known.name() == destination.repository.name()) {
            found.push(destination.repository.clone());
        }
    }
    found
}

/// Fails early, before anything is built, if a registry would not let us push.
pub(crate) async fn check_push<H: Host>(host: &H, repositories: &[H::Repository]) -> Result<(), Failure> {
    let check = |repository: &H::Repository| {
        let repository = repository.clone();
        async move {
            let task = host.task(&format!("check that we may push to {}", repository.name()));
            let allowed = repository.check_push().await;
            allowed.map_err(|error| Failure::because(format!("can't push to {}", repository.name()), error))?;
            steprun_ports::Task::finish(task, "");
            Ok(())
        }
    };
    concurrently(AT_ONCE, repositories, check).await.map(|_: Vec<()>| ())
}

/// Puts the images of an index under their digests, then tags the image or index at its destinations, then writes files, and in the end what was done to standard output.
pub(crate) async fn publish<H: Host>(host: &H, outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    put_children(outputs, product).await?;
    put_manifests(outputs, product).await?;
    write_images(outputs, product).await?;
    write_files(host, outputs, product).await?;
    write_reports(outputs, product).await?;
    report(host, outputs, product).await
}

async fn put_children<H: Host>(outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    let repositories = repositories(outputs);
    let all =
        repositories.iter().flat_map(|repository| product.children().iter().map(move |child| (repository, child)));
    let put = |(repository, child): (&H::Repository, &Image<H>)| {
        let (repository, descriptor, content) =
            (repository.clone(), child.document.descriptor(), child.manifest.to_bytes());
        async move {
            let put = repository.put_manifest(&descriptor.digest, &descriptor.media_type, &content).await;
            put.map(drop).map_err(|error| {
                Failure::because(format!("could not push {} to {}", descriptor.digest, repository.name()), error)
            })
        }
    };
    concurrently(AT_ONCE, all, put).await.map(|_: Vec<()>| ())
}

async fn put_manifests<H: Host>(outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    let (media_type, content) = (&product.descriptor().media_type, &product.bytes());
    let put = |destination: &ImageArgument<H::Repository>| {
        let destination = destination.clone();
        async move {
            let reference = destination.reference();
            let put = destination.repository.put_manifest(reference, media_type, content).await;
            put.map(drop).map_err(|error| Failure::because(format!("could not push `{}`", destination.typed), error))
        }
    };
    concurrently(AT_ONCE, outputs.destinations(), put).await.map(|_: Vec<()>| ())
}

async fn write_images<H: Host>(outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    let blobs = product.blobs();
    let copy = || OutputImage {
        media_type: product.descriptor().media_type,
        manifest: product.bytes(),
        names: outputs.names.iter().map(tagged).collect(),
    };
    for (file, format) in [(&outputs.tar, ArchiveFormat::Docker), (&outputs.oci_archive, ArchiveFormat::Oci)] {
        if let Some(file) = file {
            let written = file.write_image(format, copy(), &blobs).await;
            written
                .map_err(|error| Failure::because(format!("could not write the image to {}", file.name()), error))?;
        }
    }
    if let Some(layout) = &outputs.layout {
        let written = layout.write_layout(copy(), &blobs).await;
        written.map_err(|error| Failure::because(format!("could not write the image to {}", layout.name()), error))?;
    }
    Ok(())
}

/// Writes the files of the images; those for several platforms into directories of their own, named as BuildKit names them.
async fn write_files<H: Host>(host: &H, outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    if outputs.directory.is_none() && outputs.files.is_none() {
        return Ok(());
    }
    for image in product.images() {
        let files = host.from_layers(&image.layers).await;
        let files = files.map_err(|error| Failure::because("could not read the image's files", error))?;
        if let Some(directory) = &outputs.directory {
            let below = if product.children().is_empty() {
                String::new()
            } else {
                image.platform.to_string().replace('/', "_")
            };
            let failed = |error| Failure::because(format!("could not write files to {}", directory.name()), error);
            for device in files.unpack(directory, &below).await.map_err(failed)? {
                host.log(
                    Level::Warning,
                    &format!("{device} is a device node, and is not written to {}", directory.name()),
                );
            }
        }
        if let Some(file) = &outputs.files {
            let written = files.export(file).await;
            written.map_err(|error| Failure::because(format!("could not write files to {}", file.name()), error))?;
        }
    }
    Ok(())
}

async fn write_reports<H: Host>(outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    let digest = &product.descriptor().digest;
    let lines = |name: fn(&ImageArgument<H::Repository>) -> String| {
        let lines = outputs.names.iter().map(|argument| format!("{}@{digest}\n", name(argument)));
        lines.collect::<String>()
    };
    write(outputs.digest.as_ref(), || digest.clone()).await?;
    write(outputs.name_digest.as_ref(), || lines(untagged)).await?;
    write(outputs.name_tag_digest.as_ref(), || lines(tagged)).await?;
    write(outputs.metadata.as_ref(), || metadata(outputs, product)).await
}

async fn write<F: OutputFile>(file: Option<&F>, content: impl FnOnce() -> String) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let written = file.write(content().as_bytes()).await;
    written.map_err(|error| Failure::because(format!("could not write {}", file.name()), error))
}

/// One JSON object; sizes are in bytes, that of an image is what its manifest and blobs take in a registry. An index has its images below
/// `manifests`.
fn metadata<H: Host>(outputs: &Outputs<H>, product: &Product<H>) -> String {
    let names: Vec<String> = outputs.names.iter().map(tagged).collect();
    let mut metadata = match product {
        Product::Image(image) => described(image),
        Product::Index { images, document, .. } => {
            let blobs: u64 = product.blobs().iter().map(|blob| blob.descriptor().size).sum();
            let Descriptor { media_type, digest, size } = document.descriptor();
            let manifests: Vec<_> = images.iter().map(described).collect();
            json!({ "digest": digest, "mediaType": media_type, "manifests": manifests, "size": size + blobs })
        }
    };
    metadata["images"] = names.into();
    format!("{metadata:#}\n")
}

fn described<H: Host>(image: &Image<H>) -> serde_json::Value {
    let layers = image.manifest.layers.iter().zip(&image.layers).map(|(descriptor, layer)| {
        json!({
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "diffId": layer.diff_id,
            "size": descriptor.size,
        })
    });
    let layers: Vec<_> = layers.collect();
    let blobs: u64 = image.blobs().iter().map(|blob| blob.descriptor().size).sum();
    let Descriptor { media_type, digest, size } = image.document.descriptor();
    json!({
        "digest": digest,
        "mediaType": media_type,
        "config": image.config.descriptor().digest,
        "layers": layers,
        "platform": image.platform.to_string(),
        "size": size + blobs,
    })
}

/// Standard output has one line a destination; the digest alone if nothing was pushed.
async fn report<H: Host>(host: &H, outputs: &Outputs<H>, product: &Product<H>) -> Result<(), Failure> {
    let digest = &product.descriptor().digest;
    host.set("digest", digest);
    let pushed: Vec<String> =
        outputs.destinations().iter().map(|destination| format!("{}@{digest}", untagged(destination))).collect();
    if let Some(first) = pushed.first() {
        host.set("image", first);
    }
    let lines = if pushed.is_empty() { vec![digest.clone()] } else { pushed };
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let printed = host.print(text.as_bytes()).await;
    printed.map_err(|error| Failure::because("could not write to standard output", error))
}

fn untagged<R: Repository>(argument: &ImageArgument<R>) -> String {
    argument.repository.name()
}

fn tagged<R: Repository>(argument: &ImageArgument<R>) -> String {
    format!("{}:{}", argument.repository.name(), argument.tag.as_deref().unwrap_or("latest"))
}
