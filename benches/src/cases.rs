//! The work that is compared.

mod build;
pub(crate) mod growth;
mod promote;
mod run;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use steprun_tests::{Base, Layer, binary, components};

use crate::traffic::Gated;
use crate::workset::{MIB, Random};

/// The place where the work is done: two registries and a base image.
pub(crate) struct Site {
    first: Gated,
    second: Gated,
    binary: PathBuf,
    store: tempfile::TempDir,
    /// Made when a case asks for it.
    build: OnceCell<build::Scene>,
    /// Likewise; it takes minutes.
    run: OnceCell<run::Scene>,
    /// Likewise.
    promote: OnceCell<promote::Scene>,
}

/// Counted runs of each tool, after one that is not counted.
const RUNS: usize = 7;

/// A piece of work, and the tools that can do it; the first is steprun.
pub(crate) struct Case {
    pub name: &'static str,
    /// Counted runs of each tool, after one that is not counted.
    pub runs: usize,
    /// Whether bytes that go to a registry are told.
    pub counts: bool,
    pub tools: Vec<Tool>,
}

/// How a tool does a piece of work at a place.
pub(crate) struct Tool<Place = Site> {
    pub name: &'static str,
    pub program: &'static str,
    /// The commands of the n-th run, one after the other. Names differ from run to run, so that no run finds the work of another.
    /// What is done while commands are made is not measured.
    pub commands: Commands<Place>,
}

pub(crate) type Commands<Place> = Box<dyn Fn(&Place, usize) -> Vec<Command>>;

impl Site {
    pub(crate) fn new() -> Self {
        let first = Gated::new();
        let filler = Random::new(0).bytes(30 * MIB);
        Base::new(json!({ "Cmd": ["sh"] }))
            .layer(Layer::new().directory("usr", 0o755, (0, 0)).file("usr/filler", 0o644, (0, 0), &filler))
            .push(first.registry(), "library/base:1");
        Self {
            second: Gated::new(),
            binary: binary(),
            store: tempfile::tempdir().expect("a temporary directory can be made"),
            first,
            build: OnceCell::new(),
            run: OnceCell::new(),
            promote: OnceCell::new(),
        }
    }

    fn run(&self) -> &run::Scene {
        self.run.get_or_init(run::Scene::new)
    }

    fn promote(&self) -> &promote::Scene {
        self.promote.get_or_init(promote::Scene::new)
    }

    fn steprun(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).env("STEPRUN_STORE", self.store.path());
        command
    }
}

/// Whether a program is in PATH, and its daemon there; our own always is.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = program == "steprun" || std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    found && (program != "docker" || has_daemon())
}

/// Whether docker's client reaches its daemon.
fn has_daemon() -> bool {
    let mut version = command("docker", &["version", "--format", "{{.Server.Version}}"]);
    version.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn tool(name: &'static str, program: &'static str, commands: impl Fn(&Site, usize) -> Vec<Command> + 'static) -> Tool {
    Tool { name, program, commands: Box::new(commands) }
}

fn command(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

fn docker(image: &str) -> String {
    format!("docker://{image}")
}

const SKOPEO: [&str; 4] = ["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"];

fn skopeo_copy(from: &str, to: &str) -> Vec<Command> {
    let mut copy = command("skopeo", &SKOPEO);
    copy.args([docker(from), docker(to)]);
    vec![copy]
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = vec![
        Case {
            name: "start",
            runs: RUNS,
            counts: false,
            tools: vec![
                tool("steprun no-op step", "steprun", |site, _| {
                    vec![site.steprun(&[&components::hostile().to_string_lossy(), "nothing"])]
                }),
                tool("/bin/true", "true", |_, _| vec![command("true", &[])]),
            ],
        },
        Case {
            name: "copy-in-registry",
            runs: RUNS,
            counts: true,
            tools: vec![
                tool("steprun promote copy", "steprun", |site, run| {
                    let to = site.first.image(&format!("bench/p1-steprun-{run}:1"));
                    vec![site.steprun(&["promote", "copy", &site.first.image("library/base:1"), &to])]
                }),
                tool("crane copy", "crane", |site, run| {
                    let to = site.first.image(&format!("bench/p1-crane-{run}:1"));
                    vec![command("crane", &["copy", &site.first.image("library/base:1"), &to])]
                }),
                tool("skopeo copy", "skopeo", |site, run| {
                    skopeo_copy(
                        &site.first.image("library/base:1"),
                        &site.first.image(&format!("bench/p1-skopeo-{run}:1")),
                    )
                }),
            ],
        },
        Case {
            name: "copy-between-registries",
            runs: RUNS,
            counts: true,
            tools: vec![
                tool("steprun promote copy", "steprun", |site, run| {
                    let to = site.second.image(&format!("bench/p2-steprun-{run}:1"));
                    vec![site.steprun(&["promote", "copy", &site.first.image("library/base:1"), &to])]
                }),
                tool("crane copy", "crane", |site, run| {
                    let to = site.second.image(&format!("bench/p2-crane-{run}:1"));
                    vec![command("crane", &["copy", &site.first.image("library/base:1"), &to])]
                }),
                tool("skopeo copy", "skopeo", |site, run| {
                    skopeo_copy(
                        &site.first.image("library/base:1"),
                        &site.second.image(&format!("bench/p2-skopeo-{run}:1")),
                    )
                }),
            ],
        },
    ];
    cases.extend(promote::all());
    cases.extend(build::all());
    cases.extend(run::all());
    cases
}
