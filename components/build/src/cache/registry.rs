//! A cache in a repository: one tag for all records of a build, so that a look-up costs two requests however many instructions there are.
//!
//! The tag names an image manifest of its own artifact type. Its config has the records, its layers are all that they refer to: what the registry
//! keeps the tag for, it keeps them for. Writers merge with what is there; of two that write at once the later wins, and what the other had is
//! missed, never mistaken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use steprun_image::media_type::OCI_MANIFEST;
use steprun_ports::{Blob, Descriptor, Error, Failure, Host, Repository, Result, concurrently};

use super::{Key, Record};

const ARTIFACT_TYPE: &str = "application/vnd.steprun.cache.v1";
const RECORDS_TYPE: &str = "application/vnd.steprun.cache.records.v1+json";

/// Records are some hundred bytes each.
const LIMIT: u64 = 8 << 20;

/// Records that a cache has at most: those of the last build, then older ones.
const MOST: usize = 1000;

/// Layers under way at the same time.
const AT_ONCE: usize = 4;

/// The tag of a build's cache.
pub(super) fn tag(scope: &Key) -> String {
    format!("steprun-cache-{}", &scope.as_str()[..16])
}

/// The records in a repository; none if it has no such tag.
pub(super) async fn import<R: Repository>(repository: &R, tag: &str) -> Result<BTreeMap<Key, Record<R::Blob>>> {
    let manifest = match repository.manifest(tag).await {
        Ok(manifest) => manifest,
        // A repository that does not exist is one that nobody has pushed to.
        Err(Error::NotFound(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let manifest: Value = serde_json::from_slice(&manifest.content).unwrap_or_default();
    if manifest["artifactType"] != ARTIFACT_TYPE {
        return Err(Error::Invalid(format!("the tag {tag} is no cache")));
    }
    let records = descriptor(&manifest["config"]).ok_or_else(|| Error::Corrupt("it has no records".to_owned()))?;
    let records: Value = serde_json::from_slice(&repository.blob(&records).read(LIMIT).await?).unwrap_or_default();
    let record = |value: &Value| {
        let blob = descriptor(&value["layer"]).map(|descriptor| repository.blob(&descriptor));
        Some((Key::parse(value["key"].as_str()?)?, Record::from_json(value, blob)?))
    };
    Ok(records["records"].as_array().into_iter().flatten().filter_map(record).collect())
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(Descriptor { media_type: text("mediaType")?, digest: text("digest")?, size: value["size"].as_u64()? })
}

/// Adds records to those in a repository. Nothing is written if all are there.
///
/// # Errors
/// What the registry says.
pub(super) async fn export<H: Host>(
    host: &H,
    repository: &H::Repository,
    tag: &str,
    own: &BTreeMap<Key, Record<H::Blob>>,
) -> std::result::Result<(), Failure> {
    let fail = |error| Failure::because("could not put it there", error);
    // Once more: others may have written since the build began.
    let there = import(repository, tag).await.unwrap_or_default();
    if own.iter().all(|(key, record)| there.get(key).is_some_and(|known| same(known, record))) {
        return Ok(());
    }
    let push = |blob: H::Blob| async move { repository.push(&blob).await.map(drop).map_err(fail) };
    concurrently(AT_ONCE, own.values().flat_map(Record::blobs), push).await.map(|_: Vec<()>| ())?;

    let others = there.iter().filter(|(key, _)| !own.contains_key(*key));
    let all: Vec<(&Key, &Record<H::Blob>)> = own.iter().chain(others).take(MOST).collect();
    let mut seen = BTreeSet::new();
    let layers = all.iter().flat_map(|(_, record)| record.blobs()).map(|blob| blob.descriptor());
    let layers: Vec<Value> =
        layers.filter(|layer| seen.insert(layer.digest.clone())).map(|layer| entry(&layer)).collect();
    let records: Vec<Value> = all.iter().map(|(key, record)| described(key, record)).collect();
    let records = json!({"version": 1, "records": records}).to_string();

    let config = host.put(RECORDS_TYPE, records.as_bytes()).await.map_err(fail)?;
    repository.push(&config).await.map_err(fail)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": entry(&config.descriptor()),
        "layers": layers,
    });
    repository.put_manifest(tag, OCI_MANIFEST, manifest.to_string().as_bytes()).await.map(drop).map_err(fail)
}

fn same<B: Blob>(one: &Record<B>, other: &Record<B>) -> bool {
    let digests =
        |record: &Record<B>| -> Vec<_> { record.blobs().iter().map(|blob| blob.descriptor().digest).collect() };
    one.to_json() == other.to_json() && digests(one) == digests(other)
}

fn entry(descriptor: &Descriptor) -> Value {
    json!({"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size})
}

fn described<B: Blob>(key: &Key, record: &Record<B>) -> Value {
    let mut value = record.to_json();
    value["key"] = json!(key.as_str());
    if let Some(blob) = record.blobs().first() {
        value["layer"] = entry(&blob.descriptor());
    }
    value
}
