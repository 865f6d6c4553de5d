//! Images that a Dockerfile takes from: resolved once each, their layers opened only if files are needed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture, Shared, ready};
use steprun_image::{Document, Platform};
use steprun_ports::{Blob, Failure, Host, ImageArgument, Layer, Manifest, Repository, Task};

use crate::cache::Key;
use crate::config::Config;

/// A config larger than this is refused; real ones have some kilobytes.
const CONFIG_LIMIT: u64 = 8 << 20;

/// A value that is computed once, when it is first awaited, however many ask for it.
pub(crate) type Once<T> = Shared<LocalBoxFuture<'static, Result<T, Failure>>>;

/// Makes a [`Once`] of a computation.
pub(crate) fn once<T: Clone + 'static>(computation: impl Future<Output = Result<T, Failure>> + 'static) -> Once<T> {
    computation.boxed_local().shared()
}

/// A [`Once`] that is there already.
pub(crate) fn known<T: Clone + 'static>(value: T) -> Once<T> {
    once(ready(Ok(value)))
}

/// An image in a registry.
pub(crate) struct Image<H: Host> {
    /// Of its manifest: of the child for the platform, where the name stands for an index.
    pub(crate) digest: String,
    pub(crate) config: Config,
    pub(crate) layers: Vec<Layer<H::Blob>>,
    /// Its file system. Costs the table of contents of each layer.
    pub(crate) files: Once<H::Snapshot>,
}

impl<H: Host> Image<H> {
    /// Of its file system: that of the layers' contents, however they are compressed.
    pub(crate) fn key(&self) -> Key {
        Key::of("image", self.layers.iter().map(|layer| layer.diff_id.clone()))
    }
}

type ImageOnce<H> = Once<Rc<Image<H>>>;

/// Images by name and platform.
pub(crate) struct Images<H: Host> {
    host: H,
    known: RefCell<BTreeMap<(String, String), ImageOnce<H>>>,
}

impl<H: Host + 'static> Images<H> {
    pub(crate) fn new(host: H) -> Self {
        Self { host, known: RefCell::default() }
    }

    /// The image of a name for a platform.
    pub(crate) fn get(&self, name: &str, platform: &Platform) -> ImageOnce<H> {
        let (host, wanted) = (self.host.clone(), name.to_owned());
        self.once(name.to_owned(), platform, async move |task: H::Task, platform: Platform| {
            let resolved = host.resolve(&wanted).await.map_err(|error| unavailable(&wanted, error))?;
            take(host, task, &resolved.repository, resolved.reference(), &wanted, &platform).await
        })
    }

    /// The image that an argument named, for a platform.
    pub(crate) fn granted(&self, image: &ImageArgument<H::Repository>, platform: &Platform) -> ImageOnce<H> {
        let (host, image) = (self.host.clone(), image.clone());
        // The scheme keeps it apart from what the name alone would lead to.
        let key = format!("docker-image://{}", image.typed);
        self.once(key, platform, async move |task: H::Task, platform: Platform| {
            take(host, task, &image.repository, image.reference(), &image.typed, &platform).await
        })
    }

    fn once(
        &self,
        key: String,
        platform: &Platform,
        get: impl AsyncFnOnce(H::Task, Platform) -> Result<Image<H>, Failure> + 'static,
    ) -> ImageOnce<H> {
        let (host, platform) = (self.host.clone(), platform.clone());
        let label = format!("resolve {}", key.trim_start_matches("docker-image://"));
        let mut known = self.known.borrow_mut();
        let entry = known.entry((key, platform.to_string()));
        entry.or_insert_with(|| once(async move { get(host.task(&label), platform).await.map(Rc::new) })).clone()
    }
}

fn unavailable(name: &str, error: steprun_ports::Error) -> Failure {
    Failure::because(format!("could not get the image `{name}`"), error)
}

async fn take<H: Host + 'static>(
    host: H,
    task: H::Task,
    repository: &H::Repository,
    reference: &str,
    name: &str,
    platform: &Platform,
) -> Result<Image<H>, Failure> {
    let fail = |error| unavailable(name, error);
    let malformed = |error: steprun_image::Error| Failure::failed(format!("the image `{name}` is malformed: {error}"));
    let top = repository.manifest(reference).await.map_err(fail)?;
    let (digest, manifest) = choose::<H>(repository, top, name, platform).await?;
    let config = repository.blob(&manifest.config.port()).read(CONFIG_LIMIT).await.map_err(fail)?;
    let config = steprun_image::Config::parse(&config).map_err(malformed)?;
    if config.diff_ids.len() != manifest.layers.len() {
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        return Err(Failure::failed(format!("`{name}` has {layers} layers, but its config has {diff_ids} diff IDs"))
            .hint("it may be no container image"));
    }
    let blobs = manifest.layers.iter().map(|layer| repository.blob(&layer.port()));
    let layers: Vec<Layer<H::Blob>> =
        blobs.zip(&config.diff_ids).map(|(blob, diff_id)| Layer { blob, diff_id: diff_id.clone() }).collect();
    task.finish(&digest);
    let files = files(host, name.to_owned(), layers.clone());
    Ok(Image { digest, config: Config::of_base(config), layers, files })
}

fn files<H: Host + 'static>(host: H, name: String, layers: Vec<Layer<H::Blob>>) -> Once<H::Snapshot> {
    once(async move {
        let opened = host.from_layers(&layers).await;
        opened.map_err(|error| Failure::because(format!("could not open the layers of `{name}`"), error))
    })
}

/// The manifest itself, or the one of an index for the platform; with its digest.
async fn choose<H: Host>(
    repository: &H::Repository,
    top: Manifest,
    name: &str,
    platform: &Platform,
) -> Result<(String, steprun_image::Manifest), Failure> {
    match parse(&top, name)? {
        Document::Manifest(manifest) => Ok((top.descriptor.digest, *manifest)),
        Document::Index(index) => {
            let child = index.image_for(platform).map_err(|error| {
                Failure::failed(format!("can't use `{name}`: {error}"))
                    .hint("choose a platform with `--platform` or `FROM --platform=...`")
            })?;
            let found = repository.manifest(&child.digest).await;
            let found = found
                .map_err(|error| Failure::because(format!("could not get the image `{name}` for {platform}"), error))?;
            match parse(&found, name)? {
                Document::Manifest(manifest) => Ok((found.descriptor.digest, *manifest)),
                Document::Index(_) => Err(Failure::failed(format!("`{name}` is an index of indexes"))),
            }
        }
    }
}

fn parse(manifest: &Manifest, name: &str) -> Result<Document, Failure> {
    let document = Document::parse(&manifest.descriptor.media_type, &manifest.content);
    document.map_err(|error| Failure::failed(format!("the manifest of `{name}` can't be used: {error}")))
}
