//! From a finished stage to an image: layers are packed and pushed side by side, then config and manifest follow.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use steprun_image::media_type::{OCI_CONFIG, OCI_MANIFEST};
use steprun_image::{Manifest, Platform};
use steprun_ports::{Blob, Failure, Host, Layer, concurrently};

use crate::layer::{LayerStep, push_everywhere};
use crate::stage::Stage;

/// Layers under way at the same time, packed or pushed.
const AT_ONCE: usize = 8;

/// A built image. Its blobs are in all repositories that it was assembled for.
pub(crate) struct Image<H: Host> {
    pub(crate) manifest: Manifest,
    /// The manifest as bytes of the store.
    pub(crate) document: H::Blob,
    pub(crate) config: H::Blob,
    /// In the order of the manifest's.
    pub(crate) layers: Vec<Layer<H::Blob>>,
    pub(crate) platform: Platform,
}

impl<H: Host> Image<H> {
    /// Config and layers, each once.
    pub(crate) fn blobs(&self) -> Vec<H::Blob> {
        let mut seen = BTreeSet::new();
        let all = std::iter::once(&self.config).chain(self.layers.iter().map(|layer| &layer.blob));
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
            (Some(layer), _) => layers.push(layer),
            (None, Some(entry)) => config.without_layer(entry),
            (None, None) => {}
        }
    }
    let platform = config.platform().clone();
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let config = config.finish(created, diff_ids, stage.base.len());
    let keep = |error| Failure::because("could not keep the image's config", error);
    let config = host.put(OCI_CONFIG, &config).await.map_err(keep)?;
    push_everywhere(host, &config, repositories).await?;

    let descriptors = layers.iter().map(|layer| layer.blob.descriptor().into()).collect();
    let mut manifest = Manifest::new(config.descriptor().into(), descriptors).into_oci();
    manifest.annotations.clone_from(annotations);
    let document = host.put(OCI_MANIFEST, &manifest.to_bytes()).await;
    let document = document.map_err(|error| Failure::because("could not keep the image's manifest", error))?;
    Ok(Image { manifest, document, config, layers, platform })
}

/// Pushes a layer, which is packed before if it is new, while others are still being packed. Gives the history entry of a new one.
async fn finish_part<H: Host>(
    host: &H,
    part: Part<H>,
    repositories: &[H::Repository],
) -> Result<(Option<Layer<H::Blob>>, Option<usize>), Failure> {
    match part {
        Part::Base(layer) => {
            push_everywhere(host, &layer.blob, repositories).await?;
            Ok((Some(layer), None))
        }
        Part::Step(step) => Ok((step.pushed.clone().await?, Some(step.entry))),
    }
}
