//! `validate`: whether an image is what its digests say.

use steprun_image::{Document, Manifest};
use steprun_ports::{self as ports, Failure, Host, ImageArgument, Repository, concurrently};

use crate::arguments::{full_name, image, jobs, platform};
use crate::bundle::whole;
use crate::draft::Draft;
use crate::fetch;
use crate::query::print;

/// Prints `PASS: x`, or `FAIL: x: why` and fails.
pub(crate) async fn validate<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "remote")?;
    let typed = &image.typed;
    match check(host, &image).await {
        Ok(()) => print(host, format!("PASS: {typed}\n").as_bytes()).await,
        Err(failure) => {
            print(host, format!("FAIL: {typed}: {failure}\n").as_bytes()).await?;
            Err(failure)
        }
    }
}

/// Reads all manifests and configs, which the host verifies, and unless it is to be fast each layer.
async fn check<H: Host>(host: &H, image: &ImageArgument<H::Repository>) -> Result<(), Failure> {
    let (fast, jobs) = (host.flag("fast"), jobs(host)?);
    let root = fetch::fetch(image, platform(host)?.as_ref()).await?;
    let bundle = whole(&image.repository, root, jobs).await?;
    let manifests = bundle.children.iter().chain([&bundle.root]);
    let check = async |manifest: &ports::Manifest| {
        let name = format!("{}@{}", image.repository.name(), manifest.descriptor.digest);
        match fetch::parse(&name, manifest)? {
            Document::Manifest(parsed) if parsed.is_image() => check_image(host, image, &name, *parsed, fast).await,
            _ => Ok(()),
        }
    };
    concurrently(jobs, manifests, check).await.map(drop)
}

async fn check_image<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    name: &str,
    manifest: Manifest,
    fast: bool,
) -> Result<(), Failure> {
    let draft = Draft::read(&image.repository, name, manifest).await?;
    if fast {
        return Ok(());
    }
    // Reading the table of contents checks both digests of a layer.
    let read = host.from_layers(&draft.with_diff_ids()).await;
    read.map(drop).map_err(|error| Failure::because(format!("can't read the layers of {}", full_name(image)), error))
}
