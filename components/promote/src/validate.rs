//! `validate`: whether an image is what its digests say.

use serde_json::json;
use steprun_image::{Document, Manifest};
use steprun_ports::{self as ports, Blob, Failure, Host, InputFile, Repository, concurrently};

use crate::arguments::{jobs, missing, platform, wants_json};
use crate::bundle::{Bundle, whole};
use crate::draft::{Draft, read_config};
use crate::fetch;
use crate::local;
use crate::query::{print, print_json};

/// Prints `PASS: x`, or `FAIL: x: why` and fails; the same as JSON.
pub(crate) async fn validate<H: Host>(host: &H) -> Result<(), Failure> {
    let (images, files) = (host.images("remote"), host.input_files("tarball"));
    if images.is_empty() && files.is_empty() {
        return Err(missing("remote").hint("name an image by --remote or an archive by --tarball"));
    }
    for file in files {
        let checked = check(host, &file.name(), local::bundle::<H>(&file, false).await).await;
        report(host, &file.name(), checked).await?;
    }
    for image in images {
        let bundle = match fetch::fetch(&image, platform(host)?.as_ref()).await {
            Ok(root) => whole(&image.repository, root, jobs(host)?).await,
            Err(failure) => Err(failure),
        };
        report(host, &image.typed, check(host, &image.repository.name(), bundle).await).await?;
    }
    Ok(())
}

async fn report(host: &impl Host, typed: &str, checked: Result<(), Failure>) -> Result<(), Failure> {
    if wants_json(host) {
        let error = checked.as_ref().err().map(ToString::to_string);
        print_json(host, &json!({"image": typed, "valid": error.is_none(), "error": error})).await?;
        return checked;
    }
    match checked {
        Ok(()) => print(host, format!("PASS: {typed}\n").as_bytes()).await,
        Err(failure) => {
            print(host, format!("FAIL: {typed}: {failure}\n").as_bytes()).await?;
            Err(failure)
        }
    }
}

/// Checks all configs against their manifests, and unless it is to be fast reads each layer. The host has verified the manifests.
async fn check<H: Host>(host: &H, place: &str, bundle: Result<Bundle<H::Blob>, Failure>) -> Result<(), Failure> {
    let Bundle { children, root, blobs } = bundle?;
    let check = async |manifest: &ports::Manifest| {
        let name = format!("{place}@{}", manifest.descriptor.digest);
        match fetch::parse(&name, manifest)? {
            Document::Manifest(parsed) if parsed.is_image() => check_image(host, &name, *parsed, &blobs).await,
            _ => Ok(()),
        }
    };
    concurrently(jobs(host)?, children.iter().chain([&root]), check).await.map(drop)
}

async fn check_image<H: Host>(host: &H, name: &str, manifest: Manifest, blobs: &[H::Blob]) -> Result<(), Failure> {
    let find = |digest: &str| {
        let found = blobs.iter().find(|blob| blob.descriptor().digest == digest).cloned();
        found.ok_or_else(|| Failure::failed(format!("{name} refers to {digest}, which is not there")))
    };
    let config = read_config(&find(&manifest.config.digest)?, name).await?;
    let layers = manifest.layers.iter().map(|layer| find(&layer.digest)).collect::<Result<Vec<_>, _>>()?;
    let draft = Draft::of(name, manifest, &config, layers)?;
    if host.flag("fast") {
        return Ok(());
    }
    // Reading the table of contents checks both digests of a layer.
    let read = host.from_layers(&draft.with_diff_ids()).await;
    read.map(drop).map_err(|error| Failure::because(format!("can't read the layers of {name}"), error))
}
