//! Images in the form that `docker save` wrote before its version 25: for each layer a directory with its plain tar and a config of its own (Docker's
//! image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format").
//!
//! Names and contents are those of crane's `pull --format=legacy`, to the byte: scripts know layers by them. Its configs of layers have Go's fields in
//! Go's order, and none that were not there when the form was in use; whatever the image's own config says stands in that, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::archive::{Archive, tagged};
use super::{Blob, Image, copy, index, place, verify};
use crate::codec::{Codec, probe};
use crate::hash::{Hasher, Hashing};
use crate::{Descriptor, Error, Result, sha256};

/// What a layer's config keeps of the image's; `Healthcheck` is a document of its own.
const CONFIG: [&str; 24] = [
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "Healthcheck",
    "Domainname",
    "Entrypoint",
    "Env",
    "Hostname",
    "Image",
    "Labels",
    "OnBuild",
    "OpenStdin",
    "StdinOnce",
    "Tty",
    "User",
    "Volumes",
    "WorkingDir",
    "ExposedPorts",
    "ArgsEscaped",
    "NetworkDisabled",
    "MacAddress",
    "StopSignal",
    "Shell",
];
const HEALTHCHECK: [&str; 5] = ["Test", "Interval", "Timeout", "StartPeriod", "Retries"];

/// A config is held in memory, unlike layers.
const CONFIG_LIMIT: u64 = 16 << 20;

/// Writes images to an archive that is not ended yet. What they share is written once.
pub(super) fn write(archive: &mut Archive<'_>, images: &[Image], places: &BTreeMap<String, &dyn Blob>) -> Result<()> {
    let mut writer = Writer { archive, places, written: BTreeSet::new() };
    let (mut saved, mut repositories) = (Vec::new(), BTreeMap::<String, BTreeMap<String, String>>::new());
    for image in images {
        let (config, layers) = index::config_and_layers(&image.manifest)?;
        let (config, layers) = (writer.blob(&config)?, writer.blobs(&layers)?);
        let (name, layers) = writer.image(config, &layers)?;
        let tags: Vec<String> = image.names.iter().map(|name| tagged(name)).collect();
        for (repository, tag) in tags.iter().filter_map(|name| name.rsplit_once(':')) {
            // Without layers there is nothing that the tag could stand for.
            let Some(top) = layers.last() else { continue };
            repositories.entry(repository.to_owned()).or_default().insert(tag.to_owned(), top.clone());
        }
        let layers: Vec<String> = layers.iter().map(|id| format!("{id}/layer.tar")).collect();
        saved.push(json!({ "Config": name, "RepoTags": tags, "Layers": layers }));
    }
    archive.file("manifest.json", &written(&json!(saved)))?;
    archive.file("repositories", &written(&json!(repositories)))
}

struct Writer<'w, 'a, 'b> {
    archive: &'w mut Archive<'a>,
    places: &'b BTreeMap<String, &'b dyn Blob>,
    /// Configs and layers.
    written: BTreeSet<String>,
}

impl<'b> Writer<'_, '_, 'b> {
    fn blob(&self, digest: &oci_spec::image::Digest) -> Result<&'b dyn Blob> {
        let missing = || Error::Invalid(format!("the manifest refers to the blob {digest}, which was not given"));
        self.places.get(&place(digest)).copied().ok_or_else(missing)
    }

    fn blobs(&self, digests: &[oci_spec::image::Digest]) -> Result<Vec<&'b dyn Blob>> {
        digests.iter().map(|digest| self.blob(digest)).collect()
    }

    /// Writes an image; gives the name of its config, and the IDs of its layers.
    fn image(&mut self, config: &dyn Blob, layers: &[&dyn Blob]) -> Result<(String, Vec<String>)> {
        let name = format!("{}.json", config.descriptor().digest.digest());
        let raw = read(config)?;
        if self.written.insert(name.clone()) {
            self.archive.file(&name, &raw)?;
        }
        let config: Value = serde_json::from_slice(&raw)
            .map_err(|error| Error::Invalid(format!("the config {name} is no JSON: {error}")))?;
        let history = history(&config, layers.len());
        let mut ids: Vec<String> = Vec::with_capacity(layers.len());
        for (number, layer) in layers.iter().enumerate() {
            let parent = ids.last().map_or("", String::as_str);
            let top = (number + 1 == layers.len()).then_some((&config, raw.as_slice()));
            let id = id(layer.descriptor(), parent, top.map(|(_, raw)| raw));
            let own = layer_config(&id, parent, &history[number], top.map(|(config, _)| config));
            self.layer(&id, *layer, &own)?;
            ids.push(id);
        }
        Ok((name, ids))
    }

    fn layer(&mut self, id: &str, layer: &dyn Blob, config: &Value) -> Result<()> {
        if !self.written.insert(id.to_owned()) {
            return Ok(());
        }
        self.plain(&format!("{id}/layer.tar"), layer)?;
        self.archive.file(&format!("{id}/json"), &written(config))?;
        self.archive.file(&format!("{id}/VERSION"), b"1.0")
    }

    /// Writes a layer's tar. A header says its size first, so that a compressed layer is read twice: there may be no room for it on any disk.
    fn plain(&mut self, path: &str, layer: &dyn Blob) -> Result<()> {
        let (start, _) = probe(layer.open()?).map_err(failed(layer))?;
        let codec = Codec::detect(&start);
        if codec == Codec::Plain {
            return self.archive.blob(path, layer);
        }
        let size = measured(layer, codec)?;
        self.archive.begin(path, size)?;
        let (_, whole) = probe(layer.open()?).map_err(failed(layer))?;
        let mut decoded = codec.decode(whole)?.take(size);
        let copied = io::copy(&mut decoded, self.archive).map_err(failed(layer))?;
        if copied != size {
            return Err(Error::Corrupt(format!("the blob {} changed while it was read", layer.descriptor().digest)));
        }
        self.archive.end(size)
    }
}

fn failed(blob: &dyn Blob) -> impl FnOnce(io::Error) -> Error {
    Error::io("read the blob", blob.descriptor().digest.as_ref())
}

/// The size of a blob without its compression. It is verified, too.
fn measured(blob: &dyn Blob, codec: Codec) -> Result<u64> {
    let mut hashing = Hashing::new(blob.open()?, Hasher::of(&blob.descriptor().digest)?);
    let (_, whole) = probe(&mut hashing).map_err(failed(blob))?;
    let count = io::copy(&mut codec.decode(whole)?, &mut io::sink()).map_err(failed(blob))?;
    // What may stand behind the last member of a compressed file belongs to the blob too.
    io::copy(&mut hashing, &mut io::sink()).map_err(failed(blob))?;
    verify(blob, hashing)?;
    Ok(count)
}

fn read(config: &dyn Blob) -> Result<Vec<u8>> {
    let Descriptor { digest, size, .. } = config.descriptor();
    if *size > CONFIG_LIMIT {
        return Err(Error::Unsupported(format!("the config {digest} has {size} bytes, and {CONFIG_LIMIT} are read")));
    }
    let mut content = Vec::new();
    copy(config, &mut content, Path::new("memory"))?;
    Ok(content)
}

/// What is known of each layer; nothing if the config's history is not one of these layers.
fn history(config: &Value, layers: usize) -> Vec<Value> {
    let listed = config.get("history").and_then(Value::as_array).into_iter().flatten();
    let of_layers = listed.filter(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)));
    let history: Vec<Value> = of_layers.cloned().collect();
    if history.len() == layers { history } else { vec![Value::Null; layers] }
}

/// A layer's ID: the digest of its blob with what is below it, and at the top with the image's config.
fn id(Descriptor { digest, .. }: &Descriptor, parent: &str, config: Option<&[u8]>) -> String {
    let mut text = format!("{} {parent}", digest.digest()).into_bytes();
    if let Some(config) = config {
        text.push(b' ');
        text.extend_from_slice(config);
    }
    sha256(&text).digest().to_owned()
}

/// The config of a layer. That of the top one has the image's, too.
fn layer_config(id: &str, parent: &str, history: &Value, image: Option<&Value>) -> Value {
    let said = |from: Option<&Value>, key: &str| from.and_then(|from| from.get(key)).cloned().unwrap_or_default();
    let created = said(image.or(Some(history)), "created");
    let command = history.get("created_by").and_then(Value::as_str).unwrap_or_default();
    let always = [
        ("architecture", json!(said(image, "architecture").as_str().unwrap_or_default())),
        ("created", json!(time(created.as_str()))),
        ("os", json!(said(image, "os").as_str().unwrap_or_default())),
        ("rootfs", json!({ "type": "", "diff_ids": null })),
        ("config", picked(&said(image, "config"), &CONFIG).into()),
        ("container_config", json!({ "Cmd": [command] })),
    ];
    let sometimes = [
        ("author", said(Some(history), "author")),
        ("container", said(image, "container")),
        ("docker_version", said(image, "docker_version")),
        ("id", id.into()),
        ("parent", parent.into()),
        ("comment", said(Some(history), "comment")),
    ];
    let sometimes = sometimes.into_iter().filter(|(_, value)| !is_empty(value));
    let mut found: BTreeMap<&str, Value> = always.into_iter().chain(sometimes).collect();
    let order = ["architecture", "author", "container", "created", "docker_version", "os", "rootfs", "config"];
    let order = order.into_iter().chain(["container_config", "id", "parent", "comment"]);
    order.filter_map(|key| Some((key.to_owned(), found.remove(key)?))).collect::<Map<_, _>>().into()
}

/// These fields of a document, as far as they say something.
fn picked(document: &Value, keys: &[&str]) -> Map<String, Value> {
    let field = |key: &&str| {
        let value = match document.get(*key)? {
            Value::Object(own) if *key == "Healthcheck" => Value::Object(picked(&own.clone().into(), &HEALTHCHECK)),
            value if is_empty(value) => return None,
            Value::Object(fields) => sorted(fields),
            value => value.clone(),
        };
        Some(((*key).to_owned(), value))
    };
    keys.iter().filter_map(field).collect()
}

fn sorted(fields: &Map<String, Value>) -> Value {
    fields.iter().collect::<BTreeMap<_, _>>().into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// A time in the shortest form that says it; the year 1 if none is known.
fn time(text: Option<&str>) -> String {
    let Some(text) = text else { return "0001-01-01T00:00:00Z".into() };
    let zone = text.rfind(['Z', '+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone);
    let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    format!("{time}{}", if zone == "+00:00" { "Z" } else { zone })
}

/// The bytes of a document as Go writes them: fit to stand in a page of HTML.
fn written(document: &Value) -> Vec<u8> {
    let text = document.to_string();
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Writing to a string can't fail. Outside of strings JSON has none of these.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => _ = write!(escaped, "\\u{:04x}", u32::from(character)),
            _ => escaped.push(character),
        }
    }
    escaped.into_bytes()
}
