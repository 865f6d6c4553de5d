//! Images moved, named and changed, beside crane, oras and skopeo.

use std::process::Command;

use serde_json::json;
use steprun_tests::{Base, Layer};

use super::{Case, RUNS, Site, Tool, command, skopeo_copy, tool};
use crate::traffic::Gated;
use crate::workset::{MIB, Random};

/// Counted runs of what takes long.
const FEW: usize = 5;

/// Layers of the large images, of 256 MiB each.
const LAYERS: usize = 4;

/// Two registries, and images of 1 GiB in the first: `big` does not compress, `mixed` does as file systems do.
pub(crate) struct Scene {
    first: Gated,
    second: Gated,
}

impl Scene {
    /// Takes a minute.
    pub(crate) fn new() -> Self {
        let (first, second) = (Gated::new(), Gated::new());
        let random = Random::new(0).bytes(LAYERS * 256 * MIB);
        let text = |number: usize| format!("line {number} of some compressible text\n").repeat(MIB / 36);
        let (mut big, mut mixed) = (Base::new(json!({})), Base::new(json!({})));
        for (layer, bytes) in random.chunks(256 * MIB).enumerate() {
            big = big.layer(Layer::new().file(&format!("big{layer}"), 0o644, (0, 0), bytes));
            let mut files = Layer::new();
            // Half of each file is text.
            for (file, bytes) in bytes.chunks(2 * MIB).enumerate() {
                let content = [&bytes[..MIB], text(layer * 1000 + file).as_bytes()].concat();
                files = files.file(&format!("mixed{layer}-{file}"), 0o644, (0, 0), &content);
            }
            mixed = mixed.layer(files);
        }
        big.push(first.registry(), "library/big:1");
        mixed.push(first.registry(), "library/mixed:1");
        Self { first, second }
    }

    fn big(&self) -> String {
        self.first.image("library/big:1")
    }

    fn mixed(&self) -> String {
        self.first.image("library/mixed:1")
    }
}

fn crane(words: &[&str]) -> Vec<Command> {
    vec![command("crane", words)]
}

/// All cases.
pub(super) fn all() -> Vec<Case> {
    vec![transfer(), nothing_to_do(), tag(), flatten(), export()]
}

fn transfer() -> Case {
    let tools: Vec<Tool> = vec![
        tool("steprun promote copy", "steprun", |site: &Site, run| {
            let scene = site.promote();
            let to = scene.second.image(&format!("bench/big-steprun-{run}:1"));
            vec![site.steprun(&["promote", "copy", &scene.big(), &to])]
        }),
        tool("crane copy", "crane", |site, run| {
            let scene = site.promote();
            crane(&["copy", &scene.big(), &scene.second.image(&format!("bench/big-crane-{run}:1"))])
        }),
        tool("oras copy (hashes nothing)", "oras", |site, run| {
            let scene = site.promote();
            let to = scene.second.image(&format!("bench/big-oras-{run}:1"));
            vec![command("oras", &["copy", "--from-plain-http", "--to-plain-http", &scene.big(), &to])]
        }),
        tool("skopeo copy", "skopeo", |site, run| {
            let scene = site.promote();
            skopeo_copy(&scene.big(), &scene.second.image(&format!("bench/big-skopeo-{run}:1")))
        }),
    ];
    Case { name: "copy-1gib-between-registries", runs: FEW, counts: true, tools }
}

fn nothing_to_do() -> Case {
    let tools = vec![
        tool("steprun promote copy", "steprun", |site, _| {
            let image = site.promote().big();
            vec![site.steprun(&["promote", "copy", &image, &image])]
        }),
        tool("crane copy", "crane", |site, _| {
            let image = site.promote().big();
            crane(&["copy", &image, &image])
        }),
    ];
    Case { name: "copy-nothing", runs: RUNS, counts: true, tools }
}

fn tag() -> Case {
    let tools = vec![
        tool("steprun promote tag", "steprun", |site, run| {
            vec![site.steprun(&["promote", "tag", &site.promote().big(), &format!("steprun-{run}")])]
        }),
        tool("crane tag", "crane", |site, run| crane(&["tag", &site.promote().big(), &format!("crane-{run}")])),
    ];
    Case { name: "tag", runs: RUNS, counts: true, tools }
}

fn flatten() -> Case {
    let tools = vec![
        tool("steprun promote flatten", "steprun", |site, run| {
            let to = site.promote().first.image(&format!("bench/flat-steprun-{run}:1"));
            vec![site.steprun(&["promote", "flatten", &site.promote().mixed(), "-t", &to])]
        }),
        tool("crane flatten", "crane", |site, run| {
            let to = site.promote().first.image(&format!("bench/flat-crane-{run}:1"));
            crane(&["flatten", &site.promote().mixed(), "-t", &to])
        }),
    ];
    Case { name: "flatten-1gib", runs: FEW, counts: true, tools }
}

fn export() -> Case {
    let tools = vec![
        tool("steprun promote export", "steprun", |site, _| {
            vec![site.steprun(&["promote", "export", &site.promote().mixed(), "-"])]
        }),
        tool("crane export", "crane", |site, _| crane(&["export", &site.promote().mixed(), "-"])),
    ];
    Case { name: "export-1gib", runs: FEW, counts: true, tools }
}
