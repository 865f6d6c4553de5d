//! `rebase`.

use super::*;

/// A layer of one file in a repository, as JSON, and its diff ID.
fn layer(host: &MemoryHost, repository: &MemoryRepository, name: &str) -> (Value, String) {
    let layer = host.store_layer(&FileTree::new().file(name, name), true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    (object(&repository.add_blob(OCI_LAYER_GZIP, content)), layer.diff_id)
}

/// An image of these layers, each a file with a history entry of its name.
fn add_layers(
    host: &MemoryHost,
    repository: &MemoryRepository,
    tag: Option<&str>,
    (architecture, layers): (&str, &[&str]),
    annotations: &Value,
) -> Descriptor {
    let (descriptors, diff_ids): (Vec<_>, Vec<_>) = layers.iter().map(|name| layer(host, repository, name)).unzip();
    let history: Vec<Value> = layers.iter().map(|name| json!({"created_by": name})).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"User": architecture},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
    });
    let config = repository.add_blob(OCI_CONFIG, config.to_string());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": object(&config), "layers": descriptors, "annotations": annotations,
    });
    repository.add_manifest(tag, OCI_MANIFEST, manifest.to_string())
}

fn add_platforms(
    host: &MemoryHost,
    repository: &MemoryRepository,
    tag: &str,
    layers: &[&str],
    annotations: &Value,
) -> Descriptor {
    let entries = ["amd64", "arm64"].map(|architecture| {
        let own = format!("{architecture}-{}", layers[0]);
        let layers: Vec<&str> = std::iter::once(own.as_str()).chain(layers[1..].iter().copied()).collect();
        let mut entry = object(&add_layers(host, repository, None, (architecture, &layers), annotations));
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    repository.add_manifest(Some(tag), OCI_INDEX, json!({"schemaVersion": 2, "manifests": entries}).to_string())
}

#[test]
fn rebase_puts_every_image_on_the_base_for_its_platform() {
    let (host, source, destination) = setup();
    let bases = host.repository("base.test/os");
    let none = json!({});
    let old = add_platforms(&host, &bases, "1", &["os1"], &none);
    let new = add_platforms(&host, &bases, "2", &["os2", "more"], &none);
    let annotations = json!({
        "org.opencontainers.image.base.name": "base.test/os:2", "org.opencontainers.image.base.digest": old.digest, "other": "x"
    });
    add_platforms(&host, &source, "plain", &["os1", "app"], &none);
    add_platforms(&host, &source, "says", &["os1", "app"], &annotations);
    let named = ["--old_base", "base.test/os:1", "--new_base", "base.test/os:2"];
    for (image, extra) in [("source.test/app:plain", &named[..]), ("source.test/app:says", &[])] {
        call(&host, &[&["rebase", image, "-t", DESTINATION], extra].concat());
        let images = images_of(&destination, &manifest_of(&destination, "latest"));
        for (architecture, (manifest, config)) in &images {
            let names: Vec<_> =
                config["history"].as_array().unwrap().iter().map(|entry| &entry["created_by"]).collect();
            assert_eq!(json!(names), json!([format!("{architecture}-os2"), "more", "app"]));
            assert_eq!(config["config"]["User"], json!(architecture));
            assert_eq!(manifest["annotations"]["org.opencontainers.image.base.digest"], new.digest);
            assert_eq!(manifest["annotations"]["org.opencontainers.image.base.name"], "base.test/os:2");
        }
        let files = call(&host, &["files", DESTINATION, "--platform", "linux/arm64"]);
        assert_eq!(files, "app\narm64-os2\nmore\n");
    }
    let one =
        call(&host, &["rebase", "source.test/app:says", "-t", "destination.test/app:one", "--platform", "linux/arm64"]);
    assert!(one.starts_with("destination.test/app@sha256:"));
    assert_eq!(manifest_of(&destination, "one")["annotations"]["other"], "x");
}

#[test]
fn rebase_says_what_is_wrong() {
    let (host, source, _) = setup();
    let none = json!({});
    let image = add_layers(&host, &source, Some("v1"), ("amd64", &["a", "b"]), &none);
    let base = add_layers(&host, &source, Some("base"), ("amd64", &["a", "c"]), &none);
    let name = format!("{SOURCE}@{}", image.digest);
    let message = format!("{name} is not based on {SOURCE}@{}: layer 2 is another one", base.digest);
    let bases = ["--old_base", "source.test/app:base", "--new_base", "source.test/app:base"];
    fails(&host, &[&["rebase", "source.test/app:v1"], &bases[..]].concat(), FailureKind::Failed, &message);
    let message =
        format!("{name} doesn't say what it is based on: it has no annotation `org.opencontainers.image.base.name`");
    fails(&host, &["rebase", "source.test/app:v1"], FailureKind::Failed, &message);
    fails(&host, &["rebase"], FailureKind::Usage, "`IMAGE` is missing");
    let arguments = ["rebase", "source.test/app:v1", "--original", "source.test/app:v1"];
    fails(&host, &arguments, FailureKind::Usage, "IMAGE is given twice: --original is its old name");
}
