//! Command lines against registries in memory.

mod apply;
mod change;
mod edit;
mod index;
mod manage;
mod places;
mod query;
mod rebase;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use steprun_image::media_type::*;
use steprun_ports::memory::{
    FileTree, MemoryHost, MemoryRepository, RegistryEvent, TaskEnd, Written, block_on, digest,
};
use steprun_ports::{ArchiveFormat, Blob, Descriptor, Error, Failure, FailureKind, Level, PushOutcome};

use crate::{describe, run};

const SOURCE: &str = "source.test/app";
const DESTINATION: &str = "destination.test/app";

/// Runs a command line on a host that keeps its registries.
fn try_call(host: &MemoryHost, arguments: &[&str]) -> Result<String, Failure> {
    let host = host.clone().with_arguments(&describe(), arguments);
    let before = host.stdout().len();
    host.forget_events();
    block_on(run(&host)).map(|()| String::from_utf8(host.stdout()[before..].to_vec()).unwrap())
}

fn call(host: &MemoryHost, arguments: &[&str]) -> String {
    try_call(host, arguments).unwrap_or_else(|failure| panic!("{arguments:?}: {failure}"))
}

fn fails(host: &MemoryHost, arguments: &[&str], kind: FailureKind, message: &str) {
    let failure = try_call(host, arguments).unwrap_err();
    assert_eq!((failure.kind, failure.to_string().as_str()), (kind, message));
    assert_eq!(host.events(), [], "a failed command wrote");
}

fn object(descriptor: &Descriptor) -> Value {
    json!({"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size})
}

/// Adds an image of one layer with a file `etc/name`, and gives its descriptor.
fn add_image(host: &MemoryHost, repository: &MemoryRepository, tag: Option<&str>, name: &str) -> Descriptor {
    let layer = host.store_layer(&FileTree::new().file("etc/name", name), true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    let layer_descriptor = repository.add_blob(OCI_LAYER_GZIP, content);
    let config = json!({
        "architecture": name, "os": "linux", "config": {"Shell": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}, "history": [{"created_by": "ADD"}],
    });
    let config = repository.add_blob(OCI_CONFIG, config.to_string());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": object(&config), "layers": [object(&layer_descriptor)]});
    // Two spaces: bytes that no writer of ours makes.
    repository.add_manifest(tag, OCI_MANIFEST, format!("{manifest}  "))
}

/// Adds an index `v1` with images for amd64 and arm64 and an attestation; gives its descriptor and the children's.
fn add_index(host: &MemoryHost, repository: &MemoryRepository) -> (Descriptor, Vec<Descriptor>) {
    let children = ["amd64", "arm64", "unknown"].map(|name| add_image(host, repository, None, name));
    let entries = children.iter().zip([("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown")]).map(
        |(child, (os, architecture))| {
            let mut entry = object(child);
            entry["platform"] = json!({"os": os, "architecture": architecture});
            entry
        },
    );
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries.collect::<Vec<_>>()});
    (repository.add_manifest(Some("v1"), OCI_INDEX, index.to_string()), children.into())
}

/// Digest and reference of the manifests that were put, in order.
fn puts(host: &MemoryHost) -> Vec<(String, String)> {
    let put = |event| match event {
        RegistryEvent::Manifest { digest, reference, .. } => Some((digest, reference)),
        _ => None,
    };
    host.events().into_iter().filter_map(put).collect()
}

fn setup() -> (MemoryHost, MemoryRepository, MemoryRepository) {
    let host = MemoryHost::new();
    let (source, destination) = (host.repository(SOURCE), host.repository(DESTINATION));
    (host, source, destination)
}

#[test]
fn copy_keeps_the_bytes_of_an_image() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    assert_eq!(call(&host, &["cp", "source.test/app:v1", "destination.test/app:v2"]), "");
    assert_eq!(destination.find("v2"), source.find("v1"));
    assert_eq!(destination.tagged().keys().collect::<Vec<_>>(), ["v2"]);
    assert!(matches!(host.events()[..2], [RegistryEvent::Blob { .. }, RegistryEvent::Blob { .. }]));
    assert_eq!(puts(&host), [(image.digest.clone(), "v2".into())]);
    let outputs = host.outputs();
    assert_eq!((&outputs["digest"], &outputs["image"]), (&image.digest, &format!("{DESTINATION}@{}", image.digest)));
    assert!(host.tasks().iter().all(|(_, end)| matches!(end, TaskEnd::Finished(note) if note.ends_with(" B"))));
}

#[test]
fn copy_brings_an_index_children_first_and_the_tag_last() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1", "--jobs", "3"]);
    assert_eq!(destination.find("v1"), source.find("v1"));
    let first_put = host.events().iter().position(|event| matches!(event, RegistryEvent::Manifest { .. })).unwrap();
    assert_eq!((first_put, host.events().len()), (6, 10));
    let puts = puts(&host);
    assert_eq!(puts[3], (index.digest, "v1".into()));
    let of_children: BTreeSet<_> = children.iter().map(|child| (child.digest.clone(), child.digest.clone())).collect();
    assert_eq!(puts[..3].iter().cloned().collect::<BTreeSet<_>>(), of_children);
    assert_eq!(host.most_transfers_at_once(), 3);
}

#[test]
fn copy_of_nested_indexes_puts_what_is_named_twice_before_both() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, None, "one");
    let inner = json!({"schemaVersion": 2, "manifests": [object(&image)]}).to_string();
    let inner = source.add_manifest(None, OCI_INDEX, inner);
    let outer = json!({"schemaVersion": 2, "manifests": [object(&inner), object(&image)]}).to_string();
    let outer = source.add_manifest(Some("v1"), DOCKER_INDEX, outer);
    call(&host, &["copy", "source.test/app:v1", DESTINATION]);
    let order: Vec<_> = puts(&host).into_iter().map(|(digest, _)| digest).collect();
    assert_eq!(order, [image.digest, inner.digest, outer.digest]);
    assert!(destination.find("latest").is_some());
}

#[test]
fn copy_writes_nothing_that_is_there() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1"]);
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1"]);
    assert_eq!(host.events(), []);
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v2"]);
    assert_eq!(puts(&host), [(index.digest.clone(), "v2".into())]);
    assert_eq!(host.events().len(), 1, "children that are there need no blobs");
    call(
        &host,
        &["copy", &format!("{SOURCE}@{}", children[0].digest), &format!("{DESTINATION}@{}", children[0].digest)],
    );
    assert_eq!(host.events(), []);
    assert_eq!(destination.tagged().len(), 2);
}

#[test]
fn copy_within_a_registry_mounts_and_within_a_repository_tags() {
    let (host, source, _) = setup();
    add_image(&host, &source, Some("v1"), "one");
    call(&host, &["copy", "source.test/app:v1", "source.test/other:v1"]);
    let mounted = |event: &&RegistryEvent| matches!(event, RegistryEvent::Blob { outcome: PushOutcome::Mounted, .. });
    assert_eq!(host.events().iter().filter(mounted).count(), 2);
    call(&host, &["copy", "source.test/app:v1", "source.test/app:v2"]);
    assert_eq!(host.events().len(), 1);
    assert_eq!(source.find("v2"), source.find("v1"));
}

#[test]
fn copy_of_a_platform_brings_that_image_alone() {
    let (host, source, destination) = setup();
    let (_, children) = add_index(&host, &source);
    call(&host, &["copy", "source.test/app:v1", DESTINATION, "--platform", "linux/aarch64"]);
    assert_eq!(destination.find("latest").unwrap().descriptor, children[1]);
    assert_eq!(host.events().len(), 3);
    let message = "source.test/app:v1: the index has no image for linux/s390x; it has linux/amd64, linux/arm64";
    fails(
        &host,
        &["copy", "source.test/app:v1", DESTINATION, "--platform", "linux/s390x"],
        FailureKind::Failed,
        message,
    );
    fails(
        &host,
        &["copy", "source.test/app:v1", DESTINATION, "--platform", "linux"],
        FailureKind::Usage,
        "--platform: `linux` is no platform: it should look like `linux/amd64` or `linux/arm64/v8`",
    );
}

#[test]
fn copy_clobbers_no_tag_if_told_so() {
    let (host, source, destination) = setup();
    add_image(&host, &source, Some("v1"), "one");
    let old = add_image(&host, &destination, Some("v1"), "two");
    let message = format!("refusing to clobber existing tag destination.test/app:v1@{}", old.digest);
    fails(&host, &["copy", "-n", "source.test/app:v1", "destination.test/app:v1"], FailureKind::Failed, &message);
    call(&host, &["copy", "-n", "source.test/app:v1", "destination.test/app:v2"]);
    assert_eq!(destination.find("v2"), source.find("v1"));
}

#[test]
fn copy_of_all_tags() {
    let (host, source, destination) = setup();
    for tag in ["v1", "v2", "v3"] {
        add_image(&host, &source, Some(tag), tag);
    }
    let old = add_image(&host, &destination, Some("v2"), "old");
    call(&host, &["copy", "--all-tags", "--no-clobber", SOURCE, DESTINATION]);
    assert_eq!(destination.tagged().keys().collect::<Vec<_>>(), ["v1", "v2", "v3"]);
    assert_eq!(destination.tagged()["v2"], old.digest);
    call(&host, &["copy", "-a", SOURCE, DESTINATION]);
    assert_eq!(destination.tagged(), source.tagged());
    call(&host, &["copy", "-a", "-n", SOURCE, "new.test:5000/app"]);
    assert_eq!(host.repository("new.test:5000/app").tagged(), source.tagged());
    let message = "--all-tags copies repositories, and `source.test/app:v1` names an image";
    fails(&host, &["copy", "-a", "source.test/app:v1", DESTINATION], FailureKind::Usage, message);
}

#[test]
fn copy_leaves_foreign_layers_where_they_are() {
    let (host, source, destination) = setup();
    let config = source.add_blob(DOCKER_CONFIG, "{}");
    let mut layer = object(&source.add_blob(DOCKER_FOREIGN_LAYER_GZIP, "foreign"));
    layer["urls"] = json!(["https://elsewhere.test/layer"]);
    let manifest = json!({"schemaVersion": 2, "config": object(&config), "layers": [layer]});
    source.add_manifest(Some("v1"), DOCKER_MANIFEST, manifest.to_string());
    call(&host, &["copy", "source.test/app:v1", DESTINATION]);
    assert!(destination.find("latest").is_some() && destination.blob_content(&digest(b"foreign")).is_none());
    call(&host, &["copy", "source.test/app:v1", "other.test/app", "--allow-nondistributable-artifacts"]);
    assert!(host.repository("other.test/app").blob_content(&digest(b"foreign")).is_some());
}

#[test]
fn copy_tells_what_is_wrong() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    let copy = ["copy", "source.test/app:v1", "destination.test/app:v1"];
    fails(
        &host,
        &["copy", "source.test/app:v9", DESTINATION],
        FailureKind::Failed,
        "can't read source.test/app:v9: source.test/app:v9 does not exist",
    );
    let other = digest(b"other");
    let message = format!("source.test/app:v1 has the digest {}, so it can't be copied to {other}", image.digest);
    fails(&host, &["copy", "source.test/app:v1", &format!("{DESTINATION}@{other}")], FailureKind::Usage, &message);
    source.add_manifest(Some("odd"), "text/plain", "{}");
    let message = format!(
        "source.test/app@{}: media type `text/plain` is neither an image manifest's nor an index's",
        digest(b"{}")
    );
    fails(&host, &["copy", "source.test/app:odd", DESTINATION], FailureKind::Failed, &message);
    let layer = digest(
        &block_on(host.store_layer(&FileTree::new().file("etc/name", "one"), true).blob.read(u64::MAX)).unwrap(),
    );
    host.fail_on(&layer, Error::Unavailable("no route".into()));
    let failure = try_call(&host, &copy).unwrap_err();
    assert_eq!(
        (failure.kind, failure.to_string()),
        (FailureKind::Unavailable, format!("can't push {layer} to {DESTINATION}: no route"))
    );
    assert!(puts(&host).is_empty() && destination.find("v1").is_none());
    source.corrupt(&image.digest, b"{}");
    assert_eq!(try_call(&host, &copy).unwrap_err().kind, FailureKind::Verification);
}

#[test]
fn tag_puts_the_manifest_again() {
    let (host, source, _) = setup();
    let (index, _) = add_index(&host, &source);
    assert_eq!(call(&host, &["tag", "source.test/app:v1", "v2", "latest"]), "");
    assert_eq!(puts(&host), [(index.digest.clone(), "v2".into()), (index.digest, "latest".into())]);
    for wrong in ["", ".a", "a/b", "sha256:0", &"a".repeat(129)] {
        fails(&host, &["tag", "source.test/app:v1", "ok", wrong], FailureKind::Usage, &format!("`{wrong}` is no tag"));
    }
}

#[test]
fn queries_print_bytes_as_they_are() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    let manifest = |reference: &str| String::from_utf8(source.find(reference).unwrap().content).unwrap();
    assert_eq!(call(&host, &["digest", "source.test/app:v1"]), format!("{}\n", index.digest));
    assert_eq!(call(&host, &["digest", "source.test/app:v1", "--full-ref"]), format!("{SOURCE}@{}\n", index.digest));
    assert_eq!(
        call(&host, &["digest", "source.test/app:v1", "--platform", "linux/arm64"]),
        format!("{}\n", children[1].digest)
    );
    assert_eq!(call(&host, &["manifest", "source.test/app:v1"]), manifest("v1"));
    assert_eq!(
        call(&host, &["manifest", "source.test/app:v1", "--platform", "linux/arm64"]),
        manifest(&children[1].digest)
    );
    for (platform, architecture) in [("all", "amd64"), ("linux/arm64", "arm64")] {
        let config = call(&host, &["config", "source.test/app:v1", "--platform", platform]);
        assert!(
            config.starts_with(&format!(r#"{{"architecture":"{architecture}","os":"linux""#)) && config.ends_with('}'),
            "{config}"
        );
    }
    fails(&host, &["digest", "source.test/app:v9"], FailureKind::Failed, "source.test/app:v9 does not exist");
    assert_eq!(host.events(), []);
}

#[test]
fn ls_prints_tags() {
    let (host, source, _) = setup();
    for tag in ["latest", "sha256-abc.sig", "v1"] {
        add_image(&host, &source, Some(tag), "one");
    }
    assert_eq!(call(&host, &["ls", SOURCE]), "latest\nsha256-abc.sig\nv1\n");
    assert_eq!(call(&host, &["ls", SOURCE, "-O", "--full-ref"]), "source.test/app:latest\nsource.test/app:v1\n");
}

#[test]
fn delete_takes_a_tag_or_a_manifest_away() {
    let (host, source, _) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    assert_eq!(call(&host, &["delete", "source.test/app:v1"]), "");
    assert!(source.find("v1").is_none() && source.find(&image.digest).is_some());
    call(&host, &["delete", &format!("{SOURCE}@{}", image.digest)]);
    assert!(source.find(&image.digest).is_none());
    let message = "can't delete source.test/app:v1: source.test/app:v1 does not exist";
    fails(&host, &["delete", "source.test/app:v1"], FailureKind::Failed, message);
}

/// A host with the file `layer.tar`, which holds `new`.
fn with_layer() -> (MemoryHost, MemoryRepository, MemoryRepository, String) {
    let (host, source, destination) = setup();
    let layer = host.store_layer(&FileTree::new().file("new", "content"), true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    (host.with_file("layer.tar", content), source, destination, layer.diff_id)
}

fn parsed(content: &[u8]) -> Value {
    serde_json::from_slice(content).unwrap()
}

/// The manifest that a tag or digest stands for.
fn manifest_of(repository: &MemoryRepository, reference: &str) -> Value {
    parsed(&repository.find(reference).unwrap_or_else(|| panic!("no {reference}")).content)
}

/// The config of a manifest.
fn config_of(repository: &MemoryRepository, manifest: &Value) -> Value {
    parsed(&repository.blob_content(manifest["config"]["digest"].as_str().unwrap()).unwrap())
}

/// The manifests and configs of an index's images, by architecture as the index has it.
fn images_of(repository: &MemoryRepository, index: &Value) -> BTreeMap<String, (Value, Value)> {
    let image = |entry: &Value| {
        let manifest = manifest_of(repository, entry["digest"].as_str().unwrap());
        let config = config_of(repository, &manifest);
        (entry["platform"]["architecture"].as_str().unwrap().to_owned(), (manifest, config))
    };
    index["manifests"].as_array().unwrap().iter().map(image).collect()
}

#[test]
fn names_in_the_description_are_unique() {
    for command in describe().commands {
        let mut names = BTreeSet::new();
        for parameter in &command.parameters {
            let all = std::iter::once(parameter.name).chain(parameter.aliases.iter().copied()).map(str::to_owned);
            for name in all.chain(parameter.short.map(String::from)) {
                assert!(names.insert(name.clone()), "{}: {name}", command.name);
            }
            assert!(!parameter.summary.ends_with('.'), "{}: {}", command.name, parameter.name);
        }
    }
}
