//! `pull`: an image in a file or directory.

use steprun_ports::{
    ArchiveFormat, Failure, Host, ImageArgument, OutputDirectory, OutputFile, OutputImage, Repository,
};

use crate::arguments::{full_name, image, jobs, one_platform, platform};
use crate::bundle::whole;
use crate::fetch;

/// Where the image goes.
enum Place<H: Host> {
    /// An archive.
    File(H::OutputFile, ArchiveFormat),
    /// An OCI layout.
    Directory(H::OutputDirectory),
}

pub(crate) async fn pull<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let place = Place::read(host)?;
    // An archive for `docker load` holds one image.
    let platform = match &place {
        Place::File(_, ArchiveFormat::Docker) => Some(one_platform(host)?),
        _ => platform(host)?,
    };
    let root = fetch::fetch(&image, platform.as_ref()).await?;
    let bundle = whole(&image.repository, root, jobs(host)?).await?;
    let mut blobs = bundle.blobs;
    // Manifests are blobs of a layout like others.
    for child in bundle.children {
        let stored = host.put(&child.descriptor.media_type, &child.content).await;
        blobs.push(stored.map_err(|error| Failure::because("can't store a manifest", error))?);
    }
    let (media_type, manifest) = (bundle.root.descriptor.media_type, bundle.root.content);
    host.set("digest", &bundle.root.descriptor.digest);
    place.take(OutputImage { media_type, manifest, names: names(&image) }, &blobs).await
}

/// What it is called there. A digest is no name: it would have to be made up, as crane does.
fn names<R: Repository>(image: &ImageArgument<R>) -> Vec<String> {
    let tag = image.tag.clone().map(|tag| ImageArgument { tag: Some(tag), digest: None, ..image.clone() });
    tag.iter().map(full_name).collect()
}

impl<H: Host> Place<H> {
    fn read(host: &H) -> Result<Self, Failure> {
        let (file, directory) = (host.output_files("tarball").pop(), host.output_directories("layout").pop());
        match (file, directory) {
            (Some(file), None) => {
                let oci = host.texts("format").iter().any(|word| word == "oci-archive");
                Ok(Self::File(file, if oci { ArchiveFormat::Oci } else { ArchiveFormat::Docker }))
            }
            (None, Some(directory)) => Ok(Self::Directory(directory)),
            (Some(_), Some(_)) => Err(Failure::usage("TARBALL and --layout are two places, and one is needed")),
            (None, None) => Err(Failure::usage("one of TARBALL and --layout is needed")),
        }
    }

    async fn take(self, image: OutputImage, blobs: &[H::Blob]) -> Result<(), Failure> {
        let (name, written) = match self {
            Self::File(file, format) => (file.name(), file.write_image(format, image, blobs).await),
            Self::Directory(directory) => (directory.name(), directory.write_layout(image, blobs).await),
        };
        written.map_err(|error| Failure::because(format!("can't write {name}"), error))
    }
}
