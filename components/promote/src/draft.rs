//! An image that is being changed.

use steprun_image::{Config, Descriptor, History, Manifest, Platform, media_type};
use steprun_ports::{self as ports, Blob, Failure, Host, Layer, Repository};

use crate::fetch::malformed;

/// Largest config that is read. Docker's own limit is 4 MiB; some builders write more history.
const CONFIG_LIMIT: u64 = 16 << 20;

/// Manifest and config of an image, and where its layers are. The descriptor of the config counts only after [`Draft::finish`].
pub(crate) struct Draft<B> {
    pub(crate) manifest: Manifest,
    pub(crate) config: Config,
    /// In the order of the manifest's layers.
    pub(crate) layers: Vec<B>,
}

/// An image whose config is in the store and whose manifest is not yet put.
pub(crate) struct Finished<B> {
    pub(crate) manifest: ports::Manifest,
    /// The layers, then the config.
    pub(crate) blobs: Vec<B>,
}

impl<B: Blob> Draft<B> {
    /// An image without layers. Docker's media types are crane's default.
    pub(crate) fn empty(platform: Platform, oci: bool) -> Self {
        let (manifest_type, config_type) = if oci {
            (media_type::OCI_MANIFEST, media_type::OCI_CONFIG)
        } else {
            (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG)
        };
        let mut manifest = Manifest::new(Descriptor::new(config_type, "", 0), Vec::new());
        manifest.media_type = manifest_type.into();
        Self { manifest, config: Config::new(platform), layers: Vec::new() }
    }

    /// An image of a repository, called `name` in messages. Its layers are not read.
    pub(crate) async fn read<R: Repository<Blob = B>>(
        repository: &R,
        name: &str,
        manifest: Manifest,
    ) -> Result<Self, Failure> {
        let config = read_config(&repository.blob(&manifest.config.port()), name).await?;
        let layers = manifest.layers.iter().map(|layer| repository.blob(&layer.port())).collect();
        Self::of(name, manifest, &config, layers)
    }

    /// An image of these documents and layers.
    pub(crate) fn of(name: &str, manifest: Manifest, config: &[u8], layers: Vec<B>) -> Result<Self, Failure> {
        let config = Config::parse(config).map_err(|error| malformed(name, &error))?;
        if config.diff_ids.len() != manifest.layers.len() {
            let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
            return Err(Failure::failed(format!("{name} has {layers} layers and {diff_ids} diff IDs")));
        }
        Ok(Self { manifest, config, layers })
    }

    /// Its layers with their diff IDs.
    pub(crate) fn with_diff_ids(&self) -> Vec<Layer<B>> {
        let layer = |(blob, diff_id): (&B, &String)| Layer { blob: blob.clone(), diff_id: diff_id.clone() };
        self.layers.iter().zip(&self.config.diff_ids).map(layer).collect()
    }

    /// Adds a layer on top, with how it came about.
    pub(crate) fn add(&mut self, layer: Layer<B>, history: History) {
        self.config.add_layer(&layer.diff_id, history);
        self.add_described(Descriptor::from(layer.blob.descriptor()), layer.blob);
    }

    /// Adds a layer to the manifest alone. Its media type follows the manifest's family; the manifest becomes OCI's where Docker has
    /// no such type.
    pub(crate) fn add_described(&mut self, descriptor: Descriptor, blob: B) {
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
        self.layers.push(blob);
    }

    /// Takes all layers away, with the history that tells of them.
    pub(crate) fn clear_layers(&mut self) {
        self.manifest.layers.clear();
        self.layers.clear();
        self.config.diff_ids.clear();
        self.config.history.clear();
    }

    /// Stores the config and the manifest.
    pub(crate) async fn finish<H: Host<Blob = B>>(mut self, host: &H) -> Result<Finished<B>, Failure> {
        let media_type = self.manifest.config.media_type.clone();
        let stored = host.put(&media_type, &self.config.to_bytes()).await;
        let config = stored.map_err(|error| Failure::because("can't store the config", error))?;
        let descriptor = ports::Descriptor { media_type, ..config.descriptor() };
        self.manifest.config = self.manifest.config.replaced_by(&descriptor);
        self.layers.push(config);
        let manifest = describe(host, &self.manifest.media_type, self.manifest.to_bytes()).await?;
        Ok(Finished { manifest, blobs: self.layers })
    }
}

/// A manifest with its descriptor: the host computes digests.
pub(crate) async fn describe<H: Host>(
    host: &H,
    media_type: &str,
    content: Vec<u8>,
) -> Result<ports::Manifest, Failure> {
    let stored = host.put(media_type, &content).await;
    let blob = stored.map_err(|error| Failure::because("can't store the manifest", error))?;
    let descriptor = ports::Descriptor { media_type: media_type.into(), ..blob.descriptor() };
    Ok(ports::Manifest { descriptor, content })
}

/// The bytes of the config of the image that is called `name` in messages.
pub(crate) async fn read_config(blob: &impl Blob, name: &str) -> Result<Vec<u8>, Failure> {
    let read = blob.read(CONFIG_LIMIT).await;
    read.map_err(|error| Failure::because(format!("can't read the config of {name}"), error))
}
