//! `append`: layers on top of an image.

use steprun_image::{Config, Descriptor, History, Manifest, Platform, media_type};
use steprun_ports::{
    ArchiveFormat, Blob, Failure, Host, ImageArgument, InputFile, Layer, Level, OutputFile, OutputImage, Repository,
};

use crate::arguments::{full_name, one_platform};
use crate::fetch::{self, malformed};
use crate::query::print;
use crate::transfer::{Rules, push_blobs};

/// Annotations of the OCI image-spec.
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image that grows.
struct Draft<B> {
    manifest: Manifest,
    config: Config,
    /// The layers, then the config.
    blobs: Vec<B>,
}

pub(crate) async fn append<H: Host>(host: &H) -> Result<(), Failure> {
    let platform = one_platform(host)?;
    let rules = Rules::of(host)?;
    let (tag, file) = (host.images("new_tag").pop(), host.output_files("output").pop());
    let target = match (tag, file) {
        (tag, Some(file)) => Target::File(file, tag.as_ref().map(full_name)),
        (Some(image), None) => Target::Registry(image),
        (None, None) => return Err(Failure::usage("one of --new_tag and --output is needed")),
    };
    let mut draft = match host.images("base").pop() {
        Some(base) => from_base::<H>(host, &base, &platform).await?,
        None => {
            host.log(Level::Warning, "there is no --base: the layers make an image of their own");
            empty(platform, host.flag("oci-empty-base"))
        }
    };
    for file in host.input_files("new_layer") {
        let layer = host.import_layer(&file).await;
        draft.add(layer.map_err(|error| Failure::because(format!("can't add {} as a layer", file.name()), error))?);
    }
    let manifest = draft.finish(host).await?;
    target.take(host, draft, manifest, rules).await
}

/// An image without layers. Docker's media types are crane's default.
fn empty<B>(platform: Platform, oci: bool) -> Draft<B> {
    let (manifest_type, config_type) = if oci {
        (media_type::OCI_MANIFEST, media_type::OCI_CONFIG)
    } else {
        (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG)
    };
    let mut manifest = Manifest::new(Descriptor::new(config_type, "", 0), Vec::new());
    manifest.media_type = manifest_type.into();
    Draft { manifest, config: Config::new(platform), blobs: Vec::new() }
}

async fn from_base<H: Host>(
    host: &H,
    base: &ImageArgument<H::Repository>,
    platform: &Platform,
) -> Result<Draft<H::Blob>, Failure> {
    let fetch::Image { digest, mut manifest } = fetch::one(base, platform).await?;
    let config = fetch::config(base, &manifest).await?;
    let config = Config::parse(&config).map_err(|error| malformed(&full_name(base), &error))?;
    if host.flag("set-base-image-annotations") {
        manifest.annotations.insert(BASE_DIGEST.into(), digest);
        // A digest is no name that could lead to a newer base.
        if base.digest.is_none() {
            manifest.annotations.insert(BASE_NAME.into(), full_name(base));
        }
    }
    let blobs = manifest.layers.iter().map(|layer| base.repository.blob(&layer.port())).collect();
    Ok(Draft { manifest, config, blobs })
}

impl<B: Blob> Draft<B> {
    /// Adds a layer. Its media type follows the manifest's family; the manifest becomes OCI's where Docker has no such type.
    fn add(&mut self, layer: Layer<B>) {
        let descriptor = Descriptor::from(layer.blob.descriptor());
        let own = descriptor.media_type.clone();
        let media_type = if media_type::is_docker(&self.manifest.media_type) {
            media_type::to_docker(&own)
        } else {
            Some(media_type::to_oci(&own))
        };
        let descriptor = match media_type {
            Some(media_type) => descriptor.with_media_type(media_type),
            None => {
                self.manifest = self.manifest.clone().into_oci();
                descriptor
            }
        };
        self.manifest.layers.push(descriptor);
        // No time: the same base and layers give the same image.
        self.config.add_layer(&layer.diff_id, History::new(None, "append", false));
        self.blobs.push(layer.blob);
    }

    /// Stores the config and gives the bytes of the manifest.
    async fn finish<H: Host<Blob = B>>(&mut self, host: &H) -> Result<Vec<u8>, Failure> {
        let media_type = self.manifest.config.media_type.clone();
        let stored = host.put(&media_type, &self.config.to_bytes()).await;
        let blob = stored.map_err(|error| Failure::because("can't store the config", error))?;
        self.manifest.config = Descriptor::from(blob.descriptor()).with_media_type(&media_type);
        self.blobs.push(blob);
        Ok(self.manifest.to_bytes())
    }
}

/// Where the result goes.
enum Target<H: Host> {
    Registry(ImageArgument<H::Repository>),
    /// With the name that it has there.
    File(H::OutputFile, Option<String>),
}

impl<H: Host> Target<H> {
    async fn take(self, host: &H, draft: Draft<H::Blob>, content: Vec<u8>, rules: Rules) -> Result<(), Failure> {
        let media_type = draft.manifest.media_type;
        match self {
            Self::Registry(image) => {
                let (name, repository) = (full_name(&image), &image.repository);
                push_blobs(host, repository, draft.blobs, rules).await?;
                let put = repository.put_manifest(image.reference(), &media_type, &content).await;
                let digest = put.map_err(|error| Failure::because(format!("can't push {name}"), error))?;
                let made = format!("{}@{digest}", repository.name());
                host.set("digest", &digest);
                host.set("image", &made);
                print(host, format!("{made}\n").as_bytes()).await
            }
            Self::File(file, name) => {
                let image = OutputImage { media_type, manifest: content, names: name.into_iter().collect() };
                let written = file.write_image(ArchiveFormat::Docker, image, &draft.blobs).await;
                written.map_err(|error| Failure::because(format!("can't write {}", file.name()), error))
            }
        }
    }
}
