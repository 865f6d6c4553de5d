//! Bringing blobs and manifests to a repository.

use steprun_ports::{
    Blob, Descriptor, Failure, FailureKind, Host, Manifest, PushOutcome, Repository, Task, concurrently,
};

use steprun_image::media_type;

use crate::arguments::jobs;

/// How things are transferred.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// At the same time.
    pub(crate) jobs: usize,
    /// Whether layers that may not be distributed are pushed too.
    pub(crate) foreign: bool,
}

impl Rules {
    pub(crate) fn of(host: &impl Host) -> Result<Self, Failure> {
        Ok(Self { jobs: jobs(host)?, foreign: host.flag("allow-nondistributable-artifacts") })
    }

    /// Whether a blob is pushed at all.
    pub(crate) fn pushes(self, blob: &Descriptor) -> bool {
        self.foreign || !media_type::is_foreign(&blob.media_type)
    }
}

/// Makes blobs available in a repository, each digest once.
pub(crate) async fn push_blobs<H: Host>(
    host: &H,
    to: &H::Repository,
    blobs: Vec<H::Blob>,
    rules: Rules,
) -> Result<(), Failure> {
    let mut wanted: Vec<(Descriptor, H::Blob)> = Vec::with_capacity(blobs.len());
    for blob in blobs {
        let descriptor = blob.descriptor();
        if rules.pushes(&descriptor) && !wanted.iter().any(|(known, _)| known.digest == descriptor.digest) {
            wanted.push((descriptor, blob));
        }
    }
    concurrently(rules.jobs, &wanted, |(descriptor, blob)| push_blob(host, to, descriptor, blob)).await.map(drop)
}

async fn push_blob<H: Host>(
    host: &H,
    to: &H::Repository,
    descriptor: &Descriptor,
    blob: &H::Blob,
) -> Result<(), Failure> {
    let task = host.task(&short(&descriptor.digest));
    let pushed = to.push(blob).await;
    let outcome = pushed
        .map_err(|error| Failure::because(format!("can't push {} to {}", descriptor.digest, to.name()), error))?;
    match outcome {
        PushOutcome::Existing => task.finish("existing"),
        PushOutcome::Mounted => task.finish("mounted"),
        PushOutcome::Uploaded => task.finish(&format_size(descriptor.size)),
    }
    Ok(())
}

/// Brings blobs of one place into the store, some at a time, from where they can be written to a file.
pub(crate) async fn fetch_blobs<H: Host>(host: &H, blobs: &[H::Blob], jobs: usize) -> Result<(), Failure> {
    concurrently(jobs, blobs, |blob| fetch_blob(host, blob)).await.map(drop)
}

async fn fetch_blob<H: Host>(host: &H, blob: &H::Blob) -> Result<(), Failure> {
    let Descriptor { digest, size, .. } = blob.descriptor();
    let task = host.task(&short(&digest));
    let fetched = blob.fetch().await;
    fetched.map_err(|error| Failure::because(format!("can't fetch {digest}"), error))?;
    task.finish(&format_size(size));
    Ok(())
}

/// Puts a manifest under a tag or its digest, and makes sure that it kept its digest.
pub(crate) async fn put_manifest<R: Repository>(to: &R, reference: &str, manifest: &Manifest) -> Result<(), Failure> {
    let Manifest { descriptor, content } = manifest;
    let put = to.put_manifest(reference, &descriptor.media_type, content).await;
    let digest =
        put.map_err(|error| Failure::because(format!("can't put {} into {}", descriptor.digest, to.name()), error))?;
    if digest == descriptor.digest {
        return Ok(());
    }
    let message = format!("{} became {digest} in {}", descriptor.digest, to.name());
    Err(Failure::new(FailureKind::Verification, message))
}

/// The start of a digest, for people.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// A size in decimal units: `12.3 MB`.
fn format_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        // Tenths in integers: no rounding surprises.
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}
