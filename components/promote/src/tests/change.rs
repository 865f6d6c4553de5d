//! Commands that make an image of another.

use super::*;

#[test]
fn append_puts_layers_on_every_image_of_an_index() {
    let (host, source, destination, diff_id) = with_layer();
    let (index, children) = add_index(&host, &source);
    let printed = call(
        &host,
        &[
            "append",
            "-b",
            "source.test/app:v1",
            "-f",
            "layer.tar",
            "-t",
            "destination.test/app:v2",
            "--set-base-image-annotations",
        ],
    );
    let made = destination.find("v2").unwrap();
    assert_eq!(printed, format!("{DESTINATION}@{}\n", made.descriptor.digest));
    assert_eq!(
        (host.outputs()["image"].as_str(), made.descriptor.media_type.as_str()),
        (printed.trim_end(), OCI_INDEX)
    );
    let images = images_of(&destination, &parsed(&made.content));
    assert_eq!(images.keys().collect::<Vec<_>>(), ["amd64", "arm64"], "the attestation is gone");
    for ((manifest, config), child) in images.values().zip(&children) {
        let base = manifest_of(&source, &child.digest);
        assert_eq!((&manifest["layers"][0], manifest["layers"].as_array().unwrap().len()), (&base["layers"][0], 2));
        assert_eq!(manifest["layers"][1]["mediaType"], OCI_LAYER_GZIP);
        assert_eq!(config["rootfs"]["diff_ids"][1], diff_id);
        assert_eq!(
            (&config["config"]["Shell"], &config["history"][1]),
            (&json!(["/bin/sh"]), &json!({"created_by": "append"}))
        );
        let digest = &manifest["annotations"]["org.opencontainers.image.base.digest"];
        assert_eq!(digest, &json!(child.digest));
    }
    let warning =
        |line: &steprun_ports::memory::LogLine| line.level == Level::Warning && line.message.contains("1 were about");
    assert!(host.log_lines().iter().any(warning));
    assert_ne!(made.descriptor.digest, index.digest);
    // All is there, and the name comes last.
    assert!(matches!(host.events().last(), Some(RegistryEvent::Manifest { reference, .. }) if reference == "v2"));
}

#[test]
fn append_to_one_platform_gives_that_image() {
    let (host, source, destination, _) = with_layer();
    let (_, children) = add_index(&host, &source);
    let base = format!("{SOURCE}@{}", children[1].digest);
    for (base, extra) in [("source.test/app:v1", "--platform=linux/arm64"), (&base, "--set-base-image-annotations")] {
        call(&host, &["append", "-b", base, "-f", "layer.tar", "-t", DESTINATION, extra]);
        let made = manifest_of(&destination, "latest");
        assert_eq!(config_of(&destination, &made)["architecture"], "arm64");
    }
    // A digest is no name of a base.
    let annotations = json!({"org.opencontainers.image.base.digest": children[1].digest});
    assert_eq!(manifest_of(&destination, "latest")["annotations"], annotations);
    call(&host, &["export", DESTINATION, "root.tar"]);
    let Some(Written::FileSystem(tree)) = host.written("root.tar") else { panic!("no file system") };
    assert_eq!((tree.content("etc/name"), tree.content("new")), (Some(&b"arm64"[..]), Some(&b"content"[..])));
}

#[test]
fn append_without_base_makes_an_image() {
    let (host, _, destination, _) = with_layer();
    for (extra, manifest_type, config_type, layer_type) in [
        (None, DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP),
        (Some("--oci-empty-base"), OCI_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP),
    ] {
        let mut arguments = vec!["append", "-f", "layer.tar", "-t", DESTINATION, "--platform", "linux/arm/v6"];
        arguments.extend(extra);
        call(&host, &arguments);
        let made = destination.find("latest").unwrap();
        let manifest = parsed(&made.content);
        assert_eq!(made.descriptor.media_type, manifest_type);
        assert_eq!(
            (&manifest["config"]["mediaType"], &manifest["layers"][0]["mediaType"]),
            (&json!(config_type), &json!(layer_type))
        );
        let config = config_of(&destination, &manifest);
        assert_eq!((&config["architecture"], &config["variant"]), (&json!("arm"), &json!("v6")));
    }
    assert!(host.log_lines().iter().any(|line| line.level == Level::Warning));
}

#[test]
fn append_to_a_file_pushes_nothing() {
    let (host, source, _, _) = with_layer();
    add_index(&host, &source);
    let layers = ["-f", "layer.tar", "-f", "layer.tar"];
    let arguments = [&["append", "-b", "source.test/app:v1", "-o", "out.tar", "-t", DESTINATION], &layers[..]].concat();
    assert_eq!(call(&host, &arguments), "");
    assert_eq!(host.events(), []);
    let Some(Written::Images { format, images, blobs }) = host.written("out.tar") else { panic!("no image") };
    let names = images[0].2.clone();
    assert_eq!(
        (format, names, blobs.len()),
        (ArchiveFormat::Docker, vec!["destination.test/app:latest".to_owned()], 4)
    );
    fails(&host, &["append", "-f", "layer.tar"], FailureKind::Usage, "one of --new_tag and --output is needed");
    let host = host.with_file("text", "no archive");
    let message = "can't add text as a layer: the file is no tar archive";
    fails(&host, &["append", "-f", "text", "-t", DESTINATION], FailureKind::Failed, message);
}

#[test]
fn mutate_changes_every_image_and_keeps_the_index() {
    let (host, source, _, diff_id) = with_layer();
    let (index, children) = add_index(&host, &source);
    // What nobody knows stays, in the index and in its entries.
    let mut odd = parsed(&source.find(&index.digest).unwrap().content);
    odd["x"] = json!(1);
    odd["manifests"][0]["y"] = json!(2);
    odd["manifests"].as_array_mut().unwrap().pop();
    source.add_manifest(Some("v1"), OCI_INDEX, odd.to_string());
    let printed = call(
        &host,
        &[
            "mutate",
            "source.test/app:v1",
            "-a",
            "note=a,b",
            "--append",
            "layer.tar",
            "--cmd",
            "run,\"a,b\"",
            "--cmd=c",
            "--entrypoint=/bin/sh",
            "-e",
            "PATH=/bin",
            "--exposed-ports",
            "80/tcp,443/tcp",
            "-l",
            "a=1,b=2",
            "-l",
            "c=",
            "-u",
            "1000",
            "-w",
            "/srv",
        ],
    );
    let made = source.find("v1").unwrap();
    assert_eq!(printed, format!("{SOURCE}@{}\n", made.descriptor.digest));
    let made = parsed(&made.content);
    assert_eq!(
        (&made["x"], &made["manifests"][0]["y"], &made["annotations"]),
        (&json!(1), &json!(2), &json!({"note": "a,b"}))
    );
    let images = images_of(&source, &made);
    assert_eq!(images.keys().collect::<Vec<_>>(), ["amd64", "arm64"]);
    for (manifest, config) in images.values() {
        assert_eq!(manifest["annotations"], json!({"note": "a,b"}));
        assert_eq!(config["rootfs"]["diff_ids"][1], diff_id);
        let expected = json!({
            "User": "1000", "ExposedPorts": {"443/tcp": {}, "80/tcp": {}}, "Env": ["PATH=/bin"], "Entrypoint": ["/bin/sh"],
            "Cmd": ["run", "a,b", "c"], "WorkingDir": "/srv", "Labels": {"a": "1", "b": "2", "c": ""}, "Shell": ["/bin/sh"],
        });
        assert_eq!(config["config"], expected);
    }
    assert!(source.find(&children[0].digest).is_some(), "what was there stays");
}

#[test]
fn mutate_puts_its_result_where_it_is_told() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, Some("v1"), "amd64");
    let by_digest = format!("{SOURCE}@{}", image.digest);
    let change = ["--entrypoint", "x"];
    for (image, extra, repository, tags) in [
        ("source.test/app:v1", &["-t", "destination.test/app:v2"][..], &destination, &["v2"][..]),
        ("source.test/app:v1", &["--repo", "destination.test/app"], &destination, &["v2"]),
        (&by_digest, &[], &source, &["v1"]),
    ] {
        let printed = call(&host, &[&["mutate", image], &change[..], extra].concat());
        let digest = printed.trim_end().rsplit('@').next().unwrap().to_owned();
        let config = config_of(repository, &manifest_of(repository, &digest));
        assert_eq!(config["config"], json!({"Entrypoint": ["x"], "Shell": ["/bin/sh"]}));
        assert_eq!(repository.tagged().keys().collect::<Vec<_>>(), tags);
    }
    assert_eq!(source.tagged()["v1"], image.digest, "a digest overwrites no tag");
    assert_eq!(call(&host, &["mutate", "source.test/app:v1", "-o", "out.tar", "--set-platform", "linux/arm/v7"]), "");
    assert_eq!(host.events(), []);
    let Some(Written::Images { images, .. }) = host.written("out.tar") else { panic!("no image") };
    let manifest = &images[0].1;
    let blob = host.repository("x.test/y").blob_content(parsed(manifest)["config"]["digest"].as_str().unwrap());
    assert!(blob.is_none(), "it is in the store alone");
}

#[test]
fn mutate_says_what_is_wrong() {
    let (host, source, _) = setup();
    add_index(&host, &source);
    let image = "source.test/app:v1";
    for (arguments, message) in [
        (
            &["-t", "a.test/b", "--repo", "a.test/c"][..],
            "--repo puts the result there by its digest: it goes with neither --tag nor --output",
        ),
        (&["-l", "a"], "--label `a`: expected NAME=VALUE"),
        (&["-a", "=b"], "--annotation `=b`: expected NAME=VALUE"),
        (&["-e", "UNSET"], "--env UNSET: there is no value, and the environment has none"),
        (&["--cmd", "\"a"], "--cmd `\"a` is no list"),
        (
            &["--set-platform", "linux"],
            "--set-platform: `linux` is no platform: it should look like `linux/amd64` or `linux/arm64/v8`",
        ),
        (
            &["--set-platform", "linux/arm64"],
            "--set-platform would make all images of the index ones for the same platform",
        ),
    ] {
        fails(&host, &[&["mutate", image], arguments].concat(), FailureKind::Usage, message);
    }
    let config = source.add_blob("application/vnd.cncf.helm.config.v1+json", "{}");
    let chart = json!({"schemaVersion": 2, "config": object(&config), "layers": []}).to_string();
    let chart = source.add_manifest(Some("chart"), OCI_MANIFEST, chart);
    let message = format!("{SOURCE}@{} is no container image: its config is `{}`", chart.digest, config.media_type);
    fails(&host, &["mutate", "source.test/app:chart", "-l", "a=b"], FailureKind::Failed, &message);
}

#[test]
fn what_is_no_image_stays_in_a_changed_index() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, None, "amd64");
    let config = source.add_blob("application/vnd.cncf.helm.config.v1+json", "{}");
    let chart = json!({"schemaVersion": 2, "config": object(&config), "layers": []}).to_string();
    let chart = source.add_manifest(None, OCI_MANIFEST, chart);
    let blob = source.add_blob("text/plain", "readme");
    let inner = json!({"schemaVersion": 2, "manifests": [object(&image)]}).to_string();
    let inner = source.add_manifest(None, OCI_INDEX, inner);
    let entries = [&image, &chart, &inner, &blob].map(object);
    source.add_manifest(Some("v1"), DOCKER_INDEX, json!({"schemaVersion": 2, "manifests": entries}).to_string());
    call(&host, &["mutate", "source.test/app:v1", "-u", "1", "-t", DESTINATION]);
    let made = destination.find("latest").unwrap();
    assert_eq!(made.descriptor.media_type, OCI_INDEX, "Docker's lists can't name OCI images");
    let made = parsed(&made.content);
    let digest = |index: usize| made["manifests"][index]["digest"].as_str().unwrap();
    assert_eq!((digest(1), digest(3)), (chart.digest.as_str(), blob.digest.as_str()));
    assert_eq!(manifest_of(&destination, digest(2))["manifests"][0]["digest"], digest(0));
    assert_ne!(digest(0), image.digest);
    assert!(destination.blob_content(&blob.digest).is_some());
}

#[test]
fn flatten_makes_one_layer_of_all() {
    let (host, source, _, _) = with_layer();
    add_index(&host, &source);
    call(&host, &["append", "-b", "source.test/app:v1", "-f", "layer.tar", "-t", "source.test/app:v2"]);
    let before = images_of(&source, &manifest_of(&source, "v2"));
    call(&host, &["flatten", "source.test/app:v2"]);
    let after = images_of(&source, &manifest_of(&source, "v2"));
    assert_eq!(after.keys().collect::<Vec<_>>(), ["amd64", "arm64"]);
    for (architecture, (manifest, config)) in &after {
        let (old_manifest, old_config) = &before[architecture];
        assert_eq!((manifest["layers"].as_array().unwrap().len(), &config["config"]), (1, &old_config["config"]));
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
        let digest = digest(source.find(&of(old_manifest, &source)).unwrap().content.as_slice());
        let history =
            json!([{"created_by": format!("flatten {digest}"), "comment": old_config["history"].to_string()}]);
        assert_eq!(config["history"], history);
    }
    let files = call(&host, &["files", "source.test/app:v2", "--platform", "linux/arm64"]);
    assert_eq!(files, "etc/\netc/name\nnew\n");
    assert_eq!(call(&host, &["cat", "source.test/app:v2", "etc/name", "--platform", "linux/arm64"]), "arm64");
}

/// The digest of a manifest that was read as JSON: writers of ours keep no other order.
fn of(manifest: &Value, repository: &MemoryRepository) -> String {
    let found = digest(manifest.to_string().as_bytes());
    assert!(repository.find(&found).is_some());
    found
}

#[test]
fn flatten_keeps_links_owners_and_devices() {
    use steprun_ports::memory::{Node, NodeKind};
    let (host, source, _) = setup();
    let device = Node { uid: 3, gid: 4, ..Node::new(NodeKind::Device { block: true, major: 8, minor: 1 }, 0o600) };
    let tree = FileTree::new()
        .file("a/b", "one")
        .hard_link("c", "a/b")
        .symlink("link", "a/b")
        .node("dev", device)
        .node("pipe", Node::new(NodeKind::Fifo, 0o4755))
        .directory("empty");
    let layer = host.store_layer(&tree, true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    let layers = [object(&source.add_blob(OCI_LAYER_GZIP, content))];
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}});
    let config = source.add_blob(OCI_CONFIG, config.to_string());
    let manifest = json!({"schemaVersion": 2, "config": object(&config), "layers": layers}).to_string();
    source.add_manifest(Some("v1"), OCI_MANIFEST, manifest);
    call(&host, &["flatten", "source.test/app:v1", "-t", "source.test/app:flat"]);
    call(&host, &["export", "source.test/app:v1", "old.tar"]);
    call(&host, &["export", "source.test/app:flat", "new.tar"]);
    assert_eq!(host.written("new.tar"), host.written("old.tar"));
    assert_eq!(host.written("new.tar"), Some(Written::FileSystem(tree)));
}
