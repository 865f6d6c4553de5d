//! An image as files: its tree, its config and its history.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::layers::Tree;
use crate::tree::Entry;

/// What an image is, however it was written.
#[derive(Debug)]
pub struct Image {
    /// All files, by path.
    pub tree: Vec<Entry>,
    /// The whole config.
    pub config: Value,
}

impl Image {
    /// Reads the only image of an OCI layout.
    pub fn of_layout(directory: &Path) -> Self {
        let index = json(&fs::read(directory.join("index.json")).unwrap());
        let blob = |digest: &str| fs::read(directory.join("blobs").join(digest.replace(':', "/"))).unwrap();
        Self::new(&json(&blob(text(&index["manifests"][0]["digest"]))), blob)
    }

    /// Reads what the transport `dir:` of skopeo and buildah writes: `manifest.json` and blobs named by their digests.
    pub fn of_directory(directory: &Path) -> Self {
        let blob = |digest: &str| fs::read(directory.join(digest.trim_start_matches("sha256:"))).unwrap();
        Self::new(&json(&fs::read(directory.join("manifest.json")).unwrap()), blob)
    }

    fn new(manifest: &Value, blob: impl Fn(&str) -> Vec<u8>) -> Self {
        let mut tree = Tree::default();
        for layer in manifest["layers"].as_array().unwrap() {
            tree.apply(&blob(text(&layer["digest"])));
        }
        Self { tree: tree.entries(), config: json(&blob(text(&manifest["config"]["digest"]))) }
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
