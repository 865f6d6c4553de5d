//! The `index.json` of a layout, and what manifests refer to.

use std::path::Path;

use oci_spec::image::Digest;
use serde_json::{Map, Value, json};

use super::Image;
use crate::{Descriptor, Error, Result};

/// Contents of the file `oci-layout` (OCI image-spec, image-layout.md).
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The tag, by which skopeo and umoci find an image in a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, which `docker load`, nerdctl and BuildKit use.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// The digests of config, layers and manifests in a manifest or index, without layers that are fetched from elsewhere (`urls`).
pub(super) fn references(manifest: &[u8]) -> Result<Vec<Digest>> {
    let invalid = || Error::Invalid("the image's manifest is no OCI or Docker manifest".into());
    let manifest: Value = serde_json::from_slice(manifest).map_err(|_| invalid())?;
    let listed = ["layers", "manifests"].iter().filter_map(|key| manifest.get(key)?.as_array()).flatten();
    let here = listed.filter(|descriptor| descriptor.get("urls").is_none());
    here.chain(manifest.get("config")).map(|descriptor| digest(descriptor).ok_or_else(invalid)).collect()
}

/// The digests of an image manifest's config and of its layers in order. Fails with [`Error::Unsupported`] if it is an index.
pub(super) fn config_and_layers(manifest: &[u8]) -> Result<(Digest, Vec<Digest>)> {
    let unsupported = || {
        Error::Unsupported(
            "an archive for `docker load` holds the image of one platform, and this is an index; use an OCI archive"
                .into(),
        )
    };
    let manifest: Value = serde_json::from_slice(manifest).map_err(|_| unsupported())?;
    let config = manifest.get("config").and_then(digest).ok_or_else(unsupported)?;
    let layers = manifest.get("layers").and_then(Value::as_array).ok_or_else(unsupported)?;
    Ok((config, layers.iter().map(digest).collect::<Option<_>>().ok_or_else(unsupported)?))
}

/// The digest in a descriptor.
pub(crate) fn digest(descriptor: &Value) -> Option<Digest> {
    Digest::try_from(descriptor.get("digest")?.as_str()?).ok()
}

/// An index with these images and nothing else.
pub(super) fn new<'a>(images: impl IntoIterator<Item = (&'a Image, &'a Descriptor)>) -> Vec<u8> {
    let entries: Vec<Value> = images.into_iter().flat_map(|(image, descriptor)| entries(image, descriptor)).collect();
    written(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    }))
}

/// An index that is there, with the image added. Entries of the same names are replaced, as is a nameless one of the same digest; whatever else is in it stays.
/// Fails with [`Error::Invalid`] if it is no index.
pub(super) fn merged(existing: &[u8], path: &Path, image: &Image, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let invalid = || Error::Invalid(format!("`{}` is no OCI image index", path.display()));
    let mut index: Value = serde_json::from_slice(existing).map_err(|_| invalid())?;
    let manifests = index.get_mut("manifests").and_then(Value::as_array_mut).ok_or_else(invalid)?;
    manifests.retain(|entry| !replaces(image, descriptor, entry));
    manifests.extend(entries(image, descriptor));
    Ok(written(&index))
}

fn replaces(image: &Image, descriptor: &Descriptor, entry: &Value) -> bool {
    let annotation = |key| entry.get("annotations")?.get(key)?.as_str();
    match (annotation(IMAGE_NAME), annotation(REF_NAME)) {
        (Some(full), _) => image.names.iter().any(|name| name == full),
        // Written by a tool that knows tags only.
        (None, Some(reference)) => {
            image.names.iter().any(|name| name == reference || !is_tag(name) && tag(name) == reference)
        }
        (None, None) => digest(entry).as_ref() == Some(&descriptor.digest),
    }
}

fn entries(image: &Image, descriptor: &Descriptor) -> Vec<Value> {
    let mut entry = Map::new();
    entry.insert("mediaType".into(), descriptor.media_type.clone().into());
    entry.insert("digest".into(), descriptor.digest.to_string().into());
    entry.insert("size".into(), descriptor.size.into());
    if image.names.is_empty() {
        return vec![entry.into()];
    }
    let named = |name: &String| {
        let mut entry = entry.clone();
        let annotations =
            if is_tag(name) { json!({ REF_NAME: name }) } else { json!({ IMAGE_NAME: name, REF_NAME: tag(name) }) };
        entry.insert("annotations".into(), annotations);
        Value::from(entry)
    };
    image.names.iter().map(named).collect()
}

/// Whether a name is a tag alone, as layouts may have it.
fn is_tag(name: &str) -> bool {
    !name.contains(['/', ':', '@'])
}

/// An index without the entries of a name or digest; none if there is no such entry. Fails as [`merged`] does.
pub(super) fn without(existing: &[u8], path: &Path, reference: &str) -> Result<Option<Vec<u8>>> {
    let invalid = || Error::Invalid(format!("`{}` is no OCI image index", path.display()));
    let mut index: Value = serde_json::from_slice(existing).map_err(|_| invalid())?;
    let manifests = index.get_mut("manifests").and_then(Value::as_array_mut).ok_or_else(invalid)?;
    let before = manifests.len();
    manifests.retain(|entry| {
        let annotation = |key| entry.get("annotations")?.get(key)?.as_str();
        let digest = entry.get("digest").and_then(Value::as_str);
        ![annotation(IMAGE_NAME), annotation(REF_NAME), digest].contains(&Some(reference))
    });
    Ok((manifests.len() < before).then(|| written(&index)))
}

/// The tag of `registry/repository:tag`, or `latest`; a digest after it doesn't count.
pub(super) fn tag(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

/// The bytes of a document. Maps are sorted, so that equal documents have equal bytes.
pub(super) fn written(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}
