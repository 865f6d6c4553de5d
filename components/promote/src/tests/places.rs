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
        (&["--regex", r"^1\.\d+\.0$"], &["1.1.0"]),
        (&["--regex", "alpine|rc", "--regex", "^2"], &["1.1.0-alpine", "1.2.0-rc.1", "2.0.0"]),
        (&["--regex", r"\.0", "--semver", "^1", "--exclude", "*-*"], &["1.1.0"]),
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
    let failure = try_call(&host, &["sync", SOURCE, DESTINATION, "--regex", "v("]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Usage);
    assert!(failure.message.starts_with("--regex `v(` is no regular expression: "), "{failure}");
}

#[test]
fn sync_says_why_it_copies_nothing() {
    let (host, source, destination) = setup();
    let warnings = || {
        let lines = host.log_lines().into_iter().filter(|line| line.level == Level::Warning);
        lines.map(|line| line.message).collect::<Vec<_>>()
    };
    for tag in ["v1", "v2"] {
        add_image(&host, &source, Some(tag), tag);
    }
    call(&host, &["sync", SOURCE, DESTINATION, "--include", "v*"]);
    call(&host, &["sync", SOURCE, DESTINATION, "--include", "v*"]);
    assert_eq!(warnings(), [""; 0], "that all is there already is what is wanted");
    assert_eq!(call(&host, &["sync", SOURCE, DESTINATION, "--regex", "^1", "--exclude", "v2"]), "");
    assert_eq!(
        warnings(),
        ["nothing to copy: none of the 2 tags of source.test/app passes --exclude `v2`, --regex `^1`"]
    );
    assert_eq!(destination.tagged(), source.tagged());
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
fn copy_brings_what_refers_to_an_image() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    let bom = query::add_referrer(&source, &children[0], "a/bom");
    let signature = query::add_referrer(&source, &bom, "a/signature");
    let other = query::add_referrer(&source, &children[1], "a/bom");
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1"]);
    assert!(destination.find(&bom.digest).is_none());
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1", "--referrers"]);
    for digest in [&bom.digest, &signature.digest, &other.digest] {
        assert_eq!(destination.find(digest), source.find(digest));
    }
    assert_eq!(destination.tagged().len(), 1, "by their digests alone");
    assert_eq!(host.outputs()["digest"], index.digest);
    call(&host, &["copy", "source.test/app:v1", "destination.test/app:v1", "--referrers"]);
    assert_eq!(host.events(), []);
    let (platform, repository) = (["--platform", "linux/arm64"], host.repository("one.test/app"));
    call(&host, &[&["copy", "source.test/app:v1", "one.test/app", "--referrers"], &platform[..]].concat());
    assert!(repository.find(&other.digest).is_some() && repository.find(&bom.digest).is_none());
}

#[test]
fn copy_recompresses_layers() {
    let (host, source, destination) = setup();
    let (index, _) = add_index(&host, &source);
    let copy = |to: &str, word: &str| call(&host, &["copy", "source.test/app:v1", to, "--recompress", word]);
    assert_eq!(copy("destination.test/app:gzip", "gzip"), "");
    assert_eq!(destination.tagged()["gzip"], index.digest, "what is gzip already keeps its bytes");
    assert_eq!(copy("destination.test/app:zstd", "zstd"), "");
    let made = manifest_of(&destination, "zstd");
    assert_eq!(host.outputs()["digest"], destination.tagged()["zstd"]);
    let images = images_of(&destination, &made);
    assert_eq!(images.len(), 2, "an attestation is about the image as it was");
    for (architecture, (manifest, config)) in images {
        assert_eq!(
            (&manifest["layers"][0]["mediaType"], &config["architecture"]),
            (&json!(OCI_LAYER_ZSTD), &json!(architecture))
        );
    }
    assert_eq!(call(&host, &["cat", "destination.test/app:zstd", "etc/name"]), "amd64");
    let refused = |more: &[&str], message: &str| {
        let all = [&["copy", "source.test/app:v1", DESTINATION, "--recompress", "zstd"], more].concat();
        fails(&host, &all, FailureKind::Usage, message);
    };
    refused(&["--platform", "linux/amd64,linux/arm64"], "--recompress takes one --platform, or all");
    refused(&["--referrers"], "what belongs to an image by its digest does not belong to the recompressed one");
    refused(&["-a"], "--all-tags copies tags as they are, without --recompress, --referrers and --digest-tags");
}

#[test]
fn copy_reaches_files_and_directories() {
    let (host, source, destination) = setup();
    let (index, _) = add_index(&host, &source);
    call(&host, &["copy", "source.test/app:v1", "oci:dir:v2"]);
    assert_eq!(host.local("oci:dir", steprun_ports::RegistryAccess::Pull).tagged()["v2"], index.digest);
    call(&host, &["copy", "oci:dir", "destination.test/app:v3"]);
    assert_eq!(destination.find("v3"), source.find("v1"));
    assert_eq!(call(&host, &["digest", "oci:dir:v2", "--full-ref"]), format!("oci:dir@{}\n", index.digest));
    assert_eq!(call(&host, &["size", "oci:dir"]), call(&host, &["size", "source.test/app:v1"]));
}

#[test]
fn garbage_of_a_layout_is_told() {
    let host = MemoryHost::new().with_garbage("dir", &["sha256:1", "sha256:2"]);
    assert_eq!(call(&host, &["layout-gc", "dir"]), "");
    let lines: Vec<_> = host.log_lines().into_iter().map(|line| line.message).collect();
    assert_eq!(lines, ["garbage collecting: sha256:1", "garbage collecting: sha256:2"]);
}

#[test]
fn pull_writes_archives_and_layouts() {
    let (host, source, _) = setup();
    let (index, children) = add_index(&host, &source);
    let other = add_image(&host, &source, Some("v2"), "other");
    let image = "source.test/app:v1";
    assert_eq!(call(&host, &["pull", image, "docker.tar"]), "");
    let written = |path: &str| match host.written(path) {
        Some(Written::Images { format, images, blobs }) => (format, images, blobs.len()),
        other => panic!("{other:?}"),
    };
    let name = |image: &str| vec![image.to_owned()];
    let (format, images, blobs) = written("docker.tar");
    let [(_, manifest, names)] = images.as_slice() else { panic!("{images:?}") };
    assert_eq!(
        (format, digest(manifest), names, blobs),
        (ArchiveFormat::Docker, children[0].digest.clone(), &name(image), 2)
    );
    call(&host, &["pull", image, "source.test/app:v2", "both.tar"]);
    let (_, images, blobs) = written("both.tar");
    let names: Vec<_> = images.iter().map(|(_, manifest, names)| (digest(manifest), names.clone())).collect();
    assert_eq!(names, [(children[0].digest.clone(), name(image)), (other.digest, name("source.test/app:v2"))]);
    assert_eq!(blobs, 4);
    call(&host, &["pull", image, "legacy.tar", "--format", "legacy"]);
    let (format, images, blobs) = written("legacy.tar");
    assert_eq!((format, digest(&images[0].1), blobs), (ArchiveFormat::Legacy, children[0].digest.clone(), 2));
    call(&host, &["pull", image, "oci.tar", "--format", "oci-archive"]);
    let (format, images, blobs) = written("oci.tar");
    assert_eq!((format, digest(&images[0].1), blobs), (ArchiveFormat::Oci, index.digest.clone(), 9));
    for (flag, names) in [(&[][..], Vec::new()), (&["--annotate-ref"], name(image))] {
        call(&host, &[&["pull", image, "dir", "--format", "oci"], flag].concat());
        let (format, images, _) = written("dir");
        assert_eq!((format, digest(&images[0].1), &images[0].2), (ArchiveFormat::Layout, index.digest.clone(), &names));
    }
    let by_digest = format!("{SOURCE}@{}", index.digest);
    call(&host, &["pull", &by_digest, "one.tar", "--platform", "linux/arm64"]);
    let (_, images, _) = written("one.tar");
    assert_eq!((digest(&images[0].1), images[0].2.len()), (children[1].digest.clone(), 0), "a digest is no name");
    assert_eq!(host.events(), []);
    let message = "--annotate-ref is for --format=oci: an archive names its images in any case";
    fails(&host, &["pull", image, "x.tar", "--annotate-ref"], FailureKind::Usage, message);
}

#[test]
fn pull_fetches_as_many_blobs_at_a_time_as_it_may() {
    // The layers are in the store: there are three configs to fetch.
    for (jobs, at_once) in [("1", 1), ("6", 3)] {
        let (host, source, _) = setup();
        add_index(&host, &source);
        call(&host, &["pull", "source.test/app:v1", "dir", "--format", "oci", "--jobs", jobs]);
        assert_eq!(host.most_transfers_at_once(), at_once);
        assert_eq!(host.tasks().len(), 6);
        assert!(host.tasks().iter().all(|(_, end)| matches!(end, TaskEnd::Finished(note) if note.ends_with(" B"))));
    }
    let (host, source, _) = setup();
    let (_, children) = add_index(&host, &source);
    let config = manifest_of(&source, &children[0].digest)["config"]["digest"].as_str().unwrap().to_owned();
    source.corrupt(&config, b"other");
    let failure = try_call(&host, &["pull", "source.test/app:v1", "x.tar"]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Verification);
    assert_eq!(failure.to_string(), format!("can't fetch {config}: {config} in source.test/app has other bytes"));
    assert!(host.written("x.tar").is_none());
    host.fail_on(&config, Error::Unavailable("no route".into()));
    let failure = try_call(&host, &["pull", "source.test/app:v1", "x.tar"]).unwrap_err();
    assert_eq!(failure.to_string(), format!("can't fetch {config}: no route"));
}

#[test]
fn push_brings_the_image_of_a_file_or_directory() {
    let (host, source, destination) = setup();
    let images = host.local("image.tar", steprun_ports::RegistryAccess::Delete);
    let (index, _) = add_index(&host, &images);
    add_index(&host, &source);
    let made = format!("{DESTINATION}@{}\n", index.digest);
    assert_eq!(call(&host, &["push", "image.tar", DESTINATION, "--image-refs", "refs"]), made);
    assert_eq!(destination.find("latest"), source.find("v1"));
    assert_eq!(host.written("refs"), Some(Written::Bytes(made.into_bytes())));
    assert_eq!(call(&host, &["digest", "--tarball", "image.tar"]), format!("{}\n", index.digest));
    assert_eq!(call(&host, &["validate", "--tarball", "image.tar"]), "PASS: image.tar\n");
    let all = json!({"schemaVersion": 2, "manifests": [object(&index), object(&index)]}).to_string();
    fails(
        &host,
        &["push", "image.tar", DESTINATION, "--index"],
        FailureKind::Usage,
        "--index: image.tar holds no OCI layout",
    );
    images.add_manifest(Some("*"), OCI_INDEX, &all);
    call(&host, &["push", "image.tar", "destination.test/app:all", "--index"]);
    assert_eq!(destination.tagged()["all"], digest(all.as_bytes()));
    let message = "can't read none.tar: none.tar holds no images";
    fails(&host, &["push", "none.tar", DESTINATION], FailureKind::Failed, message);
}
