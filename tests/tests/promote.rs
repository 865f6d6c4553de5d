//! `steprun promote`: images move as they are, and standard output is crane's.

use std::fs;

use serde_json::{Value, json};
use steprun_tests::{Base, Layer, Registry, User, inspect, raw_manifest, sha256};

fn push(registry: &Registry, image: &str, content: &[u8]) -> String {
    let layer = Layer::new()
        .directory("etc", 0o755, (0, 0))
        .file("etc/file", 0o600, (1, 2), content)
        .symlink("link", "etc/file");
    Base::new(json!({ "Cmd": ["x"] })).layer(layer).push(registry, image)
}

/// An index of two images, pushed by hand.
fn push_index(user: &User, registry: &Registry, image: &str) -> String {
    let layout = user.home().join("index");
    let first = Base::new(json!({})).layer(Layer::new().file("a", 0o644, (0, 0), b"a")).write(&layout);
    let second = Base::new(json!({ "Cmd": ["b"] })).layer(Layer::new().file("b", 0o644, (0, 0), b"b")).write(&layout);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let child = |digest: &str, architecture: &str| {
        let size = fs::metadata(layout.join("blobs").join(digest.replace(':', "/"))).unwrap().len();
        json!({ "mediaType": kind, "digest": digest, "size": size, "platform": { "os": "linux", "architecture": architecture } })
    };
    let index_kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": index_kind, "manifests": [child(&first, "amd64"), child(&second, "arm64")] }).to_string();
    let digest = sha256(index.as_bytes());
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), &index).unwrap();
    let top = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": index_kind, "digest": digest, "size": index.len(), "annotations": { "org.opencontainers.image.ref.name": "image" }
    }] });
    fs::write(layout.join("index.json"), top.to_string()).unwrap();
    let options = ["--dest-tls-verify=false".to_owned()];
    steprun_tests::skopeo_copy(
        &format!("oci:{}:image", layout.display()),
        &format!("docker://{}", registry.image(image)),
        &options,
    );
    digest
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
    let digest = push_index(&user, &from, "app:1");
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
