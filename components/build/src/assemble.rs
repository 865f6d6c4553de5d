//! From a finished stage to an image: layers are packed and pushed side by side, then config and manifest follow.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};
use steprun_ports::{Blob, Descriptor, Failure, Host, Layer, PushOutcome, Repository, Snapshot, Task, concurrently};

use crate::platform::Platform;
use crate::stage::{LayerStep, Stage};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Layers under way at the same time, packed or pushed.
const AT_ONCE: usize = 8;

/// A built image. Its blobs are in all repositories that it was assembled for.
pub(crate) struct Image<H: Host> {
    /// Bytes of the manifest.
    pub(crate) manifest: Vec<u8>,
    pub(crate) descriptor: Descriptor,
    pub(crate) config: H::Blob,
    pub(crate) layers: Vec<(Descriptor, Layer<H::Blob>)>,
    pub(crate) platform: Platform,
}

impl<H: Host> Image<H> {
    /// Config and layers, each once.
    pub(crate) fn blobs(&self) -> Vec<H::Blob> {
        let mut seen = BTreeSet::new();
        let all = std::iter::once(&self.config).chain(self.layers.iter().map(|(_, layer)| &layer.blob));
        all.filter(|blob| seen.insert(blob.descriptor().digest)).cloned().collect()
    }
}

/// What becomes a layer.
enum Part<H: Host> {
    Base(Layer<H::Blob>),
    Step(Rc<LayerStep<H>>),
}

/// Assembles the image of a stage and pushes its blobs to repositories.
pub(crate) async fn assemble<H: Host>(
    host: &H,
    stage: &Stage<H>,
    created: steprun_ports::Timestamp,
    annotations: &BTreeMap<String, String>,
    repositories: &[H::Repository],
) -> Result<Image<H>, Failure> {
    let base = stage.base.iter().cloned().map(Part::Base);
    let parts = base.chain(stage.steps.iter().cloned().map(Part::Step));
    let done = concurrently(AT_ONCE, parts, |part| finish_part(host, part, repositories)).await?;

    let mut config = stage.config.clone();
    let mut layers = Vec::new();
    for (layer, entry) in done {
        match (layer, entry) {
            (Some(layer), _) => layers.push((oci_descriptor(&layer.blob), layer)),
            (None, Some(entry)) => config.without_layer(entry),
            (None, None) => {}
        }
    }
    let platform = config.platform();
    let diff_ids: Vec<String> = layers.iter().map(|(_, layer)| layer.diff_id.clone()).collect();
    let config = config.finish(created, &diff_ids, stage.base.len());
    let keep = |error| Failure::because("could not keep the image's config", error);
    let config = host.put(CONFIG, &config).await.map_err(keep)?;
    push_everywhere(host, &config, repositories).await?;

    let manifest = manifest(&config.descriptor(), layers.iter().map(|(descriptor, _)| descriptor), annotations);
    let stored = host.put(MANIFEST, &manifest).await;
    let stored = stored.map_err(|error| Failure::because("could not keep the image's manifest", error))?;
    Ok(Image { manifest, descriptor: stored.descriptor(), config, layers, platform })
}

/// Packs a layer if it is new, then pushes it while others are still being packed. Gives the history entry of a new one.
async fn finish_part<H: Host>(
    host: &H,
    part: Part<H>,
    repositories: &[H::Repository],
) -> Result<(Option<Layer<H::Blob>>, Option<usize>), Failure> {
    let (layer, entry) = match part {
        Part::Base(layer) => (Some(layer), None),
        Part::Step(step) => {
            let task = host.task("pack a layer");
            let packed = step.snapshot.pack(true).await;
            let packed = packed.map_err(|error| Failure::because("could not pack a layer", error))?;
            let note = packed.as_ref().map_or("empty".to_owned(), |layer| size(layer.blob.descriptor().size));
            task.finish(&note);
            (packed, Some(step.entry))
        }
    };
    if let Some(layer) = &layer {
        push_everywhere(host, &layer.blob, repositories).await?;
    }
    Ok((layer, entry))
}

async fn push_everywhere<H: Host>(host: &H, blob: &H::Blob, repositories: &[H::Repository]) -> Result<(), Failure> {
    let digest = blob.descriptor().digest;
    let push = |repository: &H::Repository| {
        let (repository, digest) = (repository.clone(), digest.clone());
        async move {
            let task = host.task(&format!("push {} to {}", short(&digest), repository.name()));
            let outcome = repository.push(blob).await;
            let outcome = outcome.map_err(|error| {
                Failure::because(format!("could not push {digest} to {}", repository.name()), error)
            })?;
            task.finish(match outcome {
                PushOutcome::Existing => "existing",
                PushOutcome::Mounted => "mounted",
                PushOutcome::Uploaded => "uploaded",
            });
            Ok(())
        }
    };
    concurrently(AT_ONCE, repositories, push).await.map(|_: Vec<()>| ())
}

/// The blob as an OCI manifest names it: Docker's media types have an OCI name for the same bytes (image-spec `manifest.md`).
fn oci_descriptor<B: Blob>(blob: &B) -> Descriptor {
    let mut descriptor = blob.descriptor();
    descriptor.media_type = match descriptor.media_type.as_str() {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => "application/vnd.oci.image.layer.v1.tar+zstd".to_owned(),
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar".to_owned(),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".to_owned()
        }
        _ => descriptor.media_type,
    };
    descriptor
}

/// The manifest's bytes: JSON with sorted keys.
fn manifest<'a>(
    config: &Descriptor,
    layers: impl Iterator<Item = &'a Descriptor>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    let layers: Vec<Value> = layers.map(descriptor).collect();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config),
        "layers": layers,
    });
    if !annotations.is_empty() {
        manifest["annotations"] = json!(annotations);
    }
    manifest.to_string().into_bytes()
}

fn descriptor(descriptor: &Descriptor) -> Value {
    json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size })
}

/// The digest's first twelve digits: enough to tell blobs of one build apart.
fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

/// A size for people, in decimal units.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..=999 => return format!("{bytes} B"),
        1_000..=999_999 => (1_000, "kB"),
        1_000_000..=999_999_999 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}
