//! Archives that `docker save` wrote before it wrote layouts, and crane writes (Docker's image-spec v1.2): there is no manifest, so that one is made.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde_json::{Value, json};

use super::{Document, Entry, Images, document};
use crate::archive::find;
use crate::codec::{Codec, probe};
use crate::hash::{Hasher, Hashing};
use crate::{Descriptor, Error, Result, Source, sha256};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// An image of `manifest.json`.
struct Saved {
    config: String,
    names: Vec<String>,
    layers: Vec<String>,
}

impl Saved {
    fn read(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts = |value: &Value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
        let names = value.get("RepoTags").and_then(texts).unwrap_or_default();
        Some(Self { config: text(value.get("Config")?)?, names, layers: texts(value.get("Layers")?)? })
    }
}

/// Reads such an archive: its layers are hashed, once each.
pub(super) fn read(shown: String, source: Source) -> Result<Images> {
    let none = || {
        Error::Invalid(format!(
            "{shown} holds no image: it has neither an index.json nor a manifest.json that can be read"
        ))
    };
    let saved = document(&source, "manifest.json")?.ok_or_else(none)?;
    let saved: Vec<Value> = serde_json::from_slice(&saved).map_err(|_| none())?;
    let mut reader = Reader { shown: &shown, source: &source, files: BTreeMap::new(), known: BTreeMap::new() };
    let (mut entries, mut documents) = (Vec::new(), BTreeMap::new());
    for image in &saved {
        let image = Saved::read(image).ok_or_else(none)?;
        let manifest = reader.manifest(&image)?;
        let digest = manifest.descriptor.digest.clone();
        documents.insert(digest.to_string(), manifest);
        entries.push(Entry { names: image.names, digest });
    }
    let files = Some(reader.files);
    Ok(Images { shown, source, entries, index: None, documents, files })
}

struct Reader<'a> {
    shown: &'a str,
    source: &'a Source,
    /// By digest.
    files: BTreeMap<String, String>,
    /// Layers by path: images of one archive share them.
    known: BTreeMap<String, Value>,
}

impl Reader<'_> {
    fn manifest(&mut self, image: &Saved) -> Result<Document> {
        let invalid = |why: String| Error::Invalid(format!("{} of {}: {why}", image.config, self.shown));
        let config = document(self.source, &image.config)?.ok_or_else(|| invalid("it is missing".into()))?;
        let parsed: Value = serde_json::from_slice(&config).map_err(|_| invalid("it is no JSON".into()))?;
        let diff_ids = parsed.pointer("/rootfs/diff_ids").and_then(Value::as_array).cloned().unwrap_or_default();
        if diff_ids.len() != image.layers.len() {
            return Err(invalid(format!(
                "the image has {} layers and {} diff IDs",
                image.layers.len(),
                diff_ids.len()
            )));
        }
        let digest = sha256(&config);
        self.files.insert(digest.to_string(), image.config.clone());
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (path, diff_id) in image.layers.iter().zip(&diff_ids) {
            layers.push(self.layer(path, diff_id.as_str().unwrap_or_default())?);
        }
        let config = json!({"mediaType": CONFIG, "size": config.len(), "digest": digest.to_string()});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        Ok(Document::new(MANIFEST, manifest.to_string().into_bytes()))
    }

    /// The descriptor of a layer, which is plain or gzip as its bytes say. It must have its diff ID.
    fn layer(&mut self, path: &str, diff_id: &str) -> Result<Value> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let (content, size) = find(self.source, path)?;
        let mut hashing = Hashing::new(content.open(size)?, Hasher::sha256());
        let (start, whole) = probe(&mut hashing).map_err(Error::io("read", path))?;
        let codec = Codec::detect(&start);
        let media_type = match codec {
            Codec::Plain => LAYER.to_owned(),
            Codec::Gzip => format!("{LAYER}.gzip"),
            Codec::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd".to_owned(),
            codec => return Err(Error::Invalid(format!("{path} of {}: a layer can't be {codec:?}", self.shown))),
        };
        let mut plain = Hashing::new(io::sink(), Hasher::sha256());
        let mut decoded = codec.decode(whole)?;
        io::copy(&mut decoded, &mut plain).map_err(Error::io("read", path))?;
        plain.flush().map_err(Error::io("read", path))?;
        drop(decoded);
        // What may stand behind the last member of a compressed file belongs to the blob too.
        io::copy(&mut hashing.by_ref(), &mut io::sink()).map_err(Error::io("read", path))?;
        let found = plain.hasher.finish();
        if found.as_ref() != diff_id {
            return Err(Error::Corrupt(format!("{path} of {} has the diff ID {found}, not {diff_id}", self.shown)));
        }
        let Descriptor { media_type, digest, size } =
            Descriptor { media_type, digest: hashing.hasher.finish(), size: hashing.count };
        self.files.insert(digest.to_string(), path.to_owned());
        let layer = json!({"mediaType": media_type, "size": size, "digest": digest.to_string()});
        self.known.insert(path.to_owned(), layer.clone());
        Ok(layer)
    }
}
