//! Images that a Dockerfile takes from: resolved once each, their layers opened only if files are needed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture, Shared, ready};
use serde_json::Value;
use steprun_ports::{Blob, Descriptor, Failure, Host, Layer, Level, Manifest, Repository, Task};

use crate::config::Config;
use crate::platform::Platform;

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
    pub(crate) config: Config,
    pub(crate) layers: Vec<Layer<H::Blob>>,
    /// Its file system. Costs the table of contents of each layer.
    pub(crate) files: Once<H::Snapshot>,
}

/// Images by name and platform.
pub(crate) struct Images<H: Host> {
    host: H,
    known: RefCell<BTreeMap<(String, String), Once<Rc<Image<H>>>>>,
}

impl<H: Host + 'static> Images<H> {
    pub(crate) fn new(host: H) -> Self {
        Self { host, known: RefCell::default() }
    }

    /// The image of a name for a platform.
    pub(crate) fn get(&self, name: &str, platform: &Platform) -> Once<Rc<Image<H>>> {
        let key = (name.to_owned(), platform.to_string());
        let (host, name, platform) = (self.host.clone(), name.to_owned(), platform.clone());
        let mut known = self.known.borrow_mut();
        known
            .entry(key)
            .or_insert_with(|| once(async move { resolve(host, &name, &platform).await.map(Rc::new) }))
            .clone()
    }
}

async fn resolve<H: Host + 'static>(host: H, name: &str, platform: &Platform) -> Result<Image<H>, Failure> {
    let task = host.task(&format!("resolve {name}"));
    let fail = |error| Failure::because(format!("could not get the image `{name}`"), error);
    let resolved = host.resolve(name).await.map_err(fail)?;
    let top = resolved.repository.manifest(resolved.reference()).await.map_err(fail)?;
    let (manifest, value) = choose::<H>(&resolved.repository, top, name, platform).await?;
    let malformed = |what: &str| Failure::failed(format!("the manifest of `{name}` {what}"));
    let config = descriptor(&value["config"]).ok_or_else(|| malformed("has no config"))?;
    let bytes = resolved.repository.blob(&config).read(CONFIG_LIMIT).await.map_err(fail)?;
    let config = Config::parse(&bytes).map_err(|failure| named(name, failure))?;
    let layers: Option<Vec<Descriptor>> =
        value["layers"].as_array().map_or(Some(Vec::new()), |layers| layers.iter().map(descriptor).collect());
    let layers = layers.ok_or_else(|| malformed("has a malformed layer"))?;
    let diff_ids = config.diff_ids();
    if diff_ids.len() != layers.len() {
        return Err(malformed(&format!(
            "has {} layers but its config has {} diff IDs: is it a container image?",
            layers.len(),
            diff_ids.len()
        )));
    }
    warn_other_platform(&host, name, &config, platform);
    let layers: Vec<Layer<H::Blob>> = layers
        .iter()
        .zip(diff_ids)
        .map(|(layer, diff_id)| Layer { blob: resolved.repository.blob(layer), diff_id })
        .collect();
    task.finish(&manifest.descriptor.digest);
    let files = files(host, name.to_owned(), layers.clone());
    Ok(Image { config, layers, files })
}

fn files<H: Host + 'static>(host: H, name: String, layers: Vec<Layer<H::Blob>>) -> Once<H::Snapshot> {
    once(async move {
        let opened = host.from_layers(&layers).await;
        opened.map_err(|error| Failure::because(format!("could not open the layers of `{name}`"), error))
    })
}

/// The manifest itself, or the one of an index for the platform.
async fn choose<H: Host>(
    repository: &H::Repository,
    top: Manifest,
    name: &str,
    platform: &Platform,
) -> Result<(Manifest, Value), Failure> {
    let value = parse(&top, name)?;
    let Some(children) = value["manifests"].as_array() else {
        return match value["schemaVersion"].as_u64() {
            Some(1) => Err(Failure::failed(format!("`{name}` is in Docker's old format, schema 1"))
                .hint("push it again with a current client")),
            _ => Ok((top, value)),
        };
    };
    let of_platform = |child: &&Value| Platform::of_descriptor(child).and_then(|own| platform.rank(&own));
    let best = children.iter().filter(|child| of_platform(child).is_some()).min_by_key(|child| of_platform(child));
    let digest =
        best.and_then(|child| child["digest"].as_str()).ok_or_else(|| no_platform(name, platform, children))?;
    let child = repository.manifest(digest).await;
    let child =
        child.map_err(|error| Failure::because(format!("could not get the image `{name}` for {platform}"), error))?;
    let value = parse(&child, name)?;
    Ok((child, value))
}

fn no_platform(name: &str, platform: &Platform, children: &[Value]) -> Failure {
    let mut has: Vec<String> = children
        .iter()
        .filter_map(Platform::of_descriptor)
        .filter(|own| own.os != "unknown")
        .map(|own| own.to_string())
        .collect();
    has.dedup();
    Failure::failed(format!("`{name}` has no image for {platform}"))
        .hint(format!("it has {}; choose one with `--platform` or `FROM --platform=...`", has.join(", ")))
}

fn parse(manifest: &Manifest, name: &str) -> Result<Value, Failure> {
    let value = serde_json::from_slice(&manifest.content);
    value.map_err(|error| Failure::failed(format!("the manifest of `{name}` is no JSON: {error}")))
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    Some(Descriptor {
        media_type: value["mediaType"].as_str()?.to_owned(),
        digest: value["digest"].as_str()?.to_owned(),
        size: value["size"].as_u64()?,
    })
}

fn warn_other_platform<H: Host>(host: &H, name: &str, config: &Config, platform: &Platform) {
    let own = config.platform();
    if !own.os.is_empty() && platform.rank(&own).is_none() {
        host.log(Level::Warning, &format!("`{name}` is made for {own}, not for {platform}"));
    }
}

fn named(name: &str, mut failure: Failure) -> Failure {
    failure.message = format!("{} (`{name}`)", failure.message);
    failure
}
