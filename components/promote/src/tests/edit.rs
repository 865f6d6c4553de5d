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
