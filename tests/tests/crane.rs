//! Each command of crane and ours on registries with the same images: equal standard output, exit status, and state of the registry.
//!
//! What crane does stands in `crane/*.txt`, and ours has to do the same. Where crane is in PATH (or named by `STEPRUN_TEST_CRANE`) it is run too,
//! so that the files can't grow old; with `STEPRUN_TEST_WRITE=1` they are written anew from what it does.
//!
//! In the files, `$` begins a command line, followed by its exit status; `|` is a line of standard output; `+` and `-` are tags that it made, moved or
//! took away. `NS` is the registry, `HOME` a directory, `<` gives a file of it as standard input.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use steprun_tests::{Base, Layer, Registry, User, binary, crane, each, push_index, sha256};

/// What is noted of a tag that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    /// The digest that it stands for.
    Digest,
    /// Configuration and files of the image: both tools write gzip and JSON in their own way.
    Content,
}

/// A registry with images, and the tool that works on it.
struct Side {
    registry: Registry,
    user: User,
    program: PathBuf,
    /// Words before each command.
    before: &'static [&'static str],
    note: Note,
    /// Digests with the words that stand for them.
    words: BTreeMap<&'static str, String>,
    tags: BTreeMap<String, String>,
}

impl Side {
    fn new(program: PathBuf, before: &'static [&'static str], note: Note) -> Self {
        let (registry, user) = (Registry::plain(), User::new());
        let layer = Layer::new().directory("etc", 0o755, (0, 0)).file("etc/file", 0o600, (1, 2), b"content");
        let gone = Layer::new().file("etc/new", 0o644, (0, 0), b"new").file("etc/.wh.file", 0o644, (0, 0), b"");
        let base = Base::new(json!({ "Cmd": ["x"], "Env": ["A=b"] })).layer(layer);
        base.clone().push(&registry, "base:1");
        let mut words = BTreeMap::from([("APP", base.layer(gone).push(&registry, "app:1"))]);
        words.insert("MULTI", push_index(user.home(), &registry, "multi:1"));
        let manifest: Value = serde_json::from_slice(&steprun_tests::raw_manifest(&registry, "app:1")).unwrap();
        words.insert("LAYER", manifest["layers"][0]["digest"].as_str().unwrap().to_owned());
        let mut side = Self { registry, user, program, before, note, words, tags: BTreeMap::new() };
        side.write_files();
        side.changes();
        side
    }

    /// Files that commands read.
    fn write_files(&self) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_path("added").unwrap();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, b"new".as_slice()).unwrap();
        fs::write(self.user.home().join("layer.tar"), tar.into_inner().unwrap()).unwrap();
        fs::write(self.user.home().join("text"), "text\n").unwrap();
        let manifest = steprun_tests::raw_manifest(&self.registry, "app:1");
        let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["annotations"] = json!({ "edited": "1" });
        fs::write(self.user.home().join("manifest.json"), manifest.to_string()).unwrap();
        let mut untyped = manifest.clone();
        untyped.as_object_mut().unwrap().shift_remove("mediaType");
        fs::write(self.user.home().join("untyped.json"), untyped.to_string()).unwrap();
        let config = self.ask(&["config", &self.registry.image("app:1")]);
        fs::write(self.user.home().join("same.json"), &config).unwrap();
        // As a person writes it: spaces, an order of their own, a line end.
        let config = String::from_utf8(config).unwrap().replacen('{', "{ \"own\" : [1,\n2],", 1) + "\n";
        fs::write(self.user.home().join("config.json"), config).unwrap();
        let entry = json!({ "mediaType": manifest["mediaType"], "digest": self.words["APP"], "size": steprun_tests::raw_manifest(&self.registry, "app:1").len() });
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [entry] });
        fs::write(self.user.home().join("index.json"), index.to_string()).unwrap();
    }

    /// What our binary prints: it is the judge of what images hold, for both sides.
    fn ask(&self, words: &[&str]) -> Vec<u8> {
        let words = std::iter::once("promote").chain(words.iter().copied());
        self.user.steprun(words).run().succeeded().stdout
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_slice(&self.ask(words)).unwrap()
    }

    /// Runs a line and tells what came of it.
    fn run(&mut self, line: &str) -> String {
        let (words, input) = line.split_once(" < ").map_or((line, None), |(words, file)| (words, Some(file)));
        let real = |word: &str| {
            let named = self.words.iter().fold(word.to_owned(), |word, (name, digest)| word.replace(name, digest));
            named.replace("NS", self.registry.address()).replace("HOME", &self.user.home().to_string_lossy())
        };
        let input = input.map_or_else(Stdio::null, |file| File::open(real(file)).unwrap().into());
        let mut command = Command::new(&self.program);
        command.args(self.before).args(words.split(' ').map(real)).stdin(input).current_dir(self.user.home());
        // Nothing of the caller's: credentials, a store.
        command.env_clear().env("HOME", self.user.home()).env("TMPDIR", self.user.home()).env("PATH", "");
        let output = command.output().unwrap();
        let status = output.status.code().map_or_else(|| "killed".to_owned(), |status| status.to_string());
        format!("$ {line}\n{status}\n{}{}", self.shown(&output.stdout), self.changes())
    }

    /// Standard output, line by line, without what differs from run to run.
    fn shown(&self, stdout: &[u8]) -> String {
        if stdout.is_empty() {
            return String::new();
        }
        let Ok(text) = std::str::from_utf8(stdout) else { return format!("| {}\n", self.named(&sha256(stdout))) };
        let text = text.replace(self.registry.address(), "NS");
        let text = self.named(&text.replace(&*self.user.home().to_string_lossy(), "HOME"));
        let end = if text.ends_with('\n') { "" } else { "| (no line end)\n" };
        text.lines().map(|line| format!("| {line}\n")).collect::<String>() + end
    }

    /// With words for the digests that have one; where content is compared the others go.
    fn named(&self, text: &str) -> String {
        let named = self.words.iter().fold(text.to_owned(), |text, (name, digest)| text.replace(digest, name));
        let mut parts = named.split("sha256:");
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            shown += "sha256:";
            let hex = part.bytes().take_while(u8::is_ascii_hexdigit).count();
            shown += if self.note == Note::Content && hex == 64 { &part[hex..] } else { part };
        }
        shown
    }

    /// The tags that changed since the last time.
    fn changes(&mut self) -> String {
        let mut tags = BTreeMap::new();
        for repository in self.registry.repositories() {
            let of = self.registry.tags(&repository).into_iter();
            tags.extend(of.map(|(tag, digest)| (format!("{repository}:{tag}"), digest)));
        }
        let mut changes = String::new();
        for tag in self.tags.keys().filter(|tag| !tags.contains_key(*tag)) {
            let _ = writeln!(changes, "- {tag}");
        }
        for (tag, digest) in tags.iter().filter(|(tag, digest)| self.tags.get(*tag) != Some(*digest)) {
            let _ = match self.note {
                Note::Digest => writeln!(changes, "+ {tag} {}", self.named(digest)),
                Note::Content => writeln!(changes, "+ {tag} {}", self.content(tag)),
            };
        }
        self.tags = tags;
        changes
    }

    /// Configuration and files of an image, or of each image of an index, without what says when and by what it was made.
    fn content(&self, tag: &str) -> String {
        let image = self.registry.image(tag);
        let document = self.json(&["manifest", &image]);
        let Some(children) = document["manifests"].as_array() else { return self.content_of(&image) };
        let repository = tag.split(':').next().unwrap_or(tag);
        let child = |child: &Value| {
            let name = self.registry.image(&format!("{repository}@{}", child["digest"].as_str().unwrap()));
            format!("{} {}", sorted(&child["platform"]), self.content_of(&name))
        };
        children.iter().map(child).collect::<Vec<_>>().join(" and ")
    }

    fn content_of(&self, image: &str) -> String {
        let config = self.json(&["config", image]);
        let annotations = self.json(&["manifest", image])["annotations"].clone();
        let files = String::from_utf8(self.ask(&["files", image])).unwrap();
        let annotations = self.named(&sorted(&annotations).replace(self.registry.address(), "NS"));
        format!("{} {annotations} {}", sorted(&config["config"]), files.replace('\n', " ").trim_end())
    }
}

/// JSON with its keys in order, without what is empty.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}:{}", json!(key), sorted(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

/// Runs lines one after the other, each on what those before it left, and compares what came of them with a file.
fn compare(file: &str, note: Note, lines: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crane").join(file);
    let run = |mut side: Side| -> Vec<String> { lines.iter().map(|line| side.run(line)).collect() };
    let theirs = crane().map(|crane| run(Side::new(crane, &[], note)));
    if theirs.is_none() {
        eprintln!("there is no crane in PATH or STEPRUN_TEST_CRANE: compared with what it did before");
    }
    if let (Some(theirs), Some(_)) = (&theirs, std::env::var_os("STEPRUN_TEST_WRITE")) {
        fs::write(&path, theirs.concat()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    if let Some(theirs) = theirs {
        assert_eq!(theirs.concat(), written, "crane no longer does what stands in {file}");
    }
    let ours = run(Side::new(binary(), &["promote", "--progress=quiet"], note));
    let expected: Vec<String> = written.split_inclusive('\n').fold(Vec::new(), |mut blocks, line| {
        match blocks.last_mut() {
            Some(block) if !line.starts_with("$ ") => String::push_str(block, line),
            _ => blocks.push(line.to_owned()),
        }
        blocks
    });
    each(ours.iter().zip(&expected), |(ours, expected)| assert_eq!(ours, expected));
    assert_eq!(ours.len(), expected.len());
}

#[test]
fn questions_have_the_same_answers() {
    compare(
        "questions.txt",
        Note::Digest,
        &[
            "digest NS/app:1",
            "digest --full-ref NS/app:1",
            "digest NS/multi:1",
            "digest --platform linux/arm64 NS/multi:1",
            "--platform linux/arm64 digest NS/multi:1",
            "--insecure digest NS/app:1",
            "-v digest NS/app:1",
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
            "config --platform linux/s390x NS/multi:1",
            "ls NS/app",
            "ls --full-ref NS/app",
            "ls -O NS/app",
            "ls --platform linux/arm64 --allow-nondistributable-artifacts NS/app",
            "ls NS/missing",
            "catalog NS",
            "catalog --full-ref NS",
            "blob NS/app@LAYER",
            "blob NS/app@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "validate --remote NS/app:1",
            "auth get NS",
            "auth token NS/app",
        ],
    );
}

#[test]
fn changes_leave_the_same_registry() {
    compare(
        "changes.txt",
        Note::Digest,
        &[
            "copy NS/app:1 NS/copied:1",
            "cp -j 2 NS/app@APP NS/copied:2",
            "copy NS/multi:1 NS/copied-multi:1",
            "copy --platform linux/arm64 NS/multi:1 NS/copied-arm:1",
            "tag NS/app:1 two",
            "tag NS/multi:1 latest",
            "copy -n NS/app:1 NS/app:two",
            "copy --no-clobber NS/app:1 NS/app:three",
            "copy -a NS/app NS/all",
            "copy NS/app:missing NS/never:1",
            "edit manifest NS/app:1 -t NS/app:edited < HOME/manifest.json",
            "edit manifest NS/app:edited < HOME/index.json",
            "config NS/app:edited",
            "digest --platform linux/amd64 NS/app:edited",
            "edit manifest -m application/vnd.oci.image.manifest.v1+json NS/app:1 -t NS/app:typed < HOME/untyped.json",
            "manifest NS/app:typed",
            "edit config NS/app:1 -t NS/app:config < HOME/config.json",
            "config NS/app:config",
            "edit config NS/app:1 -t NS/app:same < HOME/same.json",
            "edit config NS/app@APP < HOME/config.json",
            "pull NS/app:1 HOME/app.tar",
            "pull --format oci NS/multi:1 HOME/layout",
            "pull -c HOME/cache --format oci --annotate-ref NS/app:1 NS/copied:1 HOME/several",
            "push HOME/layout NS/pushed-layout:1",
            "push --image-refs HOME/refs HOME/layout NS/pushed-layout:2",
            "validate --tarball HOME/app.tar",
            "pull --format legacy NS/app:1 HOME/legacy.tar",
            "validate --tarball HOME/legacy.tar",
            "index filter NS/app:1 --platform linux/amd64 -t NS/filtered:1",
            "delete NS/all@APP",
            "delete NS/copied:1",
            "delete NS/app:missing",
        ],
    );
}

#[test]
fn made_images_hold_the_same() {
    compare(
        "made.txt",
        Note::Content,
        &[
            "index filter NS/multi:1 --platform linux/amd64 -t NS/filtered:1",
            "index append -m NS/app:1 -m NS/multi:1 -t NS/index-appended:1",
            "index append --flatten -m NS/multi:1 -t NS/index-appended:2",
            "append -b NS/app:1 -f HOME/layer.tar -t NS/appended:1",
            "append -f HOME/layer.tar -t NS/from-nothing:1",
            "append -f - -t NS/from-input:1 < HOME/layer.tar",
            "append --oci-empty-base --new_layer HOME/layer.tar --new_tag NS/from-nothing:2",
            "mutate NS/app:1 --label a=b --env X=y --entrypoint sh,-c --user 5 --workdir /w -t NS/mutated:1",
            "mutate NS/app:1 --cmd a,b --exposed-ports 80/tcp,443/tcp -a note=1 -t NS/mutated:2",
            "mutate NS/app:1 --append HOME/layer.tar --repo NS/elsewhere",
            "mutate NS/base:1 --label own=1",
            "rebase NS/app:1 --old_base NS/base:1 --new_base NS/base:1 -t NS/rebased:1",
            "edit fs NS/app:1 -f /etc/motd -t NS/edited:2 < HOME/text",
        ],
    );
}

/// crane forgets whiteouts of layers below (its issues 1623 and 2029): what it exports is not compared, what the files are is.
#[test]
fn exports_hold_what_the_image_holds() {
    let side = Side::new(binary(), &["promote"], Note::Digest);
    let tar = side.ask(&["export", &side.registry.image("app:1"), "-"]);
    assert_eq!(names(&tar), ["etc", "etc/new"]);
    side.ask(&["pull", &side.registry.image("app:1"), "app.tar"]);
    let archive = fs::read(side.user.home().join("app.tar")).unwrap();
    let piped = side.user.steprun(["promote", "export", "-", "-"]).input(archive).run().succeeded();
    assert_eq!(names(&piped.stdout), names(&tar));
    side.user.fails(2, ["promote", "copy", &side.registry.image("app:1"), "-"]).says(&["can't be written"]);
}

/// What skopeo reads of it is what is in the registry, and crane's has the same files with the same content.
#[test]
fn legacy_archives_are_read_by_others() {
    let side = Side::new(binary(), &["promote"], Note::Digest);
    let home = side.user.home();
    side.ask(&["pull", "--format=legacy", &side.registry.image("app:1"), "ours.tar"]);
    let (archive, layout) = (format!("docker-archive:{}/ours.tar", home.display()), home.join("read"));
    steprun_tests::skopeo_copy(&archive, &format!("oci:{}:image", layout.display()), &[]);
    let place = format!("oci:{}:image", layout.display());
    let diff_ids = |image: &str| side.json(&["config", image])["rootfs"]["diff_ids"].clone();
    assert_eq!(diff_ids(&place), diff_ids(&side.registry.image("app:1")));
    let Some(crane) = crane() else {
        return eprintln!("there is no crane in PATH or STEPRUN_TEST_CRANE to compare with");
    };
    let mut command = Command::new(crane);
    command.args(["pull", "--format=legacy", &side.registry.image("app:1"), "theirs.tar"]).current_dir(home);
    assert!(command.env_clear().env("HOME", home).status().unwrap().success());
    let contents = |name: &str| contents(&fs::read(home.join(name)).unwrap());
    assert_eq!(contents("ours.tar"), contents("theirs.tar"));
}

/// The files of an archive; configs and lists as what they say, since both tools write JSON in their own way.
fn contents(tar: &[u8]) -> BTreeMap<String, String> {
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        let link = entry.link_name().unwrap().map(|link| format!("link to {}", link.display()));
        let json = serde_json::from_slice::<Value>(&content).map(|value| sorted(&value));
        let shown = link.unwrap_or_else(|| json.unwrap_or_else(|_| sha256(&content)));
        (entry.path().unwrap().to_str().unwrap().to_owned(), shown)
    };
    tar::Archive::new(tar).entries().unwrap().map(read).collect()
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
