//! Each command of crane and ours on the same registry: equal standard output, exit status, and state of the registry.
//!
//! crane is looked up in `STEPRUN_TEST_CRANE`, then in PATH; without it these tests say so and do nothing. What scripts rely on stands in
//! `promote.rs` with its bytes too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use steprun_tests::{Base, Layer, Registry, User, each, push_index, sha256};

/// What is compared besides standard output and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All tags stand for the same digests.
    Digests,
    /// All tags stand for images with the same configuration and the same files: both tools write gzip and JSON in their own way.
    Content,
}

/// crane, if there is one.
fn crane() -> Option<PathBuf> {
    let named = std::env::var_os("STEPRUN_TEST_CRANE").map(PathBuf::from);
    let in_path = || {
        let paths = std::env::var_os("PATH")?;
        std::env::split_paths(&paths).map(|directory| directory.join("crane")).find(|path| path.is_file())
    };
    let found = named.or_else(in_path);
    if found.is_none() {
        eprintln!("skipped: there is no crane in PATH or STEPRUN_TEST_CRANE to compare with");
    }
    found
}

/// A registry with the same images in `one/` for crane and in `two/` for us.
struct Arena {
    registry: Registry,
    user: User,
    crane: PathBuf,
    /// Digest of `app:1`, of its layer, and of the index `multi:1`.
    words: BTreeMap<&'static str, String>,
}

impl Arena {
    fn new() -> Option<Self> {
        let crane = crane()?;
        let (registry, user) = (Registry::plain(), User::new());
        let mut words = BTreeMap::new();
        for side in ["one", "two"] {
            let layer = Layer::new().directory("etc", 0o755, (0, 0)).file("etc/file", 0o600, (1, 2), b"content");
            let gone = Layer::new().file("etc/new", 0o644, (0, 0), b"new").file("etc/.wh.file", 0o644, (0, 0), b"");
            let base = Base::new(json!({ "Cmd": ["x"], "Env": ["A=b"] })).layer(layer);
            base.clone().push(&registry, &format!("{side}/base:1"));
            words.insert("APP", base.layer(gone).push(&registry, &format!("{side}/app:1")));
            words.insert("MULTI", push_index(user.home(), &registry, &format!("{side}/multi:1")));
        }
        let manifest: Value = serde_json::from_slice(&steprun_tests::raw_manifest(&registry, "one/app:1")).unwrap();
        words.insert("LAYER", manifest["layers"][0]["digest"].as_str().unwrap().to_owned());
        Some(Self { registry, user, crane, words })
    }

    /// Words for one side: `NS` is its namespace in the registry, `REG` the registry.
    fn words(&self, line: &str, side: &str) -> Vec<String> {
        let word = |word: &str| {
            let mut word = word.replace("NS", &self.registry.image(side)).replace("REG", self.registry.address());
            for (name, value) in &self.words {
                word = word.replace(name, value);
            }
            word.replace("HOME", &self.user.home().join(side).to_string_lossy())
        };
        line.split(' ').map(word).collect()
    }

    fn theirs(&self, line: &str) -> (Option<i32>, Vec<u8>) {
        std::fs::create_dir_all(self.user.home().join("one")).unwrap();
        let mut command = Command::new(&self.crane);
        command.args(self.words(line, "one")).env_clear().env("HOME", self.user.home()).env("PATH", "");
        let output = command.output().unwrap();
        (output.status.code(), output.stdout)
    }

    fn ours(&self, line: &str) -> (Option<i32>, Vec<u8>) {
        std::fs::create_dir_all(self.user.home().join("two")).unwrap();
        let words = std::iter::once("promote".to_owned()).chain(self.words(line, "two"));
        let outcome = self.user.steprun(words).run();
        (outcome.status, outcome.stdout)
    }

    /// The tags of one side with the digests that they stand for.
    fn tags(&self, side: &str) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        for repository in self.registry.repositories() {
            if let Some(name) = repository.strip_prefix(&format!("{side}/")) {
                let of = self.registry.tags(&repository).into_iter();
                tags.extend(of.map(|(tag, digest)| (format!("{name}:{tag}"), digest)));
            }
        }
        tags
    }

    /// Configuration and files of an image, without what says when and by what it was made.
    fn content(&self, image: &str) -> (Value, Vec<String>) {
        let config = Command::new(&self.crane).args(["config", &self.registry.image(image)]).output().unwrap().stdout;
        let config: Value = serde_json::from_slice(&config).unwrap();
        let tar = Command::new(&self.crane).args(["export", &self.registry.image(image), "-"]).output().unwrap().stdout;
        (config["config"].clone(), names(&tar))
    }

    fn compare(&self, line: &str, state: State) {
        let ((their_status, theirs), (our_status, ours)) = (self.theirs(line), self.ours(line));
        let shown = |bytes: &[u8], side: &str| {
            let text = String::from_utf8_lossy(bytes).replace(&format!("{}/", self.registry.image(side)), "NS/");
            match state {
                State::Digests => text,
                State::Content => without_digests(&text),
            }
        };
        assert_eq!((our_status, shown(&ours, "two")), (their_status, shown(&theirs, "one")), "{line}");
        let (their_tags, our_tags) = (self.tags("one"), self.tags("two"));
        match state {
            State::Digests => assert_eq!(our_tags, their_tags, "{line}"),
            State::Content => {
                assert_eq!(our_tags.keys().collect::<Vec<_>>(), their_tags.keys().collect::<Vec<_>>(), "{line}");
                for (tag, digest) in &our_tags {
                    if their_tags[tag] != *digest {
                        let images = [format!("two/{tag}"), format!("one/{tag}")];
                        assert_eq!(self.content(&images[0]), self.content(&images[1]), "{line}: {tag}");
                    }
                }
            }
        }
    }
}

/// `NAME@sha256:...` without the digest itself.
fn without_digests(text: &str) -> String {
    let line = |line: &str| match line.split_once("sha256:") {
        Some((before, digest)) if digest.len() == 64 => format!("{before}sha256:\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn questions_have_the_same_answers() {
    let Some(arena) = Arena::new() else { return };
    let lines = [
        "digest NS/app:1",
        "digest --full-ref NS/app:1",
        "digest NS/multi:1",
        "digest --platform linux/arm64 NS/multi:1",
        "digest NS/app:missing",
        "digest NS/missing:1",
        "manifest NS/app:1",
        "manifest NS/multi:1",
        "manifest --platform linux/arm64 NS/multi:1",
        "manifest NS/app@APP",
        "manifest NS/app:missing",
        "config NS/app:1",
        "config NS/multi:1",
        "config --platform linux/arm64 NS/multi:1",
        "ls NS/app",
        "ls --full-ref NS/app",
        "ls -O NS/app",
        "ls NS/missing",
        "catalog REG",
        "blob NS/app@LAYER",
        "blob NS/app@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "auth get REG",
        "auth token REG/app",
    ];
    each(lines, |line| arena.compare(line, State::Digests));
}

#[test]
fn changes_leave_the_same_registry() {
    let Some(arena) = Arena::new() else { return };
    // Each goes on with what those before it left.
    for line in [
        "copy NS/app:1 NS/copied:1",
        "cp NS/app@APP NS/copied:2",
        "copy NS/multi:1 NS/copied-multi:1",
        "copy --platform linux/arm64 NS/multi:1 NS/copied-arm:1",
        "tag NS/app:1 two",
        "tag NS/multi:1 latest",
        "copy -n NS/app:1 NS/app:two",
        "copy -a NS/app NS/all",
        "copy NS/app:missing NS/never:1",
        "validate --remote NS/app:1",
        "pull NS/app:1 HOME/app.tar",
        "pull --format oci NS/multi:1 HOME/layout",
        "push HOME/layout NS/pushed-layout:1",
        "delete NS/all@APP",
        "delete NS/app:missing",
    ] {
        arena.compare(line, State::Digests);
    }
}

#[test]
fn made_images_hold_the_same() {
    let Some(arena) = Arena::new() else { return };
    for side in ["one", "two"] {
        let directory = arena.user.home().join(side);
        std::fs::create_dir_all(&directory).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_path("added").unwrap();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, b"new".as_slice()).unwrap();
        std::fs::write(directory.join("layer.tar"), tar.into_inner().unwrap()).unwrap();
    }
    for line in [
        "index filter NS/multi:1 --platform linux/amd64 -t NS/filtered:1",
        "index append -m NS/app:1 -m NS/multi:1 -t NS/index-appended:1",
        "append -b NS/app:1 -f HOME/layer.tar -t NS/appended:1",
        "append -f HOME/layer.tar -t NS/from-nothing:1",
        "mutate NS/app:1 --label a=b --env X=y --entrypoint sh,-c --user 5 --workdir /w -t NS/mutated:1",
        "mutate NS/app:1 --cmd a,b --exposed-ports 80/tcp,443/tcp -t NS/mutated:2",
        "mutate NS/base:1 --label own=1",
        "rebase NS/app:1 --old_base NS/base:1 --new_base NS/base:1 -t NS/rebased:1",
    ] {
        arena.compare(line, State::Content);
    }
}

/// crane forgets whiteouts of layers below (its issues 1623 and 2029): what it exports is not compared, what the files are is.
#[test]
fn exports_hold_what_the_image_holds() {
    let Some(arena) = Arena::new() else { return };
    let (status, tar) = arena.ours("export NS/app:1 -");
    assert_eq!((status, names(&tar)), (Some(0), ["etc", "etc/new"].map(str::to_owned).to_vec()));
    let (status, tar) = arena.theirs("export NS/base:1 -");
    assert_eq!((status, names(&tar)), (Some(0), names(&arena.ours("export NS/base:1 -").1)));
    assert!(sha256(&tar).starts_with("sha256:"));
}
