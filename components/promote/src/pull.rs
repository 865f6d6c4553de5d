//! `pull`: images in a file or directory.

use steprun_image::Platform;
use steprun_ports::{ArchiveFormat, Failure, Host, ImageArgument, OutputFile, OutputImage, Repository, concurrently};

use crate::arguments::{full_name, jobs, missing, one_platform, platform};
use crate::bundle::{Bundle, whole};
use crate::fetch;
use crate::transfer::fetch_blobs;

pub(crate) async fn pull<H: Host>(host: &H) -> Result<(), Failure> {
    let file = host.output_files("path").pop().ok_or_else(|| missing("path"))?;
    let format = format(host)?;
    // An archive for `docker load` holds one image of each name.
    let platform = match format {
        ArchiveFormat::Docker | ArchiveFormat::Legacy => Some(one_platform(host)?),
        ArchiveFormat::Oci | ArchiveFormat::Layout => platform(host)?,
    };
    let named = format != ArchiveFormat::Layout || host.flag("annotate-ref");
    let jobs = jobs(host)?;
    let (mut images, mut blobs, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for image in host.images("image") {
        let Bundle { children, root, blobs: own } = bundle(&image, platform.as_ref(), jobs).await?;
        host.set("digest", &root.descriptor.digest);
        blobs.extend(own);
        // Manifests are blobs of a layout like others.
        let store =
            async |child: &steprun_ports::Manifest| host.put(&child.descriptor.media_type, &child.content).await;
        let stored = concurrently(jobs, &children, store).await;
        documents.extend(stored.map_err(|error| Failure::because("can't store a manifest", error))?);
        let names = if named { names(&image) } else { Vec::new() };
        images.push(OutputImage { media_type: root.descriptor.media_type, manifest: root.content, names });
    }
    fetch_blobs(host, &blobs, jobs).await?;
    blobs.extend(documents);
    let written = file.write_images(format, images, &blobs).await;
    written.map_err(|error| Failure::because(format!("can't write {}", file.name()), error))
}

async fn bundle<R: Repository>(
    image: &ImageArgument<R>,
    platform: Option<&Platform>,
    jobs: usize,
) -> Result<Bundle<R::Blob>, Failure> {
    whole(&image.repository, fetch::fetch(image, platform).await?, jobs).await
}

fn format(host: &impl Host) -> Result<ArchiveFormat, Failure> {
    let format = match host.texts("format").pop().as_deref() {
        Some("legacy") => ArchiveFormat::Legacy,
        Some("oci") => ArchiveFormat::Layout,
        Some("oci-archive") => ArchiveFormat::Oci,
        _ => ArchiveFormat::Docker,
    };
    if host.flag("annotate-ref") && format != ArchiveFormat::Layout {
        return Err(Failure::usage("--annotate-ref is for --format=oci: an archive names its images in any case"));
    }
    Ok(format)
}

/// What it is called there. A digest is no name: it would have to be made up, as crane does.
fn names<R: Repository>(image: &ImageArgument<R>) -> Vec<String> {
    let tag = image.tag.clone().map(|tag| ImageArgument { tag: Some(tag), digest: None, ..image.clone() });
    tag.iter().map(full_name).collect()
}
