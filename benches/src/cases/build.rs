//! Images without RUN, beside the no-unpack reference (tar and crane), buildah, docker and kaniko.
//!
//! Of each work (see `workset.rs`) there are
//!
//! - `cold`: nothing is there but the context; a tool's store is empty;
//! - `anew`: the base is known, and no result of an earlier build is taken;
//! - `again`: nothing has changed since the last build;
//! - `one-changed`: one file of 20,000 has;
//! - `new-runner`: a store is empty, and a cache is in the registry.
//!
//! The first two push to a new repository, the others another tag to one that has the last build.
//!
//! Docker's store is not ours to empty, kaniko has none that it keeps, and crane does all of it in any case: each is in the cases that it can do.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use steprun_tests::{binary, rootfs::Debian};
use tempfile::TempDir;

use super::{Case, RUNS, Site, Tool, command, tool};
use crate::traffic::Gated;
use crate::workset;

/// A registry with the base image, contexts, and the stores of the tools.
pub(crate) struct Scene {
    registry: Gated,
    binary: PathBuf,
    one_program: TempDir,
    many_files: TempDir,
    stores: TempDir,
    turn: Cell<usize>,
}

/// What is built.
#[derive(Debug, Clone, Copy)]
enum Work {
    W1,
    W2,
}

impl Scene {
    /// Takes some seconds, and a minute or two and the network where there was no Debian yet.
    fn new() -> Self {
        let registry = Gated::new();
        Debian::get().push(registry.registry(), workset::BASE);
        let directory = || tempfile::tempdir().expect("a temporary directory can be made");
        let (one_program, many_files) = (directory(), directory());
        workset::one_program(one_program.path());
        workset::many_files(many_files.path());
        Self { registry, binary: binary(), one_program, many_files, stores: directory(), turn: Cell::new(0) }
    }

    fn context(&self, work: Work) -> &Path {
        match work {
            Work::W1 => self.one_program.path(),
            Work::W2 => self.many_files.path(),
        }
    }

    fn turn(&self) -> usize {
        self.turn.set(self.turn.get() + 1);
        self.turn.get()
    }

    /// A name in a repository that no other run has: nothing of the image is there.
    fn image(&self) -> String {
        self.registry.image(&format!("bench/turn-{}:1", self.turn()))
    }

    /// Another tag in a tool's repository, as of a CI job that runs again.
    fn tag(&self, tool: &str, work: Work) -> String {
        self.registry.image(&format!("bench/{tool}-{work:?}:{}", self.turn()).to_lowercase())
    }

    fn argument(&self) -> String {
        format!("REG={}", self.registry.address())
    }

    /// Where a cache of a tool lies in the registry.
    fn cache(&self, tool: &str, work: Work) -> String {
        self.registry.image(&format!("bench/cache-{tool}-{work:?}").to_lowercase())
    }

    /// The store of this name, without what was in it.
    fn emptied(&self, store: &str) -> PathBuf {
        let path = self.stores.path().join(store);
        if path.exists() {
            fs::remove_dir_all(&path).expect("a store can be removed");
        }
        path
    }

    fn kept(&self, store: &str) -> PathBuf {
        self.stores.path().join(store)
    }

    fn steprun(&self, work: Work, store: &Path, image: &str, more: &[&str]) -> Vec<Command> {
        let mut command = Command::new(&self.binary);
        command.args(["build", "-d", image, "--build-arg", &self.argument()]).args(more);
        command.arg("-c").arg(self.context(work)).env("STEPRUN_STORE", store);
        vec![command]
    }

    /// Build and push; `more` are flags of `bud`.
    fn buildah(&self, work: Work, store: &Path, image: &str, more: &[&str]) -> Vec<Command> {
        let buildah = |words: &[&str]| {
            let mut command = command("buildah", &["--storage-driver", "overlay"]);
            command.arg("--root").arg(store.join("root")).arg("--runroot").arg(store.join("run"));
            command.args(words);
            command
        };
        let mut build = buildah(&["bud", "--tls-verify=false", "--isolation", "chroot", "--layers", "-t", image]);
        build.args(["--build-arg", &self.argument()]).args(more).arg(self.context(work));
        vec![build, buildah(&["push", "--tls-verify=false", image])]
    }

    fn docker(&self, work: Work, image: &str, more: &[&str]) -> Vec<Command> {
        let mut build = command("docker", &["build", "-t", image, "--build-arg", &self.argument()]);
        build.args(more).arg(self.context(work));
        vec![build, command("docker", &["push", image])]
    }

    /// Kaniko unpacks the base over `/`, so it gets a file system of its own: in memory, with nothing but itself and the context.
    fn kaniko(&self, work: Work, image: &str, more: &[&str]) -> Vec<Command> {
        let script = "mount -t tmpfs none \"$1\"; mkdir \"$1/kaniko\" \"$1/workspace\" \"$1/proc\" \"$1/dev\" \"$1/tmp\"; \
                      cp \"$(command -v executor)\" \"$1/kaniko/executor\"; mount --bind \"$2\" \"$1/workspace\"; \
                      mount -t proc none \"$1/proc\"; mount --rbind /dev \"$1/dev\"; root=$1; shift 2; \
                      exec chroot \"$root\" /kaniko/executor \"$@\"";
        let root = self.kept("kaniko");
        fs::create_dir_all(&root).expect("a directory can be made");
        let mut command =
            command("unshare", &["--mount", "--propagation", "private", "--pid", "--fork", "sh", "-euc", script, "sh"]);
        command.arg(root).arg(self.context(work));
        command.args(["--force", "--insecure", "--insecure-pull", "--context", "dir:///workspace"]);
        command.args(["--destination", image, "--build-arg", &self.argument()]).args(more);
        vec![command]
    }

    /// The no-unpack reference: tar of what is kept, `crane append`, `crane mutate`.
    fn crane(&self, work: Work) -> Vec<Command> {
        let (tar, image) = (self.kept("crane.tar"), self.image());
        let mut pack = command("tar", &["--owner=0", "--group=0", "-cf"]);
        pack.arg(&tar).arg("-C").arg(self.context(work)).args(work.packed());
        let base = self.registry.image(workset::BASE);
        let mut append = command("crane", &["append", "-b", &base, "-t", &image, "-f"]);
        append.arg(&tar);
        let mut mutate = command("crane", &["mutate", &image, "-t", &image]);
        mutate.args(work.settings());
        vec![pack, append, mutate]
    }

    /// Gives one file of the larger context a content that it never had.
    fn change_one(&self) {
        let content = format!("changed {}\n", self.turn());
        workset::write(self.many_files.path(), workset::CHANGED, content);
    }
}

impl Work {
    /// What tar packs for crane: that which COPY copies, to where it does.
    fn packed(self) -> &'static [&'static str] {
        match self {
            Self::W1 => &["--transform=s,^,usr/local/bin/,;s,app.bin$,app,", "app.bin"],
            // Documents of one package are kept; tar knows no exception of an exception.
            Self::W2 => &[
                "--transform=s,^\\.,app,S",
                "--exclude=./.git",
                "--exclude=*.log",
                "--exclude=./node_modules/pkg[!0]??/docs",
                "--exclude=./node_modules/pkg?[!0]?/docs",
                "--exclude=./node_modules/pkg??[!0]/docs",
                "--exclude=./Dockerfile",
                "--exclude=./.dockerignore",
                ".",
            ],
        }
    }

    /// What the Dockerfile says besides, for crane.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::W1 => &[
                "--env=APP_HOME=/srv",
                "--env=APP_MODE=prod",
                "--label=org.opencontainers.image.title=w1",
                "--label=org.opencontainers.image.version=1.0",
                "--workdir=/srv",
                "--exposed-ports=8080/tcp",
                "--user=1000",
                "--cmd=/usr/local/bin/app,--serve",
            ],
            Self::W2 => &["--workdir=/app", "--cmd=ls"],
        }
    }
}

fn case(name: &'static str, tools: Vec<Tool>) -> Case {
    Case { name, runs: RUNS, counts: true, tools }
}

fn crane(work: Work) -> Tool {
    tool("tar + crane append + mutate", "crane", move |site, _| site.build().crane(work))
}

fn cold(name: &'static str, work: Work) -> Case {
    let tools = vec![
        tool("steprun build", "steprun", move |site, _| {
            let scene = site.build();
            scene.steprun(work, &scene.emptied("steprun-cold"), &scene.image(), &[])
        }),
        crane(work),
        tool("buildah", "buildah", move |site, _| {
            let scene = site.build();
            scene.buildah(work, &scene.emptied("buildah-cold"), &scene.image(), &[])
        }),
        tool("kaniko", "executor", move |site, _| {
            let scene = site.build();
            scene.kaniko(work, &scene.image(), &[])
        }),
    ];
    case(name, tools)
}

fn anew(name: &'static str, work: Work) -> Case {
    let mut tools = warm(work, &["--no-cache"], |scene, _, _| scene.image());
    tools.insert(1, crane(work));
    case(name, tools)
}

fn again(name: &'static str, work: Work) -> Case {
    case(name, warm(work, &[], Scene::tag))
}

/// Those with a store of their own; `image` names what the tool builds.
fn warm(work: Work, more: &'static [&'static str], image: fn(&Scene, &str, Work) -> String) -> Vec<Tool> {
    vec![
        tool("steprun build", "steprun", move |site, _| {
            let scene = site.build();
            scene.steprun(work, &scene.kept("steprun"), &image(scene, "steprun", work), more)
        }),
        tool("buildah", "buildah", move |site, _| {
            let scene = site.build();
            scene.buildah(work, &scene.kept("buildah"), &image(scene, "buildah", work), more)
        }),
        tool("docker", "docker", move |site, _| {
            let scene = site.build();
            scene.docker(work, &image(scene, "docker", work), more)
        }),
    ]
}

/// Each tool builds the same change.
fn one_changed(name: &'static str) -> Case {
    let change = |tool: Tool| {
        let commands = tool.commands;
        let changing = move |site: &Site, run| {
            site.build().change_one();
            commands(site, run)
        };
        Tool { commands: Box::new(changing), ..tool }
    };
    case(name, warm(Work::W2, &[], Scene::tag).into_iter().map(change).collect())
}

fn new_runner(name: &'static str, work: Work) -> Case {
    let tools = vec![
        tool("steprun build --cache-repo", "steprun", move |site, _| {
            let scene = site.build();
            let (image, cache) = (scene.tag("steprun-runner", work), scene.cache("steprun", work));
            scene.steprun(work, &scene.emptied("steprun-runner"), &image, &["--cache-repo", &cache])
        }),
        tool("buildah --cache-from --cache-to", "buildah", move |site, _| {
            let scene = site.build();
            let (image, cache) = (scene.tag("buildah-runner", work), scene.cache("buildah", work));
            let more = ["--cache-from", &cache, "--cache-to", &cache];
            scene.buildah(work, &scene.emptied("buildah-runner"), &image, &more)
        }),
        tool("kaniko --cache", "executor", move |site, _| {
            let scene = site.build();
            let (image, cache) = (scene.tag("kaniko-runner", work), scene.cache("kaniko", work));
            scene.kaniko(work, &image, &["--cache=true", "--cache-copy-layers", "--cache-repo", &cache])
        }),
    ];
    case(name, tools)
}

/// The cases.
pub(crate) fn all() -> Vec<Case> {
    vec![
        cold("w1-cold", Work::W1),
        anew("w1-anew", Work::W1),
        again("w1-again", Work::W1),
        new_runner("w1-new-runner", Work::W1),
        cold("w2-cold", Work::W2),
        anew("w2-anew", Work::W2),
        again("w2-again", Work::W2),
        one_changed("w2-one-changed"),
        new_runner("w2-new-runner", Work::W2),
    ]
}

impl Site {
    fn build(&self) -> &Scene {
        self.build.get_or_init(Scene::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What COPY copies with the ignore file: files of packages, five documents, a link a package, and their directories.
    #[test]
    fn crane_gets_what_is_copied() {
        let directory = tempfile::tempdir().unwrap();
        workset::many_files(directory.path());
        let mut pack = command("tar", &["-cf", "-", "-C"]);
        let packed = pack.arg(directory.path()).args(Work::W2.packed()).output().unwrap();
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        let file = directory.path().join("tar");
        fs::write(&file, packed.stdout).unwrap();
        let listed = command("tar", &["-tf"]).arg(&file).output().unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        let directories = listed.lines().filter(|line| line.ends_with('/')).count();
        let packages = usize::try_from(workset::PACKAGES).unwrap();
        assert_eq!(directories, 1 + 1 + packages * 6 + 1);
        assert_eq!(listed.lines().count() - directories, packages * 51 + 5);
    }
}
