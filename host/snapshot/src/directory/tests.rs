use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Fixture {
    root: tempfile::TempDir,
    directory: Directory,
}

/// `a/file`, links inside, links out, odd kinds and names.
fn fixture() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("context");
    fs::create_dir_all(path.join("a/b")).unwrap();
    fs::write(path.join("a/file"), "content").unwrap();
    fs::set_permissions(path.join("a/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(path.join("a/file"), path.join("a/second")).unwrap();
    fs::write(root.path().join("secret"), "secret").unwrap();
    for (target, link) in [
        ("a/file", "relative"),
        ("/a/file", "absolute"),
        ("/a", "directory"),
        ("../../../a/file", "climbs-and-finds"),
        ("../secret", "out"),
        ("/etc/passwd", "out-absolute"),
        ("missing", "dangling"),
        ("loop", "loop"),
        ("../../relative", "a/b/up"),
    ] {
        symlink(target, path.join(link)).unwrap();
    }
    fs::write(path.join(OsStr::from_bytes(b"\xff\xfe")), "odd").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let directory = Directory::open(&path, "./context").unwrap();
    Fixture { root, directory }
}

/// The same directory by `openat2` and by walking.
fn both_ways(test: impl Fn(&Directory)) {
    let fixture = fixture();
    test(&fixture.directory);
    fixture.directory.0.walk_only.store(true, Ordering::Relaxed);
    test(&fixture.directory);
}

#[test]
fn links_resolve_inside() {
    both_ways(|directory| {
        for path in [
            "a/file",
            "/a/file",
            "relative",
            "absolute",
            "climbs-and-finds",
            "directory/file",
            "../a/file",
            "a/b/../file",
            "a/b/up",
        ] {
            assert_eq!(directory.read(path, 7).unwrap(), b"content", "{path}");
            assert!(["a/file"].contains(&directory.real_path(path).unwrap().as_str()), "{path}");
        }
        assert_eq!(directory.real_path("/").unwrap(), "");
        assert_eq!(directory.stat("/directory/.//", false).unwrap().kind, Kind::Symlink);
        assert_eq!(directory.stat("a/file/", true).unwrap().kind, Kind::Regular);
        assert_eq!(directory.stat("", true).unwrap().kind, Kind::Directory);
    });
}

#[test]
fn a_part_is_a_root_of_its_own() {
    both_ways(|directory| {
        for path in ["a", "/a/", "directory", "a/b/../../a"] {
            let part = directory.below(path).unwrap();
            assert_eq!(part.read("file", 7).unwrap(), b"content", "{path}");
            assert_eq!(part.read("../../b/../file", 7).unwrap(), b"content", "{path}");
            assert!(part.stat("a", true).is_err(), "{path}");
            // It led to what is above now.
            assert!(part.read("b/up", 7).is_err(), "{path}");
        }
        assert_eq!(directory.below("a").unwrap().name(), "./context/a");
        for (path, words) in [("a/file", "is no directory"), ("missing", "missing"), ("out", "out")] {
            let error = directory.below(path).unwrap_err().to_string();
            assert!(error.contains(words), "{path}: {error}");
        }
    });
}

#[test]
fn links_that_lead_out_are_denied_and_say_where() {
    both_ways(|directory| {
        for (path, at, to) in [
            ("out", "out", "../secret"),
            ("out-absolute", "out-absolute", "/etc/passwd"),
            ("directory/../out", "out", "../secret"),
        ] {
            let errors = [
                directory.stat(path, true).map(|_| ()).unwrap_err(),
                directory.read(path, 100).map(|_| ()).unwrap_err(),
                directory.real_path(path).map(|_| ()).unwrap_err(),
            ];
            for error in errors {
                assert!(
                    matches!(&error, Error::Denied { link, target, context } if link == at && target == to && context == "./context"),
                    "{error}"
                );
            }
            assert_eq!(directory.stat(path, false).unwrap().target.as_deref(), Some(to));
        }
    });
}

#[test]
fn what_is_missing_or_endless() {
    both_ways(|directory| {
        for path in ["nothing", "a/nothing", "dangling", "directory/nothing", "../secret", "a/file/below"] {
            assert!(matches!(directory.stat(path, true), Err(Error::NotFound(_))), "{path}");
        }
        assert!(matches!(directory.stat("loop", true), Err(Error::Invalid(_))));
        assert!(matches!(directory.list("a/file"), Err(Error::Invalid(_))));
        assert!(matches!(directory.read("a", 10), Err(Error::Invalid(_))));
        assert!(matches!(directory.read("fifo", 10), Err(Error::Invalid(_))));
        assert!(matches!(directory.read("a/file", 6), Err(Error::Invalid(_))));
        assert!(matches!(directory.stat("a\0b", true), Err(Error::Invalid(_))));
    });
}

#[test]
fn metadata_and_order() {
    both_ways(|directory| {
        let stat = directory.stat("relative", true).unwrap();
        assert_eq!((stat.kind, stat.mode, stat.size), (Kind::Regular, 0o4751, 7));
        assert_eq!(stat.link_group, directory.stat("a/second", true).unwrap().link_group);
        assert!(stat.link_group.is_some());
        let names: Vec<_> = directory.list("directory").unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["b", "file", "second"]);
        let root = directory.list("/").unwrap();
        let names: Vec<_> = root.iter().map(|entry| name::decode(&entry.name).unwrap()).collect();
        assert!(names.is_sorted() && names.last().unwrap() == b"\xff\xfe");
        let odd = &root.last().unwrap().name;
        assert_eq!(directory.read(odd, 10).unwrap(), b"odd");
        assert_eq!(root.iter().find(|entry| entry.name == "fifo").unwrap().stat.kind, Kind::Fifo);
    });
}

#[test]
fn literal_paths_follow_nothing() {
    both_ways(|directory| {
        assert!(directory.open_literal(b"a/file").is_ok());
        for path in [&b"relative"[..], b"directory/file"] {
            assert!(matches!(directory.open_literal(path), Err(Error::Invalid(_))));
        }
    });
}

#[test]
fn the_grant_is_the_open_directory() {
    let fixture = fixture();
    fs::rename(fixture.root.path().join("context"), fixture.root.path().join("moved")).unwrap();
    assert_eq!(fixture.directory.read("a/file", 10).unwrap(), b"content");
    assert!(matches!(Directory::open(&fixture.root.path().join("context"), "x"), Err(Error::NotFound(_))));
    assert!(matches!(Directory::open(&fixture.root.path().join("secret"), "x"), Err(Error::Invalid(_))));
}
