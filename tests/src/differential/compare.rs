//! What differs between two images.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::image::Image;
use crate::tree::Entry;

/// Instructions that a history can show, besides RUN.
const KEYWORDS: [&str; 15] = [
    "ADD",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// How absence shows.
const NOTHING: &str = "-";

/// One thing that two images do not agree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `tree etc/motd mode`, `config Env`, `history 3 RUN`, `build`.
    pub what: String,
    /// With us.
    pub steprun: String,
    /// With them.
    pub buildah: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, steprun, buildah } = self;
        write!(f, "{what}\t{steprun}\t{buildah}")
    }
}

/// The pairs that differ.
#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn check(&mut self, what: impl FnOnce() -> String, steprun: impl Into<String>, buildah: impl Into<String>) {
        let (steprun, buildah) = (steprun.into(), buildah.into());
        if steprun != buildah {
            self.0.push(Difference { what: what(), steprun, buildah });
        }
    }
}

/// All differences of trees and configs. Times from `started` on, in seconds since 1970, are times of the build and equal each other.
/// Histories and times of directories are compared if both builders read the `same` words: others lead the same way by other steps.
pub fn compare(steprun: &Image, buildah: &Image, started: i64, same: bool) -> Vec<Difference> {
    let mut found = Found::default();
    // A directory's time is that of the last change in it, where the file system is a real one.
    let timed = |ours: &Entry, theirs: &Entry| ours.kind != 'd' || same && theirs.modified < started;
    let time = |entry: &Entry| if entry.modified < started { entry.modified.to_string() } else { "build".to_owned() };
    trees(&mut found, &steprun.tree, &buildah.tree, |found, ours, theirs| {
        entries(found, ours, theirs);
        if ours.kind == theirs.kind && timed(ours, theirs) {
            found.check(|| format!("tree {} time", ours.path), time(ours), time(theirs));
        }
    });
    for field in ["architecture", "os", "variant", "author"] {
        let shown = |image: &Image| shown(&image.config[field]);
        found.check(|| format!("config {field}"), shown(steprun), shown(buildah));
    }
    configs(&mut found, &steprun.config["config"], &buildah.config["config"]);
    if same {
        histories(&mut found, &steprun.config["history"], &buildah.config["history"]);
    }
    found.0
}

fn trees(found: &mut Found, steprun: &[Entry], buildah: &[Entry], both: impl Fn(&mut Found, &Entry, &Entry)) {
    let by_path =
        |tree| -> BTreeMap<&str, &Entry> { Iterator::map(<[Entry]>::iter(tree), |e| (e.path.as_str(), e)).collect() };
    let (ours, theirs) = (by_path(steprun), by_path(buildah));
    for path in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        match (ours.get(path), theirs.get(path)) {
            (Some(ours), Some(theirs)) => both(found, ours, theirs),
            (ours, theirs) => {
                let line = |entry: Option<&&Entry>| entry.map_or(NOTHING.to_owned(), |entry| there(entry));
                found.check(|| format!("tree {path}"), line(ours), line(theirs));
            }
        }
    }
}

/// An entry without its path and time.
fn there(entry: &Entry) -> String {
    let Entry { kind, mode, uid, gid, content, .. } = entry;
    format!("{kind} {mode:04o} {uid}:{gid} {content}").trim_end().to_owned()
}

fn entries(found: &mut Found, ours: &Entry, theirs: &Entry) {
    let mut check = |field: &str, shown: &dyn Fn(&Entry) -> String| {
        found.check(|| format!("tree {} {field}", ours.path), shown(ours), shown(theirs));
    };
    check("type", &|entry| entry.kind.to_string());
    if ours.kind != theirs.kind {
        return;
    }
    if ours.kind != 'l' {
        check("mode", &|entry| format!("{:04o}", entry.mode));
    }
    check("owner", &|entry| format!("{}:{}", entry.uid, entry.gid));
    check("content", &|entry| entry.content.clone());
    check("xattrs", &|entry| format!("{:?}", entry.xattrs));
}

/// Fields of maps are compared one by one, all else whole; an empty value is none.
fn configs(found: &mut Found, steprun: &Value, buildah: &Value) {
    for field in keys(steprun, buildah) {
        let (ours, theirs) = (&steprun[&field], &buildah[&field]);
        if ours.is_object() || theirs.is_object() {
            for key in keys(ours, theirs) {
                found.check(|| format!("config {field}.{key}"), shown(&ours[&key]), shown(&theirs[&key]));
            }
        } else {
            found.check(|| format!("config {field}"), shown(ours), shown(theirs));
        }
    }
}

fn keys(one: &Value, other: &Value) -> BTreeSet<String> {
    [one, other].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys().cloned()).collect()
}

fn shown(value: &Value) -> String {
    let empty = match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        _ => false,
    };
    if empty { NOTHING.to_owned() } else { value.to_string() }
}

/// Each entry of a history by its instruction, and whether it has a layer.
fn histories(found: &mut Found, steprun: &Value, buildah: &Value) {
    let (ours, theirs) = (steps(steprun), steps(buildah));
    if ours.len() != theirs.len() {
        found.check(|| "history".to_owned(), ours.join(", "), theirs.join(", "));
        return;
    }
    for (number, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
        found.check(|| format!("history {number}"), ours, theirs);
    }
}

fn steps(history: &Value) -> Vec<String> {
    let entries = history.as_array().map(Vec::as_slice).unwrap_or_default().iter();
    entries
        .map(|entry| {
            let instruction = instruction(entry["created_by"].as_str().unwrap_or_default());
            let layer = if entry["empty_layer"] == true { "" } else { " +layer" };
            format!("{instruction}{layer}")
        })
        .collect()
}

/// The keyword of `created_by` in capitals, in BuildKit's notation (`ENV A=1`, `RUN |1 A=1 /bin/sh -c x # buildkit`) and in that of Docker's old builder,
/// which buildah follows (`/bin/sh -c #(nop) ENV A=1`, `|1 A=1 /bin/sh -c x`).
fn instruction(created_by: &str) -> String {
    let text = created_by.rsplit_once("#(nop) ").map_or(created_by, |(_, text)| text).trim_start();
    let word = text.split_whitespace().next().unwrap_or_default();
    let is_keyword = word == "layer" || KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
    if is_keyword { word.to_uppercase() } else { "RUN".to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(kind: char, mode: u32, modified: i64) -> Entry {
        let content = String::new();
        Entry { path: "x".to_owned(), kind, mode, uid: 0, gid: 0, modified, content, xattrs: Vec::new() }
    }

    fn image(tree: Vec<Entry>, config: Value, history: Value) -> Image {
        Image { tree, config: json!({ "config": config, "history": history }) }
    }

    #[test]
    fn each_thing_that_differs_is_found() {
        let ours = image(
            vec![entry('f', 0o644, 5)],
            json!({ "Env": ["A=1"], "Cmd": null, "Labels": { "a": "1", "b": "2" } }),
            json!([{ "created_by": "RUN |1 A=1 /bin/sh -c x # buildkit" }, { "created_by": "WORKDIR /" }]),
        );
        let theirs = image(
            vec![entry('f', 0o600, 6)],
            json!({ "Env": ["A=2"], "Cmd": [], "Labels": { "a": "1" } }),
            json!([{ "created_by": "|1 A=1 /bin/sh -c x" }, { "created_by": "/bin/sh -c #(nop) WORKDIR /", "empty_layer": true }]),
        );
        let found = compare(&ours, &theirs, 100, true);
        let lines: Vec<String> = found.iter().map(Difference::to_string).collect();
        let expected = [
            "tree x mode\t0644\t0600",
            "tree x time\t5\t6",
            "config Env\t[\"A=1\"]\t[\"A=2\"]",
            "config Labels.b\t\"2\"\t-",
            "history 1\tWORKDIR +layer\tWORKDIR",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn times_of_the_build_are_equal() {
        let of = |kind, modified| image(vec![entry(kind, 0o755, modified)], json!({}), json!([]));
        assert_eq!(compare(&of('f', 101), &of('f', 105), 100, true), []);
        assert_eq!(compare(&of('d', 0), &of('d', 105), 100, true), []);
        assert_eq!(compare(&of('f', 0), &of('f', 105), 100, true).len(), 1);
        assert_eq!(compare(&of('d', 0), &of('d', 5), 100, true).len(), 1);
    }
}
