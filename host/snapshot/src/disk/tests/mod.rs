//! Snapshots on real disks. What is on disk is read by means of `std` here, so that it judges both directions.

mod chain;
mod hostile;
mod overlay;
mod removal;
mod restore;
mod scan;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::*;
use crate::tree::{LeafBody, Node};
use crate::{Change, ChangeEntry, Compression, Fetch, Layer, NoFetch, Result, Snapshot, Store, Timestamp};

/// Later than all that a base has, and earlier than now.
const LATEST: i64 = 1_750_000_000;

/// A temporary directory with a store, and room for trees.
struct Fixture {
    root: tempfile::TempDir,
    store: Store,
}

fn fixture() -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store")).unwrap();
    Fixture { root, store }
}

impl Fixture {
    fn directory(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    fn load(&self, layers: &[Layer]) -> Result<Snapshot> {
        let layers = layers.iter().map(|layer| (layer.clone(), Arc::new(NoFetch) as Arc<dyn Fetch>)).collect();
        Snapshot::from_layers(&self.store, layers)
    }

    /// The snapshot, packed and loaded again: its content lies in a gzip layer.
    fn packed(&self, snapshot: &Snapshot) -> Snapshot {
        self.load(&[snapshot.pack(&self.store, Compression::Gzip).unwrap().unwrap()]).unwrap()
    }

    /// Writes a snapshot into a new directory, with real owners.
    fn real(&self, name: &str, snapshot: &Snapshot) -> (PathBuf, Owners) {
        let (path, mut table) = (self.directory(name), Owners::new());
        let owning = Owning::Real { table: &mut table, userns: false };
        write(&Snapshot::scratch(), snapshot, &path, owning, Limits::default()).unwrap();
        (path, table)
    }

    /// The same with owners in a table.
    fn table(&self, name: &str, snapshot: &Snapshot) -> (PathBuf, Owners) {
        let (path, mut table) = (self.directory(name), Owners::new());
        write(&Snapshot::scratch(), snapshot, &path, Owning::Table(&mut table), Limits::default()).unwrap();
        (path, table)
    }
}

fn entry(path: &str, change: Change) -> ChangeEntry {
    let mode = if change == Change::Directory { 0o755 } else { 0o644 };
    let modified = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
    ChangeEntry { path: path.into(), change, mode, uid: 0, gid: 0, modified }
}

fn directory(path: &str) -> ChangeEntry {
    entry(path, Change::Directory)
}

fn inline(path: &str, content: &str) -> ChangeEntry {
    entry(path, Change::Inline(content.into()))
}

/// One of each.
fn everything() -> Snapshot {
    let owned = |entry: ChangeEntry, mode, uid, gid| ChangeEntry { mode, uid, gid, ..entry };
    let entries = vec![
        owned(directory("d"), 0o2750, 7, 8),
        owned(inline("d/secret", "s"), 0o0000, 1000, 1000),
        owned(inline("d/su", "#!"), 0o6755, 0, 5),
        owned(directory("closed"), 0o000, 65_534, 65_534),
        inline("closed/file", "inside"),
        ChangeEntry { modified: Timestamp { seconds: -77, nanoseconds: 5 }, ..inline("old", "1969") },
        inline("one", "linked"),
        entry("two", Change::HardLink("one".into())),
        entry("d/three", Change::HardLink("one".into())),
        entry("to-host", Change::Symlink("/etc/hostname".into())),
        owned(entry("dangling", Change::Symlink("../../nowhere".into())), 0o777, 3, 4),
        owned(entry("fifo", Change::Fifo), 0o640, 9, 9),
        owned(entry("tty", Change::Device { block: false, major: 4, minor: 1 }), 0o620, 0, 5),
        entry("disk", Change::Device { block: true, major: 259, minor: 70_000 }),
        directory("tmp"),
        inline(&crate::name::encode(b"odd \xff\n"), "x"),
        inline("empty", ""),
        inline("big", &"0123456789".repeat(100_000)),
    ];
    let entries = entries.into_iter().map(|entry| if entry.path == "tmp" { owned(entry, 0o1777, 0, 0) } else { entry });
    Snapshot::scratch().extend(&[], entries.collect()).unwrap()
}

type Listing = BTreeMap<Vec<u8>, String>;

/// Kind, mode, owner, time in seconds, content or target, and the first name of a file with several.
fn line(what: &str, mode: u32, (uid, gid): (u32, u32), seconds: i64, body: &[u8], first: Option<&[u8]>) -> String {
    let first = first.map(|first| first.escape_ascii().to_string());
    let shown = if body.len() > 99 { crate::sha256(body).to_string() } else { body.escape_ascii().to_string() };
    format!("{what} {mode:o} {uid}:{gid} {seconds} {shown} {first:?}")
}

/// What a snapshot says.
fn listing(snapshot: &Snapshot) -> Listing {
    let mut groups = BTreeMap::new();
    let mut out = Listing::new();
    let all = crate::diff::all(snapshot.tree());
    let members = |wanted: u64| {
        all.values()
            .filter(
                |other| matches!(other, crate::diff::Difference::Put(Node::Leaf(leaf)) if leaf.group == Some(wanted)),
            )
            .count()
    };
    for (path, difference) in &all {
        let crate::diff::Difference::Put(node) = difference else { panic!() };
        let attributes = node.attributes();
        let owner = (attributes.uid, attributes.gid);
        let seconds = attributes.modified.seconds;
        let text = match node {
            Node::Directory(_) if path.is_empty() => continue,
            Node::Directory(_) => line("directory", attributes.mode, owner, seconds, b"", None),
            Node::Leaf(leaf) => {
                let group = leaf.group.filter(|group| members(*group) > 1);
                let first = group.map(|group| groups.entry(group).or_insert_with(|| path.clone()).clone());
                let (what, body) = match &leaf.body {
                    LeafBody::Regular { size, .. } => {
                        ("file".to_owned(), snapshot.read(&crate::name::encode(path), *size).unwrap())
                    }
                    LeafBody::Symlink(target) => ("symlink".to_owned(), target.to_vec()),
                    LeafBody::Fifo => ("fifo".to_owned(), Vec::new()),
                    LeafBody::Device { block, major, minor } => (format!("{block}-{major}:{minor}"), Vec::new()),
                };
                line(&what, attributes.mode, owner, seconds, &body, first.as_deref())
            }
        };
        out.insert(path.clone(), text);
    }
    out
}

/// What a directory says.
fn disk_listing(root: &Path) -> Listing {
    let mut paths = Vec::new();
    visit(root, root, &mut paths);
    paths.sort();
    let mut links = BTreeMap::new();
    let mut out = Listing::new();
    for path in paths {
        let full = root.join(std::ffi::OsStr::from_bytes(&path));
        let metadata = fs::symlink_metadata(&full).unwrap();
        let kind = metadata.file_type();
        let first = (metadata.nlink() > 1 && !kind.is_dir())
            .then(|| links.entry(metadata.ino()).or_insert_with(|| path.clone()).clone());
        let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        let (what, body) = match kind {
            kind if kind.is_dir() => ("directory".to_owned(), Vec::new()),
            kind if kind.is_symlink() => {
                ("symlink".to_owned(), fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec())
            }
            kind if kind.is_fifo() => ("fifo".to_owned(), Vec::new()),
            kind if kind.is_block_device() || kind.is_char_device() => {
                (format!("{}-{major}:{minor}", kind.is_block_device()), Vec::new())
            }
            _ => ("file".to_owned(), fs::read(&full).unwrap()),
        };
        let owner = (metadata.uid(), metadata.gid());
        let text = line(&what, metadata.mode() & 0o7777, owner, metadata.mtime(), &body, first.as_deref());
        out.insert(path, text);
    }
    out
}

fn visit(root: &Path, directory: &Path, paths: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        paths.push(entry.path().strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec());
        if entry.file_type().unwrap().is_dir() {
            visit(root, &entry.path(), paths);
        }
    }
}

/// Whether this is root with all it needs; says so if not.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root, for owners and device nodes");
    }
    root
}

/// Runs shell commands in a directory.
fn shell(directory: &Path, script: &str) {
    let mut child = Command::new("sh").args(["-e", "-s"]).current_dir(directory).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
}
