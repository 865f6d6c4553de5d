//! Layers of somebody who means harm. After each, nothing outside of the root may be made or changed.

use std::io::Read;

use super::*;
use crate::meta::Attributes;
use crate::tar::write::{END, Shape, padding, push_header};
use crate::{Error, name};

/// An entry by its name as it stands in the archive.
type Hostile<'a> = (&'a str, Shape<'a>);

fn archive(entries: &[Hostile<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, shape) in entries {
        let attributes = Attributes { mode: 0o755, ..Attributes::default() };
        push_header(&mut archive, path.as_bytes(), &attributes, *shape);
        if let Shape::Regular { size } = shape {
            archive.resize(archive.len() + *size as usize + padding(*size), b'!');
        }
    }
    archive.extend_from_slice(&END);
    archive
}

/// A directory with a victim and a root beside it, into which layers are written.
struct Trap {
    fixture: Fixture,
    root: PathBuf,
    victim: PathBuf,
    table: Owners,
}

impl Trap {
    fn new() -> Self {
        let fixture = fixture();
        let (root, victim) = (fixture.directory("root"), fixture.directory("victim"));
        fs::write(victim.join("file"), "untouched").unwrap();
        Self { fixture, root, victim, table: Owners::new() }
    }

    fn write(&mut self, layers: &[&[Hostile<'_>]]) -> Result<Snapshot> {
        let import = |entries: &&[Hostile<'_>]| crate::import_layer(&self.fixture.store, archive(entries).as_slice());
        let layers: Vec<_> = layers.iter().map(import).collect::<Result<_>>()?;
        let snapshot = self.fixture.load(&layers)?;
        let owning = Owning::Table(&mut self.table);
        super::super::write(&Snapshot::scratch(), &snapshot, &self.root, owning, Limits::default())?;
        Ok(snapshot)
    }

    fn target(&self, path: &str) -> String {
        self.victim.join(path).to_str().unwrap().to_owned()
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut names: Vec<_> =
            fs::read_dir(self.fixture.root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["root", "store", "victim"]);
        assert_eq!(fs::read_dir(&self.victim).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(self.victim.join("file")).unwrap(), "untouched");
        assert_eq!(fs::metadata(self.victim.join("file")).unwrap().nlink(), 1);
    }
}

const FILE: Shape<'_> = Shape::Regular { size: 4 };

#[test]
fn names_with_dots_are_refused() {
    let mut trap = Trap::new();
    for path in ["../victim/file", "a/../../victim/file", "..", "a/.."] {
        assert!(matches!(trap.write(&[&[(path, FILE)]]), Err(Error::Invalid(_))), "{path}");
        assert!(matches!(
            trap.write(&[&[("x", FILE), ("y", Shape::HardLink(path.as_bytes()))]]),
            Err(Error::Invalid(_))
        ));
    }
}

#[test]
fn absolute_names_are_below_the_root() {
    let mut trap = Trap::new();
    let target = trap.target("file");
    trap.write(&[&[(&target, FILE)]]).unwrap();
    assert_eq!(fs::read(trap.root.join(target.trim_start_matches('/'))).unwrap(), b"!!!!");
}

#[test]
fn links_to_the_host_are_not_written_through() {
    for through in ["link/file", "link/new", "link/deep/er"] {
        let mut trap = Trap::new();
        let target = trap.target("");
        let link = ("link", Shape::Symlink(target.as_bytes()));
        // In one layer, and in two.
        trap.write(&[&[link, (through, FILE)]]).unwrap();
        remove(&trap.root).unwrap();
        fs::create_dir(&trap.root).unwrap();
        let snapshot = trap.write(&[&[link], &[(through, FILE)]]).unwrap();
        // It is followed inside of the root, as unpackers in a root do.
        let inside = snapshot.real_path(through).unwrap();
        assert_eq!(fs::read(trap.root.join(inside)).unwrap(), b"!!!!");
    }
}

#[test]
fn a_link_that_climbs_ends_at_the_root() {
    let mut trap = Trap::new();
    trap.write(&[&[("link", Shape::Symlink(b"../../../victim")), ("link/file", FILE)]]).unwrap();
    assert_eq!(fs::read(trap.root.join("victim/file")).unwrap(), b"!!!!");
}

#[test]
fn a_link_in_place_of_a_directory_on_disk_is_not_followed() {
    let mut trap = Trap::new();
    // As if somebody had been there between two steps.
    std::os::unix::fs::symlink(&trap.victim, trap.root.join("d")).unwrap();
    assert!(trap.write(&[&[("d", Shape::Directory), ("d/file", FILE)]]).is_err());
    let before = Snapshot::scratch().extend(&[], vec![directory("d"), inline("d/file", "x")]).unwrap();
    let after = before.extend(&[], vec![entry("d/file", Change::Removed), inline("d/new", "n")]).unwrap();
    let owning = Owning::Table(&mut trap.table);
    assert!(super::super::write(&before, &after, &trap.root, owning, Limits::default()).is_err());
}

#[test]
fn hard_links_lead_nowhere_else() {
    let mut trap = Trap::new();
    let target = trap.target("file");
    let error = trap.write(&[&[("stolen", Shape::HardLink(target.as_bytes()))]]).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));
    // By way of a symlink of the archive.
    let link = ("link", Shape::Symlink(target.as_bytes()));
    trap.write(&[&[link, ("stolen", Shape::HardLink(b"link"))]]).unwrap();
    assert!(fs::symlink_metadata(trap.root.join("stolen")).unwrap().file_type().is_symlink());
    let up = ("up", Shape::Symlink(b"../victim"));
    assert!(trap.write(&[&[up, ("stolen", Shape::HardLink(b"up/file"))]]).is_err());
}

#[test]
fn links_to_proc_are_links() {
    let mut trap = Trap::new();
    let cwd = ("cwd", Shape::Symlink(b"/proc/self/cwd"));
    trap.write(&[&[cwd, ("cwd/planted", FILE), ("fd", Shape::Symlink(b"/proc/self/fd/1"))]]).unwrap();
    assert_eq!(fs::read(trap.root.join("proc/self/cwd/planted")).unwrap(), b"!!!!");
    assert!(!Path::new("planted").exists());
}

#[test]
fn device_nodes_are_nodes_of_a_table_only() {
    let mut trap = Trap::new();
    trap.write(&[&[("disk", Shape::Device { block: true, major: 8, minor: 0 })]]).unwrap();
    assert!(fs::symlink_metadata(trap.root.join("disk")).unwrap().is_file());
    assert!(trap.table.values().any(|owner| owner.device == Some((true, 8, 0))));
}

#[test]
fn a_whiteout_device_in_a_user_namespace_hides_nothing() {
    let trap = Trap::new();
    let node = entry("bin", Change::Device { block: false, major: 0, minor: 0 });
    let snapshot = Snapshot::scratch().extend(&[], vec![node]).unwrap();
    let mut table = Owners::new();
    let owning = Owning::Real { table: &mut table, userns: true };
    if is_root() {
        super::super::write(&Snapshot::scratch(), &snapshot, &trap.root, owning, Limits::default()).unwrap();
        assert!(fs::symlink_metadata(trap.root.join("bin")).unwrap().is_file());
        assert_eq!(table.len(), 1);
    }
}

#[test]
fn files_and_directories_take_each_others_place() {
    let mut trap = Trap::new();
    trap.write(&[
        &[("a", FILE), ("b", Shape::Directory), ("b/x", FILE)],
        &[("a", Shape::Directory), ("a/y", FILE), ("b", FILE)],
        &[("c", FILE), ("c", Shape::Directory), ("c/z", FILE)],
    ])
    .unwrap();
    assert!(trap.root.join("a/y").is_file() && trap.root.join("b").is_file() && trap.root.join("c/z").is_file());
    assert!(matches!(trap.write(&[&[("f", FILE), ("f/below", FILE)]]), Err(Error::Invalid(_))));
}

#[test]
fn nesting_has_a_limit() {
    let mut trap = Trap::new();
    let deep = |depth: usize| vec!["d"; depth].join("/");
    trap.write(&[&[(&deep(1000), FILE)]]).unwrap();
    remove(&trap.root).unwrap();
    fs::create_dir(&trap.root).unwrap();
    assert!(matches!(trap.write(&[&[(&deep(1500), FILE)]]), Err(Error::Invalid(_))));
    // A path that the kernel does not take in one go, by way of a link.
    let (long, link) = (vec!["n".repeat(250); 15].join("/"), "l");
    let end = format!("{link}/{}", vec!["m".repeat(250); 14].join("/"));
    let snapshot =
        trap.write(&[&[(&long, Shape::Directory), (link, Shape::Symlink(long.as_bytes())), (&end, FILE)]]).unwrap();
    let index = Index::of(&trap.root, &[]).unwrap();
    let state = State::Plain { root: &trap.root, before: &index };
    let scan = Scan { base: &snapshot, state, owned: Owned::Table(&trap.table), skip: &[], latest: None };
    let _ = changes(scan);
    remove(&trap.root).unwrap();
    fs::create_dir(&trap.root).unwrap();
}

#[test]
fn odd_names() {
    let mut trap = Trap::new();
    trap.write(&[&[("a\nb", FILE), ("-rf", FILE), ("%s\u{1b}[31m", FILE), (" ", FILE)]]).unwrap();
    assert!(trap.root.join("a\nb").is_file());
    // A header ends a name at a NUL; a PAX record doesn't.
    let mut bytes = archive(&[(&"x".repeat(300), FILE)]);
    let at = bytes.windows(9).position(|window| window == b"path=xxxx").unwrap();
    bytes[at + 7] = 0;
    let refused = crate::import_layer(&trap.fixture.store, bytes.as_slice());
    assert!(matches!(refused, Err(Error::Invalid(message)) if message.contains("NUL")));
}

#[test]
fn whiteouts_take_away_inside_of_the_root_only() {
    for trick in [
        ".wh..",
        ".wh...",
        "d/.wh..",
        "d/.wh...",
        ".wh..wh.",
        ".wh..wh..opq",
        ".wh.",
        "link/.wh.file",
        "link/.wh..wh..opq",
    ] {
        let mut trap = Trap::new();
        let target = trap.target("");
        let base: &[Hostile<'_>] = &[("d", Shape::Directory), ("link", Shape::Symlink(target.as_bytes())), ("f", FILE)];
        let snapshot = trap.write(&[base, &[(trick, Shape::Regular { size: 0 })]]).unwrap();
        assert_eq!(snapshot.stat("f", false).is_ok(), trick != ".wh..wh..opq", "{trick}");
        assert!(snapshot.stat(trick, false).is_err());
        // The same on disk, where the base was already.
        let before =
            trap.fixture.load(&[crate::import_layer(&trap.fixture.store, archive(base).as_slice()).unwrap()]).unwrap();
        let (root, mut table) = (trap.root.clone(), Owners::new());
        remove(&root).unwrap();
        fs::create_dir(&root).unwrap();
        for (from, to) in [(&Snapshot::scratch(), &before), (&before, &snapshot)] {
            super::super::write(from, to, &root, Owning::Table(&mut table), Limits::default()).unwrap();
        }
        let listed: Vec<_> = disk_listing(&root).into_keys().map(|path| name::encode(&path)).collect();
        let expected: Vec<_> = listing(&snapshot).into_keys().map(|path| name::encode(&path)).collect();
        assert_eq!(listed, expected, "{trick}");
    }
}

#[test]
fn bombs_are_refused_before_they_are_written() {
    let mut trap = Trap::new();
    let import =
        |entries: &[Hostile<'_>]| crate::import_layer(&trap.fixture.store, archive(entries).as_slice()).unwrap();
    let layer = import(&[("zeros", Shape::Regular { size: 50_000_000 }), ("x", FILE)]);
    assert!(layer.descriptor.size < 1_000_000);
    let snapshot = trap.fixture.load(&[layer]).unwrap();
    let tight = [
        (Limits { bytes: Some(50_000_003), ..Limits::default() }, "bytes"),
        (Limits { entries: 2, bytes: None }, "entries"),
    ];
    for (limits, what) in tight {
        let owning = Owning::Table(&mut trap.table);
        let error = super::super::write(&Snapshot::scratch(), &snapshot, &trap.root, owning, limits).unwrap_err();
        assert!(matches!(&error, Error::Invalid(message) if message.contains(what)), "{error}");
        assert_eq!(fs::read_dir(&trap.root).unwrap().count(), 0);
    }
    let enough = Limits { bytes: Some(50_000_004), entries: 3 };
    super::super::write(&Snapshot::scratch(), &snapshot, &trap.root, Owning::Table(&mut trap.table), enough).unwrap();
}

/// An archive of ten million entries that is never in memory.
struct Endless {
    entry: Vec<u8>,
    left: u64,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let count = buffer.len().min(self.entry.len() - self.at);
        buffer[..count].copy_from_slice(&self.entry[self.at..self.at + count]);
        self.at += count;
        if self.at == self.entry.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(count)
    }
}

#[test]
fn archives_of_too_many_or_too_large_entries_are_refused() {
    let entry = |shape: Shape<'_>, path: &str| {
        let mut bytes = Vec::new();
        push_header(&mut bytes, path.as_bytes(), &Attributes::default(), shape);
        bytes
    };
    let target = "t".repeat(4000);
    // A label is no file, so nothing is kept of it.
    let mut label = ::tar::Header::new_ustar();
    label.set_entry_type(::tar::EntryType::new(b'V'));
    label.set_size(0);
    label.set_cksum();
    let table = [
        (label.as_bytes().to_vec(), "5000000 entries"),
        (entry(Shape::Fifo, "f"), "512 MiB"),
        (entry(Shape::Symlink(target.as_bytes()), "l"), "512 MiB"),
        (entry(Shape::Fifo, &target), "512 MiB"),
    ];
    for (entry, why) in table {
        let endless = Endless { entry, left: 10_000_000, at: 0 };
        let error = crate::layer::Toc::read(std::io::BufReader::new(endless)).unwrap_err();
        assert!(matches!(&error, Error::Invalid(message) if message.contains(why)), "{error}");
    }
}
