//! `steprun promote`: images move as they are, and standard output is crane's.

use std::fs;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use steprun_tests::fake::{Fake, Response};
use steprun_tests::{Base, Layer, Registry, User, inspect, push_index, raw_manifest, sha256};

fn push(registry: &Registry, image: &str, content: &[u8]) -> String {
    let layer = Layer::new()
        .directory("etc", 0o755, (0, 0))
        .file("etc/file", 0o600, (1, 2), content)
        .symlink("link", "etc/file");
    Base::new(json!({ "Cmd": ["x"] })).layer(layer).push(registry, image)
}

#[test]
fn copy_within_a_registry_keeps_the_digest() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = push(&registry, "testing/app:1", b"x");
    user.succeeds(["promote", "copy", &registry.image("testing/app:1"), &registry.image("stable/app:1.0")])
        .prints_nothing();
    assert_eq!(sha256(&raw_manifest(&registry, "stable/app:1.0")), digest);
}

#[test]
fn copy_between_registries_keeps_the_digest() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    let digest = push(&from, "app:1", &vec![7; 3 << 20]);
    user.succeeds(["promote", "copy", &from.image("app:1"), &to.image("team/app:1")]).prints_nothing();
    assert_eq!(sha256(&raw_manifest(&to, "team/app:1")), digest);
    assert_eq!(inspect(&to, "team/app:1", false)["Digest"], digest);
}

#[test]
fn copy_between_a_guarded_and_a_private_registry() {
    let (user, from, to) = (User::new(), Registry::htpasswd(), Registry::tls());
    let digest = push(&from, "app:1", b"x");
    from.write_credentials(&user.home().join(".docker"));
    let trust = format!("{}={}", to.address(), to.authority().display());
    user.succeeds(["--registry-certificate", &trust, "promote", "copy", &from.image("app:1"), &to.image("app:1")]);
    assert_eq!(sha256(&raw_manifest(&to, "app:1")), digest);
}

#[test]
fn an_index_stays_an_index() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    let digest = push_index(user.home(), &from, "app:1");
    assert_eq!(sha256(&raw_manifest(&from, "app:1")), digest, "skopeo keeps it");
    for target in [from.image("other:1"), to.image("app:1")] {
        user.succeeds(["promote", "copy", &from.image("app:1"), &target]);
    }
    let manifest = raw_manifest(&to, "app:1");
    assert_eq!(sha256(&manifest), digest);
    let children: Value = serde_json::from_slice(&manifest).unwrap();
    for child in children["manifests"].as_array().unwrap() {
        let name = format!("app@{}", child["digest"].as_str().unwrap());
        assert_eq!(json!(sha256(&raw_manifest(&to, &name))), child["digest"]);
    }
}

#[test]
fn tag_names_it_again() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = push(&registry, "app:1", b"x");
    user.succeeds(["promote", "tag", &registry.image("app:1"), "latest"]).prints_nothing();
    assert_eq!(sha256(&raw_manifest(&registry, "app:latest")), digest);
}

#[test]
fn questions_are_answered_on_standard_output() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = push(&registry, "app:1", b"x");
    push(&registry, "app:2", b"y");
    let image = registry.image("app:1");
    assert_eq!(user.succeeds(["promote", "digest", &image]).line(), digest);
    assert_eq!(user.succeeds(["promote", "manifest", &image]).stdout, raw_manifest(&registry, "app:1"));
    let config: Value = serde_json::from_slice(&user.succeeds(["promote", "config", &image]).stdout).unwrap();
    assert_eq!(config["config"]["Cmd"], json!(["x"]));
    let mut tags: Vec<String> =
        user.succeeds(["promote", "ls", &registry.image("app")]).text().lines().map(str::to_owned).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["1", "2"]);
}

#[test]
fn append_adds_a_layer() {
    let (user, registry) = (User::new(), Registry::plain());
    push(&registry, "app:1", b"x");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_path("added").unwrap();
    header.set_size(3);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, b"new".as_slice()).unwrap();
    let layer = user.home().join("layer.tar");
    fs::write(&layer, tar.into_inner().unwrap()).unwrap();
    let (base, image) = (registry.image("app:1"), registry.image("app:2"));
    let outcome = user.succeeds(["promote", "append", "-b", &base, "-f", layer.to_str().unwrap(), "-t", &image]);
    let manifest = raw_manifest(&registry, "app:2");
    assert_eq!(outcome.line(), format!("{}@{}", registry.image("app"), sha256(&manifest)));
    let exported = user.succeeds(["promote", "export", &image, "-"]).stdout;
    assert_eq!(names(&exported), ["added", "etc", "etc/file", "link"]);
}

#[test]
fn export_is_the_file_system() {
    let (user, registry) = (User::new(), Registry::plain());
    push(&registry, "app:1", b"x");
    let file = user.home().join("out.tar");
    user.succeeds(["promote", "export", &registry.image("app:1"), file.to_str().unwrap()]).prints_nothing();
    assert_eq!(names(&fs::read(&file).unwrap()), ["etc", "etc/file", "link"]);
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    let path = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        entry.unwrap().path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned()
    };
    let mut names: Vec<String> = entries.map(path).collect();
    names.sort_unstable();
    names
}

#[test]
fn delete_takes_it_away() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = push(&registry, "app:1", b"x");
    user.succeeds(["promote", "delete", &registry.image(&format!("app@{digest}"))]).prints_nothing();
    user.fails(1, ["promote", "digest", &registry.image("app:1")]).prints_nothing().says(&["app"]);
}

#[test]
fn broken_content_is_never_promoted() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    push(&from, "app:1", b"x");
    let manifest: Value = serde_json::from_slice(&raw_manifest(&from, "app:1")).unwrap();
    let layer = from.stored(manifest["layers"][0]["digest"].as_str().unwrap());
    let mut content = fs::read(&layer).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&layer, content).unwrap();
    user.fails(4, ["promote", "copy", &from.image("app:1"), &to.image("app:1")]).prints_nothing();
    assert!(to.repositories().is_empty());
}

/// Places beside registries: what goes into one comes out of it, and skopeo reads what we write.
#[test]
fn images_live_in_files_and_directories() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    let digest = push_index(user.home(), &from, "app:1");
    let image = push(&from, "one:1", b"x");
    for (number, place) in ["oci:layout:v1", "oci-archive:index.tar:v1"].into_iter().enumerate() {
        user.succeeds(["promote", "copy", &from.image("app:1"), place]).prints_nothing();
        assert_eq!(user.succeeds(["promote", "digest", place]).line(), digest, "{place}");
        let back = format!("back{number}:1");
        user.succeeds(["promote", "copy", place, &to.image(&back)]).prints_nothing();
        assert_eq!(sha256(&raw_manifest(&to, &back)), digest);
    }
    for (number, place) in
        ["oci:layout:v2", "oci-archive:one.tar", "docker-archive:saved.tar:r.example/app:1", "dir:dir"]
            .into_iter()
            .enumerate()
    {
        user.succeeds(["promote", "copy", &from.image("one:1"), place]).prints_nothing();
        let transport = place.replacen(':', &format!(":{}/", user.home().display()), 1);
        let theirs = steprun_tests::tool("skopeo").args(["inspect", "--raw", &transport]).output().unwrap();
        assert!(theirs.status.success(), "{place}: {}", String::from_utf8_lossy(&theirs.stderr));
        let back = format!("single{number}:1");
        user.succeeds(["promote", "copy", place, &to.image(&back)]);
        assert_eq!(sha256(&raw_manifest(&to, &back)), image, "{place}");
        assert_eq!(user.succeeds(["promote", "cat", place, "etc/file"]).text(), "x", "{place}");
    }
    assert_eq!(user.succeeds(["promote", "validate", "--remote", "oci:layout:v1"]).text(), "PASS: oci:layout:v1\n");
    user.fails(1, ["promote", "digest", "oci:layout"]).says(&["holds 2 images", "v1, v2"]);
    user.fails(1, ["promote", "digest", "oci:nowhere:v1"]).prints_nothing();
    user.fails(2, ["promote", "digest", "oci:"]).says(&["names no file or directory"]);
}

/// Larger than the memory that a step has: nothing of it passes through.
#[test]
fn archives_and_blobs_of_any_size_are_moved() {
    let (user, registry) = (User::new(), Registry::plain());
    let mut random = vec![0_u8; 300 << 20];
    let mut state = 1_u64;
    for chunk in random.chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_be_bytes()[..chunk.len()]);
    }
    let digest = Base::new(json!({})).layer(Layer::new().file("big", 0o644, (0, 0), &random)).push(&registry, "big:1");
    user.succeeds(["promote", "pull", &registry.image("big:1"), "big.tar"]).prints_nothing();
    assert_eq!(user.succeeds(["promote", "push", "big.tar", &registry.image("again:1")]).digest(), digest);
    user.succeeds(["promote", "pull", "--format", "oci", &registry.image("big:1"), "layout"]).prints_nothing();
    assert_eq!(user.succeeds(["promote", "push", "layout", &registry.image("again:2")]).digest(), digest);
    let layer = &steprun_tests::layers(&registry, "big:1")[0];
    let blob = user.succeeds(["promote", "blob", &registry.image(&format!("big@{layer}"))]);
    assert_eq!(&sha256(&blob.stdout), layer);
    let file = user.succeeds(["promote", "cat", &registry.image("big:1"), "big"]);
    assert!(file.stdout == random, "{} bytes", file.stdout.len());
}

#[test]
fn what_belongs_to_an_image_is_copied_with_it() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    push(&from, "app:1", b"x");
    let subject = user.succeeds(["promote", "manifest", &from.image("app:1"), "--format", "json"]);
    let subject: Value = serde_json::from_slice(&subject.stdout).unwrap();
    let descriptor = json!({"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]});
    let layout = user.home().join("signature");
    let digest = Base::new(json!({})).layer(Layer::new().file("signature", 0o644, (0, 0), b"s")).write(&layout);
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let mut manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    manifest["subject"] = descriptor;
    manifest["artifactType"] = json!("application/vnd.example.signature");
    let manifest = manifest.to_string();
    let signature = sha256(manifest.as_bytes());
    fs::write(layout.join("blobs").join(signature.replace(':', "/")), &manifest).unwrap();
    let entry = json!({"mediaType": subject["mediaType"], "digest": signature, "size": manifest.len()});
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string()).unwrap();
    let place = format!("oci:{}", layout.display());
    user.succeeds(["promote", "copy", &place, &from.image(&format!("app@{signature}"))]);
    let expected = format!("{signature} application/vnd.example.signature\n");
    assert_eq!(user.succeeds(["promote", "referrers", &from.image("app:1")]).text(), expected);
    user.succeeds(["promote", "copy", "--referrers", &from.image("app:1"), &to.image("app:1")]).prints_nothing();
    assert_eq!(user.succeeds(["promote", "referrers", &to.image("app:1")]).text(), expected);
    assert!(user.succeeds(["promote", "tree", &to.image("app:1")]).text().ends_with(&format!("└── {expected}")));
    fs::create_dir(user.home().join("kept")).unwrap();
    for place in ["oci:kept:1", "oci-archive:kept.tar:1"] {
        user.succeeds(["promote", "copy", "--referrers", &from.image("app:1"), place]).prints_nothing();
        assert_eq!(user.succeeds(["promote", "referrers", place]).text(), expected, "{place}");
    }
}

#[test]
fn layers_are_recompressed() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = push(&registry, "app:1", &vec![7; 1 << 20]);
    let copy = |to: &str, word: &str| {
        user.succeeds(["promote", "copy", "--recompress", word, &registry.image("app:1"), &registry.image(to)])
            .prints_nothing();
        raw_manifest(&registry, to)
    };
    assert_eq!(sha256(&copy("app:gzip", "gzip")), digest);
    let zstd: Value = serde_json::from_slice(&copy("app:zstd", "zstd")).unwrap();
    assert_eq!(zstd["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    let file = user.succeeds(["promote", "cat", &registry.image("app:zstd"), "etc/file"]);
    assert!(file.stdout == vec![7; 1 << 20]);
    assert_eq!(inspect(&registry, "app:zstd", true)["config"]["Cmd"], json!(["x"]));
}

#[test]
fn logins_are_kept_and_used() {
    let (user, registry) = (User::new(), Registry::htpasswd());
    let address = registry.address();
    assert_eq!(user.fails(1, ["auth", "get", address]).text(), "credentials not found in native keychain\n");
    let login = ["promote", "auth", "login", address, "-u", steprun_tests::USER, "--password-stdin"];
    let outcome = user.steprun(login).input(format!("{}\n", steprun_tests::PASSWORD)).run().succeeded();
    outcome.prints_nothing().says(&["logged in via", ".docker/config.json", "unencrypted"]);
    let file = user.home().join(".docker/config.json");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    let expected = format!("{{\"Username\":\"{}\",\"Secret\":\"{}\"}}\n", steprun_tests::USER, steprun_tests::PASSWORD);
    assert_eq!(user.succeeds(["auth", "get", address]).text(), expected);
    assert_eq!(user.steprun(["auth", "get"]).input(format!("{address}\n")).run().succeeded().text(), expected);
    assert_eq!(user.succeeds(["promote", "catalog", address]).text(), "");
    user.fails(1, ["auth", "token", &registry.image("app")])
        .prints_nothing()
        .says(&["challenge scheme \"basic\" is not bearer"]);
    user.succeeds(["auth", "logout", address]).prints_nothing();
    user.fails(1, ["promote", "catalog", address]).says(&["no credentials found"]);
    user.fails(2, ["auth", "login", address, "-u", "x"]).says(&["--password-stdin"]);
}

#[test]
fn apply_brings_images_where_a_file_wants_them() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    let (one, two) = (push(&from, "testing/app:x", b"1"), push(&from, "testing/app:y", b"2"));
    let file = |second: &str| {
        format!(
            "[[registries]]\nname = \"{}/testing\"\nsource = true\n[[registries]]\nname = \"{}/stable\"\n\
             [[images]]\nname = \"app\"\n[images.digests]\n\"{one}\" = [\"1.0\", \"latest\"]\n\"{two}\" = [{second}]\n",
            from.address(),
            to.address()
        )
    };
    fs::write(user.home().join("images.toml"), file("\"0.9\"")).unwrap();
    let (source, target) = (from.image("testing"), to.image("stable"));
    let granted = ["promote", "apply", "images.toml", "--from", &source, "--to", &target];
    let plan = user.succeeds([&granted[..], &["--dry-run"]].concat());
    assert_eq!(plan.text().lines().count(), 3, "{}", plan.text());
    assert!(to.repositories().is_empty());
    user.succeeds(granted).prints_nothing();
    assert_eq!(sha256(&raw_manifest(&to, "stable/app:latest")), one);
    assert_eq!(sha256(&raw_manifest(&to, "stable/app:0.9")), two);
    assert_eq!(user.succeeds([&granted[..], &["--dry-run"]].concat()).text(), "");

    // A tag that moved, and one that nothing stands for: both are told, and the third is not made.
    fs::write(user.home().join("images.toml"), file("\"1.1\", \"latest\"").replace("\"1.0\", \"latest\"", "\"1.0\""))
        .unwrap();
    user.fails(1, granted).prints_nothing().says(&[&one, &two, "stable/app:latest stands for"]);
    assert!(!to.tags("stable/app").contains_key("1.1"));

    let narrow = to.image("stable/other");
    user.fails(3, ["promote", "apply", "images.toml", "--from", &source, "--to", &narrow])
        .says(&["registry.push", &format!("`--to {target}` would grant it")]);
    fs::write(user.home().join("policy.toml"), "[registries]\npush = [\"elsewhere.example\"]\n").unwrap();
    user.fails(3, [&granted[..], &["--policy", "policy.toml"]].concat()).says(&["policy.toml"]);
    fs::write(user.home().join("images.toml"), "[[registry]]\n").unwrap();
    user.fails(1, granted).says(&["images.toml:1:3", "unknown field `registry`"]);
}

/// Where a question has an answer for people, it has one for programs.
#[test]
fn every_question_can_be_answered_in_json() {
    let (user, registry) = (User::new(), Registry::plain());
    push(&registry, "app:1", b"x");
    push(&registry, "app:2", b"y");
    push_index(user.home(), &registry, "multi:1");
    let (app, other, multi) = (registry.image("app:1"), registry.image("app:2"), registry.image("multi:1"));
    let (repository, absent) = (registry.image("app"), registry.image("absent"));
    for words in [
        &["digest", &app][..],
        &["config", &app],
        &["manifest", &app],
        &["manifest", &multi],
        &["ls", &repository],
        &["catalog", registry.address()],
        &["index", "list", &multi],
        &["referrers", &app],
        &["tree", &multi],
        &["size", &multi],
        &["files", &app],
        &["diff", &app, &other],
        &["sync", &repository, &absent, "--dry-run"],
        &["retention", &repository, "--keep", "1"],
        &["validate", "--remote", &multi],
    ] {
        let printed = user.succeeds([&["promote"], words, &["--format", "json"]].concat());
        for line in printed.text().lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{words:?}: {line}: {error}"));
            assert!(value.is_object() || value.is_array(), "{words:?}");
        }
        assert!(!printed.stdout.is_empty(), "{words:?}");
    }
    let config = |words: &[&str]| user.succeeds([&["promote", "config", &app], words].concat());
    assert_eq!(config(&["--format", "json"]).text().trim_end().as_bytes(), config(&[]).stdout);
    assert_eq!(config(&["--select", "/config/Cmd/0"]).text(), "x\n");
    assert_eq!(user.succeeds(["promote", "validate", "--remote", &app, "--select", "/valid"]).text(), "true\n");
    user.fails(1, ["promote", "config", &app, "--select", "/config/cmd"]).prints_nothing().says(&["`/config` has Cmd"]);
}

/// What is stored is what was given: its digest is that of the bytes.
#[test]
fn edits_keep_their_bytes() {
    let (user, registry) = (User::new(), Registry::plain());
    push(&registry, "app:1", b"x");
    let image = registry.image("app:1");
    let edit = |words: &[&str], content: &str| {
        let outcome = user.steprun([&["promote", "edit"], words].concat()).input(content).run().succeeded();
        assert_eq!(outcome.line(), image);
    };
    let config = user.succeeds(["promote", "config", &image]).text().replace(',', " ,\n\t") + "\n\n";
    edit(&["config", &image], &config);
    let manifest: Value = serde_json::from_slice(&raw_manifest(&registry, "app:1")).unwrap();
    assert_eq!(manifest["config"]["digest"], sha256(config.as_bytes()));
    assert_eq!(fs::read_to_string(registry.stored(&sha256(config.as_bytes()))).unwrap(), config);
    assert_eq!(inspect(&registry, "app:1", true)["config"]["Cmd"], json!(["x"]));

    let mut manifest = manifest;
    let own = manifest.as_object_mut().unwrap().shift_remove("mediaType").unwrap();
    let manifest = format!("{manifest:#}\n");
    edit(&["manifest", &image, "--media-type", own.as_str().unwrap()], &manifest);
    assert_eq!(raw_manifest(&registry, "app:1"), manifest.as_bytes());
    assert_eq!(user.succeeds(["promote", "manifest", &image, "--select", "/mediaType"]).line(), own.as_str().unwrap());
    edit(&["fs", &image, "-f", "/etc/file"], "new\n\n");
    assert_eq!(user.succeeds(["promote", "cat", &image, "/etc/file"]).text(), "new\n\n");
}

#[test]
fn sync_takes_tags_by_regular_expressions() {
    let (user, from, to) = (User::new(), Registry::plain(), Registry::plain());
    push(&from, "app:1.0", b"x");
    user.succeeds(["promote", "tag", &from.image("app:1.0"), "1.10", "v1", "1.0-rc"]);
    let sync = ["promote", "sync", &from.image("app"), &to.image("app")];
    user.succeeds([&sync[..], &["--regex", r"^1\.\d+$"]].concat()).prints_nothing();
    assert_eq!(to.tags("app").into_keys().collect::<Vec<_>>(), ["1.0", "1.10"]);
    user.succeeds([&sync[..], &["--regex", "^2"]].concat())
        .prints_nothing()
        .says(&["nothing to copy: none of the 4 tags of", "passes --regex `^2`"]);
    user.fails(2, [&sync[..], &["--regex", "("]].concat()).says(&["--regex `(` is no regular expression"]);
}

/// Counts what is asked for at the same time.
struct Gate {
    /// How many are inside, and the most that were.
    inside: Mutex<(usize, usize)>,
    changed: Condvar,
    expected: usize,
}

impl Gate {
    fn new(expected: usize) -> Self {
        Self { inside: Mutex::default(), changed: Condvar::new(), expected }
    }

    /// Lets nobody out before as many as are expected were inside, and waits a little for one more, which must not come.
    fn pass(&self) {
        let mut inside = self.inside.lock().unwrap();
        inside.0 += 1;
        inside.1 = inside.1.max(inside.0);
        self.changed.notify_all();
        let fewer = |inside: &mut (usize, usize)| inside.1 < self.expected;
        let (inside, _) = self.changed.wait_timeout_while(inside, Duration::from_secs(20), fewer).unwrap();
        let no_more = |inside: &mut (usize, usize)| inside.1 <= self.expected;
        let (mut inside, _) = self.changed.wait_timeout_while(inside, Duration::from_millis(200), no_more).unwrap();
        inside.0 -= 1;
    }

    fn most(&self) -> usize {
        self.inside.lock().unwrap().1
    }
}

/// A registry with the image `app:1` of nine blobs, each of which goes through the gate.
fn gated(gate: Arc<Gate>) -> Fake {
    let contents: Vec<String> = std::iter::once("{}".to_owned()).chain((1..9).map(|n| format!("layer {n}"))).collect();
    let entry = |content: &String, kind: &str| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": media_type, "digest": sha256(content.as_bytes()), "size": content.len() })
    };
    let layers: Vec<Value> = contents[1..].iter().map(|content| entry(content, "layer.v1.tar")).collect();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let config = entry(&contents[0], "config.v1+json");
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers }).to_string();
    Fake::serve(move |request| {
        if request.path.contains("/manifests/") {
            let digest = sha256(manifest.as_bytes());
            let answer = Response::new(200).header("Content-Type", kind);
            return answer.header("Docker-Content-Digest", &digest).body(manifest.clone());
        }
        let Some((_, digest)) = request.path.split_once("/blobs/") else { return Response::new(200) };
        gate.pass();
        let found = contents.iter().find(|content| sha256(content.as_bytes()) == digest);
        found.map_or(Response::new(404), |content| Response::new(200).body(content.clone()))
    })
}

#[test]
fn as_many_blobs_are_transferred_at_a_time_as_jobs_say() {
    for (jobs, expected) in [("1", 1), ("3", 3), ("0", 4)] {
        let (user, to) = (User::new(), Registry::plain());
        for (from, to) in [("copy", to.image("app:1")), ("pull", "layout".to_owned())] {
            let gate = Arc::new(Gate::new(expected));
            let registry = gated(Arc::clone(&gate));
            let format = if from == "pull" { &["--format=oci"][..] } else { &[] };
            user.succeeds([&["promote", from, "--jobs", jobs, &registry.image("app:1"), &to], format].concat());
            assert_eq!(gate.most(), expected, "{from} --jobs {jobs}");
        }
    }
}

#[test]
fn requests_and_warnings_of_registries_are_told() {
    let manifest = json!({ "schemaVersion": 2, "config": {}, "layers": [] }).to_string();
    let digest = sha256(manifest.as_bytes());
    let registry = Fake::serve(move |_| {
        let answer = Response::new(200).header("Warning", "299 - \"this registry closes\"");
        let answer = answer.header("Content-Type", "application/vnd.oci.image.manifest.v1+json");
        answer.header("Docker-Content-Digest", &digest).body(manifest.clone())
    });
    let image = format!("{}/app:1", registry.address());
    let user = User::new();
    user.succeeds(["promote", "-v", "manifest", &image]).says(&[
        "GET http://",
        "/v2/app/manifests/1 200",
        "this registry closes",
    ]);
    let silent = user.succeeds(["promote", "manifest", &image]);
    assert!(!silent.stderr.contains("GET http://"));
}
