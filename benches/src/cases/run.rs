//! RUN on each rung of the ladder, beside the same command in a plain chroot: what the sandbox costs.
//!
//! RUN stands in a stage that no image holds, so that what changed is found and kept, but not packed; one case has it packed and pushed as well.
//! The time of a build that runs `true` is what a build costs besides its command.

use std::path::PathBuf;
use std::process::Command;

use steprun_tests::{Context, Inside, Place, Registry, layout_of, rootfs::Debian, unpack};

use super::{Case, Site, Tool};

/// How many files the compiler gets.
const SOURCES: usize = 150;
/// Functions of a file: it takes about 0.2 s then, as files of real programs do. What the sandbox costs goes by the files that are looked up.
const FUNCTIONS: usize = 100;

/// Counted runs of what takes long.
const FEW: usize = 3;

/// What a builder does besides: a layer of the changes, with its digest.
const LAYER: &str = "tar -C \"$1/upper\" -cf \"$1/layer.tar\" .; openssl dgst -sha256 \"$1/layer.tar\"";

/// The packages are fetched before, so that the network is not measured.
const PREPARE: &str = "RUN rm -f /etc/apt/apt.conf.d/docker-clean; apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && apt-get install -y --download-only --no-install-recommends curl git";

const NOTHING: Build = Build { line: "true", packed: false };
const INSTALL: Build =
    Build { line: "apt-get install -y --no-download --no-install-recommends curl git > /tmp/log 2>&1", packed: false };
const COMPILE: Build = Build { line: "cp -r /src /made && make -s -C /made -j2", packed: false };
const IMAGE: Build = Build { packed: true, ..INSTALL };

/// Where RUN is measured: an image with a compiler and packages, unpacked for the chroot, and a place for each rung.
pub(crate) struct Scene {
    registry: Registry,
    work: tempfile::TempDir,
    root: PathBuf,
    inside: [Inside; 3],
    contexts: Vec<(Build, Context)>,
}

/// A command, and what is made of its file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Build {
    line: &'static str,
    packed: bool,
}

impl Scene {
    /// Takes some minutes and the network.
    pub(crate) fn new() -> Self {
        let registry = Registry::plain();
        Debian::get().push(&registry, "debian:1");
        let mut context =
            Context::with_dockerfile(&format!("FROM {}\n{PREPARE}\nCOPY src /src\n", registry.image("debian:1")));
        let body = "int s = 0; for (int i = 0; i < a; i++) s += i * N ^ s; return printf(\"%d\", s);";
        let functions = (0..FUNCTIONS)
            .map(|number| format!("int f{number}(int a) {{ {} }}\n", body.replace('N', &number.to_string())));
        let source = format!("#include <stdio.h>\n#include <stdlib.h>\n{}", functions.collect::<String>());
        let objects: Vec<String> = (0..SOURCES).map(|number| format!("s{number}.o")).collect();
        context = context.file("src/Makefile", format!("CFLAGS = -O2\nall: {}\n", objects.join(" ")));
        for number in 0..SOURCES {
            context = context.file(&format!("src/s{number}.c"), &source);
        }
        let builder = Place::Machine.enter(&[context.path()]);
        builder.build(context.path(), &registry.image("bench:1"), &["--allow-net"]).run().succeeded();
        let work = tempfile::tempdir().expect("a temporary directory can be made");
        let root = unpack(&layout_of(&registry, "bench:1", work.path()), "image", work.path());
        let context = |build: Build| (build, Context::with_dockerfile(&build.dockerfile(&registry.image("bench:1"))));
        let contexts: Vec<_> = [NOTHING, INSTALL, COMPILE, IMAGE].map(context).into();
        let sees: Vec<_> = contexts.iter().map(|(_, context)| context.path()).collect();
        let inside = Place::RUNGS.map(|place| place.enter(&sees));
        Self { work, root, inside, contexts, registry }
    }

    fn build(&self, rung: usize, build: Build, run: usize) -> Vec<Command> {
        let (_, context) = self.contexts.iter().find(|(known, _)| *known == build).expect("a build of this file");
        let image = self.registry.image(&format!("bench/run-{rung}-{run}:1"));
        // Of another value there is no result of an earlier run, or of the same command in another case.
        let turn = format!("TURN={run}-{}", build.packed);
        vec![self.inside[rung].build(context.path(), &image, &["--build-arg", &turn]).into_command()]
    }

    /// On an overlay, so that each run begins with the same files, in namespaces that end with it; and what comes `after`, where `$1/upper` has
    /// what changed.
    fn chroot(&self, Build { line, .. }: Build, after: &str) -> Vec<Command> {
        let script = format!(
            "mount -t tmpfs none \"$1\"; mkdir \"$1/upper\" \"$1/work\" \"$1/merged\"; \
             mount -t overlay -o \"lowerdir=$2,upperdir=$1/upper,workdir=$1/work\" none \"$1/merged\"; \
             mount -t proc none \"$1/merged/proc\"; mount --rbind /dev \"$1/merged/dev\"; \
             chroot \"$1/merged\" /bin/sh -c \"$3\"; {after}"
        );
        let mut command = Command::new("unshare");
        let over = self.work.path().join("over");
        // It is there after the first run.
        let _ = std::fs::create_dir(&over);
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "sh", "-euc", &script, "chroot"]);
        command.arg(over).arg(&self.root).arg(line);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        vec![command]
    }
}

impl Build {
    fn dockerfile(self, base: &str) -> String {
        let Self { line, packed } = self;
        let image = if packed { "" } else { "FROM scratch\nCOPY --from=work /etc/passwd /\n" };
        format!("FROM {base} AS work\nARG TURN\nRUN {line}\n{image}")
    }
}

/// A case of one build by all rungs and the chroot.
macro_rules! case {
    ($name:literal, $build:ident, $runs:expr) => {
        Case {
            name: $name,
            runs: $runs,
            counts: false,
            tools: vec![
                tool("steprun, userns", "steprun", |site, run| site.run().build(0, $build, run)),
                tool("steprun, chroot", "runc", |site, run| site.run().build(1, $build, run)),
                tool("steprun, supervised", "runc", |site, run| site.run().build(2, $build, run)),
                tool("plain chroot", "unshare", |site, _| site.run().chroot($build, "")),
                tool("plain chroot + tar + SHA-256", "openssl", |site, _| site.run().chroot($build, LAYER)),
            ],
        }
    };
}

fn tool(name: &'static str, program: &'static str, commands: fn(&Site, usize) -> Vec<Command>) -> Tool {
    Tool { name, program, commands: Box::new(commands) }
}

/// The cases.
pub(crate) fn all() -> Vec<Case> {
    vec![
        case!("run-nothing", NOTHING, super::RUNS),
        case!("run-install", INSTALL, super::RUNS),
        case!("run-install-image", IMAGE, super::RUNS),
        case!("run-compile", COMPILE, FEW),
    ]
}
