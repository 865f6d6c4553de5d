//! What grows: files, layers, bytes. Each case does the same work at several sizes, so that a cost that grows faster than its size shows.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use steprun_tests::{Base, Layer, binary};
use tempfile::TempDir;

use super::Tool;
use crate::traffic::Gated;
use crate::workset::{self, MIB, Random};

/// Counted runs at each size.
pub(crate) const RUNS: usize = 3;

/// A piece of work at several sizes. It takes long, and is done if it is named.
pub(crate) struct Growth {
    pub name: &'static str,
    /// What it is a part of: the lines of one chart.
    pub series: &'static str,
    /// What is counted.
    pub unit: &'static str,
    pub sizes: &'static [u64],
    prepare: fn(&Scene, u64),
    pub tools: fn() -> Vec<Tool<Scene>>,
}

/// A registry, contexts and stores for one size; all of it goes when the next begins.
pub(crate) struct Scene {
    registry: Gated,
    binary: PathBuf,
    context: TempDir,
    /// A second one, on a base.
    above: TempDir,
    stores: TempDir,
}

impl Growth {
    pub(crate) fn scene(&self, size: u64) -> Scene {
        let directory = || tempfile::tempdir().expect("a temporary directory can be made");
        let scene = Scene {
            registry: Gated::new(),
            binary: binary(),
            context: directory(),
            above: directory(),
            stores: directory(),
        };
        (self.prepare)(&scene, size);
        scene
    }
}

impl Scene {
    fn build(&self, context: &Path, store: &str, name: &str, more: &[&str]) -> Vec<Command> {
        let mut command = Command::new(&self.binary);
        command.args(["build", "-d", &self.registry.image(name)]).args(more).arg("-c").arg(context);
        command.args(["--build-arg", &format!("REG={}", self.registry.address())]);
        command.env("STEPRUN_STORE", self.stores.path().join(store));
        vec![command]
    }

    /// A store that is empty.
    fn cold(&self, run: usize) -> Vec<Command> {
        let store = self.stores.path().join("cold");
        if store.exists() {
            fs::remove_dir_all(store).expect("a store can be removed");
        }
        self.build(self.above.path(), "cold", &format!("bench/cold-{run}:1"), &[])
    }
}

fn steprun(name: &'static str, commands: impl Fn(&Scene, usize) -> Vec<Command> + 'static) -> Tool<Scene> {
    Tool { name, program: "steprun", commands: Box::new(commands) }
}

/// Built without results of earlier builds, into another repository; and with them, as another tag.
fn builds() -> Vec<Tool<Scene>> {
    vec![
        steprun("anew", |scene, run| {
            scene.build(scene.context.path(), "store", &format!("bench/anew-{run}:1"), &["--no-cache"])
        }),
        steprun("again", |scene, run| scene.build(scene.context.path(), "store", &format!("bench/again:{run}"), &[])),
    ]
}

fn builds_and_bases() -> Vec<Tool<Scene>> {
    let mut tools = builds();
    tools.push(steprun("on such a base, cold", Scene::cold));
    tools
}

/// Small files as W2 has them.
fn files(scene: &Scene, count: u64) {
    workset::packages(scene.context.path(), count / workset::FILES_OF_A_PACKAGE);
    workset::write(scene.context.path(), "Dockerfile", "FROM scratch\nCOPY node_modules /node_modules\n");
}

/// As many COPYs, and a base of as many layers, each of one file of 64 KiB.
fn layers(scene: &Scene, count: u64) {
    let (mut copies, mut base) = ("FROM scratch\n".to_owned(), Base::new(json!({})));
    for number in 0..count {
        let content = Random::new(number).bytes(MIB / 16);
        workset::write(scene.context.path(), &format!("f{number}"), &content);
        copies += &format!("COPY f{number} /\n");
        base = base.layer(Layer::new().file(&format!("f{number}"), 0o644, (0, 0), &content));
    }
    workset::write(scene.context.path(), "Dockerfile", copies);
    base.push(scene.registry.registry(), "library/layers:1");
    workset::write(scene.above.path(), "Dockerfile", "ARG REG\nFROM ${REG}/library/layers:1\nCOPY Dockerfile /\n");
}

/// One file that does not compress.
fn size(scene: &Scene, megabytes: u64) {
    const MB: usize = 1_000_000;
    let file = File::create(scene.context.path().join("file")).expect("a file can be made");
    let (mut file, mut random) = (BufWriter::new(file), Random::new(megabytes));
    for _ in 0..megabytes {
        file.write_all(&random.bytes(MB)).expect("a file can be written");
    }
    file.flush().expect("a file can be written");
    workset::write(scene.context.path(), "Dockerfile", "FROM scratch\nCOPY file /\n");
}

/// The cases.
pub(crate) fn all() -> Vec<Growth> {
    let growth = |name, unit, sizes, prepare, tools| Growth { name, series: name, unit, sizes, prepare, tools };
    vec![
        growth("growth-files", "files", &[1_000, 10_000, 100_000, 300_000], files, builds),
        growth("growth-layers", "layers", &[1, 10, 100], layers, builds_and_bases),
        growth("growth-size", "MB", &[1, 1_000], size, builds),
        // It takes 24 GB of disk.
        Growth { series: "growth-size", ..growth("growth-size-8gb", "MB", &[8_000], size, builds) },
    ]
}
