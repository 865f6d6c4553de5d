//! Archives that hold images: those of `docker save`, and OCI layouts.

use serde_json::Value;
use steprun_image::{Config, Descriptor, Index, Manifest, media_type};
use steprun_ports::{self as ports, Blob, Error, Failure, FailureKind, Host, InputFile, Tree};

use crate::bundle::{Bundle, tree};
use crate::draft::describe;
use crate::fetch::malformed;

/// Largest blob of an archive: each passes through the step's memory.
const BLOB_LIMIT: u64 = 256 << 20;
/// Largest document that says what is in an archive.
const DOCUMENT_LIMIT: u64 = 16 << 20;

/// An archive as a file system: the host reads a tar archive as it reads a layer.
pub(crate) struct Archive<'a, H: Host> {
    host: &'a H,
    name: String,
    files: H::Snapshot,
}

impl<'a, H: Host> Archive<'a, H> {
    pub(crate) async fn open(host: &'a H, file: &H::InputFile) -> Result<Self, Failure> {
        let name = file.name();
        let reading = |error| Failure::because(format!("can't read {name}"), error);
        let layer = host.import_layer(file).await.map_err(reading)?;
        let files = host.from_layers(&[layer]).await.map_err(reading)?;
        Ok(Self { host, name, files })
    }

    /// Its image; with `all`, the index of all images of a layout.
    pub(crate) async fn image(&self, all: bool) -> Result<Bundle<H::Blob>, Failure> {
        match self.document("index.json").await? {
            Some(index) => self.layout(index, all).await,
            None if all => Err(Failure::usage(format!("--index: {} holds no OCI layout", self.name))),
            None => self.docker().await,
        }
    }

    /// A document of the archive; none if there is no such file.
    async fn document(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.files.read(path, DOCUMENT_LIMIT).await {
            Ok(content) => Ok(Some(content)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(self.unreadable(path, error)),
        }
    }

    fn unreadable(&self, path: &str, error: Error) -> Failure {
        Failure::because(format!("can't read {path} of {}", self.name), error)
    }

    /// The image of an OCI layout (image-spec, "Image Layout").
    async fn layout(&self, index: Vec<u8>, all: bool) -> Result<Bundle<H::Blob>, Failure> {
        let parsed = Index::parse(media_type::OCI_INDEX, &index).map_err(|error| malformed(&self.name, &error))?;
        let root = if all {
            describe(self.host, &parsed.media_type, index).await?
        } else {
            self.manifest(&self.single(parsed.manifests)?.port()).await?
        };
        let read = async |child: &ports::Descriptor| self.manifest(child).await;
        let Bundle { children, root, blobs } = tree(&self.name, root, 1, read).await?;
        // One at a time: each is in memory while it is read.
        let mut stored = Vec::with_capacity(blobs.len());
        for blob in &blobs {
            stored.extend(self.blob(blob).await?);
        }
        Ok(Bundle { children, root, blobs: stored })
    }

    /// The only image; it may have several names.
    fn single(&self, mut entries: Vec<Descriptor>) -> Result<Descriptor, Failure> {
        let count = entries.len();
        match entries.pop() {
            Some(entry) if entries.iter().all(|other| other.digest == entry.digest) => Ok(entry),
            _ => {
                let failure = Failure::failed(format!("{} holds {count} images, and one is needed", self.name));
                Err(failure.hint("--index pushes all of them as one index"))
            }
        }
    }

    async fn manifest(&self, wanted: &ports::Descriptor) -> Result<ports::Manifest, Failure> {
        let path = place(&wanted.digest);
        let content = self.files.read(&path, DOCUMENT_LIMIT).await.map_err(|error| self.unreadable(&path, error))?;
        let manifest = describe(self.host, &wanted.media_type, content).await?;
        self.check(&path, &wanted.digest, &manifest.descriptor)?;
        Ok(manifest)
    }

    /// A blob of the layout; none for a layer that is elsewhere because it may not be distributed.
    async fn blob(&self, wanted: &ports::Descriptor) -> Result<Option<H::Blob>, Failure> {
        let path = place(&wanted.digest);
        if media_type::is_foreign(&wanted.media_type) && self.files.stat(&path, true).await.is_err() {
            return Ok(None);
        }
        let blob = self.store(&path, &wanted.media_type).await?;
        self.check(&path, &wanted.digest, &blob.descriptor())?;
        Ok(Some(blob))
    }

    fn check(&self, path: &str, wanted: &str, found: &ports::Descriptor) -> Result<(), Failure> {
        if found.digest == wanted {
            return Ok(());
        }
        let message = format!("{path} of {} has the digest {}, not {wanted}", self.name, found.digest);
        Err(Failure::new(FailureKind::Verification, message))
    }

    /// Puts a file of the archive into the store.
    async fn store(&self, path: &str, media_type: &str) -> Result<H::Blob, Failure> {
        let content = self.files.read(path, BLOB_LIMIT).await.map_err(|error| self.unreadable(path, error))?;
        let stored = self.host.put(media_type, &content).await;
        stored.map_err(|error| Failure::because(format!("can't store {path} of {}", self.name), error))
    }

    /// The image of an archive that `docker save` wrote before it wrote layouts (Docker's image-spec v1.2).
    async fn docker(&self) -> Result<Bundle<H::Blob>, Failure> {
        let saved = self.document("manifest.json").await?.and_then(|content| Saved::read(&content));
        let Some(Saved { config, layers }) = saved else {
            let failure = Failure::failed(format!("{} holds no image, or several", self.name));
            return Err(failure.hint("`docker save` with one image makes such an archive"));
        };
        let config_blob = self.store(&config, media_type::DOCKER_CONFIG).await?;
        let content = self.document(&config).await?.unwrap_or_default();
        let parsed = Config::parse(&content).map_err(|error| malformed(&self.name, &error))?;
        if parsed.diff_ids.len() != layers.len() {
            let (layers, diff_ids) = (layers.len(), parsed.diff_ids.len());
            return Err(Failure::failed(format!("{} has {layers} layers and {diff_ids} diff IDs", self.name)));
        }
        let mut manifest = Manifest::new(Descriptor::from(config_blob.descriptor()), Vec::new());
        manifest.media_type = media_type::DOCKER_MANIFEST.into();
        let mut blobs = vec![config_blob];
        for (path, diff_id) in layers.iter().zip(&parsed.diff_ids) {
            let blob = self.layer(path, diff_id).await?;
            manifest.layers.push(Descriptor::from(blob.descriptor()));
            blobs.push(blob);
        }
        let root = describe(self.host, &manifest.media_type, manifest.to_bytes()).await?;
        Ok(Bundle { children: Vec::new(), root, blobs })
    }

    /// A layer, which is plain unless its bytes say otherwise.
    async fn layer(&self, path: &str, diff_id: &str) -> Result<H::Blob, Failure> {
        let blob = self.store(path, media_type::DOCKER_LAYER).await?;
        let descriptor = blob.descriptor();
        if descriptor.digest == diff_id {
            return Ok(blob);
        }
        // Compressed: the host checks what is in it.
        let layer = ports::Layer { blob, diff_id: diff_id.to_owned() };
        let read = self.host.from_layers(std::slice::from_ref(&layer)).await;
        read.map_err(|error| self.unreadable(path, error))?;
        self.store(path, media_type::DOCKER_LAYER_GZIP).await
    }
}

/// Where a layout keeps a blob.
fn place(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The only image of a `manifest.json`.
struct Saved {
    config: String,
    layers: Vec<String>,
}

impl Saved {
    fn read(content: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(content).ok()?;
        let [image] = value.as_array()?.as_slice() else { return None };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let layers = image.get("Layers")?.as_array()?.iter().map(text).collect::<Option<_>>()?;
        Some(Self { config: text(image.get("Config")?)?, layers })
    }
}
