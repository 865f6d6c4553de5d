//! Named contexts.

use serde_json::json;
use steprun_ports::memory::FileTree;

use crate::support::{Build, dockerfile, push_image};

/// A build with the directory `dir` beside the context, and images `registry.test/one` and `registry.test/two`.
fn build(text: &str, arguments: &[&str]) -> Build {
    let mut build = dockerfile(text).arguments(arguments);
    let files = FileTree::new()
        .file("d", "D")
        .owner("d", 7, 8)
        .modified("d", 50)
        .file("left-out", "")
        .file(".dockerignore", "left-out\n.docker*\n");
    build.host = build.host.with_context("dir", files);
    for name in ["one", "two"] {
        let config = json!({
            "os": "linux", "architecture": "amd64", "created": "2020-01-01T00:00:00Z",
            "config": { "Labels": { "name": name }, "Env": [format!("NAME={name}")] },
        });
        push_image(&build.host, &format!("registry.test/{name}"), "latest", &FileTree::new().file(name, name), config);
    }
    build
}

const IMAGE: [&str; 2] = ["--build-context", "registry.test/one=docker-image://registry.test/two"];
const DIRECTORY: [&str; 2] = ["--build-context", "base=dir"];

#[test]
fn row_54_an_image_takes_the_place_of_another() {
    let built = build("FROM registry.test/one\nLABEL n=$NAME\n", &IMAGE).built();
    assert_eq!(built.tree().paths(), ["two"]);
    assert_eq!(built.runtime()["Labels"], json!({ "name": "two", "n": "two" }));
    assert!(built.warnings().is_empty(), "{:?}", built.warnings());
    let built = build("FROM scratch\nCOPY --from=registry.test/one / /\n", &IMAGE).built();
    assert_eq!(built.tree().paths(), ["two"]);
    let built = build("FROM scratch\nRUN --mount=from=registry.test/one,target=/m a\n", &IMAGE).running().built();
    let steprun_ports::MountSource::Bind(bind) = &built.command().mounts[0].source else { panic!("a bind mount") };
    assert_eq!(bind.snapshot.tree().paths(), ["two"]);
}

#[test]
fn row_54_a_directory_takes_the_place_of_an_image() {
    for (lines, listing) in [
        ("FROM base\n", "d file \"D\" 644 0:0 50"),
        ("FROM scratch\nCOPY --from=base d /x\n", "x file \"D\" 644 0:0 50"),
        ("FROM scratch\nCOPY --from=base / /\n", "d file \"D\" 644 0:0 50"),
        ("FROM base AS other\nFROM scratch\nCOPY --from=other d /x\n", "x file \"D\" 644 0:0 50"),
    ] {
        let built = build(lines, &DIRECTORY).built();
        assert_eq!(built.listing(), [listing], "{lines}");
        assert_eq!(built.config()["created"], "1970-01-01T00:00:50Z", "{lines}");
        assert_eq!(built.history().len(), 1, "{lines}");
    }
    let built = build("FROM scratch\nRUN --mount=from=base,target=/m a\n", &DIRECTORY).running().built();
    let steprun_ports::MountSource::Bind(bind) = &built.command().mounts[0].source else { panic!("a bind mount") };
    assert_eq!(bind.snapshot.tree().paths(), ["d"]);
}

#[test]
fn row_54_a_context_takes_the_place_of_a_stage_of_its_name() {
    // The stage's own instructions, base and needs are not looked at.
    let text = "FROM registry.test/none AS base\nRUN make\nCOPY --from=nowhere x /\nFROM scratch\nCOPY --from=0 d /zero\nCOPY --from=base d /\n";
    let built = build(text, &DIRECTORY).built();
    assert_eq!(built.tree().paths(), ["d", "zero"]);
    let text = "FROM scratch AS stage\nLABEL own=1\nFROM Stage\nLABEL child=1\n";
    let built = build(text, &["--build-context", "stage=docker-image://registry.test/one"]).built();
    assert_eq!(built.runtime()["Labels"], json!({ "name": "one", "child": "1" }));
    // As the target.
    let built = build("FROM scratch AS base\nLABEL own=1\n", &DIRECTORY).built();
    assert_eq!((built.tree().paths(), &built.runtime()["Labels"]), (vec!["d"], &serde_json::Value::Null));
}

#[test]
fn row_54_the_last_of_a_name_counts_and_unused_ones_are_told() {
    let arguments = ["--build-context", "base=docker-image://registry.test/one", DIRECTORY[0], DIRECTORY[1]];
    assert_eq!(build("FROM base\n", &arguments).built().tree().paths(), ["d"]);
    for (text, meant) in [("FROM scratch\n", ""), ("FROM scratch AS bsae\n", " (did you mean `bsae`?)")] {
        let built = build(text, &DIRECTORY).built();
        assert_eq!(built.warnings(), [format!("no stage that is built uses the named context `base`{meant}")]);
    }
    let failure = build("FROM scratch\nCOPY --from=bsae d /\n", &DIRECTORY).fails();
    assert_eq!(failure.hint.as_deref(), Some("did you mean the named context `base`?"));
}

#[test]
fn row_54_scratch_takes_the_place_of_an_image() {
    let arguments = ["--build-context", "registry.test/none=docker-image://scratch"];
    let built = build("FROM registry.test/none\nCOPY Dockerfile /\n", &arguments).built();
    assert_eq!(built.tree().paths(), ["Dockerfile"]);
    let built = build("FROM scratch\nCOPY --from=registry.test/none / /\n", &arguments).built();
    assert!(built.tree().paths().is_empty());
}

#[test]
fn row_144_a_directory_has_its_own_ignore_file() {
    let failure = build("FROM scratch\nCOPY --from=base left-out /\n", &DIRECTORY).fails();
    assert_eq!(
        failure.hint.as_deref(),
        Some("the pattern `left-out` in base: .dockerignore leaves it out of the context")
    );
    // That of the context has no say.
    let build = build("FROM scratch\nCOPY --from=base d /\n", &DIRECTORY);
    let build = build.context(|tree| tree.file(".dockerignore", "d\n"));
    assert_eq!(build.built().tree().paths(), ["d"]);
}

#[test]
fn row_54_source_date_epoch_limits_files_of_a_directory() {
    let built = build("FROM base\n", &DIRECTORY).arguments(&["--source-date-epoch", "20"]).built();
    assert_eq!(built.listing(), ["d file \"D\" 644 0:0 20"]);
}
