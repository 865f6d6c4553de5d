//! The unpacked tree equals what the Dockerfile says, entry by entry: type, mode, owner, time, link target, attributes, links.

use std::path::Path;

use serde_json::json;
use steprun_tests::{Base, Context, Layer, Registry, User, layout_of, scan, unpack};

/// Builds, pushes, copies out with skopeo, unpacks with umoci, and compares with the lines expected.
#[track_caller]
fn assert_tree(registry: &Registry, context: &Context, expected: &[&str]) {
    let user = User::new();
    let path = context.path().to_str().unwrap();
    user.succeeds(["build", "-c", path, "-d", &registry.image("app:1")]);
    let root = unpack(&layout_of(registry, "app:1", user.home()), "image", user.home());
    assert_lines(&root, expected);
}

#[track_caller]
fn assert_lines(root: &Path, expected: &[&str]) {
    let found: Vec<String> = scan(root).iter().map(ToString::to_string).collect();
    assert!(found == expected, "found:\n{}\nexpected:\n{}", found.join("\n"), expected.join("\n"));
}

#[test]
fn everything_that_a_layer_records() {
    let context = Context::with_dockerfile("FROM scratch\nCOPY src/ /\n")
        .file("src/plain", "text")
        .file("src/script", "#!/bin/sh\n")
        .mode("src/script", 0o755)
        .file("src/setuid", "")
        .mode("src/setuid", 0o4711)
        .file("src/secret", "")
        .mode("src/secret", 0o600)
        .file("src/old", "")
        .modified("src/old", 86_400)
        .directory("src/empty")
        .mode("src/empty", 0o1777)
        .file("src/deep/down/file", "x")
        .modified("src/deep", 1_600_000_000)
        .symlink("src/link", "deep/down/file")
        .symlink("src/dangling", "/nowhere")
        .hard_link("src/second", "src/plain")
        .file("src/tagged", "t")
        .xattr("src/tagged", "user.note", b"kept")
        .file("src/ünï cödé", "");
    assert_tree(
        &Registry::plain(),
        &context,
        &[
            "l 0777 0:0 1700000000 dangling -> /nowhere",
            "d 0755 0:0 1600000000 deep",
            "d 0755 0:0 1700000000 deep/down",
            "f 0644 0:0 1700000000 deep/down/file \"x\"",
            "d 1777 0:0 1700000000 empty",
            "l 0777 0:0 1700000000 link -> deep/down/file",
            "f 0644 0:0 86400 old \"\"",
            "f 0644 0:0 1700000000 plain \"text\"",
            "f 0755 0:0 1700000000 script \"#!/bin/sh\\n\"",
            "f 0644 0:0 1700000000 second = plain",
            "f 0600 0:0 1700000000 secret \"\"",
            "f 4711 0:0 1700000000 setuid \"\"",
            "f 0644 0:0 1700000000 tagged \"t\" user.note=\"kept\"",
            "f 0644 0:0 1700000000 ünï cödé \"\"",
        ],
    );
}

#[test]
fn owners_and_modes_by_flag() {
    let dockerfile = "FROM scratch\nCOPY accounts/ /etc/\nCOPY --chown=1000:1001 f /numbers\nCOPY --chown=app f /user\n\
                      COPY --chown=app:staff f /both\nCOPY --chmod=0640 f /mode\nCOPY --chown=7 --chmod=u=rwx,go=rx d/ /d/\n";
    let context = Context::with_dockerfile(dockerfile)
        .file("accounts/passwd", "root:x:0:0::/:\napp:x:500:501::/:\n")
        .file("accounts/group", "root:x:0:\nstaff:x:50:\n")
        .file("f", "f")
        .owner("f", 33, 33)
        .file("d/x", "x");
    assert_tree(
        &Registry::plain(),
        &context,
        &[
            "f 0644 500:50 1700000000 both \"f\"",
            "d 0755 7:7 0 d",
            "f 0755 7:7 1700000000 d/x \"x\"",
            "d 0755 0:0 0 etc",
            "f 0644 0:0 1700000000 etc/group \"root:x:0:\\nstaff:x:50:\\n\"",
            "f 0644 0:0 1700000000 etc/passwd \"root:x:0:0::/:\\napp:x:500:501::/:\\n\"",
            "f 0640 0:0 1700000000 mode \"f\"",
            "f 0644 1000:1001 1700000000 numbers \"f\"",
            "f 0644 500:501 1700000000 user \"f\"",
        ],
    );
}

#[test]
fn links_and_directories_of_the_base_stay() {
    let registry = Registry::plain();
    let layer = Layer::new()
        .directory("usr", 0o755, (0, 0))
        .directory("usr/lib", 0o750, (3, 4))
        .file("usr/lib/old", 0o644, (0, 0), b"old")
        .symlink("lib", "usr/lib")
        .directory("tmp", 0o1777, (0, 0))
        .hard_link("twin", "usr/lib/old");
    Base::new(json!({})).layer(layer).push(&registry, "base:1");
    let dockerfile =
        format!("FROM {}\nCOPY new /lib/new\nCOPY new /lib/sub/\nCOPY new /tmp/\n", registry.image("base:1"));
    let context = Context::with_dockerfile(&dockerfile).file("new", "new");
    assert_tree(
        &registry,
        &context,
        &[
            "l 0777 0:0 1700000000 lib -> usr/lib",
            "d 1777 0:0 1700000000 tmp",
            "f 0644 0:0 1700000000 tmp/new \"new\"",
            "f 0644 0:0 1700000000 twin \"old\"",
            "d 0755 0:0 1700000000 usr",
            "d 0750 3:4 1700000000 usr/lib",
            "f 0644 0:0 1700000000 usr/lib/new \"new\"",
            "f 0644 0:0 1700000000 usr/lib/old = twin",
            "d 0755 0:0 0 usr/lib/sub",
            "f 0644 0:0 1700000000 usr/lib/sub/new \"new\"",
        ],
    );
}

#[test]
fn copy_rules_of_names() {
    let dockerfile = "FROM scratch\nWORKDIR /work\nCOPY a renamed\nCOPY a into/\nCOPY a b dir/\nCOPY *.txt globbed/\nCOPY tree merged\nCOPY tree/ merged\n\
                      COPY a .\n";
    let context = Context::with_dockerfile(dockerfile)
        .file("a", "A")
        .file("b", "B")
        .file("one.txt", "1")
        .file("two.txt", "2")
        .file("tree/t", "T");
    assert_tree(
        &Registry::plain(),
        &context,
        &[
            "d 0755 0:0 0 work",
            "f 0644 0:0 1700000000 work/a \"A\"",
            "d 0755 0:0 0 work/dir",
            "f 0644 0:0 1700000000 work/dir/a \"A\"",
            "f 0644 0:0 1700000000 work/dir/b \"B\"",
            "d 0755 0:0 0 work/globbed",
            "f 0644 0:0 1700000000 work/globbed/one.txt \"1\"",
            "f 0644 0:0 1700000000 work/globbed/two.txt \"2\"",
            "d 0755 0:0 0 work/into",
            "f 0644 0:0 1700000000 work/into/a \"A\"",
            "d 0755 0:0 0 work/merged",
            "f 0644 0:0 1700000000 work/merged/t \"T\"",
            "f 0644 0:0 1700000000 work/renamed \"A\"",
        ],
    );
}

#[test]
fn archives_are_unpacked_by_add_alone() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_path("inside/file").unwrap();
    header.set_mode(0o640);
    header.set_uid(5);
    header.set_gid(6);
    header.set_mtime(1_500_000_000);
    header.set_size(2);
    header.set_cksum();
    builder.append(&header, b"in".as_slice()).unwrap();
    let archive = builder.into_inner().unwrap();
    let digest = steprun_tests::sha256(&archive);
    let context =
        Context::with_dockerfile("FROM scratch\nADD x.tar /added/\nCOPY x.tar /copied/\n").file("x.tar", &archive);
    assert_tree(
        &Registry::plain(),
        &context,
        &[
            "d 0755 0:0 0 added",
            "d 0755 0:0 0 added/inside",
            "f 0640 5:6 1500000000 added/inside/file \"in\"",
            "d 0755 0:0 0 copied",
            &format!("f 0644 0:0 1700000000 copied/x.tar {} bytes {digest}", archive.len()),
        ],
    );
}
