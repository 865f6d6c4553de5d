//! Who may depend on whom: the rooms of ARCHITECTURE.md, held by what cargo itself knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use steprun_tests::{tool, workspace};

/// Where a crate of the workspace lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Host,
    Component,
    Other,
}

struct Graph {
    rooms: BTreeMap<String, Room>,
    /// Direct dependencies for any purpose, on a native target.
    all: BTreeMap<String, BTreeSet<String>>,
    /// Direct dependencies of the crate itself: not for its tests, not for its build script.
    normal: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn load() -> Self {
        let arguments = ["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"];
        let output = tool("cargo").args(arguments).current_dir(workspace()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let packages = metadata["packages"].as_array().unwrap();
        let names: BTreeMap<String, String> =
            packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let members: BTreeSet<String> = metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
        let ours = packages.iter().filter(|package| members.contains(&text(&package["id"])));
        let rooms =
            ours.map(|package| (text(&package["name"]), room(Path::new(&text(&package["manifest_path"]))))).collect();
        let (mut all, mut normal) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let name = &names[&text(&node["id"])];
            for dependency in node["deps"].as_array().unwrap() {
                let other = names[&text(&dependency["pkg"])].clone();
                if dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()) {
                    normal.entry(name.clone()).or_default().insert(other.clone());
                }
                all.entry(name.clone()).or_default().insert(other);
            }
        }
        Self { rooms, all, normal }
    }

    fn members(&self, room: Room) -> Vec<&str> {
        self.rooms.iter().filter(|(_, found)| **found == room).map(|(name, _)| name.as_str()).collect()
    }

    /// All that a crate links.
    fn reach(&self, name: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut pending = vec![name.to_owned()];
        while let Some(name) = pending.pop() {
            for other in self.normal.get(&name).into_iter().flatten() {
                if reached.insert(other.clone()) {
                    pending.push(other.clone());
                }
            }
        }
        reached
    }
}

fn room(manifest: &Path) -> Room {
    let inside = manifest.strip_prefix(workspace()).unwrap();
    if inside.starts_with("host") {
        Room::Host
    } else if inside.starts_with("components") || inside.starts_with("tests/components") {
        Room::Component
    } else {
        Room::Other
    }
}

#[test]
fn host_and_components_share_nothing_but_the_contract() {
    let graph = Graph::load();
    let (hosts, components) = (graph.members(Room::Host), graph.members(Room::Component));
    assert!(hosts.len() >= 5 && components.len() >= 5, "{:?}", graph.rooms);
    for (room, forbidden) in [(&hosts, &components), (&components, &hosts)] {
        for name in room {
            let used = graph.all.get(*name).cloned().unwrap_or_default();
            let wrong: Vec<_> = forbidden.iter().filter(|other| used.contains(**other)).collect();
            assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
        }
    }
}

#[test]
fn logic_of_components_knows_no_runtime() {
    let graph = Graph::load();
    for name in ["steprun-dockerfile", "steprun-image", "steprun-ports", "steprun-build", "steprun-promote"] {
        assert_eq!(graph.rooms.get(name), Some(&Room::Component), "{name}");
        let reached = graph.reach(name);
        for forbidden in ["wit-bindgen", "wasmtime", "tokio", "reqwest", "hyper", "rustix", "tempfile"] {
            assert!(!reached.contains(forbidden), "{name} must not link {forbidden} on a native target");
        }
    }
}

#[test]
fn libraries_of_the_host_do_not_know_the_host() {
    let graph = Graph::load();
    for name in graph.members(Room::Host).into_iter().filter(|name| *name != "steprun") {
        assert!(!graph.reach(name).contains("steprun"), "{name} must not depend on the binary's crate");
    }
    for name in ["steprun-client", "steprun-server", "steprun-snapshot"] {
        let reached = graph.reach(name);
        assert!(!reached.contains("wasmtime"), "{name} must not link the runtime");
    }
}

#[test]
fn tests_use_the_binary_from_outside() {
    let graph = Graph::load();
    let ours: Vec<_> = graph.reach("steprun-tests").into_iter().filter(|name| graph.rooms.contains_key(name)).collect();
    assert!(ours.is_empty(), "the tests link {ours:?}");
}

/// The lines of `cargo tree`, each once: packages with their features.
fn tree(package: &str) -> BTreeSet<(String, String)> {
    let arguments =
        ["tree", "--locked", "--package", package, "--edges=normal,build", "--prefix=none", "--format={p}|{f}"];
    let output = tool("cargo").args(arguments).current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plain = |line: &str| line.trim_end_matches(" (*)").replace(" (proc-macro)", "");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(plain).filter_map(|line| line.split_once('|').map(|(p, f)| (p.to_owned(), f.to_owned()))).collect()
}

/// The host and the build script that compiles components share one build of the runtime: each crate below it has one set of features.
#[test]
fn the_runtime_is_compiled_once() {
    let below: BTreeSet<String> = tree("wasmtime").into_iter().map(|(package, _)| package).collect();
    let mut features: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, set) in tree("steprun").into_iter().filter(|(package, _)| below.contains(package)) {
        features.entry(package).or_default().insert(set);
    }
    assert!(features.len() > 50, "{features:?}");
    features.retain(|_, sets| sets.len() > 1);
    assert!(features.is_empty(), "bring these to one set in host/engine/Cargo.toml: {features:#?}");
}
