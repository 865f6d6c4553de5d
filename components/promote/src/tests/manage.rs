//! Commands that take names away.

use super::*;

#[test]
fn delete_of_a_tag_alone() {
    let (host, source, _) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    assert_eq!(call(&host, &["delete", "--tag-only", "source.test/app:v1"]), "");
    assert!(source.tagged().is_empty() && source.find(&image.digest).is_some());
    let by_digest = format!("{SOURCE}@{}", image.digest);
    let message = format!("--tag-only deletes a tag, and `{by_digest}` names a digest");
    fails(&host, &["delete", "--tag-only", &by_digest], FailureKind::Usage, &message);
    let message = "can't read source.test/app:v1: source.test/app:v1 does not exist";
    fails(&host, &["delete", "--tag-only", "source.test/app:v1"], FailureKind::Failed, message);
}

#[test]
fn a_manifest_that_goes_with_its_tag_is_put_again() {
    let (host, source, _) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    source.delete_manifests_with_tags();
    call(&host, &["delete", "source.test/app:v1"]);
    assert!(source.find(&image.digest).is_none(), "as the registry does it");
    let digest = &image.digest;
    let told = host.log_lines().pop().unwrap();
    let expected = format!(
        "the registry has deleted {digest} with its tag v1, and all of its other tags: `delete --tag-only` would keep it"
    );
    assert_eq!((told.level, told.message), (Level::Warning, expected));
    add_image(&host, &source, Some("v1"), "one");
    call(&host, &["delete", "--tag-only", "source.test/app:v1"]);
    assert!(source.tagged().is_empty() && source.find(&image.digest).is_some());
    assert!(host.log_lines().iter().any(|line| line.level == Level::Warning));
}

#[test]
fn a_registry_that_deletes_no_tags_is_named() {
    let (host, source, _) = setup();
    let image = add_image(&host, &source, Some("v1"), "one");
    source.refuse_deletes();
    let failure = try_call(&host, &["delete", "--tag-only", "source.test/app:v1"]).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "can't delete the tag source.test/app:v1: UNSUPPORTED: the operation is unsupported"
    );
    let by_digest = format!("{SOURCE}@{}", image.digest);
    let hint = failure.hint.unwrap();
    assert!(hint.contains("may delete no tags") && hint.contains(&format!("`delete {by_digest}`")), "{hint}");
    let failure = try_call(&host, &["delete", "source.test/app:v1"]).unwrap_err();
    assert_eq!(failure.to_string(), "can't delete source.test/app:v1: UNSUPPORTED: the operation is unsupported");
    assert_eq!(failure.hint.as_ref(), Some(&hint));
    let failure = try_call(&host, &["delete", &by_digest]).unwrap_err();
    assert!(failure.hint.is_none_or(|hint| !hint.contains("tag")), "no tag was named");
}

/// An image made at a time; none for a config without one.
fn add_dated(host: &MemoryHost, repository: &MemoryRepository, tag: &str, created: Option<&str>) {
    let layer = host.store_layer(&FileTree::new().file(tag, tag), true);
    let content = block_on(layer.blob.read(u64::MAX)).unwrap();
    let layers = [object(&repository.add_blob(OCI_LAYER_GZIP, content))];
    let mut config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [layer.diff_id]}});
    if let Some(created) = created {
        config["created"] = json!(created);
    }
    let config = repository.add_blob(OCI_CONFIG, config.to_string());
    repository.add_manifest(Some(tag), OCI_MANIFEST, json!({"config": object(&config), "layers": layers}).to_string());
}

#[test]
fn retention_keeps_what_its_policy_says() {
    let (host, source, _) = setup();
    for (tag, created) in [
        ("a", Some("2026-01-01T00:00:00Z")),
        ("b", Some("2026-01-02T00:00:00Z")),
        ("c", Some("2026-01-03T00:00:00+01:00")),
        ("v1", Some("2020-01-01T00:00:00Z")),
        ("epoch", Some("1970-01-01T00:00:00Z")),
        ("undated", None),
        ("sha256-abc.sig", Some("2020-01-01T00:00:00Z")),
    ] {
        add_dated(&host, &source, tag, created);
    }
    for (policy, expected) in [
        (&["--keep", "2"][..], &["v1", "a"][..]),
        (&["--keep", "2", "--keep-tags", "v*"], &["a"]),
        (&["--keep", "0"], &["v1", "a", "b", "c"]),
        (&["--older-than", "1767312000"], &["v1", "a"]),
        (&["--older-than", "1767398400"], &["v1", "a", "b", "c"]),
        (&["--older-than", "1767398400", "--keep", "3"], &["v1"]),
        (&["--older-than", "1546300800"], &[]),
    ] {
        let printed = call(&host, &[&["retention", SOURCE], policy].concat());
        assert_eq!(printed, expected.iter().map(|tag| format!("{SOURCE}:{tag}\n")).collect::<String>(), "{policy:?}");
        assert_eq!(host.events(), []);
    }
    for pointer in ["/tag", "tags"] {
        let arguments = ["retention", SOURCE, "--keep", "0", "--confirm", "--select", pointer];
        try_call(&host, &arguments).unwrap_err();
        assert_eq!(host.events(), [], "nothing goes if the result can't be shown");
    }
    call(&host, &["retention", SOURCE, "--keep", "1", "--keep-tags", "v?", "--confirm"]);
    assert_eq!(source.tagged().keys().collect::<Vec<_>>(), ["c", "epoch", "sha256-abc.sig", "undated", "v1"]);
    for (arguments, message) in
        [(&[][..], "one of --keep and --older-than is needed"), (&["--keep", "-1"], "--keep can't be -1")]
    {
        fails(&host, &[&["retention", SOURCE], arguments].concat(), FailureKind::Usage, message);
    }
}

#[test]
fn retention_asks_the_image_of_an_index() {
    let (host, source, _) = setup();
    add_dated(&host, &source, "one", Some("2026-01-01T00:00:00Z"));
    let mut entry = object(&source.find("one").unwrap().descriptor);
    entry["platform"] = json!({"os": "linux", "architecture": "riscv64"});
    source.add_manifest(Some("many"), OCI_INDEX, json!({"manifests": [entry]}).to_string());
    let printed = call(&host, &["retention", SOURCE, "--older-than", "1769904000", "--confirm"]);
    assert_eq!(printed, format!("{SOURCE}:many\n{SOURCE}:one\n"));
    assert!(source.tagged().is_empty());
}
