//! `size`: how many bytes a pull of an image transfers.

use std::collections::BTreeMap;

use serde_json::json;
use steprun_image::{Document, Manifest};
use steprun_ports::{Failure, Host, Repository, concurrently};

use crate::arguments::{full_name, image, jobs, platform, wants_json};
use crate::fetch;
use crate::query::{print, print_json};

/// Config and layers of one image, as they are compressed in the registry.
struct Sized {
    digest: String,
    platform: Option<String>,
    /// Bytes by digest: what is there twice is transferred once.
    blobs: BTreeMap<String, u64>,
}

/// One image gives its size alone, an index a line `SIZE PLATFORM` for each.
pub(crate) async fn size<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let root = fetch::fetch(&image, platform(host)?.as_ref()).await?;
    let images = match fetch::parse(&full_name(&image), &root)? {
        Document::Manifest(manifest) => vec![Sized::of(root.descriptor.digest, None, &manifest)],
        Document::Index(index) => {
            let entries =
                index.manifests.iter().filter(|entry| !entry.platform.as_ref().is_some_and(|p| p.is_unknown()));
            let read = async |entry: &steprun_image::Descriptor| read(&image.repository, entry).await;
            concurrently(jobs(host)?, entries, read).await?.into_iter().flatten().collect()
        }
    };
    if wants_json(host) {
        let mut all = BTreeMap::new();
        images.iter().for_each(|image| all.extend(image.blobs.clone()));
        let list = images.iter().map(|image| {
            let Sized { digest, platform, blobs } = image;
            json!({"digest": digest, "platform": platform, "size": image.size(), "blobs": blobs.len()})
        });
        let size: u64 = all.values().sum();
        return print_json(host, &json!({"size": size, "images": list.collect::<Vec<_>>()})).await;
    }
    let line = |image: &Sized| match &image.platform {
        Some(platform) => format!("{} {platform}\n", image.size()),
        None => format!("{}\n", image.size()),
    };
    print(host, images.iter().map(line).collect::<String>().as_bytes()).await
}

impl Sized {
    fn of(digest: String, platform: Option<String>, manifest: &Manifest) -> Self {
        let blobs = manifest.blobs().into_iter().map(|blob| (blob.digest.clone(), blob.size)).collect();
        Self { digest, platform, blobs }
    }

    fn size(&self) -> u64 {
        self.blobs.values().sum()
    }
}

/// An image of an index; none if the entry is no manifest.
async fn read<R: Repository>(repository: &R, entry: &steprun_image::Descriptor) -> Result<Option<Sized>, Failure> {
    if !steprun_image::media_type::is_manifest(&entry.media_type) {
        return Ok(None);
    }
    let manifest = fetch::by_digest(repository, &entry.digest).await?;
    let platform = entry.platform.as_ref().map(ToString::to_string);
    match fetch::parse(&format!("{}@{}", repository.name(), entry.digest), &manifest)? {
        Document::Manifest(manifest) => Ok(Some(Sized::of(entry.digest.clone(), platform, &manifest))),
        Document::Index(_) => Ok(None),
    }
}
