//! Base images, made by hand, so that no test needs the network or our own builder for them.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::judges::skopeo_copy;
use crate::registry::Registry;
use crate::{MTIME, sha256};

/// A layer that is being written, entry by entry.
pub struct Layer(Builder<Vec<u8>>);

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer {
    /// An empty layer.
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// A directory.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32, owner: (u64, u64)) -> Self {
        self.entry(EntryType::Directory, &format!("{path}/"), mode, owner, "", b"")
    }

    /// A file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, owner: (u64, u64), content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, mode, owner, "", content)
    }

    /// A symlink.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, 0o777, (0, 0), target, b"")
    }

    /// Another name of an earlier file.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, 0o644, (0, 0), target, b"")
    }

    fn entry(
        mut self,
        kind: EntryType,
        path: &str,
        mode: u32,
        owner: (u64, u64),
        target: &str,
        content: &[u8],
    ) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(MTIME.unsigned_abs());
        header.set_size(content.len() as u64);
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// An image that is being made.
#[derive(Debug, Clone)]
pub struct Base {
    layers: Vec<Vec<u8>>,
    config: Value,
}

impl Base {
    /// An image with these fields of `config`, besides what every image has.
    pub fn new(config: Value) -> Self {
        let config = json!({
            "created": "2023-11-14T22:13:20Z",
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": [] },
            "history": [],
        });
        Self { layers: Vec::new(), config }
    }

    /// Sets a field beside `config`.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.config[name] = value;
        self
    }

    /// Adds a layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer.finish());
        self
    }

    /// Adds a layer that is a tar already.
    #[must_use]
    pub(crate) fn tar(mut self, tar: Vec<u8>) -> Self {
        self.layers.push(tar);
        self
    }

    /// Writes it as an OCI layout, under the name `image`, and gives the manifest's digest.
    pub fn write(mut self, layout: &Path) -> String {
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let mut layers = Vec::new();
        for (number, tar) in self.layers.iter().enumerate() {
            push(&mut self.config["rootfs"]["diff_ids"], json!(sha256(tar)));
            push(
                &mut self.config["history"],
                json!({ "created": "2023-11-14T22:13:20Z", "created_by": format!("layer {number}") }),
            );
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, tar).unwrap();
            layers.push(blob(layout, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip.finish().unwrap()));
        }
        let config = blob(layout, "application/vnd.oci.image.config.v1+json", self.config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
        let mut descriptor = blob(layout, kind, manifest.to_string().as_bytes());
        let digest = descriptor["digest"].as_str().unwrap().to_owned();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": "image" });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        digest
    }

    /// Pushes it with skopeo; gives the manifest's digest.
    #[track_caller]
    pub fn push(self, registry: &Registry, image: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let digest = self.write(directory.path());
        let from = format!("oci:{}:image", directory.path().display());
        let to = format!("docker://{}", registry.image(image));
        skopeo_copy(&from, &to, &registry.skopeo_options("dest-"));
        digest
    }
}

/// Pushes an index of two images, for linux/amd64 and linux/arm64; gives its digest. The directory holds it on its way.
#[track_caller]
pub fn push_index(directory: &Path, registry: &Registry, image: &str) -> String {
    let layout = directory.join("index");
    let first = Base::new(json!({})).layer(Layer::new().file("a", 0o644, (0, 0), b"a")).write(&layout);
    let second = Base::new(json!({ "Cmd": ["b"] })).layer(Layer::new().file("b", 0o644, (0, 0), b"b")).write(&layout);
    let child = |digest: &str, architecture: &str| {
        let size = fs::metadata(layout.join("blobs").join(digest.replace(':', "/"))).unwrap().len();
        let platform = json!({ "os": "linux", "architecture": architecture });
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size, "platform": platform })
    };
    let kind = "application/vnd.oci.image.index.v1+json";
    let children = [child(&first, "amd64"), child(&second, "arm64")];
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": children });
    let mut descriptor = blob(&layout, kind, index.to_string().as_bytes());
    let digest = descriptor["digest"].as_str().unwrap().to_owned();
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": "image" });
    let top = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(layout.join("index.json"), top.to_string()).unwrap();
    let (from, to) = (format!("oci:{}:image", layout.display()), format!("docker://{}", registry.image(image)));
    skopeo_copy(&from, &to, &registry.skopeo_options("dest-"));
    digest
}

fn push(list: &mut Value, value: Value) {
    list.as_array_mut().unwrap().push(value);
}

fn blob(layout: &Path, kind: &str, content: &[u8]) -> Value {
    let digest = sha256(content);
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), content).unwrap();
    json!({ "mediaType": kind, "digest": digest, "size": content.len() })
}
