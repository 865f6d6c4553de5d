use super::*;

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

/// `everything` with extended attributes, as a layer of GNU tar.
fn with_xattrs(fixture: &Fixture) -> Snapshot {
    let mut archive = Vec::new();
    let attributes = |xattrs: &[(&str, &[u8])]| crate::meta::Attributes {
        mode: 0o4755,
        uid: 5,
        gid: 6,
        xattrs: xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect(),
        ..Default::default()
    };
    // CAP_NET_RAW, permitted and effective: revision 2 of `vfs_cap_data`.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = attributes(&[("security.capability", &capability), ("user.a", b"1"), ("trusted.t", b"2")]);
    let hostile = attributes(&[("user.overlay.opaque", b"y"), ("user.b", b"3")]);
    use crate::tar::write::{END, Shape, push_header};
    push_header(&mut archive, b"ping", &file, Shape::Regular { size: 0 });
    push_header(&mut archive, b"dir", &hostile, Shape::Directory);
    archive.extend_from_slice(&END);
    fixture.load(&[crate::import_layer(&fixture.store, archive.as_slice()).unwrap()]).unwrap()
}

#[test]
fn all_kinds_with_owners_modes_and_times() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    for (name, snapshot) in [("gzip", fixture.packed(&everything())), ("memory", everything())] {
        let (path, table) = fixture.real(name, &snapshot);
        // A compressed layer is read on the way: there is no uncompressed one beside it.
        assert!(name == "memory" || fixture.store.root().join("blobs/sha256").read_dir().unwrap().count() == 1);
        assert_eq!(disk_listing(&path), listing(&snapshot));
        assert_eq!(table, Owners::new());
        assert_eq!(fs::symlink_metadata(path.join("old")).unwrap().mtime_nsec(), 5);
    }
}

#[test]
fn a_table_says_what_the_disk_does_not() {
    let fixture = fixture();
    let snapshot = everything();
    let (path, table) = fixture.table("t", &snapshot);
    let metadata = |name: &str| fs::symlink_metadata(path.join(name)).unwrap();
    let owner = |name: &str| table.get(&(metadata(name).dev(), metadata(name).ino())).cloned().unwrap_or_default();
    let mode = |name: &str| metadata(name).mode() & 0o7777;
    assert_eq!((mode("d"), mode("closed"), mode("d/secret"), mode("d/su")), (0o750, 0o700, 0o600, 0o755));
    assert_eq!(owner("d"), Owner { uid: 7, gid: 8, mode: Some(0o2750), ..Owner::default() });
    assert_eq!(owner("d/secret").mode, Some(0));
    assert_eq!(owner("d/su"), Owner { gid: 5, mode: Some(0o6755), ..Owner::default() });
    assert_eq!(owner("tty").device, Some((false, 4, 1)));
    assert!(metadata("tty").is_file() && metadata("disk").len() == 0);
    assert_eq!(owner("dangling"), Owner { uid: 3, gid: 4, ..Owner::default() });
    assert_eq!(owner("empty"), Owner::default());
    assert_eq!(metadata("one").uid(), rustix::process::geteuid().as_raw());
    assert_eq!(metadata("one").nlink(), 3);
}

#[test]
fn extended_attributes_are_on_disk_or_in_the_table() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let snapshot = with_xattrs(&fixture);
    let (path, table) = fixture.real("real", &snapshot);
    let ping = path.join("ping");
    assert_eq!(xattr(&ping, "security.capability").unwrap().len(), 20);
    assert_eq!(xattr(&ping, "user.a").unwrap(), b"1");
    assert_eq!(xattr(&ping, "trusted.t").unwrap(), b"2");
    assert_eq!(fs::metadata(&ping).unwrap().mode() & 0o7777, 0o4755);
    // An overlay would take it for its own.
    assert_eq!(xattr(&path.join("dir"), "user.overlay.opaque"), None);
    assert_eq!(table.len(), 1);
    let (path, table) = fixture.table("table", &snapshot);
    let metadata = fs::metadata(path.join("ping")).unwrap();
    let owner = &table[&(metadata.dev(), metadata.ino())];
    assert_eq!(owner.xattrs.keys().map(Vec::as_slice).collect::<Vec<_>>(), [&b"security.capability"[..], b"trusted.t"]);
    assert_eq!(xattr(&path.join("ping"), "user.a").unwrap(), b"1");
    assert_eq!(xattr(&path.join("ping"), "trusted.t"), None);
}

#[test]
fn what_is_there_is_brought_up_to_date() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let before = fixture.packed(&everything());
    let changes = vec![
        entry("d", Change::Removed),
        inline("d", "a file now"),
        directory("old"),
        inline("old/new", "n"),
        entry("two", Change::Removed),
        entry("closed", Change::Removed),
        entry("link", Change::HardLink("one".into())),
        ChangeEntry { mode: 0o700, ..directory("tmp") },
        inline("to-host", "no link"),
    ];
    let after = before.extend(&[], changes).unwrap();
    let hostname = fs::read("/etc/hostname").ok();
    let (path, mut table) = fixture.real("real", &before);
    let big = fs::metadata(path.join("big")).unwrap();
    let owning = Owning::Real { table: &mut table, userns: false };
    super::write(&before, &after, &path, owning, Limits::default()).unwrap();
    assert_eq!(disk_listing(&path), listing(&after));
    assert_eq!(fs::read("/etc/hostname").ok(), hostname);
    let owning = Owning::Real { table: &mut table, userns: false };
    super::write(&after, &before, &path, owning, Limits::default()).unwrap();
    assert_eq!(disk_listing(&path), listing(&before));
    // What is equal is not touched.
    assert_eq!(fs::metadata(path.join("big")).unwrap().ctime_nsec(), big.ctime_nsec());
}

#[test]
fn inodes_that_are_used_again_are_forgotten() {
    let fixture = fixture();
    let before = everything();
    let after =
        (0..40).fold(vec![entry("tty", Change::Removed), entry("disk", Change::Removed)], |mut entries, number| {
            entries.push(inline(&format!("f{number}"), ""));
            entries
        });
    let after = before.extend(&[], after).unwrap();
    let (path, mut table) = fixture.table("t", &before);
    super::write(&before, &after, &path, Owning::Table(&mut table), Limits::default()).unwrap();
    for number in 0..40 {
        let metadata = fs::metadata(path.join(format!("f{number}"))).unwrap();
        assert_eq!(table.get(&(metadata.dev(), metadata.ino())), None);
    }
}

#[test]
fn sparse_files_stay_sparse() {
    let fixture = fixture();
    let source = fixture.directory("source");
    shell(
        &source,
        "truncate -s 64M s; printf begin | dd of=s conv=notrunc 2>/dev/null; printf end | dd of=s bs=1 seek=9000000 conv=notrunc 2>/dev/null",
    );
    let output = Command::new("tar").args(["-S", "-cf-", "s"]).current_dir(&source).output().unwrap();
    let layer = crate::import_layer(&fixture.store, output.stdout.as_slice()).unwrap();
    let snapshot = fixture.load(&[layer]).unwrap();
    for (name, plain) in [("streamed", false), ("at-random", true)] {
        if plain {
            snapshot.read("s", u64::MAX).unwrap();
        }
        let (path, _) = fixture.table(name, &snapshot);
        let metadata = fs::metadata(path.join("s")).unwrap();
        assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
        assert!(fs::read(path.join("s")).unwrap() == fs::read(source.join("s")).unwrap());
    }
}

#[test]
fn content_that_is_shared_or_comes_from_many_places() {
    let fixture = fixture();
    let context = fixture.directory("context");
    fs::write(context.join("f"), "of the context").unwrap();
    let base = fixture.packed(&everything());
    let sources = [
        crate::Source::Snapshot(base.clone()),
        crate::Source::Directory(crate::Directory::open(&context, ".").unwrap()),
    ];
    let copy = |path: &str, source, from: &str| entry(path, Change::File { source, path: from.into() });
    let entries = vec![copy("copy", 0, "big"), copy("again", 0, "big"), copy("f", 1, "f"), inline("i", "inline")];
    let snapshot = fixture.packed(&base.extend(&sources, entries.clone()).unwrap());
    for (name, snapshot) in [("one", base.extend(&sources, entries).unwrap()), ("two", snapshot)] {
        let (path, _) = fixture.table(name, &snapshot);
        for (file, content) in [("f", "of the context"), ("i", "inline")] {
            assert_eq!(fs::read_to_string(path.join(file)).unwrap(), content);
        }
        assert!(["copy", "again"].iter().all(|file| fs::metadata(path.join(file)).unwrap().len() == 1_000_000));
    }
}
