//! The work that is compared.

mod promote;
mod run;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use steprun_tests::{Base, Context, Layer, Registry, binary, components};

/// The place where the work is done: two registries, a base image, contexts.
pub(crate) struct Site {
    first: Registry,
    second: Registry,
    binary: PathBuf,
    store: tempfile::TempDir,
    one_big_file: Context,
    many_files: Context,
    archive: tempfile::TempDir,
    /// Made when a case asks for it: it takes minutes.
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
    pub tools: Vec<Tool>,
}

/// How a tool does a piece of work.
pub(crate) struct Tool {
    pub name: &'static str,
    pub program: &'static str,
    /// The commands of the n-th run, one after the other. Names differ from run to run, so that no run finds the work of another.
    pub commands: fn(&Site, usize) -> Vec<Command>,
}

const MIB: usize = 1 << 20;

impl Site {
    pub(crate) fn new() -> Self {
        let first = Registry::plain();
        let filler = pseudo_random(30 * MIB);
        Base::new(json!({ "Cmd": ["sh"] }))
            .layer(Layer::new().directory("usr", 0o755, (0, 0)).file("usr/filler", 0o644, (0, 0), &filler))
            .push(&first, "library/base:1");
        let dockerfile =
            |copy: &str| format!("FROM {}\nCOPY {copy}\nENV MODE=prod\nLABEL a=b\n", first.image("library/base:1"));
        // Half of it random, half compressible, as binaries are.
        let mut program = pseudo_random(10 * MIB);
        program.extend(b"some compressible payload text\n".repeat(10 * MIB / 31));
        let one_big_file =
            Context::with_dockerfile(&dockerfile("app.bin /usr/local/bin/app")).file("app.bin", &program);
        let mut many_files = Context::with_dockerfile(&dockerfile("tree /app/"));
        for index in 0..20_000 {
            let content = format!("module {index} {}", "lorem ipsum dolor ".repeat(80));
            many_files = many_files.file(&format!("tree/d{}/f{index}.js", index % 2000), content);
        }
        Self {
            second: Registry::plain(),
            binary: binary(),
            store: tempfile::tempdir().expect("a temporary directory can be made"),
            archive: tempfile::tempdir().expect("a temporary directory can be made"),
            one_big_file,
            many_files,
            first,
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

    fn build(&self, context: &Context, run: usize, name: &str) -> Vec<Command> {
        let destination = self.first.image(&format!("bench/{name}-steprun-{run}:1"));
        vec![self.steprun(&["build", "-c", &context.path().to_string_lossy(), "-d", &destination])]
    }

    /// The no-unpack reference: tar, `crane append`, `crane mutate`.
    fn crane_build(&self, context: &Context, path: &str, run: usize, name: &str) -> Vec<Command> {
        let tar = self.archive.path().join(format!("{name}.tar"));
        let destination = self.first.image(&format!("bench/{name}-crane-{run}:1"));
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(context.path()).arg("-cf").arg(&tar).arg(path);
        let mut append = Command::new("crane");
        append.args(["append", "-b", &self.first.image("library/base:1"), "-t", &destination, "-f"]).arg(&tar);
        let mut mutate = Command::new("crane");
        mutate.args(["mutate", &destination, "--env", "MODE=prod", "--label", "a=b"]);
        vec![pack, append, mutate]
    }
}

/// Whether a program is in PATH; our own always is there.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program == "steprun" || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Bytes that do not compress, the same on each run (xorshift).
fn pseudo_random(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(size / 8).flatten().collect()
}

fn tool(name: &'static str, program: &'static str, commands: fn(&Site, usize) -> Vec<Command>) -> Tool {
    Tool { name, program, commands }
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
            tools: vec![
                tool("steprun no-op step", "steprun", |site, _| {
                    vec![site.steprun(&[&components::hostile().to_string_lossy(), "nothing"])]
                }),
                tool("/bin/true", "true", |_, _| vec![command("true", &[])]),
            ],
        },
        Case {
            name: "build-one-file",
            runs: RUNS,
            tools: vec![
                tool("steprun build", "steprun", |site, run| site.build(&site.one_big_file, run, "w1")),
                tool("tar + crane append + mutate", "crane", |site, run| {
                    site.crane_build(&site.one_big_file, "app.bin", run, "w1")
                }),
            ],
        },
        Case {
            name: "build-20000-files",
            runs: RUNS,
            tools: vec![
                tool("steprun build", "steprun", |site, run| site.build(&site.many_files, run, "w2")),
                tool("tar + crane append + mutate", "crane", |site, run| {
                    site.crane_build(&site.many_files, "tree", run, "w2")
                }),
            ],
        },
        Case {
            name: "copy-in-registry",
            runs: RUNS,
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
    cases.extend(run::all());
    cases
}
