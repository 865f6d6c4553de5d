//! `edit-config`, `edit-manifest`, `edit-fs`.

use super::*;

fn edit(host: &MemoryHost, content: &str, arguments: &[&str]) -> Result<String, Failure> {
    try_call(&host.clone().with_file("-", content), arguments)
}

#[test]
fn edit_config_keeps_the_layers() {
    let (host, source, _) = setup();
    add_image(&host, &source, Some("v1"), "amd64");
    let old = source.find("v1").unwrap();
    let mut config: Value = serde_json::from_str(&call(&host, &["config", "source.test/app:v1"])).unwrap();
    config["config"]["User"] = json!("me");
    config["unknown"] = json!(1);
    let printed = edit(&host, &config.to_string(), &["edit-config", "source.test/app:v1"]).unwrap();
    assert_eq!(printed, "source.test/app:v1\n");
    let found: Value = serde_json::from_str(&call(&host, &["config", "source.test/app:v1"])).unwrap();
    assert_eq!(found, config);
    let manifest = |content: &[u8]| serde_json::from_slice::<Value>(content).unwrap();
    assert_eq!(manifest(&source.find("v1").unwrap().content)["layers"], manifest(&old.content)["layers"]);
    let failure = edit(&host, "{}", &["edit-config", "source.test/app:v1"]).unwrap_err();
    assert!(failure.to_string().contains("the new config"), "{failure}");
}

/// The order is crane's, which sorts a manifest and leaves the config's own fields as Go's structure has them.
#[test]
fn edit_config_keeps_the_bytes_that_it_is_given() {
    let (host, source, _) = setup();
    add_image(&host, &source, Some("v1"), "amd64");
    let old = manifest_of(&source, "v1");
    let same = call(&host, &["config", "source.test/app:v1"]);
    for config in [format!("{}\n\n", same.replace(',', " ,\t")), same] {
        edit(&host, &config, &["edit-config", "source.test/app:v1"]).unwrap();
        let content = String::from_utf8(source.find("v1").unwrap().content).unwrap();
        let layer = &old["layers"][0];
        assert_eq!(
            content,
            format!(
                r#"{{"config":{{"mediaType":"{OCI_CONFIG}","size":{},"digest":"{}"}},"layers":[{{"digest":{},"mediaType":{},"size":{}}}],"mediaType":"{OCI_MANIFEST}","schemaVersion":2}}"#,
                config.len(),
                digest(config.as_bytes()),
                layer["digest"],
                layer["mediaType"],
                layer["size"]
            )
        );
        assert_eq!(call(&host, &["config", "source.test/app:v1"]), config);
    }
}

#[test]
fn edit_config_drops_what_held_the_old_one() {
    let (host, source, _) = setup();
    add_image(&host, &source, Some("v1"), "amd64");
    let mut manifest = manifest_of(&source, "v1");
    manifest["config"]["data"] = json!("b2xk");
    manifest["config"]["urls"] = json!(["https://elsewhere.test/config"]);
    manifest["config"]["annotations"] = json!({"kept": "1"});
    manifest["subject"] = manifest["layers"][0].clone();
    source.add_manifest(Some("v1"), OCI_MANIFEST, manifest.to_string());
    let config = call(&host, &["config", "source.test/app:v1"]) + " ";
    edit(&host, &config, &["edit-config", "source.test/app:v1"]).unwrap();
    let edited = manifest_of(&source, "v1");
    assert_eq!(
        edited["config"],
        json!({"mediaType": OCI_CONFIG, "size": config.len(), "digest": digest(config.as_bytes()), "annotations": {"kept": "1"}})
    );
    assert_eq!((&edited["layers"], &edited["subject"]), (&manifest["layers"], &manifest["subject"]));
}

#[test]
fn edit_config_of_a_digest_prints_the_new_one() {
    let (host, source, destination) = setup();
    let image = add_image(&host, &source, None, "amd64");
    let name = format!("source.test/app@{}", image.digest);
    let config = call(&host, &["config", &name]).replace("/bin/sh", "/bin/ash");
    let printed = edit(&host, &config, &["edit-config", &name]).unwrap();
    let made = printed.trim_end().strip_prefix("source.test/app@").unwrap();
    assert!(source.find(made).is_some() && made != image.digest, "{printed}");
    let printed = edit(&host, &config, &["edit-config", &name, "-t", "destination.test/app:new"]).unwrap();
    assert_eq!(printed, "destination.test/app:new\n");
    assert!(destination.find("new").is_some());
}

#[test]
fn edit_manifest_keeps_the_bytes() {
    let (host, source, destination) = setup();
    add_image(&host, &source, Some("v1"), "one");
    let content = String::from_utf8(source.find("v1").unwrap().content).unwrap() + "\n";
    edit(&host, &content, &["edit-manifest", "source.test/app:v1", "-t", "destination.test/app:v2"]).unwrap();
    assert_eq!(destination.find("v2").unwrap().content, content.as_bytes());
    let failure = edit(&host, "no JSON", &["edit-manifest", "source.test/app:v1"]).unwrap_err();
    assert!(failure.to_string().contains("the new manifest"), "{failure}");
    assert_eq!(host.events(), []);
}

#[test]
fn edit_manifest_takes_the_media_type_that_it_is_told() {
    let (host, source, _) = setup();
    add_image(&host, &source, Some("v1"), "one");
    let old = source.find("v1").unwrap();
    let mut plain = parsed(&old.content);
    plain.as_object_mut().unwrap().remove("mediaType");
    for (own, options, expected) in [
        (None, &[][..], OCI_MANIFEST),
        (Some(""), &[], OCI_MANIFEST),
        (Some(DOCKER_MANIFEST), &[], DOCKER_MANIFEST),
        (None, &["-m", DOCKER_MANIFEST], DOCKER_MANIFEST),
        (Some(OCI_MANIFEST), &["--media-type", DOCKER_MANIFEST], DOCKER_MANIFEST),
        (None, &["--media-type", ""], OCI_MANIFEST),
        (None, &["-m", "application/vnd.example+json"], "application/vnd.example+json"),
    ] {
        source.add_manifest(Some("v1"), OCI_MANIFEST, old.content.clone());
        let mut content = plain.clone();
        if let Some(own) = own {
            content["mediaType"] = json!(own);
        }
        let content = content.to_string();
        edit(&host, &content, &[&["edit-manifest", "source.test/app:v1"], options].concat()).unwrap();
        let found = source.find("v1").unwrap();
        assert_eq!(
            (found.descriptor.media_type.as_str(), found.content),
            (expected, content.into_bytes()),
            "{options:?}"
        );
    }
    let unknown = r#"{"mediaType":"application/vnd.example+json"}"#;
    let failure = edit(&host, unknown, &["edit-manifest", "source.test/app:v1"]).unwrap_err();
    assert!(failure.to_string().contains("neither an image manifest's nor an index's"), "{failure}");
}

#[test]
fn edit_fs_changes_a_file_of_every_image() {
    let (host, source, _) = setup();
    add_index(&host, &source);
    edit(&host, "new", &["edit-fs", "source.test/app:v1", "-f", "/etc/name"]).unwrap();
    edit(&host, "more", &["edit-fs", "source.test/app:v1", "-f", "a/b/c"]).unwrap();
    for platform in ["linux/amd64", "linux/arm64"] {
        call(&host, &["cat", "source.test/app:v1", "etc/name", "out", "--platform", platform]);
        assert!(matches!(host.written("out"), Some(Written::Bytes(content)) if content == b"new"), "{platform}");
        let files = call(&host, &["files", "source.test/app:v1", "--platform", platform]);
        assert!(files.contains("a/b/c\n"), "{files}");
    }
    let failure = edit(&host, "x", &["edit-fs", "source.test/app:v1", "-f", "etc"]).unwrap_err();
    assert!(failure.to_string().contains("`/etc` is no regular file"), "{failure}");
}
