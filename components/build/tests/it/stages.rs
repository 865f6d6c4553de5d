//! Stages, targets, bases and ONBUILD.

use serde_json::{Value, json};
use steprun_ports::memory::{FileTree, block_on};
use steprun_ports::{Error, FailureKind, Repository};

use crate::support::{dockerfile, push_image, push_index};

fn plain() -> Value {
    json!({ "os": "linux", "architecture": "amd64" })
}

#[test]
fn row_41_targets() {
    let text = "FROM scratch AS One\nLABEL s=1\nFROM scratch\nLABEL s=2\nFROM scratch AS three\nLABEL s=3\n";
    for (target, label) in [(None, "3"), (Some("one"), "1"), (Some("ONE"), "1"), (Some("1"), "2"), (Some("three"), "3")]
    {
        let arguments: Vec<&str> = target.iter().flat_map(|target| ["--target", target]).collect();
        let built = dockerfile(text).arguments(&arguments).built();
        assert_eq!(built.runtime()["Labels"]["s"], label, "{target:?}");
    }
    let failure = dockerfile(text).arguments(&["--target", "thre"]).fails();
    assert_eq!(failure.to_string(), "the Dockerfile has no stage `thre`");
    assert_eq!(failure.hint.as_deref(), Some("did you mean `three`?"));
}

#[test]
fn row_41_stages_that_are_not_needed_are_not_built() {
    let built = dockerfile(
        "FROM registry.test/not-there AS a\nRUN x\nFROM $undefined AS b\nFROM scratch AS c\nCOPY missing /\nFROM scratch AS d\nLABEL a=b\n",
    )
    .built();
    assert!(built.warnings().is_empty());
}

#[test]
fn rows_38_39_104_copy_from() {
    let has = |lines: &str| {
        let text =
            format!("FROM scratch AS Base\nCOPY a /a\nFROM scratch AS other\nCOPY a /b\nFROM scratch\n{lines}\n");
        let tree = FileTree::new().file("img", "");
        let build = dockerfile(&text).base("registry.test/base", tree, plain()).context(|tree| tree.file("a", ""));
        build.built().tree().paths().join(" ")
    };
    assert_eq!(has("COPY --from=base / /"), "a");
    assert_eq!(has("COPY --from=BASE / /"), "a");
    assert_eq!(has("COPY --from=1 / /"), "b");
    assert_eq!(has("COPY --from=0 a /x"), "x");
    assert_eq!(has("COPY --from=registry.test/base img /x"), "x");
    for (lines, message) in [
        ("COPY --from=1 / /", "stage 1 can't copy from itself"),
        ("COPY --from=me / /", "the stage `me` can't copy from itself"),
        ("COPY --from=2 / /", "the stage `2` is defined later"),
        ("COPY --from=later / /", "the stage `later` is defined later"),
        ("COPY --from=7 / /", "there is no stage 7"),
        (
            "COPY --from=$x / /",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        ),
        ("COPY --from=scratch / /", "`scratch` is empty"),
    ] {
        let text = format!("FROM scratch\nFROM scratch AS me\n{lines}\nFROM scratch AS later\n");
        assert_eq!(dockerfile(&text).arguments(&["--target", "me"]).fails().message, message);
    }
}

#[test]
fn row_39_a_stage_wins_over_an_image_of_the_same_name() {
    let built = dockerfile("FROM scratch AS debian\nLABEL a=b\nFROM debian\nLABEL c=d\n").built();
    assert_eq!(built.runtime()["Labels"], json!({ "a": "b", "c": "d" }));
}

#[test]
fn a_child_stage_has_its_parents_layers() {
    let built = dockerfile("FROM scratch AS a\nCOPY <<1 /1\n1\nFROM a\nCOPY <<2 /2\n2\n").built();
    assert_eq!(built.tree().paths(), ["1", "2"]);
    assert_eq!(built.manifest()["layers"].as_array().unwrap().len(), 2);
    assert_eq!(built.history(), ["COPY <<1 /1 # buildkit", "COPY <<2 /2 # buildkit"]);
}

#[test]
fn row_37_images_by_tag_and_digest() {
    let build = dockerfile("");
    let digest = push_image(&build.host, "registry.test/base", "1.0", &FileTree::new().file("f", ""), plain()).digest;
    // The tag is another image's since.
    push_image(&build.host, "registry.test/base", "1.0", &FileTree::new().file("g", ""), plain());
    for (name, path) in [
        ("registry.test/base:1.0".to_owned(), "g"),
        (format!("registry.test/base@{digest}"), "f"),
        (format!("registry.test/base:1.0@{digest}"), "f"),
    ] {
        for text in [format!("FROM {name}\n"), format!("ARG B={name}\nFROM $B\n")] {
            let next = dockerfile(&text);
            let built = crate::support::Build { host: build.host.clone(), ..next }.built();
            assert_eq!(built.tree().paths(), [path], "{text}");
        }
    }
    assert!(dockerfile("FROM scratch\n").built().tree().paths().is_empty());
}

#[test]
fn layers_of_a_base_are_never_opened_for_metadata() {
    // The layer is no archive: opening it would fail.
    let build = dockerfile("FROM registry.test/base\nENV A=1\n");
    let host = &build.host;
    let repository = host.repository("registry.test/base");
    let layer = host.store_blob("application/vnd.oci.image.layer.v1.tar+gzip", b"not a layer");
    let mut config = plain();
    config["rootfs"] = json!({ "type": "layers", "diff_ids": [steprun_ports::memory::digest(b"x")] });
    let config = host.store_blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let value = |blob: &steprun_ports::memory::MemoryBlob| {
        let found = steprun_ports::Blob::descriptor(blob);
        json!({ "mediaType": found.media_type, "digest": found.digest, "size": found.size })
    };
    for blob in [&layer, &config] {
        block_on(repository.push(blob)).unwrap();
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": value(&config), "layers": [value(&layer)],
    });
    let bytes = manifest.to_string().into_bytes();
    let put = repository.put_manifest("latest", "application/vnd.oci.image.manifest.v1+json", &bytes);
    block_on(put).unwrap();
    let built = build.built();
    assert_eq!(built.manifest()["layers"][0]["digest"], value(&layer)["digest"]);
}

#[test]
fn row_53_an_index_gives_the_child_for_the_platform() {
    let build = |lines: &str, arguments: &[&str]| {
        let build = dockerfile(lines).arguments(arguments);
        push_index(&build.host, "registry.test/base", &["linux/amd64", "linux/arm64", "unknown/unknown"]);
        build
    };
    let arch = |lines: &str, arguments: &[&str]| {
        let built = build(lines, arguments).built();
        format!("{} {}", built.runtime()["Labels"]["arch"], built.config()["architecture"])
    };
    assert_eq!(arch("FROM registry.test/base\n", &[]), "\"amd64\" \"amd64\"");
    assert_eq!(arch("FROM registry.test/base\n", &["--platform", "linux/arm64"]), "\"arm64\" \"arm64\"");
    assert_eq!(arch("FROM --platform=linux/arm64 registry.test/base\n", &[]), "\"arm64\" \"arm64\"");
    assert_eq!(
        arch("FROM --platform=$BUILDPLATFORM registry.test/base\n", &["--custom-platform", "linux/arm64"]),
        "\"amd64\" \"arm64\""
    );
    let failure = build("FROM registry.test/base\n", &["--platform", "linux/s390x"]).fails();
    assert!(failure.to_string().contains("it has linux/amd64, linux/arm64"), "{failure}");
    assert_eq!(failure.position.map(|position| position.line), Some(1));
}

#[test]
fn row_132_triggers_run_once_and_are_cleared() {
    let mut config = plain();
    config["config"] = json!({ "OnBuild": ["ARG V=1", "ENV R=$V", "COPY a /t/", "COPY --from=src b /t/"] });
    let built =
        dockerfile("FROM scratch AS src\nCOPY b /b\nFROM registry.test/base AS mid\nONBUILD LABEL x=y\nFROM mid\n")
            .base("registry.test/base", FileTree::new(), config)
            .context(|tree| tree.file("a", "").file("b", ""))
            .arguments(&["--build-arg", "V=2"])
            .built();
    assert_eq!(built.tree().paths(), ["t", "t/a", "t/b"]);
    assert_eq!(built.runtime()["OnBuild"], Value::Null);
    assert_eq!(built.runtime()["Labels"], json!({ "x": "y" }));
    assert!(built.runtime()["Env"].as_array().unwrap().contains(&json!("R=2")));
    assert!(built.warnings().is_empty(), "{:?}", built.warnings());
}

#[test]
fn row_132_a_trigger_that_fails_says_whose_it_is() {
    let mut config = plain();
    config["config"] = json!({ "OnBuild": ["RUN make"] });
    let failure = dockerfile("FROM registry.test/base\n").base("registry.test/base", FileTree::new(), config).fails();
    assert_eq!(failure.message, "`RUN make` could not be run");
    assert_eq!(failure.position.map(|position| position.file).as_deref(), Some("ONBUILD of registry.test/base"));
}

#[test]
fn bases_that_are_not_there() {
    let failure = dockerfile("FROM scratch\nFROM registry.test/none:1\n").fails();
    assert!(failure.message.contains("registry.test/none:1"), "{failure}");
    assert_eq!(failure.position.map(|position| (position.line, position.column)), Some((2, 6)));
    let failure = dockerfile("FROM ${X}\n").fails();
    assert_eq!(failure.message, "the name of the base image is empty");
    assert!(failure.hint.unwrap_or_default().contains("`$X` is not defined"));
}

#[test]
fn errors_of_the_registry_keep_their_kind() {
    for (error, kind) in [
        (Error::Unavailable("down".into()), FailureKind::Unavailable),
        (Error::Corrupt("wrong digest".into()), FailureKind::Verification),
        (Error::Unauthorized("who?".into()), FailureKind::Failed),
    ] {
        let build = dockerfile("FROM registry.test/base:x\n");
        build.host.fail_on("x", error);
        assert_eq!(build.fails().kind, kind);
    }
    let build = dockerfile("FROM other.test/base\n");
    let host = build.host.clone().with_allowed_pulls(&["registry.test"]);
    let failure = crate::support::Build { host, ..build }.fails();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert_eq!(failure.hint.as_deref(), Some("--allow-pull other.test"));
}
