//! Commands that only read.

use super::*;

/// A JSON result.
fn json_of(host: &MemoryHost, arguments: &[&str]) -> Value {
    parsed(call(host, arguments).as_bytes())
}

#[test]
fn results_are_printed_as_json() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    let image = format!("{SOURCE}@{}", index.digest);
    let digest = json!({"image": image, "mediaType": OCI_INDEX, "digest": index.digest, "size": index.size});
    assert_eq!(json_of(&host, &["digest", "source.test/app:v1", "--format", "json"]), digest);
    assert_eq!(json_of(&host, &["ls", SOURCE, "--format", "json"]), json!({"name": SOURCE, "tags": ["v1"]}));
    for (arguments, message) in [
        (&["digest"][..], "`IMAGE` is missing"),
        (&["digest", "--tarball", "x", "--full-ref"], "--full-ref is for images of registries"),
        (&["digest", "a.test/b", "--tarball", "x"], "IMAGE and --tarball are two images, and one is needed"),
        (&["validate"], "`remote` is missing"),
    ] {
        fails(&host, arguments, FailureKind::Usage, message);
    }
    let summary = json_of(&host, &["manifest", "source.test/app:v1", "--format", "json"]);
    assert_eq!(
        summary["manifests"][1],
        json!({"digest": children[1].digest, "mediaType": OCI_MANIFEST, "size": children[1].size, "platform": "linux/arm64"})
    );
    let summary = json_of(&host, &["manifest", "source.test/app:v1", "--format", "json", "--platform", "linux/arm64"]);
    assert_eq!((&summary["digest"], summary["layers"].as_array().unwrap().len()), (&json!(children[1].digest), 1));
}

#[test]
fn configs_are_printed_on_a_line_and_in_parts() {
    let (host, source, _) = setup();
    add_index(&host, &source);
    let config = |options: &[&str]| call(&host, &[&["config", "source.test/app:v1"], options].concat());
    let raw = config(&[]);
    assert_eq!(config(&["--format", "json"]), format!("{raw}\n"), "its keys keep their order");
    assert_eq!(config(&["--select", "/architecture", "--platform", "linux/arm64"]), "arm64\n");
    assert_eq!(config(&["--select", "/config/Shell"]), "[\"/bin/sh\"]\n");
    let selected = |pointer| try_call(&host, &["config", "source.test/app:v1", "--select", pointer]).unwrap_err();
    let failure = selected("/config/Env");
    assert_eq!(failure.to_string(), "--select: the result has no `/config/Env`");
    assert_eq!(failure.hint.as_deref(), Some("`/config` has Shell"));
    assert_eq!(selected("config").kind, FailureKind::Usage);
}

#[test]
fn every_query_has_parts() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    for (arguments, expected) in [
        (&["digest", "source.test/app:v1", "--select", "/digest"][..], format!("{}\n", index.digest)),
        (&["ls", SOURCE, "--select", "/tags/0"], "v1\n".into()),
        (&["manifest", "source.test/app:v1", "--select", "/manifests/1/digest"], format!("{}\n", children[1].digest)),
        (&["files", "source.test/app:v1", "--select", "/size"], "null\n5\n".into()),
        (&["validate", "--remote", "source.test/app:v1", "--select", "/valid"], "true\n".into()),
    ] {
        assert_eq!(call(&host, arguments), expected, "{arguments:?}");
    }
}

#[test]
fn size_is_what_a_pull_transfers() {
    let (host, source, _) = setup();
    let (_, children) = add_index(&host, &source);
    let sizes: Vec<u64> = children
        .iter()
        .map(|child| manifest_of(&source, &child.digest))
        .map(|image| image["config"]["size"].as_u64().unwrap() + image["layers"][0]["size"].as_u64().unwrap())
        .collect();
    let lines = format!("{} linux/amd64\n{} linux/arm64\n", sizes[0], sizes[1]);
    assert_eq!(call(&host, &["size", "source.test/app:v1"]), lines);
    assert_eq!(call(&host, &["size", "source.test/app:v1", "--platform", "linux/arm64"]), format!("{}\n", sizes[1]));
    let json = json_of(&host, &["size", "source.test/app:v1", "--format", "json"]);
    assert_eq!((&json["size"], &json["images"][1]["size"]), (&json!(sizes[0] + sizes[1]), &json!(sizes[1])));
    // A layer that is there twice is transferred once.
    let mut twice = manifest_of(&source, &children[0].digest);
    twice["layers"] = json!([twice["layers"][0], twice["layers"][0]]);
    source.add_manifest(Some("twice"), OCI_MANIFEST, twice.to_string());
    assert_eq!(call(&host, &["size", "source.test/app:twice"]), format!("{}\n", sizes[0]));
}

#[test]
fn blob_prints_the_bytes_of_a_tagged_image() {
    let (host, source, _) = setup();
    add_image(&host, &source, Some("a"), "one");
    let (_, children) = add_index(&host, &source);
    let config = manifest_of(&source, &children[1].digest)["config"]["digest"].as_str().unwrap().to_owned();
    let content = String::from_utf8(source.blob_content(&config).unwrap()).unwrap();
    assert_eq!(call(&host, &["blob", &format!("{SOURCE}@{config}")]), content);
    let other = digest(b"other");
    let message = format!("{SOURCE}@{other} does not exist");
    fails(&host, &["blob", &format!("{SOURCE}@{other}")], FailureKind::Failed, &message);
    call(&host, &["blob", &format!("{SOURCE}@{config}"), "config.json"]);
    assert_eq!(host.written("config.json"), Some(Written::Bytes(content.into_bytes())));
    fails(&host, &["blob", SOURCE], FailureKind::Usage, &format!("`{SOURCE}` names no blob"));
}

#[test]
fn a_catalog_lists_the_repositories_of_a_registry() {
    let (host, source, destination) = setup();
    add_image(&host, &source, Some("v1"), "one");
    add_image(&host, &destination, Some("v1"), "one");
    add_image(&host, &host.repository("source.test/team/other"), Some("v1"), "two");
    assert_eq!(call(&host, &["catalog", "source.test"]), "app\nteam/other\n");
    assert_eq!(call(&host, &["catalog", "source.test", "--full-ref"]), "source.test/app\nsource.test/team/other\n");
    assert_eq!(
        json_of(&host, &["catalog", "source.test", "--format", "json"]),
        json!({"repositories": ["app", "team/other"]})
    );
}

/// Adds an artifact that names a subject.
pub(super) fn add_referrer(repository: &MemoryRepository, subject: &Descriptor, kind: &str) -> Descriptor {
    let config = repository.add_blob("application/vnd.oci.empty.v1+json", "{}");
    let layer = repository.add_blob("application/json", format!("{kind} of {}", subject.digest));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "config": object(&config), "layers": [object(&layer)],
        "subject": object(subject), "annotations": {"by": "a test"},
    });
    repository.add_manifest(None, OCI_MANIFEST, manifest.to_string())
}

#[test]
fn what_refers_to_an_image_is_listed_and_drawn() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    let bom = add_referrer(&source, &children[1], "a/bom");
    let signature = add_referrer(&source, &bom, "a/signature");
    let other = add_referrer(&source, &index, "a/attestation");
    let image = "source.test/app:v1";
    assert_eq!(call(&host, &["referrers", image]), format!("{} a/attestation\n", other.digest));
    assert_eq!(call(&host, &["referrers", image, "--artifact-type", "a/bom"]), "");
    let arm = ["referrers", image, "--platform", "linux/arm64"];
    assert_eq!(call(&host, &arm), format!("{} a/bom\n", bom.digest));
    let listed = json_of(&host, &[&arm[..], &["--format", "json"]].concat());
    assert_eq!((&listed[0]["artifactType"], &listed[0]["annotations"]["by"]), (&json!("a/bom"), &json!("a test")));
    let drawn = format!(
        "{SOURCE}@{}\n├── {} linux/amd64\n├── {} linux/arm64\n│   └── {} a/bom\n│       └── {} a/signature\n\
         ├── {} unknown/unknown\n└── {} a/attestation\n",
        index.digest,
        children[0].digest,
        children[1].digest,
        bom.digest,
        signature.digest,
        children[2].digest,
        other.digest
    );
    assert_eq!(call(&host, &["tree", image]), drawn);
    let tree = json_of(&host, &["tree", image, "--format", "json"]);
    assert_eq!(tree["below"][1]["below"][0]["below"][0]["digest"], json!(signature.digest));
}

#[test]
fn files_are_listed_and_printed() {
    let (host, source, _) = setup();
    let tree = FileTree::new().file("b/\u{10ff80}x", "odd").symlink("a", "b").file("b/z", "z").hard_link("c", "b/z");
    let layer = host.store_layer(&tree, true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    let layers = [object(&source.add_blob(OCI_LAYER_GZIP, content))];
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [layer.diff_id]}});
    let config = source.add_blob(OCI_CONFIG, config.to_string());
    source.add_manifest(Some("v1"), OCI_MANIFEST, json!({"config": object(&config), "layers": layers}).to_string());
    let listing = host.clone().with_arguments(&describe(), &["files", "source.test/app:v1"]);
    block_on(run(&listing)).unwrap();
    assert_eq!(host.stdout(), b"a\nb/\nb/z\nb/\x80x\nc\n");
    let lines = call(&host, &["files", "source.test/app:v1", "--format", "json"]);
    let line = |index: usize| parsed(lines.lines().nth(index).unwrap().as_bytes());
    assert_eq!((&line(0)["target"], &line(4)["link"], &line(2)["size"]), (&json!("b"), &json!("b/z"), &json!(1)));
    let file = json!({"path": "b/z", "type": "file", "mode": "0644", "uid": 0, "gid": 0, "size": 1, "modified": "1970-01-01T00:00:00Z"});
    assert_eq!(line(2), file);
    assert_eq!(call(&host, &["cat", "source.test/app:v1", "/a/z"]), "z");
    let message = "can't read nothing of source.test/app:v1: `nothing` does not exist";
    fails(&host, &["cat", "source.test/app:v1", "nothing"], FailureKind::Failed, message);
}

/// An image with this file system and user.
fn add_tree(host: &MemoryHost, repository: &MemoryRepository, tag: &str, tree: &FileTree, user: &str) {
    let layer = host.store_layer(tree, true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    let layers = [object(&repository.add_blob(OCI_LAYER_GZIP, content))];
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"User": user}, "rootfs": {"diff_ids": [layer.diff_id]}});
    let config = repository.add_blob(OCI_CONFIG, config.to_string());
    repository.add_manifest(Some(tag), OCI_MANIFEST, json!({"config": object(&config), "layers": layers}).to_string());
}

#[test]
fn diff_tells_what_is_different() {
    use steprun_ports::Timestamp;
    use steprun_ports::memory::{Node, NodeKind};
    let later = |content: &str, mode| {
        let file = Node::new(NodeKind::File(content.as_bytes().into()), mode);
        Node { modified: Timestamp { seconds: 9, nanoseconds: 0 }, ..file }
    };
    let (host, source, _) = setup();
    let old = FileTree::new().file("gone", "x").file("same", "x").file("changed", "a").file("mode", "x");
    let new = FileTree::new()
        .node("same", later("x", 0o644))
        .node("changed", later("b", 0o644))
        .node("mode", Node::new(NodeKind::File(b"x"[..].into()), 0o600))
        .file("new", "x");
    add_tree(&host, &source, "old", &old, "a");
    add_tree(&host, &source, "new", &new, "b");
    let images = ["source.test/app:old", "source.test/app:new"];
    let files = call(&host, &[&["diff"], &images[..], &["--only", "files"]].concat());
    let expected = "~ files changed content \"old\" -> \"new\"\n- files gone\n~ files mode mode \"0644\" -> \"0600\"\n+ files new\n";
    assert_eq!(files, expected);
    let config = call(&host, &[&["diff"], &images[..], &["--only=config"]].concat());
    assert_eq!(config.lines().next(), Some("~ config /config/User \"a\" -> \"b\""));
    let all = parsed(call(&host, &[&["diff"], &images[..], &["--format=json"]].concat()).as_bytes());
    let of = |part: &str| all.as_array().unwrap().iter().filter(|difference| difference["part"] == part).count();
    assert_eq!((of("files"), of("config"), of("manifest")), (4, 2, 3));
    assert_eq!(call(&host, &["diff", images[0], images[0], "--exit-code"]), "");
    fails(
        &host,
        &["diff", images[0], images[1], "--exit-code"],
        FailureKind::Failed,
        "source.test/app:old and source.test/app:new differ",
    );
}

#[test]
fn validate_reads_everything() {
    let (host, source, _) = setup();
    let (_, children) = add_index(&host, &source);
    let image = "source.test/app:v1";
    for fast in [&[][..], &["--fast"]] {
        let printed = call(&host, &[&["validate", "--remote", image], fast].concat());
        assert_eq!(printed, format!("PASS: {image}\n"));
    }
    let manifest = manifest_of(&source, &children[1].digest);
    source.corrupt(manifest["layers"][0]["digest"].as_str().unwrap(), b"other");
    call(&host, &["validate", "--remote", image, "--fast"]);
    call(&host, &["validate", "--remote", image, "--platform", "linux/amd64"]);
    let before = host.stdout().len();
    let failure = try_call(&host, &["validate", "--remote", image]).unwrap_err();
    let printed = String::from_utf8(host.stdout()[before..].to_vec()).unwrap();
    assert_eq!((failure.kind, printed), (FailureKind::Verification, format!("FAIL: {image}: {failure}\n")));
    let json = json!({"image": image, "valid": false, "error": failure.to_string()});
    let before = host.stdout().len();
    try_call(&host, &["validate", "--remote", image, "--format", "json"]).unwrap_err();
    assert_eq!(String::from_utf8(host.stdout()[before..].to_vec()).unwrap(), format!("{json}\n"));
    source.corrupt(manifest["config"]["digest"].as_str().unwrap(), b"{}");
    assert_eq!(
        try_call(&host, &["validate", "--remote", image, "--fast"]).unwrap_err().kind,
        FailureKind::Verification
    );
}

#[test]
fn version_is_the_steps_own() {
    assert_eq!(call(&MemoryHost::new(), &["version"]), format!("{}\n", env!("CARGO_PKG_VERSION")));
}
