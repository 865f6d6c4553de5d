//! `diff`: in what two images differ.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};
use steprun_ports::{Failure, FileKind, Host, ImageArgument, Repository, Tree};

use crate::arguments::{full_name, image, one_platform, wants_json};
use crate::query::{print, print_json};
use crate::walk::File;
use crate::{draft, fetch, filesystem};

/// Something that one of the images has and the other has not, or has otherwise.
#[derive(Debug, PartialEq)]
struct Difference {
    /// `config`, `manifest` or `files`.
    part: &'static str,
    /// Of a file, or a JSON pointer (RFC 6901).
    path: String,
    old: Option<Value>,
    new: Option<Value>,
}

/// Largest file that is compared byte by byte: it passes through the step's memory.
const READ_LIMIT: u64 = 256 << 20;

pub(crate) async fn diff<H: Host>(host: &H) -> Result<(), Failure> {
    let (a, b) = (image(host, "a")?, image(host, "b")?);
    let parts = host.texts("only");
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let mut found = Vec::new();
    if wants("config") || wants("manifest") {
        let (old, new) = (documents(host, &a).await?, documents(host, &b).await?);
        for (part, old, new) in [("manifest", &old.0, &new.0), ("config", &old.1, &new.1)] {
            if wants(part) {
                compare(&mut found, part, String::new(), Some(old), Some(new));
            }
        }
    }
    if wants("files") {
        found.extend(files(host, &a, &b).await?);
    }
    if wants_json(host) {
        print_json(host, &found.iter().map(Difference::to_json).collect()).await?;
    } else {
        print(host, found.iter().map(Difference::line).collect::<String>().as_bytes()).await?;
    }
    if host.flag("exit-code") && !found.is_empty() {
        return Err(Failure::failed(format!("{} and {} differ", full_name(&a), full_name(&b))));
    }
    Ok(())
}

/// Manifest and config of an image.
async fn documents<H: Host>(host: &H, image: &ImageArgument<H::Repository>) -> Result<(Value, Value), Failure> {
    let name = full_name(image);
    let json = |bytes: &[u8]| {
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::failed(format!("{name} has a document that is no JSON: {error}")))
    };
    let fetch::Image { content, manifest, .. } = fetch::one(image, &one_platform(host)?).await?;
    let config = draft::read_config(&image.repository.blob(&manifest.config.port()), &name).await?;
    Ok((json(&content)?, json(&config)?))
}

/// Compares values: objects by their fields, lists by position, others as a whole.
fn compare(found: &mut Vec<Difference>, part: &'static str, path: String, old: Option<&Value>, new: Option<&Value>) {
    if old == new {
        return;
    }
    let keys = |value: Option<&Value>| match value {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(list)) => (0..list.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    };
    let both = |is: fn(&Value) -> bool| old.is_some_and(is) && new.is_some_and(is);
    if !both(Value::is_object) && !both(Value::is_array) {
        return found.push(Difference { part, path, old: old.cloned(), new: new.cloned() });
    }
    let (known, more) = (keys(old), keys(new));
    let added = more.iter().filter(|key| !known.contains(key));
    for key in known.iter().chain(added) {
        let below = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        compare(found, part, below, child(old, key), child(new, key));
    }
}

fn child<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    match value? {
        Value::Object(map) => map.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Compares file systems. The time of a change tells nothing by itself: files of other times and the same size are read.
async fn files<H: Host>(
    host: &H,
    a: &ImageArgument<H::Repository>,
    b: &ImageArgument<H::Repository>,
) -> Result<Vec<Difference>, Failure> {
    let platform = one_platform(host)?;
    let (old_tree, old) = filesystem::files_of(host, a, &platform).await?;
    let (new_tree, new) = filesystem::files_of(host, b, &platform).await?;
    let by_path = |files: Vec<File>| files.into_iter().map(|file| (file.path.clone(), file)).collect();
    let (old, new): (BTreeMap<String, File>, BTreeMap<String, File>) = (by_path(old), by_path(new));
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut found = Vec::new();
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        let (mut old_value, mut new_value) = (before.map(comparable), after.map(comparable));
        if let (Some(before), Some(after)) = (before, after) {
            if may_differ(before, after) && !same_content(&old_tree, &new_tree, path).await? {
                mark(&mut old_value, "old");
                mark(&mut new_value, "new");
            }
        }
        if old_value != new_value {
            let value = |value: Option<Map<String, Value>>| value.map(Value::Object);
            found.push(Difference { part: "files", path: path.clone(), old: value(old_value), new: value(new_value) });
        }
    }
    Ok(found)
}

/// What a file is, without the time of its change.
fn comparable(file: &File) -> Map<String, Value> {
    let mut map = filesystem::properties(file);
    map.shift_remove("modified");
    map
}

/// Whether two files that look alike may have other content.
fn may_differ(a: &File, b: &File) -> bool {
    let regular = a.stat.kind == FileKind::Regular && b.stat.kind == FileKind::Regular;
    regular && a.stat.size == b.stat.size && a.stat.modified != b.stat.modified
}

async fn same_content<T: Tree>(a: &T, b: &T, path: &str) -> Result<bool, Failure> {
    let reading = |error| Failure::because(format!("can't compare {path}"), error);
    Ok(a.read(path, READ_LIMIT).await.map_err(reading)? == b.read(path, READ_LIMIT).await.map_err(reading)?)
}

fn mark(value: &mut Option<Map<String, Value>>, word: &str) {
    if let Some(map) = value {
        map.insert("content".into(), word.into());
    }
}

impl Difference {
    fn to_json(&self) -> Value {
        json!({"part": self.part, "path": self.path, "old": self.old, "new": self.new})
    }

    /// `+ files etc/new`, `- config /config/User "x"`, `~ files etc/passwd mode "0644" -> "0600"`.
    fn line(&self) -> String {
        let Self { part, path, .. } = self;
        let is_file = *part == "files";
        let value = |value: &Value| if is_file { String::new() } else { format!(" {value}") };
        match (&self.old, &self.new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) if is_file => {
                let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
                let mut text = String::new();
                for key in keys.filter(|key| old.get(*key) != new.get(*key)) {
                    let word = |map: &Map<String, Value>| map.get(key).map_or("none".to_owned(), ToString::to_string);
                    // Writing to a string can't fail.
                    let _ = write!(text, " {key} {} -> {}", word(old), word(new));
                }
                format!("~ {part} {path}{text}\n")
            }
            (Some(old), Some(new)) => format!("~ {part} {path} {old} -> {new}\n"),
            (Some(old), None) => format!("- {part} {path}{}\n", value(old)),
            (None, Some(new)) => format!("+ {part} {path}{}\n", value(new)),
            (None, None) => String::new(),
        }
    }
}
