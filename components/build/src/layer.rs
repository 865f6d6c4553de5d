//! Layers that instructions make.

use std::rc::Rc;

use steprun_image::media_type::OCI_LAYER_GZIP;
use steprun_ports::{
    Blob, Failure, Host, Layer, LayerCompression, PushOutcome, Repository, Snapshot, Task, concurrently,
};

use crate::image::{Once, known, once};
use crate::job::Job;

/// Repositories that a blob is pushed to at the same time.
const AT_ONCE: usize = 8;

/// A layer; none if nothing changed.
pub(crate) type LayerOnce<H> = Once<Option<Layer<<H as Host>::Blob>>>;

/// The change of the file system by one instruction.
pub(crate) struct LayerStep<H: Host> {
    /// The history entry of the instruction.
    pub(crate) entry: usize,
    /// As it is made most cheaply: to be read here.
    pub(crate) plain: LayerOnce<H>,
    /// As images have it.
    pub(crate) packed: LayerOnce<H>,
    /// The same, in all repositories that the image goes to.
    pub(crate) pushed: LayerOnce<H>,
}

impl<H: Host + 'static> LayerStep<H> {
    /// Of a file system that an instruction made. `in_image` says whether the layer will be part of the image, so that nobody needs it in two forms.
    pub(crate) fn made(job: &Rc<Job<H>>, entry: usize, files: Once<H::Snapshot>, in_image: bool) -> Self {
        let packed = pack(job.host.clone(), files.clone(), true);
        let plain = if in_image { packed.clone() } else { pack(job.host.clone(), files, false) };
        Self { entry, plain, pushed: pushed(job, packed.clone()), packed }
    }

    /// Of an earlier build.
    pub(crate) fn cached(job: &Rc<Job<H>>, entry: usize, layer: Layer<H::Blob>) -> Self {
        let plain = known(Some(layer.clone()));
        let packed = if is_compressed(&layer) { plain.clone() } else { compressed(job.host.clone(), layer) };
        Self { entry, plain, pushed: pushed(job, packed.clone()), packed }
    }
}

fn is_compressed<B: Blob>(layer: &Layer<B>) -> bool {
    layer.blob.descriptor().media_type == OCI_LAYER_GZIP
}

fn pack<H: Host + 'static>(host: H, files: Once<H::Snapshot>, gzip: bool) -> LayerOnce<H> {
    once(async move {
        let files = files.await?;
        let task = host.task("pack a layer");
        let packed = files.pack(gzip).await;
        let packed = packed.map_err(|error| Failure::because("could not pack a layer", error))?;
        task.finish(&packed.as_ref().map_or("empty".to_owned(), |layer| size(layer.blob.descriptor().size)));
        Ok(packed)
    })
}

/// A layer of an intermediate stage that has become part of an image: it has the bytes that packing would have given.
fn compressed<H: Host + 'static>(host: H, layer: Layer<H::Blob>) -> LayerOnce<H> {
    once(async move {
        let blob = host.recompress(&layer.blob, LayerCompression::Gzip).await;
        let blob = blob.map_err(|error| Failure::because("could not compress a layer of the cache", error))?;
        Ok(Some(Layer { blob, ..layer }))
    })
}

fn pushed<H: Host + 'static>(job: &Rc<Job<H>>, packed: LayerOnce<H>) -> LayerOnce<H> {
    let (host, repositories) = (job.host.clone(), job.repositories.clone());
    once(async move {
        let layer = packed.await?;
        if let Some(layer) = &layer {
            push_everywhere(&host, &layer.blob, &repositories).await?;
        }
        Ok(layer)
    })
}

/// Pushes a blob to all repositories that an image goes to.
///
/// # Errors
/// What registries say.
pub(crate) async fn push_everywhere<H: Host>(
    host: &H,
    blob: &H::Blob,
    repositories: &[H::Repository],
) -> Result<(), Failure> {
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
