//! Images without RUN, built anew and again, beside the no-unpack reference and buildah.
//!
//! "Anew" is without any result of an earlier build, but with the base's table of contents and, for buildah, with the base in its store.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use steprun_tests::{Base, Context, Layer, Registry, binary};

use super::{Case, MIB, RUNS, Site, Tool, pseudo_random, tool};

/// How many files the larger context has.
const FILES: usize = 20_000;

/// A registry with a base image, contexts, and the stores of the tools.
pub(crate) struct Scene {
    registry: Registry,
    binary: PathBuf,
    one_big_file: Context,
    many_files: Context,
    stores: tempfile::TempDir,
    turn: Cell<usize>,
}

impl Scene {
    /// Takes some seconds.
    pub(crate) fn new() -> Self {
        let registry = Registry::plain();
        let filler = pseudo_random(30 * MIB);
        Base::new(json!({ "Cmd": ["sh"] }))
            .layer(Layer::new().directory("usr", 0o755, (0, 0)).file("usr/filler", 0o644, (0, 0), &filler))
            .push(&registry, "library/base:1");
        let dockerfile =
            |copy: &str| format!("FROM {}\nCOPY {copy}\nENV MODE=prod\nLABEL a=b\n", registry.image("library/base:1"));
        // Half of it random, half compressible, as binaries are.
        let mut program = pseudo_random(10 * MIB);
        program.extend(b"some compressible payload text\n".repeat(10 * MIB / 31));
        let one_big_file =
            Context::with_dockerfile(&dockerfile("app.bin /usr/local/bin/app")).file("app.bin", &program);
        let mut many_files = Context::with_dockerfile(&dockerfile("tree /app/"));
        for index in 0..FILES {
            let content = format!("module {index} {}", "lorem ipsum dolor ".repeat(80));
            many_files = many_files.file(&format!("tree/d{}/f{index}.js", index % 2000), content);
        }
        let stores = tempfile::tempdir().expect("a temporary directory can be made");
        Self { binary: binary(), one_big_file, many_files, stores, registry, turn: Cell::new(0) }
    }

    /// A name that no other run has.
    fn image(&self) -> String {
        self.turn.set(self.turn.get() + 1);
        self.registry.image(&format!("bench/turn-{}:1", self.turn.get()))
    }

    fn steprun(&self, context: &Context, store: &str, more: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["build", "-c", &context.path().to_string_lossy(), "-d", &self.image()]).args(more);
        command.env("STEPRUN_STORE", self.stores.path().join(store));
        command
    }

    /// Build and push; `more` are flags of `bud`.
    fn buildah(&self, context: &Context, more: &[&str]) -> Vec<Command> {
        let image = self.image();
        let buildah = |words: &[&str]| {
            let mut command = Command::new("buildah");
            command.args(["--storage-driver", "overlay"]);
            command.arg("--root").arg(self.stores.path().join("buildah"));
            command.arg("--runroot").arg(self.stores.path().join("buildah-run"));
            command.args(words);
            command
        };
        let mut build = buildah(&["bud", "--tls-verify=false", "--isolation", "chroot", "--layers", "-t", &image]);
        build.args(more).arg(context.path());
        vec![build, buildah(&["push", "--tls-verify=false", &image])]
    }

    /// The no-unpack reference: tar, `crane append`, `crane mutate`.
    fn crane(&self, context: &Context, path: &str) -> Vec<Command> {
        let (tar, image) = (self.stores.path().join("crane.tar"), self.image());
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(context.path()).arg("-cf").arg(&tar).arg(path);
        let mut append = Command::new("crane");
        append.args(["append", "-b", &self.registry.image("library/base:1"), "-t", &image, "-f"]).arg(&tar);
        let mut mutate = Command::new("crane");
        mutate.args(["mutate", &image, "--env", "MODE=prod", "--label", "a=b"]);
        vec![pack, append, mutate]
    }

    /// Gives one file of the larger context a content that it never had.
    fn change_one(&self) -> Command {
        self.turn.set(self.turn.get() + 1);
        let mut command = Command::new("sh");
        let file = self.many_files.path().join("tree/d7/f7.js");
        command.args(["-c", "echo \"$1\" > \"$2\"", "sh", &self.turn.get().to_string()]).arg(file);
        command
    }

    /// A store that nobody has used, and a cache in the registry.
    fn new_runner(&self) -> Command {
        self.turn.set(self.turn.get() + 1);
        let mut command = Command::new(&self.binary);
        // One image, so that its records are found.
        let (image, cache) = (self.registry.image("bench/runner:1"), self.registry.image("bench/cache"));
        command.args([
            "build",
            "-c",
            &self.one_big_file.path().to_string_lossy(),
            "-d",
            &image,
            "--cache-repo",
            &cache,
        ]);
        command.env("STEPRUN_STORE", self.stores.path().join(format!("runner-{}", self.turn.get())));
        command
    }
}

fn build(name: &'static str, tools: Vec<Tool>) -> Case {
    Case { name, runs: RUNS, tools }
}

/// The cases.
pub(crate) fn all() -> Vec<Case> {
    vec![
        build(
            "build-one-file",
            vec![
                tool("steprun build", "steprun", |site, _| {
                    vec![site.build().steprun(&site.build().one_big_file, "store", &["--no-cache"])]
                }),
                tool("tar + crane append + mutate", "crane", |site, _| {
                    site.build().crane(&site.build().one_big_file, "app.bin")
                }),
                tool("buildah", "buildah", |site, _| site.build().buildah(&site.build().one_big_file, &["--no-cache"])),
            ],
        ),
        build(
            "build-20000-files",
            vec![
                tool("steprun build", "steprun", |site, _| {
                    vec![site.build().steprun(&site.build().many_files, "store", &["--no-cache"])]
                }),
                tool("tar + crane append + mutate", "crane", |site, _| {
                    site.build().crane(&site.build().many_files, "tree")
                }),
                tool("buildah", "buildah", |site, _| site.build().buildah(&site.build().many_files, &["--no-cache"])),
            ],
        ),
        build(
            "rebuild-one-file",
            vec![
                tool("steprun build", "steprun", |site, _| {
                    vec![site.build().steprun(&site.build().one_big_file, "store", &[])]
                }),
                tool("buildah", "buildah", |site, _| site.build().buildah(&site.build().one_big_file, &[])),
            ],
        ),
        build(
            "rebuild-20000-files",
            vec![
                tool("steprun build", "steprun", |site, _| {
                    vec![site.build().steprun(&site.build().many_files, "store", &[])]
                }),
                tool("buildah", "buildah", |site, _| site.build().buildah(&site.build().many_files, &[])),
            ],
        ),
        build(
            "rebuild-1-of-20000-files",
            vec![
                tool("steprun build", "steprun", |site, _| {
                    vec![site.build().change_one(), site.build().steprun(&site.build().many_files, "store", &[])]
                }),
                tool("buildah", "buildah", |site, _| {
                    let mut commands = vec![site.build().change_one()];
                    commands.extend(site.build().buildah(&site.build().many_files, &[]));
                    commands
                }),
            ],
        ),
        build(
            "rebuild-on-a-new-runner",
            vec![tool("steprun build --cache-repo", "steprun", |site, _| vec![site.build().new_runner()])],
        ),
    ]
}

impl Site {
    fn build(&self) -> &Scene {
        self.build.get_or_init(Scene::new)
    }
}
