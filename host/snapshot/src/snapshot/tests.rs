use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::{Compression, Kind, NoFetch, Timestamp, sha256};

/// A temporary folder with a store and a context.
struct Fixture {
    root: tempfile::TempDir,
    store: Store,
    context: Directory,
}

fn fixture() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store")).unwrap();
    fs::create_dir(root.path().join("context")).unwrap();
    fs::write(root.path().join("context/hello"), "hello").unwrap();
    let context = Directory::open(&root.path().join("context"), ".").unwrap();
    Fixture { root, store, context }
}

impl Fixture {
    fn reload(&self, layers: &[Layer]) -> Result<Snapshot> {
        let layers = layers.iter().map(|layer| (layer.clone(), Arc::new(NoFetch) as Arc<dyn Fetch>)).collect();
        Snapshot::from_layers(&self.store, layers)
    }

    /// A layer from the output of GNU tar's options in a directory that `make` fills.
    fn gnu_layer(&self, options: &[&str], make: impl FnOnce(&std::path::Path)) -> Layer {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path());
        let output = std::process::Command::new("tar")
            .args(options)
            .arg("-cf-")
            .arg(".")
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        crate::import_layer(&self.store, output.stdout.as_slice()).unwrap()
    }
}

fn entry(path: &str, change: Change) -> ChangeEntry {
    let mode = if change == Change::Directory { 0o755 } else { 0o644 };
    ChangeEntry {
        path: path.into(),
        change,
        mode,
        uid: 0,
        gid: 0,
        modified: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 },
    }
}

fn directory(path: &str) -> ChangeEntry {
    entry(path, Change::Directory)
}

fn inline(path: &str, content: &str) -> ChangeEntry {
    entry(path, Change::Inline(content.into()))
}

fn extended(entries: Vec<ChangeEntry>) -> Snapshot {
    Snapshot::scratch().extend(&[], entries).unwrap()
}

/// Everything that a tree says, with links as the first of their names.
fn listing(snapshot: &Snapshot) -> BTreeMap<String, String> {
    fn visit(snapshot: &Snapshot, path: &str, groups: &mut BTreeMap<u64, String>, out: &mut BTreeMap<String, String>) {
        for Entry { name, stat } in snapshot.list(path).unwrap() {
            let full = format!("{path}/{name}");
            let first = stat.link_group.map(|group| groups.entry(group).or_insert_with(|| full.clone()).clone());
            let content = if stat.kind == Kind::Regular { snapshot.read(&full, 1 << 20).unwrap() } else { Vec::new() };
            let Stat { kind, mode, uid, gid, modified, target, .. } = stat;
            out.insert(
                full.clone(),
                format!("{kind:?} {mode:o} {uid}:{gid} {modified:?} {target:?} {} {first:?}", content.escape_ascii()),
            );
            if kind == Kind::Directory {
                visit(snapshot, &full, groups, out);
            }
        }
    }
    let mut out = BTreeMap::new();
    visit(snapshot, "", &mut BTreeMap::new(), &mut out);
    out
}

fn names(store: &Store, layer: &Layer) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), store.read_blob(&layer.descriptor.digest, u64::MAX).unwrap()).unwrap();
    let output = std::process::Command::new("tar").arg("-tf").arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_device_node_of_a_snapshot_can_be_copied() {
    let tty = extended(vec![entry("tty", Change::Device { block: false, major: 4, minor: 1 })]);
    let copied = entry("copy", Change::File { source: 0, path: "tty".into() });
    let copy = Snapshot::scratch().extend(&[Source::Snapshot(tty.clone())], vec![copied]).unwrap();
    let leaf = |snapshot: &Snapshot, path: &[u8]| match snapshot.tree().get(path) {
        Some(crate::tree::Node::Leaf(leaf)) => Some(leaf.clone()),
        _ => None,
    };
    assert!(leaf(&tty, b"tty").is_some());
    assert_eq!(leaf(&copy, b"copy"), leaf(&tty, b"tty"));
}

#[test]
fn symlinks_resolve_inside_the_root() {
    let snapshot = extended(vec![
        directory("usr"),
        directory("usr/lib"),
        inline("usr/lib/x", "x"),
        entry("lib", Change::Symlink("/usr/lib".into())),
        entry("up", Change::Symlink("../../../usr".into())),
        entry("loop", Change::Symlink("loop".into())),
        entry("dangling", Change::Symlink("missing/../there".into())),
    ]);
    for path in ["usr/lib/x", "/lib/x", "up/lib/x", "../usr/lib/../lib/x", "lib/../lib/x"] {
        assert_eq!(snapshot.read(path, 1).unwrap(), b"x", "{path}");
        assert_eq!(snapshot.real_path(path).unwrap(), "usr/lib/x");
    }
    assert_eq!(snapshot.stat("lib", false).unwrap().target.as_deref(), Some("/usr/lib"));
    assert_eq!(snapshot.stat("lib", true).unwrap().kind, Kind::Directory);
    assert_eq!(snapshot.real_path("lib/new/deeper").unwrap(), "usr/lib/new/deeper");
    assert_eq!(snapshot.real_path("dangling").unwrap(), "there");
    assert_eq!(snapshot.real_path("/").unwrap(), "");
    assert!(matches!(snapshot.stat("loop", true), Err(Error::Invalid(_))));
    assert!(matches!(snapshot.stat("lib/x/y", true), Err(Error::NotFound(_))));
    assert!(matches!(snapshot.list("usr/lib/x"), Err(Error::Invalid(_))));
    assert!(matches!(snapshot.read("usr", 1), Err(Error::Invalid(_))));
    assert!(matches!(snapshot.read("usr/lib/x", 0), Err(Error::Invalid(_))));
}

#[test]
fn changes_that_cannot_be_applied() {
    let base = extended(vec![directory("d"), inline("f", "f")]);
    let table = [
        inline("missing/x", ""),
        inline("f/x", ""),
        inline("d/../x", ""),
        inline("", "the root"),
        entry("l", Change::HardLink("missing".into())),
        entry("l", Change::HardLink("d".into())),
        entry("l", Change::Symlink(String::new())),
        entry("", Change::Removed),
        entry("c", Change::Device { block: false, major: 4096, minor: 0 }),
        entry("x", Change::File { source: 0, path: "x".into() }),
        ChangeEntry { mode: 0o10000, ..inline("x", "") },
    ];
    for change in table {
        let shown = format!("{change:?}");
        assert!(matches!(base.extend(&[], vec![change]), Err(Error::Invalid(_))), "{shown}");
    }
}

#[test]
fn versions_do_not_disturb_each_other() {
    let one = extended(vec![directory("d"), inline("d/x", "1"), inline("d/y", "y")]);
    let two = one
        .extend(&[], vec![inline("d/x", "2"), entry("d/y", Change::Removed), entry("gone", Change::Removed)])
        .unwrap();
    assert_eq!((one.read("d/x", 9).unwrap(), two.read("d/x", 9).unwrap()), (b"1".to_vec(), b"2".to_vec()));
    assert!(one.stat("d/y", true).is_ok() && matches!(two.stat("d/y", true), Err(Error::NotFound(_))));
    let three = two.extend(&[], vec![ChangeEntry { mode: 0o700, ..directory("d") }]).unwrap();
    assert_eq!((three.stat("d", true).unwrap().mode, three.read("d/x", 9).unwrap()), (0o700, b"2".to_vec()));
    let four = three.extend(&[], vec![inline("d", "file over directory")]).unwrap();
    assert!(matches!(four.stat("d/x", true), Err(Error::NotFound(_))));
}

#[test]
fn a_layer_of_each_kind_of_change_comes_back() {
    let fixture = fixture();
    let base = extended(vec![
        directory("d"),
        inline("d/stays", "s"),
        inline("d/goes", "g"),
        directory("e"),
        inline("e/x", "x"),
        inline("linked", "l"),
    ]);
    let sources = [Source::Directory(fixture.context.clone()), Source::Snapshot(base.clone())];
    let odd = crate::name::encode(b"odd \xff");
    let changes = vec![
        entry("d/hello", Change::File { source: 0, path: "hello".into() }),
        entry("d/copy", Change::File { source: 1, path: "e/x".into() }),
        entry("d/goes", Change::Removed),
        entry("e", Change::Removed),
        entry("a-link", Change::HardLink("linked".into())),
        entry("fifo", Change::Fifo),
        entry("disk", Change::Device { block: true, major: 8, minor: 17 }),
        entry("tty", Change::Device { block: false, major: 4, minor: 1 }),
        entry("symlink", Change::Symlink("/d/hello".into())),
        ChangeEntry {
            mode: 0o4755,
            uid: 3_000_000,
            gid: 7,
            modified: Timestamp { seconds: -5, nanoseconds: 500 },
            ..inline(&odd, "odd")
        },
        directory(&"l".repeat(200)),
        inline(&format!("{0}/{0}", "l".repeat(200)), "long"),
    ];
    let next = base.extend(&sources, changes).unwrap();
    for compression in [Compression::Gzip, Compression::None] {
        let layers = [
            base.pack(&fixture.store, compression).unwrap().unwrap(),
            next.pack(&fixture.store, compression).unwrap().unwrap(),
        ];
        assert_eq!(listing(&fixture.reload(&layers).unwrap()), listing(&next));
        let names = names(&fixture.store, &layers[1]);
        for name in ["d/.wh.goes", ".wh.e", "a-link", "linked", "disk"] {
            assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
        }
        assert!(!names.contains(&"d/stays".to_owned()));
        assert_eq!(next.pack(&fixture.store, compression).unwrap().unwrap(), layers[1]);
    }
}

#[test]
fn what_changes_nothing_gives_no_layer() {
    let fixture = fixture();
    let base = extended(vec![directory("d"), inline("d/f", "f")]);
    for changes in [vec![], vec![directory("d")], vec![entry("x", Change::Removed)], vec![inline("d/f", "f")]] {
        assert_eq!(base.extend(&[], changes).unwrap().pack(&fixture.store, Compression::Gzip).unwrap(), None);
    }
    assert_eq!(Snapshot::scratch().pack(&fixture.store, Compression::Gzip).unwrap(), None);
}

#[test]
fn a_link_to_a_lower_file_brings_all_its_names() {
    let fixture = fixture();
    let base = extended(vec![inline("b", "content"), entry("c", Change::HardLink("b".into()))]);
    let next = base.extend(&[], vec![entry("a", Change::HardLink("c".into()))]).unwrap();
    let layer = next.pack(&fixture.store, Compression::None).unwrap().unwrap();
    assert_eq!(names(&fixture.store, &layer), ["a", "b", "c"]);
    let alone = fixture.reload(&[layer]).unwrap();
    assert_eq!(listing(&alone), listing(&next));
    let groups: Vec<_> =
        ["a", "b", "c"].iter().map(|path| alone.stat(path, true).unwrap().link_group.unwrap()).collect();
    assert!(groups.iter().all(|group| *group == groups[0]));
}

#[test]
fn names_of_whiteouts_cannot_be_packed() {
    let fixture = fixture();
    let snapshot = extended(vec![inline(".wh.x", "")]);
    assert!(matches!(snapshot.pack(&fixture.store, Compression::None), Err(Error::Invalid(_))));
}

#[test]
fn a_file_that_changed_is_not_packed() {
    let fixture = fixture();
    let file = fixture.root.path().join("context/hello");
    let sources = [Source::Directory(fixture.context.clone())];
    let snapshot = Snapshot::scratch()
        .extend(&sources, vec![entry("f", Change::File { source: 0, path: "hello".into() })])
        .unwrap();
    fs::write(&file, "another length").unwrap();
    for compression in [Compression::Gzip, Compression::None] {
        let error = snapshot.pack(&fixture.store, compression).unwrap_err();
        assert!(
            matches!(&error, Error::Io { .. }) && error.to_string().contains("has changed since it was listed"),
            "{error}"
        );
    }
    fs::remove_file(&file).unwrap();
    assert!(matches!(snapshot.pack(&fixture.store, Compression::Gzip), Err(Error::NotFound(_))));
    assert_eq!(fs::read_dir(fixture.store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn only_some_attributes_leave_a_context() {
    let fixture = fixture();
    let file = fs::File::open(fixture.root.path().join("context/hello")).unwrap();
    rustix::fs::fsetxattr(&file, "user.kept", b"a\nb", rustix::fs::XattrFlags::empty()).unwrap();
    let sources = [Source::Directory(fixture.context.clone())];
    let snapshot = Snapshot::scratch()
        .extend(&sources, vec![entry("f", Change::File { source: 0, path: "hello".into() })])
        .unwrap();
    let layer = snapshot.pack(&fixture.store, Compression::Gzip).unwrap().unwrap();
    let loaded = fixture.reload(&[layer]).unwrap();
    let Some(Node::Leaf(leaf)) = loaded.tree().get(b"f") else { panic!() };
    assert_eq!(leaf.attributes.xattrs, [(b"user.kept".to_vec(), b"a\nb".to_vec())].into());
}

#[test]
fn whiteouts_hit_lower_layers_only() {
    let fixture = fixture();
    let touch = |root: &std::path::Path, files: &[&str]| {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
    };
    let lower = fixture.gnu_layer(&["--sort=name"], |root| touch(root, &["a/1", "a/2", "b/1", "c", "d/deep/1"]));
    let upper = fixture.gnu_layer(&["--sort=name"], |root| {
        touch(
            root,
            &["a/.wh.1", "a/3", "a/.wh.3", "b/.wh..wh..opq", "b/2", ".wh.c", ".wh.d", ".wh.never", ".wh..wh.plnk"],
        );
    });
    let snapshot = fixture.reload(&[lower, upper]).unwrap();
    let paths: Vec<_> = listing(&snapshot).into_keys().collect();
    assert_eq!(paths, ["/a", "/a/2", "/a/3", "/b", "/b/2"]);
}

#[test]
fn layers_follow_links_of_lower_layers() {
    let fixture = fixture();
    let lower = fixture.gnu_layer(&[], |root| {
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
        std::os::unix::fs::symlink("/../../elsewhere", root.join("out")).unwrap();
    });
    let upper = {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("x"), "x").unwrap();
        fs::write(directory.path().join("y"), "y").unwrap();
        let output = std::process::Command::new("tar")
            .args(["--transform=s,^x,lib/x,", "--transform=s,^y,out/y,", "-cf-", "x", "y"])
            .current_dir(directory.path())
            .output()
            .unwrap();
        crate::import_layer(&fixture.store, output.stdout.as_slice()).unwrap()
    };
    let snapshot = fixture.reload(&[lower, upper]).unwrap();
    assert_eq!(snapshot.read("usr/lib/x", 9).unwrap(), b"x");
    assert_eq!(snapshot.stat("lib", false).unwrap().kind, Kind::Symlink);
    assert_eq!(snapshot.read("/out/y", 9).unwrap(), b"y");
    assert_eq!(snapshot.real_path("out/y").unwrap(), "elsewhere/y");
}

#[test]
fn wrong_digests_are_corrupt_and_broken_caches_are_made_anew() {
    let fixture = fixture();
    let layer = extended(vec![inline("f", "f")]).pack(&fixture.store, Compression::Gzip).unwrap().unwrap();
    let wrong = Layer { diff_id: sha256(b"else"), ..layer.clone() };
    for _ in 0..2 {
        assert!(matches!(fixture.reload(std::slice::from_ref(&wrong)), Err(Error::Corrupt(_))));
    }
    let toc = fs::read_dir(fixture.store.root().join("toc")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&toc).unwrap();
    for broken in
        [Vec::new(), b"garbage".to_vec(), whole[..whole.len() - 1].to_vec(), [&whole[..whole.len() - 1], b"~"].concat()]
    {
        fs::write(&toc, broken).unwrap();
        assert_eq!(fixture.reload(std::slice::from_ref(&layer)).unwrap().read("f", 1).unwrap(), b"f");
        assert_eq!(fs::read(&toc).unwrap(), whole);
    }
}

#[test]
fn a_blob_is_fetched_when_its_bytes_are_needed() {
    struct Once(Vec<u8>, AtomicUsize);
    impl Fetch for Once {
        fn fetch(&self, store: &Store) -> Result<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            store.put_bytes(&self.0).map(drop)
        }
    }
    let fixture = fixture();
    let layer = extended(vec![inline("f", "f")]).pack(&fixture.store, Compression::Gzip).unwrap().unwrap();
    let bytes = fixture.store.read_blob(&layer.descriptor.digest, u64::MAX).unwrap();
    let blob = fixture.store.blob_path(&layer.descriptor.digest).unwrap();
    fs::remove_file(&blob).unwrap();
    let fetch = Arc::new(Once(bytes, AtomicUsize::new(0)));
    let load =
        || Snapshot::from_layers(&fixture.store, vec![(layer.clone(), fetch.clone() as Arc<dyn Fetch>)]).unwrap();
    load();
    assert_eq!(fetch.1.load(Ordering::Relaxed), 1);
    fs::remove_file(&blob).unwrap();
    let known = load();
    assert_eq!((fetch.1.load(Ordering::Relaxed), known.stat("f", true).unwrap().size), (1, 1));
    assert_eq!(known.read("f", 1).unwrap(), b"f");
    assert_eq!(fetch.1.load(Ordering::Relaxed), 2);
    fs::remove_file(&blob).unwrap();
    assert_eq!(load().read("f", 1).unwrap(), b"f");
    assert_eq!(fetch.1.load(Ordering::Relaxed), 2);
}

/// Gives some bytes at once, and stores the right ones at their end.
struct Coming {
    comes: Vec<u8>,
    blob: Vec<u8>,
    store: Store,
    fails: Option<&'static str>,
}

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.comes.as_slice().read(buffer)?;
        self.comes.drain(..count);
        match (count, self.fails) {
            (0, Some(reason)) => Err(std::io::Error::other(Error::External(reason.into()))),
            (0, None) => self.store.put_bytes(&self.blob).map(|_| 0).map_err(std::io::Error::other),
            _ => Ok(count),
        }
    }
}

#[test]
fn a_blob_is_read_while_it_comes() {
    struct Streams {
        comes: Vec<u8>,
        blob: Vec<u8>,
        fails: Option<&'static str>,
        fetched: AtomicUsize,
    }
    impl Fetch for Streams {
        fn fetch(&self, store: &Store) -> Result<()> {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            store.put_bytes(&self.blob).map(drop)
        }

        fn stream(&self, store: &Store) -> Result<Option<Box<dyn Read + Send>>> {
            let Self { comes, blob, fails, .. } = self;
            let store = store.clone();
            Ok(Some(Box::new(Coming { comes: comes.clone(), blob: blob.clone(), store, fails: *fails })))
        }
    }
    for compression in [Compression::None, Compression::Gzip] {
        let load = |comes: Option<&[u8]>, fails| {
            let fixture = fixture();
            let layer = extended(vec![inline("f", "f")]).pack(&fixture.store, compression).unwrap().unwrap();
            let blob = fixture.store.read_blob(&layer.descriptor.digest, u64::MAX).unwrap();
            fs::remove_file(fixture.store.blob_path(&layer.descriptor.digest).unwrap()).unwrap();
            fs::remove_dir_all(fixture.store.root().join("toc")).unwrap();
            fs::create_dir(fixture.store.root().join("toc")).unwrap();
            let comes = comes.unwrap_or(&blob).to_vec();
            let fetch = Arc::new(Streams { comes, blob, fails, fetched: AtomicUsize::default() });
            let loaded = Snapshot::from_layers(&fixture.store, vec![(layer, fetch.clone() as Arc<dyn Fetch>)]);
            let read = loaded.and_then(|snapshot| snapshot.read("f", 1));
            (read, fetch.fetched.load(Ordering::Relaxed))
        };
        assert!(matches!(load(None, None), (Ok(content), 0) if content == b"f"), "{compression:?}");
        // What comes makes no sense: it is not the blob, and the transfer tells that at its end, or brings the blob.
        assert!(matches!(load(Some(&[7; 2000]), None), (Ok(content), 1) if content == b"f"), "{compression:?}");
        let (failed, fetched) = load(None, Some("the registry is gone"));
        assert!(matches!(failed, Err(Error::External(why)) if why.to_string() == "the registry is gone"));
        assert_eq!(fetched, 0, "what failed is not tried twice");
    }
}

#[test]
fn plain_archives_are_compressed_and_compressed_ones_kept() {
    let fixture = fixture();
    let plain =
        extended(vec![inline("f", &"f".repeat(9999))]).pack(&fixture.store, Compression::None).unwrap().unwrap();
    let tar = fixture.store.read_blob(&plain.descriptor.digest, u64::MAX).unwrap();
    let layer = crate::import_layer(&fixture.store, tar.as_slice()).unwrap();
    assert_eq!(layer.descriptor.media_type, Compression::Gzip.media_type());
    assert_eq!(layer.diff_id, plain.diff_id);
    assert!(layer.descriptor.size < plain.descriptor.size / 4);
    let gzip = fixture.store.read_blob(&layer.descriptor.digest, u64::MAX).unwrap();
    assert_eq!(crate::import_layer(&fixture.store, gzip.as_slice()).unwrap(), layer);
    // An archive without entries is one too.
    crate::import_layer(&fixture.store, [0; 1024].as_slice()).unwrap();
}

#[test]
fn broken_layers_are_invalid() {
    let fixture = fixture();
    let layer =
        extended(vec![inline("f", &"f".repeat(9999))]).pack(&fixture.store, Compression::Gzip).unwrap().unwrap();
    let bytes = fixture.store.read_blob(&layer.descriptor.digest, u64::MAX).unwrap();
    for broken in [&bytes[..bytes.len() - 9], &bytes[..20], b"no archive at all", &[0x1f, 0x8b, 8]] {
        assert!(matches!(crate::import_layer(&fixture.store, broken), Err(Error::Invalid(_))));
    }
    assert!(matches!(crate::import_layer(&fixture.store, &b"BZh9"[..]), Err(Error::Invalid(_))));
}

#[test]
fn archives_of_every_compression_become_snapshots() {
    let fixture = fixture();
    let context = fixture.root.path().join("context");
    fs::create_dir_all(context.join("t/sub")).unwrap();
    fs::write(context.join("t/sub/.wh.kept"), "content").unwrap();
    fs::set_permissions(context.join("t/sub"), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    for (file, option) in [("t.tar", "-S"), ("t.gz", "-z"), ("t.bz2", "-j"), ("t.xz", "-J"), ("t.zst", "--zstd")] {
        let options = ["--owner=7", "--group=8", "-cf", file, option, "-C", "t", "."];
        assert!(std::process::Command::new("tar").args(options).current_dir(&context).status().unwrap().success());
        let direct =
            Snapshot::from_archive(&fixture.store, &Source::Directory(fixture.context.clone()), file).unwrap().unwrap();
        let content = fs::read(context.join(file)).unwrap();
        let inner = Snapshot::scratch().extend(&[], vec![entry("a", Change::Inline(content))]).unwrap();
        let nested = Snapshot::from_archive(&fixture.store, &Source::Snapshot(inner), "/a").unwrap().unwrap();
        for snapshot in [direct, nested] {
            let stat = snapshot.stat("sub", true).unwrap();
            assert_eq!((stat.mode, stat.uid, stat.gid), (0o1777, 7, 8), "{file}");
            assert_eq!(snapshot.read("sub/.wh.kept", 99).unwrap(), b"content", "{file}");
            assert_eq!(snapshot.stat("", true).unwrap().uid, 0);
        }
    }
}

#[test]
fn what_is_no_archive_is_none() {
    let fixture = fixture();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"only text").unwrap();
    let table: [&[u8]; 6] = [b"", b"text", &[0; 1024], b"BZh9 by chance", &gzip.finish().unwrap(), &[b'x'; 2000]];
    for content in table {
        let snapshot = Snapshot::scratch().extend(&[], vec![entry("f", Change::Inline(content.into()))]).unwrap();
        assert!(
            Snapshot::from_archive(&fixture.store, &Source::Snapshot(snapshot), "f").unwrap().is_none(),
            "{}",
            content.escape_ascii()
        );
    }
    let source = Source::Directory(fixture.context.clone());
    assert!(matches!(Snapshot::from_archive(&fixture.store, &source, "missing"), Err(Error::NotFound(_))));
}

#[test]
fn row_118_sparse_files_have_their_holes() {
    let fixture = fixture();
    for format in ["--format=gnu", "--format=posix"] {
        let layer = fixture.gnu_layer(&["-S", format], |root| {
            let file = fs::File::create(root.join("sparse")).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"begin", 0).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"end", 300_000).unwrap();
        });
        let content = fixture.reload(&[layer]).unwrap().read("sparse", 1 << 20).unwrap();
        let mut expected = vec![0; 300_003];
        expected[..5].copy_from_slice(b"begin");
        expected[300_000..].copy_from_slice(b"end");
        assert!(content == expected, "{format}");
    }
}

#[test]
fn exports_are_whole_and_gnu_tar_reads_them() {
    let snapshot = extended(vec![
        directory("d"),
        inline("d/f", "content"),
        entry("d/g", Change::HardLink("d/f".into())),
        entry("s", Change::Symlink("d".into())),
    ]);
    let mut archive = Vec::new();
    snapshot.export(&mut archive).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut tar = std::process::Command::new("tar")
        .arg("-xf-")
        .current_dir(directory.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(tar.wait().unwrap().success());
    assert_eq!(fs::read(directory.path().join("s/g")).unwrap(), b"content");
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(directory.path().join("d/f")).unwrap()), 2);
    let mut again = Vec::new();
    snapshot.export(&mut again).unwrap();
    assert_eq!(archive, again);
}

#[test]
fn deep_paths_are_refused_not_followed_into_a_crash() {
    let mut snapshot = extended(vec![directory("d")]);
    let mut path = "d".to_owned();
    let mut entries = Vec::new();
    for _ in 0..2000 {
        path.push_str("/d");
        entries.push(directory(&path));
    }
    assert!(matches!(snapshot.extend(&[], entries.clone()), Err(Error::Invalid(_))));
    entries.truncate(1000);
    snapshot = snapshot.extend(&[], entries).unwrap();
    let fixture = fixture();
    assert!(snapshot.pack(&fixture.store, Compression::None).unwrap().is_some());
}

/// A small file system as a map: what the tree should be after each change.
type Model = BTreeMap<String, Option<String>>;

fn model_apply(model: &mut Model, path: &str, file: Option<Option<String>>) -> bool {
    let parent_is_directory = path.rsplit_once('/').is_none_or(|(parent, _)| matches!(model.get(parent), Some(None)));
    let below = format!("{path}/");
    match file {
        None => model.retain(|other, _| other != path && !other.starts_with(&below)),
        Some(_) if !parent_is_directory => return false,
        Some(content) => {
            if content.is_some() || matches!(model.get(path), Some(Some(_))) {
                model.retain(|other, _| !other.starts_with(&below));
            }
            model.insert(path.to_owned(), content);
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Random layers: the tree is the model's, and the packed layers bring the same tree back.
    #[test]
    fn layers_merge_as_the_model_says(layers in prop::collection::vec(
        prop::collection::vec(("[ab](/[ab]){0,3}", prop::option::of(prop::option::of("[xy]{0,3}"))), 0..12), 1..5)) {
        let fixture = fixture();
        let (mut model, mut snapshot, mut packed) = (Model::new(), Snapshot::scratch(), Vec::new());
        for changes in layers {
            let mut entries = Vec::new();
            for (path, file) in changes {
                if model_apply(&mut model, &path, file.clone()) {
                    entries.push(match file {
                        None => entry(&path, Change::Removed),
                        Some(None) => directory(&path),
                        Some(Some(content)) => inline(&path, &content),
                    });
                }
            }
            snapshot = snapshot.extend(&[], entries).unwrap();
            packed.extend(snapshot.pack(&fixture.store, Compression::None).unwrap());
        }
        let seen: Model = listing(&snapshot).into_keys().map(|path| {
            let content = snapshot.read(&path, 99).ok().map(|bytes| String::from_utf8(bytes).unwrap());
            (path[1..].to_owned(), content)
        }).collect();
        prop_assert_eq!(&seen, &model);
        prop_assert_eq!(listing(&fixture.reload(&packed).unwrap()), listing(&snapshot));
    }
}
