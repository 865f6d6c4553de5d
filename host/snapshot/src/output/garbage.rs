//! Blobs of an OCI layout that no image leads to any more.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use oci_spec::image::Digest;
use serde_json::Value;

use super::place;
use crate::{Error, Result};

/// Removes the blobs of the OCI layout in a directory that no entry of its index leads to; gives their digests, sorted. What an image names as its
/// subject counts as led to. Fails with [`Error::NotFound`] and [`Error::Invalid`] if there is no layout; then nothing is removed.
pub fn collect_garbage(directory: &Path) -> Result<Vec<String>> {
    let marker = directory.join("oci-layout");
    let none = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound(format!("there is no OCI layout in `{}`", directory.display())),
        _ => Error::io("open", &marker)(error),
    };
    // Writers hold it too: a blob of an image that is being added is no garbage.
    File::open(&marker).map_err(none)?.lock().map_err(Error::io("lock", &marker))?;
    let index = directory.join("index.json");
    let content = fs::read(&index).map_err(Error::io("read", &index))?;
    let parsed: Value = serde_json::from_slice(&content)
        .map_err(|_| Error::Invalid(format!("`{}` is no OCI image index", index.display())))?;
    let mut kept = BTreeSet::new();
    let mut pending = digests(&parsed);
    while let Some(digest) = pending.pop() {
        if kept.insert(digest.clone()) {
            pending.extend(below(directory, &digest)?);
        }
    }
    remove_others(&directory.join("blobs"), &kept)
}

/// What a document refers to, wherever it says so.
fn digests(document: &Value) -> Vec<String> {
    let lists = ["manifests", "layers"].iter().filter_map(|key| document.get(key)?.as_array()).flatten();
    let singles = ["config", "subject"].iter().filter_map(|key| document.get(key));
    lists.chain(singles).filter_map(|descriptor| Some(descriptor.get("digest")?.as_str()?.to_owned())).collect()
}

/// What a blob refers to if it is a manifest or index.
fn below(directory: &Path, digest: &str) -> Result<Vec<String>> {
    /// No manifest is larger; what is need not be read to know that it is none.
    const LARGEST: u64 = 16 << 20;
    let Ok(digest) = digest.parse::<Digest>() else { return Ok(Vec::new()) };
    let path = directory.join(place(&digest));
    match fs::metadata(&path) {
        Ok(found) if found.len() <= LARGEST => {}
        _ => return Ok(Vec::new()),
    }
    let content = fs::read(&path).map_err(Error::io("read", &path))?;
    Ok(serde_json::from_slice(&content).map(|document| digests(&document)).unwrap_or_default())
}

fn remove_others(blobs: &Path, kept: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for algorithm in fs::read_dir(blobs).map_err(Error::io("list", blobs))? {
        let algorithm = algorithm.map_err(Error::io("list", blobs))?;
        for blob in fs::read_dir(algorithm.path()).map_err(Error::io("list", algorithm.path()))? {
            let blob = blob.map_err(Error::io("list", algorithm.path()))?;
            let digest = format!("{}:{}", algorithm.file_name().to_string_lossy(), blob.file_name().to_string_lossy());
            // Files of other names are not ours: those that are being written have one.
            if digest.parse::<Digest>().is_ok() && !kept.contains(&digest) {
                fs::remove_file(blob.path()).map_err(Error::io("remove", blob.path()))?;
                removed.push(digest);
            }
        }
    }
    removed.sort_unstable();
    Ok(removed)
}
