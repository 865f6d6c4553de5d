//! The harness itself, without our binary: what goes in by hand comes out at the judges.

use steprun_tests::{Base, Layer, Registry, inspect, layout_of, scan, unpack};

fn assert_round_trip(registry: &Registry) {
    let layer = Layer::new()
        .directory("d", 0o750, (1, 2))
        .file("d/file", 0o4755, (3, 4), b"content")
        .symlink("link", "d/file")
        .hard_link("d/other", "d/file");
    let digest = Base::new(serde_json::json!({ "User": "1000:1000" })).layer(layer).push(registry, "team/base:1");
    assert_eq!(registry.repositories(), ["team/base"]);
    assert!(registry.stored(&digest).is_file());
    assert_eq!(inspect(registry, "team/base:1", false)["Digest"], digest);
    assert_eq!(inspect(registry, "team/base:1", true)["config"]["User"], "1000:1000");
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&layout_of(registry, "team/base:1", directory.path()), "image", directory.path());
    let lines: Vec<String> = scan(&root).iter().map(ToString::to_string).collect();
    let expected = [
        "d 0750 1:2 1700000000 d",
        "f 4755 3:4 1700000000 d/file \"content\"",
        "f 4755 3:4 1700000000 d/other = d/file",
        "l 0777 0:0 1700000000 link -> d/file",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn plain() {
    assert_round_trip(&Registry::plain());
}

#[test]
fn tls() {
    assert_round_trip(&Registry::tls());
}

#[test]
fn htpasswd() {
    assert_round_trip(&Registry::htpasswd());
}
