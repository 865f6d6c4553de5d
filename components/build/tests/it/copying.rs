//! COPY and ADD: where files land and with which metadata. The number in a test's name or text is a row of the checklist.

use serde_json::json;
use steprun_ports::Timestamp;
use steprun_ports::memory::{FileTree, Node, NodeKind};

use crate::support::{Build, dockerfile};

/// A context with some of everything.
fn context(tree: FileTree) -> FileTree {
    tree.file("a", "A")
        .mode("a", 0o640)
        .owner("a", 1000, 1000)
        .modified("a", 100)
        .file("b.txt", "B")
        .file("c.txt", "C")
        .file("d/x", "X")
        .file("d/sub/y", "Y")
        .mode("d", 0o700)
        .mode("d/sub", 0o710)
        .modified("d/sub", 200)
        .symlink("link", "a")
        .symlink("d/rel", "x")
        .symlink("dirlink", "d")
        .file("we ird/ü[1]", "W")
}

/// A base with accounts and some directories.
fn base(tree: FileTree) -> FileTree {
    tree.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:500:600::/home/me:/bin/sh\n")
        .file("etc/group", "root:x:0:\nme:x:600:\nstaff:x:50:\n")
        .directory("tmp")
        .mode("tmp", 0o1777)
        .owner("tmp", 7, 8)
        .symlink("link", "usr/real")
        .directory("usr/real")
        .file("file", "old")
        .symlink("filelink", "file")
        .directory("have/sub")
        .owner("have/sub", 3, 3)
}

fn on_base(lines: &str) -> Build {
    let config = json!({ "os": "linux", "architecture": "amd64" });
    dockerfile(&format!("FROM registry.test/base\n{lines}\n"))
        .base("registry.test/base", base(FileTree::new()), config)
        .context(context)
}

/// The entries that lines add to scratch.
fn copied(lines: &str) -> Vec<String> {
    dockerfile(&format!("FROM scratch\n{lines}\n")).context(context).built().listing()
}

/// The paths that lines add to scratch.
fn paths(lines: &str) -> Vec<String> {
    let built = dockerfile(&format!("FROM scratch\n{lines}\n")).context(context).built();
    built.tree().paths().into_iter().map(str::to_owned).collect()
}

/// One entry of an image on the base.
fn entry(lines: &str, path: &str) -> String {
    let listing = on_base(lines).built().listing();
    let prefix = format!("{path} ");
    listing.into_iter().find(|line| line.starts_with(&prefix)).unwrap_or_else(|| format!("{path} is not there"))
}

#[test]
fn rows_83_to_88_destinations_and_sources() {
    for (row, lines, wanted) in [
        ("83 file to file", "COPY a /x", "x"),
        ("83 file to directory", "COPY a /x/", "x x/a"),
        ("83 contents of a directory", "COPY d /x", "x x/rel x/sub x/sub/y x/x"),
        ("83 many to a directory", "COPY a b.txt /x/", "x x/a x/b.txt"),
        ("84 relative to WORKDIR", "WORKDIR /w\nCOPY a x", "w w/x"),
        ("84 .", "WORKDIR /w\nCOPY a .", "w w/a"),
        ("84 ./", "WORKDIR /w\nCOPY a ./", "w w/a"),
        ("84 ./ without WORKDIR", "COPY a ./", "a"),
        ("84 a dot behind", "COPY a /x/.", "x x/a"),
        ("85 .. is clamped", "COPY ../../a /x", "x"),
        ("86 trailing slash", "COPY d/ /x", "x x/rel x/sub x/sub/y x/x"),
        ("86 trailing dot", "COPY d/sub/. /x", "x x/y"),
        ("87 *", "COPY *.txt /x/", "x x/b.txt x/c.txt"),
        ("87 ?", "COPY ?.txt /x/", "x x/b.txt x/c.txt"),
        ("87 class", "COPY [bz].txt /x/", "x x/b.txt"),
        ("87 a directory that matches gives its contents", "COPY su[b] d* /x/", "x x/rel x/sub x/sub/y x/x"),
        ("87 within a path", "COPY d/s*/y /x", "x"),
        ("87 escape", "COPY [\"we ird/ü\\\\\\\\[1]\", \"/x\"]", "x"),
        ("87 escape by a class", "COPY [\"we ird/ü[[]1]\", \"/x\"]", "x"),
        ("87 no match is no error", "COPY nothing* /x/", ""),
        ("88 JSON with spaces", "COPY [\"we ird/\", \"/x y/\"]", "x y x y/ü[1]"),
        ("83 deep parents", "COPY a /1/2/3", "1 1/2 1/2/3"),
    ] {
        assert_eq!(paths(lines).join(" "), wanted, "{row}");
    }
    // 83: of several files each would replace the one before.
    assert!(dockerfile("FROM scratch\nCOPY a b.txt /x\n").context(context).fails().message.contains("to the one name"));
    // 84: a dot is a directory even where nothing is.
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "WorkingDir": "/w" } });
    let base = dockerfile("FROM registry.test/base\nCOPY a .\n").base("registry.test/base", FileTree::new(), config);
    assert_eq!(base.context(context).built().tree().paths(), ["w", "w/a"]);
}

#[test]
fn row_89_from_the_context_everything_is_roots() {
    assert_eq!(copied("COPY a /x"), ["x file \"A\" 640 0:0 100"]);
}

#[test]
fn row_90_from_a_stage_owner_mode_and_links_are_kept() {
    let config = json!({ "os": "linux", "architecture": "amd64" });
    let tree = FileTree::new().file("s/one", "1").owner("s/one", 5, 6).mode("s/one", 0o4755).modified("s/one", 9);
    let tree = tree.hard_link("s/two", "s/one").symlink("s/l", "/abs");
    let built = dockerfile("FROM registry.test/base AS from\nFROM scratch\nCOPY --from=from /s /t\n")
        .base("registry.test/base", tree, config)
        .built();
    assert_eq!(
        built.listing(),
        [
            "t dir 755 0:0 0",
            "t/l -> /abs 777 0:0 0",
            "t/one file \"1\" 4755 5:6 9",
            "t/two file \"1\" 4755 5:6 9 = t/one"
        ]
    );
}

#[test]
fn row_91_made_parents() {
    assert_eq!(copied("COPY a /p/x")[0], "p dir 755 0:0 0");
    assert_eq!(copied("COPY --chown=5:6 a /p/x"), ["p dir 755 5:6 0", "p/x file \"A\" 640 5:6 100"]);
    assert_eq!(copied("COPY --chmod=750 a /p/x"), ["p dir 750 0:0 0", "p/x file \"A\" 750 0:0 100"]);
    assert_eq!(copied("COPY --chmod=4750 a /p/x")[0], "p dir 750 0:0 0");
    assert_eq!(copied("COPY --chmod=go= a /p/x"), ["p dir 755 0:0 0", "p/x file \"A\" 600 0:0 100"]);
    assert_eq!(copied("COPY d/sub /p")[0], "p dir 755 0:0 0");
}

#[test]
fn row_92_existing_directories() {
    assert_eq!(entry("COPY a /tmp/", "tmp"), "tmp dir 1777 7:8 0");
    assert_eq!(entry("COPY --chown=9:9 d /tmp", "tmp"), "tmp dir 1777 7:8 0");
    assert_eq!(entry("COPY d /have", "have"), "have dir 755 0:0 0");
    assert_eq!(entry("COPY d /have", "have/sub"), "have/sub dir 710 0:0 200");
}

#[test]
fn row_93_directories_and_files_dont_replace_each_other() {
    for (lines, message) in [
        ("COPY d /file", "could not copy to /file: /file is no directory"),
        ("COPY a /file/", "could not copy to /file: /file is no directory"),
        ("COPY a /file/x", "could not copy to /file: /file is no directory"),
        ("COPY d/sub/y /tmp/y/\nCOPY d/sub /tmp", "the directory /tmp/y can't be replaced by a file"),
        ("COPY a /tmp/sub\nCOPY d /tmp", "/tmp/sub is no directory, so a directory can't be copied onto it"),
    ] {
        assert_eq!(on_base(lines).fails().to_string(), message, "{lines}");
    }
}

#[test]
fn row_94_files_are_replaced() {
    assert_eq!(entry("COPY a /file", "file"), "file file \"A\" 640 0:0 100");
    assert_eq!(entry("COPY d/rel /\nCOPY d /", "rel"), "rel -> x 777 0:0 0");
    assert_eq!(entry("COPY d /\nCOPY d /", "rel"), "rel -> x 777 0:0 0");
    assert_eq!(entry("COPY d /l/\nCOPY a /l/rel2\nCOPY a b.txt /l/", "l/a"), "l/a file \"A\" 640 0:0 100");
}

#[test]
fn row_95_destinations_through_links() {
    assert_eq!(entry("COPY a /link/x", "usr/real/x"), "usr/real/x file \"A\" 640 0:0 100");
    assert_eq!(entry("COPY a /link/", "usr/real/a"), "usr/real/a file \"A\" 640 0:0 100");
    assert_eq!(entry("COPY d /link", "usr/real/sub"), "usr/real/sub dir 710 0:0 200");
    assert_eq!(entry("COPY a /link", "link"), "link -> usr/real 777 0:0 0");
    assert_eq!(entry("COPY a /filelink", "file"), "file file \"A\" 640 0:0 100");
}

#[test]
fn row_96_links_as_sources() {
    assert_eq!(copied("COPY link /x"), ["x file \"A\" 640 0:0 100"]);
    assert_eq!(copied("COPY link /x/")[1], "x/link file \"A\" 640 0:0 100");
    assert_eq!(copied("COPY lin* /x/")[1], "x/link file \"A\" 640 0:0 100");
    assert_eq!(paths("COPY dirlink /x").join(" "), "x x/rel x/sub x/sub/y x/x");
    assert_eq!(copied("COPY d /x")[1], "x/rel -> x 777 0:0 0");
    assert_eq!(copied("COPY dirlink/x /x"), ["x file \"X\" 644 0:0 0"]);
}

#[test]
fn row_96_a_copied_link_leads_the_next_source_of_the_same_copy() {
    // The second copy goes through the link that the first one has put there.
    let config = json!({ "os": "linux", "architecture": "amd64" });
    let tree = FileTree::new().directory("real").directory("s1").symlink("s1/l", "/real").file("s2/l2", "2");
    let built = dockerfile("FROM registry.test/base AS b\nFROM b\nCOPY --from=b s1 s2 /\nCOPY --from=b s2 /l/\n")
        .base("registry.test/base", tree, config)
        .built();
    assert!(built.tree().get("real/l2").is_some());
    // So does the second archive of one ADD, as an archive may go through a link that stands where it has a directory.
    let files = |tree: FileTree| {
        let link = FileTree::new().directory("real").symlink("l", "/real");
        tree.file("1.tar", archive(link)).file("2.tar", archive(FileTree::new().file("l/f", "F")))
    };
    let built = dockerfile("FROM scratch\nADD 1.tar 2.tar /\n").context(files).built();
    assert_eq!(built.tree().paths(), ["l", "real", "real/f"]);
}

#[test]
fn row_98_owners() {
    for (spec, wanted) in [
        ("5", "5:5"),
        ("5:6", "5:6"),
        ("me", "500:600"),
        ("me:staff", "500:50"),
        ("me:7", "500:7"),
        ("7:staff", "7:50"),
        (":7", "0:7"),
        (":staff", "0:50"),
        ("me:", "500:600"),
        (":", "0:0"),
    ] {
        let line = entry(&format!("COPY --chown={spec} a /x"), "x");
        assert_eq!(line, format!("x file \"A\" 640 {wanted} 100"), "{spec}");
    }
    assert_eq!(entry("ARG U=me\nCOPY --chown=$U a /x", "x"), "x file \"A\" 640 500:600 100");
}

#[test]
fn row_99_unknown_owners_fail() {
    for (spec, message) in [
        ("nobody", "there is no user `nobody` in /etc/passwd of this stage"),
        ("me:nogroup", "there is no group `nogroup` in /etc/group of this stage"),
        (":nogroup", "there is no group `nogroup` in /etc/group of this stage"),
    ] {
        let failure = on_base(&format!("COPY --chown={spec} a /x")).fails();
        assert_eq!(failure.message, message);
        assert_eq!(failure.position.map(|position| position.line), Some(2), "{spec}");
    }
}

#[test]
fn row_100_modes() {
    for (spec, wanted) in
        [("600", "600"), ("0755", "755"), ("4755", "4755"), ("u=rwX,go=rX", "644"), ("a+x", "751"), ("g=u", "660")]
    {
        let line = entry(&format!("COPY --chmod={spec} a /x"), "x");
        assert_eq!(line, format!("x file \"A\" {wanted} 0:0 100"), "{spec}");
    }
    assert_eq!(entry("COPY --chmod=u=rwX,go=rX d /have", "have/sub"), "have/sub dir 755 0:0 200");
    let closed = dockerfile("FROM scratch\nCOPY --chmod=a=rX closed /\n");
    let closed = closed.context(|tree| tree.directory("closed/in").mode("closed/in", 0o600)).built();
    assert_eq!(closed.listing(), ["in dir 555 0:0 0"]);
    let failure = on_base("COPY --chmod=99 a /x").fails();
    assert!(failure.message.contains("99"), "{failure}");
}

#[test]
fn row_101_link_does_not_follow_links() {
    assert_eq!(entry("COPY --link a /link/x", "link/x"), "link/x file \"A\" 640 0:0 100");
    assert_eq!(entry("COPY --link a /tmp/x", "tmp"), "tmp dir 1777 7:8 0");
    assert_eq!(entry("COPY --link d /file", "file"), "file dir 755 0:0 0");
    // What is in the way of something in a copied directory goes, too.
    assert_eq!(entry("COPY d/sub/y /tmp/y/\nCOPY --link d/sub /tmp", "tmp/y"), "tmp/y file \"Y\" 644 0:0 0");
    assert_eq!(entry("COPY a /tmp/sub\nCOPY --link d /tmp", "tmp/sub"), "tmp/sub dir 710 0:0 200");
}

#[test]
fn row_102_parents() {
    for (row, lines, wanted) in [
        ("keeps the path", "COPY --parents d/sub/y /x/", "x x/d x/d/sub x/d/sub/y"),
        ("pivot", "COPY --parents d/./sub/y /x/", "x x/sub x/sub/y"),
        ("patterns", "COPY --parents d/*/y a /x/", "x x/a x/d x/d/sub x/d/sub/y"),
        ("**", "COPY --parents **/y /x/", "x x/d x/d/sub x/d/sub/y"),
        ("a directory", "COPY --parents d/sub /x/", "x x/d x/d/sub x/d/sub/y"),
        ("nothing matches", "COPY --parents **/none /x/", ""),
    ] {
        assert_eq!(paths(lines).join(" "), wanted, "{row}");
    }
    assert_eq!(copied("COPY --parents d/sub/y /x/")[1..3], ["x/d dir 700 0:0 0", "x/d/sub dir 710 0:0 200"]);
}

#[test]
fn row_103_exclude() {
    for (row, lines, wanted) in [
        ("in a directory", "COPY --exclude=sub d /x", "x x/rel x/x"),
        ("several", "COPY --exclude=sub --exclude=rel d /x", "x x/x"),
        ("**", "COPY --exclude=**/y d /x", "x x/rel x/sub x/x"),
        ("negated", "COPY --exclude=* --exclude=!sub/y d /x", "x x/sub x/sub/y"),
        ("named files", "COPY --exclude=b* *.txt /x/", "x x/c.txt"),
        ("named files by their last name", "COPY --exclude=x d/* /x/", "x x/rel x/y"),
        ("named files by path", "COPY --exclude=d/x d/* /x/", "x x/rel x/y"),
        ("named files, negated", "COPY --exclude=*.txt --exclude=!c.txt *.txt /x/", "x x/c.txt"),
        ("with parents", "COPY --parents --exclude=d/x d /x/", "x x/d x/d/rel x/d/sub x/d/sub/y"),
    ] {
        assert_eq!(paths(lines).join(" "), wanted, "{row}");
    }
}

#[test]
fn row_105_heredocs() {
    assert_eq!(
        copied("ENV V=1\nCOPY <<one <<\"two\" /x/\na $V\none\nb $V\ntwo"),
        ["x dir 755 0:0 0", "x/one file \"a 1\\n\" 644 0:0 0", "x/two file \"b $V\\n\" 644 0:0 0"]
    );
    assert_eq!(copied("COPY --chmod=755 --chown=1:2 <<EOF /run\nhi\nEOF"), ["run file \"hi\\n\" 755 1:2 0"]);
    assert_eq!(copied("COPY a <<b /x/\nB\nb")[1..], ["x/a file \"A\" 640 0:0 100", "x/b file \"B\\n\" 644 0:0 0"]);
}

#[test]
fn several_files_need_a_directory() {
    for lines in ["COPY a b.txt /x", "COPY *.txt /x", "COPY a <<b /x\nb"] {
        let failure = dockerfile(&format!("FROM scratch\n{lines}\n")).context(context).fails();
        assert!(failure.message.starts_with("2 files can't be copied to the one name"), "{failure}");
        assert_eq!(failure.hint.as_deref(), Some("write `/x/`: several files need a directory"));
    }
    assert_eq!(entry("COPY a b.txt /tmp", "tmp/a"), "tmp/a file \"A\" 640 0:0 100");
}

#[test]
fn row_117_special_bits_survive() {
    let built = dockerfile("FROM scratch\nCOPY s /x\n").context(|tree| tree.file("s", "").mode("s", 0o6755)).built();
    assert_eq!(built.listing(), ["x file \"\" 6755 0:0 0"]);
}

#[test]
fn row_97_device_nodes_come_from_stages_and_images_only() {
    let node = |kind| Node { kind, mode: 0o666, uid: 0, gid: 5, modified: Timestamp::default(), link_group: None };
    let null = || node(NodeKind::Device { block: false, major: 1, minor: 3 });
    let build =
        dockerfile("FROM registry.test/base\nFROM scratch\nCOPY --from=0 /dev /dev\nCOPY --from=0 /dev/null /n\n")
            .base("registry.test/base", FileTree::new().node("dev/null", null()), json!({}))
            .built();
    assert_eq!(build.listing(), ["dev dir 755 0:0 0", "dev/null device 666 0:5 0", "n device 666 0:5 0"]);
    assert_eq!(build.tree().get("n").unwrap().kind, null().kind);
    let failure = dockerfile("FROM scratch\nCOPY dev /dev\n").context(|tree| tree.node("dev/null", null())).fails();
    assert_eq!(failure.message, "`dev/null` is a device node, and a context has no use for one");
    let pipe =
        dockerfile("FROM scratch\nCOPY d /d\n").context(|tree| tree.node("d/pipe", node(NodeKind::Fifo))).built();
    assert_eq!(pipe.listing(), ["d dir 755 0:0 0", "d/pipe fifo 666 0:0 0"]);
}

#[test]
fn row_90_hard_links_within_a_copied_directory_are_kept() {
    let links = |tree: FileTree| tree.file("d/1", "1").hard_link("d/2", "d/1").hard_link("e", "d/1");
    let built = dockerfile("FROM scratch\nCOPY d /x\nCOPY e /y\n").context(links).built();
    assert_eq!(
        built.listing(),
        ["x dir 755 0:0 0", "x/1 file \"1\" 644 0:0 0", "x/2 file \"1\" 644 0:0 0 = x/1", "y file \"1\" 644 0:0 0"]
    );
}

#[test]
fn row_124_working_directories() {
    for (row, lines, path, wanted) in [
        ("of root", "WORKDIR /w/x", "w", "dir 755 0:0 0"),
        ("of USER", "USER me\nWORKDIR /w/x", "w", "dir 755 500:600 0"),
        ("of USER, all of them", "USER me\nWORKDIR /w/x", "w/x", "dir 755 500:600 0"),
        ("of a numeric USER with group", "USER 5:6\nWORKDIR /w", "w", "dir 755 5:6 0"),
        ("of an unknown USER, as BuildKit", "USER nobody-here\nWORKDIR /w", "w", "dir 755 0:0 0"),
        ("existing ones stay", "USER me\nWORKDIR /tmp", "tmp", "dir 1777 7:8 0"),
        ("through a link", "WORKDIR /link/x", "usr/real/x", "dir 755 0:0 0"),
        ("relative", "WORKDIR /a\nWORKDIR b/", "a/b", "dir 755 0:0 0"),
        ("variables", "ENV D=/v\nWORKDIR $D/w", "v/w", "dir 755 0:0 0"),
    ] {
        assert_eq!(entry(lines, path), format!("{path} {wanted}"), "{row}");
    }
    let built = on_base("WORKDIR /tmp").built();
    assert_eq!(built.history(), ["a layer of the base image without history", "WORKDIR /tmp (empty)"]);
    assert_eq!(on_base("WORKDIR /a\nWORKDIR ../b").built().runtime()["WorkingDir"], "/b");
}

/// A tar archive as the host in memory has it.
pub(crate) fn archive(tree: FileTree) -> Vec<u8> {
    use steprun_ports::Blob;
    let host = steprun_ports::memory::MemoryHost::new();
    steprun_ports::memory::block_on(host.store_layer(&tree, true).blob.read(1 << 20)).unwrap()
}

#[test]
fn rows_108_to_111_archives() {
    let inner = FileTree::new()
        .file("lib/so", "S")
        .owner("lib/so", 5, 6)
        .mode("lib/so", 0o4755)
        .file("new/f", "F")
        .mode("new", 0o700)
        .hard_link("new/g", "new/f")
        .file("over/f", "O")
        .mode("over", 0o711);
    let build = |lines: &str| {
        let base = FileTree::new().directory("usr/lib").mode("usr/lib", 0o711).symlink("lib", "/usr/lib");
        let base = base.directory("new").owner("new", 9, 9).symlink("over", "/usr/lib");
        dockerfile(&format!("FROM registry.test/base\n{lines}\n"))
            .base("registry.test/base", base, json!({ "os": "linux", "architecture": "amd64" }))
            .context(|tree| {
                let tree = tree.file("a.tar.gz", archive(inner.clone())).file("empty.tar", "");
                tree.file("unnamed", archive(inner.clone()))
            })
            .built()
    };
    let has = |lines: &str, line: &str| {
        let listing = build(lines).listing();
        assert!(listing.iter().any(|own| own == line), "{lines}: no {line} in {listing:#?}");
    };
    has("ADD a.tar.gz /", "usr/lib/so file \"S\" 4755 5:6 0");
    has("ADD a.tar.gz /", "lib -> /usr/lib 777 0:0 0");
    has("ADD a.tar.gz /", "usr/lib dir 711 0:0 0");
    has("ADD a.tar.gz /", "new dir 700 0:0 0");
    has("ADD a.tar.gz /", "over dir 711 0:0 0");
    has("ADD a.tar.gz /", "over/f file \"O\" 644 0:0 0");
    has("ADD a.tar.gz /x", "x dir 755 0:0 0");
    has("ADD a.tar.gz /x", "x/new dir 700 0:0 0");
    has("ADD a.tar.gz /x", "x/new/g file \"F\" 644 0:0 0 = x/new/f");
    has("ADD --chown=1:2 a.tar.gz /x", "x/lib/so file \"S\" 4755 1:2 0");
    has("ADD --chmod=600 a.tar.gz /x", "x dir 755 0:0 0");
    has("ADD --chmod=600 a.tar.gz /x", "x/lib/so file \"S\" 4755 5:6 0");
    has("ADD *.gz /x/", "x/lib/so file \"S\" 4755 5:6 0");
    has("ADD unnamed /x/", "x/lib/so file \"S\" 4755 5:6 0");
    has("ADD empty.tar /x/", "x/empty.tar file \"\" 644 0:0 0");
    assert!(build("COPY a.tar.gz /x/").tree().get("x/a.tar.gz").is_some());
    assert!(build("ADD --unpack=false a.tar.gz /x/").tree().get("x/a.tar.gz").is_some());
    assert!(build("ADD . /x/").tree().get("x/a.tar.gz").is_some());
    // 111: what was fetched is unpacked only if that is asked for.
    let fetched = |flag: &str| {
        let build = dockerfile(&format!("FROM scratch\nADD {flag} http://x.test/a.tar /x/\n"));
        let host = build.host.clone().with_remote_file("http://x.test/a.tar", archive(inner.clone()), None);
        Build { host, ..build }.built().tree().get("x/a.tar").is_some()
    };
    assert_eq!([fetched(""), fetched("--unpack")], [true, false]);
}
