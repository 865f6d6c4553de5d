//! Commands that bring images to other places.

use super::*;

#[test]
fn copy_of_several_platforms_gives_an_index_of_those() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    let third = add_image(&host, &source, None, "s390x");
    let mut all = manifest_of(&source, &index.digest);
    let mut entry = object(&third);
    entry["platform"] = json!({"os": "linux", "architecture": "s390x"});
    all["manifests"].as_array_mut().unwrap().push(entry);
    all["manifests"][2]["annotations"] = json!({"vnd.docker.reference.digest": children[0].digest});
    let all = source.add_manifest(Some("v1"), OCI_INDEX, all.to_string());
    call(&host, &["copy", "source.test/app:v1", DESTINATION, "--platform", "linux/amd64,linux/arm64"]);
    let made = manifest_of(&destination, "latest");
    let digests: Vec<_> = made["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].clone()).collect();
    assert_eq!(digests, children.iter().map(|child| json!(child.digest)).collect::<Vec<_>>());
    assert!(destination.find(&third.digest).is_none());
    // Of all platforms, the very index.
    let platforms = ["--platform", "linux/amd64", "--platform", "linux/arm64,linux/s390x"];
    call(&host, &[&["copy", "source.test/app:v1", DESTINATION], &platforms[..]].concat());
    assert_eq!(destination.tagged()["latest"], all.digest);
}

#[test]
fn copy_brings_the_tags_of_its_digests() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    let tag = |digest: &str, suffix: &str| format!("{}{suffix}", digest.replace(':', "-"));
    let (signature, attestation) = (tag(&index.digest, ".sig"), tag(&children[1].digest, ".att"));
    let other = tag(&digest(b"other"), ".sig");
    for tag in [&signature, &attestation, &other] {
        add_image(&host, &source, Some(tag), tag);
    }
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1", "--digest-tags"]);
    let tags = destination.tagged();
    assert_eq!((tags.len(), tags.get(&signature)), (3, source.tagged().get(&signature)));
    assert!(tags.contains_key(&attestation) && !tags.contains_key(&other));
    // What is there is kept if it is to be.
    let kept = add_image(&host, &destination, Some(&signature), "own");
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v2", "--digest-tags", "-n"]);
    assert_eq!(destination.tagged()[&signature], kept.digest);
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v3", "--digest-tags"]);
    assert_eq!(destination.tagged()[&signature], source.tagged()[&signature]);
}

#[test]
fn move_takes_the_tag_and_leaves_the_manifest() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    assert_eq!(call(&host, &["move", "source.test/app:v1", "destination.test/app:v2"]), "");
    assert_eq!((destination.tagged()["v2"].as_str(), source.tagged().len()), (image.digest.as_str(), 0));
    assert!(source.find(&image.digest).is_some());
    call(&host, &["move", "destination.test/app:v2", "destination.test/app:v3"]);
    assert_eq!(destination.tagged().keys().collect::<Vec<_>>(), ["v3"]);
    let by_digest = format!("{SOURCE}@{}", image.digest);
    let message = format!("`{by_digest}` names a digest, and only a tag can be moved");
    fails(&host, &["move", &by_digest, DESTINATION], FailureKind::Usage, &message);
    let same = "destination.test/app:v3";
    fails(&host, &["move", same, same], FailureKind::Usage, "destination.test/app:v3 is already there");
    // What can't be copied stays.
    host.fail_on("v9", Error::Unavailable("no route".into()));
    try_call(&host, &["move", same, "destination.test/app:v9"]).unwrap_err();
    assert!(destination.find("v3").is_some());
}

#[test]
fn sync_copies_what_differs() {
    let (host, source, destination) = setup();
    for tag in ["1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0", "latest", "1.1.0-alpine"] {
        add_image(&host, &source, Some(tag), tag);
    }
    add_image(&host, &destination, Some("1.0.0"), "1.0.0");
    let old = add_image(&host, &destination, Some("latest"), "old");
    add_image(&host, &destination, Some("own"), "own");
    for (filter, expected) in [
        (&["--semver", "^1"][..], &["1.1.0"][..]),
        (&["--include", "1.*", "--exclude", "*-*"], &["1.1.0"]),
        (&["--include", "2.*", "--include", "latest", "-n"], &["2.0.0"]),
        (&["--include", "l*"], &["latest"]),
        (&["--include", "none"], &[]),
    ] {
        let printed = call(&host, &[&["sync", SOURCE, DESTINATION, "--dry-run"], filter].concat());
        let line = |tag: &&str| format!("{SOURCE}:{tag} {DESTINATION}:{tag} {}\n", source.tagged()[*tag]);
        assert_eq!(printed, expected.iter().map(line).collect::<String>(), "{filter:?}");
        assert_eq!(host.events(), []);
    }
    assert_eq!(call(&host, &["sync", SOURCE, DESTINATION, "--no-clobber"]), "");
    assert_eq!(destination.tagged()["latest"], old.digest);
    call(&host, &["sync", SOURCE, DESTINATION]);
    let mut expected = source.tagged();
    expected.insert("own".into(), destination.tagged()["own"].clone());
    assert_eq!(destination.tagged(), expected);
    call(&host, &["sync", SOURCE, DESTINATION]);
    assert_eq!(host.events(), [], "nothing differs any more");
    fails(
        &host,
        &["sync", SOURCE, DESTINATION, "--semver", "new"],
        FailureKind::Usage,
        "--semver `new` is no range of versions",
    );
}

#[test]
fn sync_of_platforms_knows_what_it_has_made() {
    let (host, source, destination) = setup();
    let (_, children) = add_index(&host, &source);
    for _ in 0..2 {
        call(&host, &["sync", SOURCE, DESTINATION, "--platform", "linux/arm64"]);
    }
    assert_eq!((host.events().len(), destination.tagged()["v1"].as_str()), (0, children[1].digest.as_str()));
}

#[test]
fn pull_writes_archives_and_layouts() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    let image = "source.test/app:v1";
    assert_eq!(call(&host, &["pull", image, "docker.tar"]), "");
    let Some(Written::Image { format, manifest, names, blobs, .. }) = host.written("docker.tar") else {
        panic!("no image")
    };
    assert_eq!(
        (format, digest(&manifest), names, blobs.len()),
        (ArchiveFormat::Docker, children[0].digest.clone(), vec![image.to_owned()], 2)
    );
    call(&host, &["pull", image, "oci.tar", "--format", "oci-archive"]);
    let Some(Written::Image { format, manifest, blobs, .. }) = host.written("oci.tar") else { panic!("no image") };
    assert_eq!((format, digest(&manifest), blobs.len()), (ArchiveFormat::Oci, index.digest.clone(), 9));
    call(&host, &["pull", image, "--layout", "dir"]);
    let by_digest = format!("{SOURCE}@{}", index.digest);
    call(&host, &["pull", &by_digest, "--layout", "dir", "--platform", "linux/arm64"]);
    let Some(Written::Layout(images)) = host.written("dir") else { panic!("no layout") };
    let found: Vec<_> = images.iter().map(|(_, manifest, names)| (digest(manifest), names.len())).collect();
    assert_eq!(found, [(index.digest.clone(), 1), (children[1].digest.clone(), 0)], "a digest is no name");
    assert_eq!(host.events(), []);
    fails(&host, &["pull", image], FailureKind::Usage, "one of TARBALL and --layout is needed");
    fails(
        &host,
        &["pull", image, "a", "--layout", "b"],
        FailureKind::Usage,
        "TARBALL and --layout are two places, and one is needed",
    );
}

/// A host with the archive `image.tar` of these files: the host reads archives as layers.
fn with_archive(tree: &FileTree) -> MemoryHost {
    let host = MemoryHost::new();
    let layer = host.store_layer(tree, false);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    host.with_file("image.tar", content)
}

/// What a repository holds of its tag `v1`, as an OCI layout.
fn layout(repository: &MemoryRepository, digests: &[&str]) -> FileTree {
    let mut tree = FileTree::new();
    for digest in digests {
        let content = repository.blob_content(digest).or_else(|| Some(repository.find(digest)?.content)).unwrap();
        tree = tree.file(&format!("blobs/{}", digest.replace(':', "/")), content);
    }
    tree
}

#[test]
fn push_brings_the_image_of_a_layout() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    let mut digests = vec![index.digest.clone()];
    for child in &children {
        let manifest = manifest_of(&source, &child.digest);
        let blobs =
            [&manifest["config"], &manifest["layers"][0]].map(|blob| blob["digest"].as_str().unwrap().to_owned());
        digests.extend(blobs.into_iter().chain([child.digest.clone()]));
    }
    let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
    let top = json!({"schemaVersion": 2, "manifests": [object(&index), object(&index)]}).to_string();
    let tree = layout(&source, &digests).file("index.json", &top);
    let host = with_archive(&tree);
    let printed = call(&host, &["push", "image.tar", DESTINATION]);
    let destination = host.repository(DESTINATION);
    assert_eq!(
        (printed, destination.tagged()["latest"].as_str()),
        (format!("{DESTINATION}@{}\n", index.digest), index.digest.as_str())
    );
    call(&host, &["push", "image.tar", "destination.test/app:all", "--index"]);
    assert_eq!(destination.tagged()["all"], digest(top.as_bytes()));
    assert_eq!(call(&host, &["digest", "--tarball", "image.tar"]), format!("{}\n", index.digest));
    assert_eq!(call(&host, &["validate", "--tarball", "image.tar"]), "PASS: image.tar\n");
    // What an archive says of its bytes is not believed.
    let layer = format!("blobs/{}", digests[2].replace(':', "/"));
    let host = with_archive(&tree.clone().file(&layer, "other"));
    let message = format!("{layer} of image.tar has the digest {}, not {}", digest(b"other"), digests[2]);
    fails(&host, &["push", "image.tar", DESTINATION], FailureKind::Verification, &message);
    assert_eq!(try_call(&host, &["validate", "--tarball", "image.tar"]).unwrap_err().to_string(), message);
    assert!(String::from_utf8(host.stdout()).unwrap().ends_with(&format!("FAIL: image.tar: {message}\n")));
    let two = json!({"schemaVersion": 2, "manifests": [object(&index), object(&children[0])]}).to_string();
    let host = with_archive(&tree.file("index.json", two));
    fails(
        &host,
        &["push", "image.tar", DESTINATION],
        FailureKind::Failed,
        "image.tar holds 2 images, and one is needed",
    );
}

#[test]
fn push_brings_the_image_of_docker_save() {
    let host = MemoryHost::new();
    let [plain, packed] = [("a", false), ("b", true)].map(|(name, gzip)| {
        let layer = host.store_layer(&FileTree::new().file(name, name), gzip);
        (block_on(layer.blob.read(u64::MAX)).unwrap(), layer.diff_id)
    });
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [plain.1, packed.1]}});
    let saved = json!([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]);
    let tree = FileTree::new()
        .file("manifest.json", saved.to_string())
        .file("config.json", config.to_string())
        .file("1/layer.tar", &plain.0)
        .file("2/layer.tar", &packed.0);
    let host = with_archive(&tree);
    call(&host, &["push", "image.tar", DESTINATION]);
    let destination = host.repository(DESTINATION);
    let made = manifest_of(&destination, "latest");
    let types: Vec<_> = made["layers"].as_array().unwrap().iter().map(|layer| layer["mediaType"].clone()).collect();
    assert_eq!((types, config_of(&destination, &made)), (vec![json!(DOCKER_LAYER), json!(DOCKER_LAYER_GZIP)], config));
    assert_eq!(call(&host, &["files", DESTINATION]), "a\nb\n");
    let host = with_archive(&tree.clone().file("1/layer.tar", &packed.0));
    let failure = try_call(&host, &["push", "image.tar", DESTINATION]).unwrap_err();
    assert_eq!((failure.kind, host.events().len()), (FailureKind::Verification, 0));
    let host = with_archive(&tree.file("manifest.json", "[]"));
    fails(&host, &["push", "image.tar", DESTINATION], FailureKind::Failed, "image.tar holds no image, or several");
    fails(
        &host,
        &["push", "image.tar", DESTINATION, "--index"],
        FailureKind::Usage,
        "--index: image.tar holds no OCI layout",
    );
}
