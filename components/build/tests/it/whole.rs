//! Whole builds: from the command line to what is pushed, written and printed.

use steprun_ports::memory::{FileTree, RegistryEvent, TaskEnd};

use crate::support::{APP, dockerfile};

#[test]
fn scratch_with_a_file_and_a_command() {
    let built = dockerfile("FROM scratch\nCOPY app.bin /usr/local/bin/app\nCMD [\"/usr/local/bin/app\"]\n")
        .context(|tree| tree.file("app.bin", "app").mode("app.bin", 0o755).modified("app.bin", 1_700_000_000))
        .built();
    assert_eq!(
        built.listing(),
        [
            "usr dir 755 0:0 0",
            "usr/local dir 755 0:0 0",
            "usr/local/bin dir 755 0:0 0",
            "usr/local/bin/app file \"app\" 755 0:0 1700000000",
        ]
    );
    assert_eq!(built.history(), ["COPY app.bin /usr/local/bin/app # buildkit", "CMD [\"/usr/local/bin/app\"] (empty)"]);
    assert_eq!(built.config()["created"], "2023-11-14T22:13:20Z");
    assert_eq!(built.runtime()["Cmd"], serde_json::json!(["/usr/local/bin/app"]));
    assert_eq!(built.stdout(), format!("{APP}@{}\n", built.digest()));
}

#[test]
fn two_tags_in_one_repository_need_blobs_once() {
    let built = dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .arguments(&["-d", "registry.test/app:2", "-d", "other.test/app"])
        .built();
    let digest = built.digest();
    assert_eq!(built.stdout(), format!("{APP}@{digest}\n{APP}@{digest}\nother.test/app@{digest}\n"));
    let events = built.host.events();
    let blobs = |of: &str| {
        let of = |event: &&RegistryEvent| matches!(event, RegistryEvent::Blob { repository, .. } if repository == of);
        events.iter().filter(of).count()
    };
    assert_eq!((blobs(APP), blobs("other.test/app")), (2, 2));
    let manifests = events.iter().filter(|event| matches!(event, RegistryEvent::Manifest { .. })).count();
    assert_eq!(manifests, 3);
    assert_eq!(built.host.outputs()["image"], format!("{APP}@{digest}"));
}

#[test]
fn base_layers_are_mounted_from_their_repository() {
    let config = serde_json::json!({ "os": "linux", "architecture": "amd64" });
    let built = dockerfile("FROM registry.test/base\nCOPY Dockerfile /\n")
        .base("registry.test/base", FileTree::new().file("b", "b"), config)
        .built();
    assert_eq!(built.tree().paths(), ["Dockerfile", "b"]);
    let manifest = built.manifest();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
}

#[test]
fn layers_are_pushed_side_by_side() {
    let built = dockerfile("FROM scratch\nCOPY <<1 /1\n1\nCOPY <<2 /2\n2\nCOPY <<3 /3\n3\n").built();
    assert!(built.host.most_transfers_at_once() > 1);
    let finished = |end: &TaskEnd| matches!(end, TaskEnd::Finished(_));
    assert!(built.host.tasks().iter().all(|(_, end)| finished(end)), "{:?}", built.host.tasks());
}

#[test]
fn without_pushing_standard_output_is_the_digest() {
    let built = dockerfile("FROM scratch\n").only_arguments(&["--no-push"]).built();
    assert_eq!(built.stdout(), format!("{}\n", built.digest()));
    assert!(built.host.events().is_empty());
    let built = dockerfile("FROM scratch\n").only_arguments(&["--no-push", "-d", "registry.test/app:1"]).built();
    assert!(built.host.events().is_empty());
    assert_eq!(built.stdout(), format!("{}\n", built.digest()));
}

#[test]
fn files_that_are_asked_for() {
    let built = dockerfile("FROM scratch\nCOPY Dockerfile /\n")
        .only_arguments(&[
            "-d",
            "registry.test/app:1",
            "-d",
            "registry.test/b",
            "--digest-file",
            "d",
            "--image-name-with-digest-file",
            "n",
            "--image-name-tag-with-digest-file",
            "t",
            "--metadata-file",
            "m",
            "--tar-path",
            "x.tar",
            "--oci-archive-path",
            "y.tar",
            "--oci-layout-path",
            "layout",
        ])
        .built();
    let digest = built.digest();
    assert_eq!(built.written("d"), digest);
    assert_eq!(built.written("n"), format!("registry.test/app@{digest}\nregistry.test/b@{digest}\n"));
    assert_eq!(built.written("t"), format!("registry.test/app:1@{digest}\nregistry.test/b:latest@{digest}\n"));
    let metadata: serde_json::Value = serde_json::from_str(&built.written("m")).unwrap();
    assert_eq!(metadata["digest"], digest);
    assert_eq!(metadata["config"], built.manifest()["config"]["digest"]);
    assert_eq!(metadata["images"], serde_json::json!(["registry.test/app:1", "registry.test/b:latest"]));
    assert_eq!(metadata["layers"][0]["digest"], built.manifest()["layers"][0]["digest"]);
    assert_eq!(metadata["layers"][0]["diffId"], built.config()["rootfs"]["diff_ids"][0]);
    assert_eq!(metadata["platform"], "linux/amd64");
    for path in ["x.tar", "y.tar", "layout"] {
        assert!(built.host.written(path).is_some(), "{path}");
    }
}

#[test]
fn an_archive_alone_needs_no_destination() {
    let built = dockerfile("FROM scratch\n").only_arguments(&["--oci-layout-path", "layout"]).built();
    assert!(built.host.written("layout").is_some());
    assert!(built.host.events().is_empty());
}

#[test]
fn kaniko_options_without_effect_are_noted() {
    let built =
        dockerfile("FROM scratch\n").arguments(&["--cleanup", "--snapshot-mode=redo", "--ignore-path", "/x"]).built();
    assert_eq!(built.warnings().len(), 3);
    assert_eq!(built.warnings()[0], "`--cleanup` has no effect: it is accepted for Kaniko's sake");
}

#[test]
fn names_of_options_are_unique() {
    let description = steprun_build::describe();
    let parameters = &description.commands[0].parameters;
    let names: Vec<&str> =
        parameters.iter().flat_map(|one| std::iter::once(one.name).chain(one.aliases.iter().copied())).collect();
    let unique: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    assert!(parameters.iter().all(|one| !one.summary.ends_with('.')));
}
