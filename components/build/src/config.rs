//! The config of the image that is being built (image-spec `config.md`, and Docker's fields beside it).
//!
//! It is an overlay: what a base's config holds and this builder doesn't know stays as it is.

use serde_json::{Map, Value, json};
use steprun_ports::{Digest, Failure, Timestamp};

use crate::clock::{parse_rfc3339, rfc3339};
use crate::platform::Platform;

/// What BuildKit gives an image without PATH (`util/system/path.go`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What BuildKit's Dockerfile front end calls itself in history.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// A history entry that the build adds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    created_by: String,
    layer: bool,
}

/// A config under construction.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    root: Map<String, Value>,
    history: Vec<Entry>,
}

impl Config {
    /// The config of `FROM scratch`.
    pub(crate) fn scratch(platform: &Platform) -> Self {
        let mut config = Self {
            root: Map::from_iter([
                ("config".to_owned(), json!({ "WorkingDir": "/" })),
                ("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": [] })),
            ]),
            history: Vec::new(),
        };
        config.set_platform(platform);
        config.complete();
        config
    }

    /// The config of a base image.
    ///
    /// # Errors
    /// If it is no JSON object, or its `config` is none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let root = match serde_json::from_slice(bytes) {
            Ok(Value::Object(root)) => root,
            Ok(_) => return Err(Failure::failed("the image's config is no JSON object")),
            Err(error) => return Err(Failure::failed(format!("the image's config is no JSON: {error}"))),
        };
        if !root.get("config").is_none_or(|config| config.is_object() || config.is_null()) {
            return Err(Failure::failed("`config` in the image's config is no JSON object"));
        }
        let mut config = Self { root, history: Vec::new() };
        config.complete();
        Ok(config)
    }

    /// Gives PATH and an absolute working directory where they are missing, as BuildKit does.
    fn complete(&mut self) {
        if !self.environment().iter().any(|variable| variable.starts_with("PATH=")) {
            self.set_environment("PATH", DEFAULT_PATH);
        }
        if let Some(directory) = self.text("WorkingDir").filter(|directory| !directory.is_empty()) {
            let absolute = crate::paths::absolute("/", directory);
            self.set("WorkingDir", json!(absolute));
        }
    }

    /// `rootfs.diff_ids`.
    pub(crate) fn diff_ids(&self) -> Vec<Digest> {
        strings(self.root.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")))
    }

    /// `created`, if it is there and well formed.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        parse_rfc3339(self.root.get("created")?.as_str()?)
    }

    pub(crate) fn platform(&self) -> Platform {
        let text = |name| self.root.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let optional = |name| Some(text(name)).filter(|text| !text.is_empty());
        Platform {
            os: text("os"),
            architecture: text("architecture"),
            variant: optional("variant"),
            os_version: optional("os.version"),
        }
    }

    pub(crate) fn set_platform(&mut self, platform: &Platform) {
        let optional = [("variant", &platform.variant), ("os.version", &platform.os_version)];
        self.root.insert("os".to_owned(), json!(platform.os));
        self.root.insert("architecture".to_owned(), json!(platform.architecture));
        for (name, value) in optional {
            match value {
                Some(value) => self.root.insert(name.to_owned(), json!(value)),
                None => self.root.remove(name),
            };
        }
    }

    pub(crate) fn set_author(&mut self, author: &str) {
        self.root.insert("author".to_owned(), json!(author));
    }

    /// `config.Env`.
    pub(crate) fn environment(&self) -> Vec<String> {
        self.list("Env")
    }

    /// Replaces a variable in its place, or adds it at the end.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        let mut all = self.environment();
        let variable = format!("{name}={value}");
        let of_name = |other: &&mut String| other.split_once('=').map_or(other.as_str(), |(name, _)| name) == name;
        match all.iter_mut().find(of_name) {
            Some(place) => *place = variable,
            None => all.push(variable),
        }
        self.set("Env", json!(all));
    }

    /// A list of strings in `config`; empty if it is not there.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        strings(self.field(name))
    }

    /// A string in `config`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(Value::as_str)
    }

    /// The working directory, absolute.
    pub(crate) fn working_directory(&self) -> String {
        self.text("WorkingDir").filter(|directory| !directory.is_empty()).unwrap_or("/").to_owned()
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.root.get("config")?.get(name)
    }

    /// Sets a field of `config`.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.fields().insert(name.to_owned(), value);
    }

    /// Removes a field of `config`.
    pub(crate) fn unset(&mut self, name: &str) {
        self.fields().remove(name);
    }

    /// Sets a list of `config`; an empty one is left out, as Go does.
    pub(crate) fn set_list(&mut self, name: &str, values: &[String]) {
        match values {
            [] => self.unset(name),
            values => self.set(name, json!(values)),
        }
    }

    /// Sets a label.
    pub(crate) fn set_label(&mut self, name: &str, value: &str) {
        self.set_key("Labels", name, json!(value));
    }

    /// Sets one key of a map in `config`: Labels, ExposedPorts, Volumes.
    pub(crate) fn set_key(&mut self, name: &str, key: &str, value: Value) {
        let map = self.fields().entry(name).or_insert_with(|| json!({}));
        if !map.is_object() {
            *map = json!({});
        }
        if let Value::Object(map) = map {
            map.insert(key.to_owned(), value);
        }
    }

    /// `config` itself, made where it is missing or null.
    fn fields(&mut self) -> &mut Map<String, Value> {
        let config = self.root.entry("config").or_insert(Value::Null);
        if !config.is_object() {
            *config = json!({});
        }
        match config {
            Value::Object(fields) => fields,
            _ => unreachable!("it was made an object above"),
        }
    }

    /// Adds a history entry; gives its number, for [`Config::without_layer`].
    pub(crate) fn record(&mut self, created_by: String, layer: bool) -> usize {
        self.history.push(Entry { created_by, layer });
        self.history.len() - 1
    }

    /// An entry's instruction turned out to change nothing.
    pub(crate) fn without_layer(&mut self, entry: usize) {
        if let Some(entry) = self.history.get_mut(entry) {
            entry.layer = false;
        }
    }

    /// The bytes of the config: with these layers, and one time for the image and all new history entries.
    pub(crate) fn finish(mut self, created: Timestamp, diff_ids: &[Digest], base_layers: usize) -> Vec<u8> {
        let created = rfc3339(created);
        let mut history = match self.root.remove("history") {
            Some(Value::Array(history)) => history,
            _ => Vec::new(),
        };
        let described = history.iter().filter(|entry| entry.get("empty_layer") != Some(&json!(true))).count();
        // A base that was made without history: each layer has an entry all the same, or those of new layers would seem theirs.
        history.extend(
            (described..base_layers).map(|_| json!({ "created": created, "comment": "layer of the base image" })),
        );
        history.extend(self.history.iter().map(|entry| {
            let mut value = json!({ "created": created, "created_by": entry.created_by, "comment": COMMENT });
            if !entry.layer {
                value["empty_layer"] = json!(true);
            }
            value
        }));
        self.root.insert("created".to_owned(), json!(created));
        self.root.insert("history".to_owned(), Value::Array(history));
        self.root.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
        Value::Object(self.root).to_string().into_bytes()
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let values = value.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}
