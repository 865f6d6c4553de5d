//! Unpacked bases, which stay in the store from one session to the next.
//!
//! Below overlays a base never changes. Without one, a command works in the base itself. So such a base belongs to one workspace at a
//! time: it is moved out of the store, and back when the session is over. It comes back as the commands left it, with a record of
//! how it was; who takes it puts right what differs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use steprun_snapshot::disk::{self, Index, Limits, Owners};
use steprun_snapshot::{Link, Snapshot, Store};

use crate::error::{Result, doing};
use crate::rung::Rung;
use crate::workspace::{ROOT, chain_of, clear, make, owning};

/// In a workspace, the record of its base; in the store, the same beside the base.
const RECORD: &str = "base.record";
/// In a workspace, a base on its way out of the store or into it.
const PASSAGE: &str = "base";
/// The directory of all bases in a store.
const BASES: &str = "bases";

/// An unpacked base as nobody had worked in it yet.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// In the store.
    name: String,
    /// Where the record is true.
    place: Where,
    index: Index,
    owners: Owners,
}

/// Where a record is true. Elsewhere each file would have to be written anew, and a new base is quicker.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Where {
    /// A machine that went down may have lost what was written last: nobody waits for it.
    boot: String,
    /// The file system's number. One that is mounted again may have another.
    device: u64,
}

/// Makes the root of a workspace hold a base: the one of the store that nobody uses, else a new one. Gives its owners.
pub(crate) fn provide(store: &Store, workspace: &Path, rung: Rung, links: &[Link], base: &Snapshot) -> Result<Owners> {
    let name = format!("{}-plain-{}", rung.name(), digest(links));
    if let Some(record) = take(store, workspace, &name)
        && let Ok(owners) = record.restore(workspace, rung, base)
    {
        return Ok(owners);
    }
    let root = workspace.join(ROOT);
    clear(&root).map_err(doing("remove an unpacked base"))?;
    make(&root)?;
    let mut owners = Owners::default();
    disk::write(&Snapshot::scratch(), base, &root, owning(rung, &mut owners), Limits::default())?;
    let index = Index::of(&root, &[])?;
    let place = Where::of(&root).map_err(doing("look at an unpacked base"))?;
    Record { name, place, index, owners: owners.clone() }.save(workspace)?;
    Ok(owners)
}

/// Moves the base of a workspace that is done with into the store. If that has one already, or it can't be done, it stays and goes with the workspace.
pub(crate) fn give_back(store: &Store, workspace: &Path) {
    let Some(record) = Record::read(&workspace.join(RECORD)) else { return };
    let passage = workspace.join(PASSAGE);
    let give = || {
        fs::create_dir(&passage)?;
        for part in [ROOT, RECORD] {
            fs::rename(workspace.join(part), passage.join(part))?;
        }
        fs::create_dir_all(store.root().join(BASES))?;
        fs::rename(&passage, store.root().join(BASES).join(&record.name))
    };
    // It costs the next session the time to unpack the base.
    let _: io::Result<()> = give();
}

/// The directory of a base, unpacked for overlays in user namespaces, of which any number may use it at once; made where it is missing. It is built apart and then renamed, so it is whole or not there.
pub(crate) fn shared(store: &Store, workspace: &Path, links: &[Link]) -> Result<PathBuf> {
    let bases = store.root().join(BASES);
    let path = bases.join(format!("userns-{}", digest(links)));
    if path.is_dir() {
        return Ok(path);
    }
    make(&bases)?;
    let building = workspace.join(PASSAGE);
    make(&building)?;
    let snapshot = if links.is_empty() { Snapshot::scratch() } else { Snapshot::from_links(store, links)? };
    // What a namespace can't make is seen as what it was by the tree, when the file system is read back.
    let mut owners = Owners::default();
    disk::write(&Snapshot::scratch(), &snapshot, &building, owning(Rung::Userns, &mut owners), Limits::default())?;
    match fs::rename(&building, &path) {
        Ok(()) => Ok(path),
        // Another was faster; its work is as good.
        Err(_) if path.is_dir() => Ok(path),
        Err(error) => Err(doing("put an unpacked base into the store")(error)),
    }
}

/// Names a base.
fn digest(links: &[Link]) -> String {
    steprun_snapshot::sha256(chain_of(links).join(" ").as_bytes()).digest().to_owned()
}

/// Moves a base from the store into a workspace. Of several who want it, one gets it. What can't be used is left to the workspace's end.
fn take(store: &Store, workspace: &Path, name: &str) -> Option<Record> {
    let passage = workspace.join(PASSAGE);
    fs::rename(store.root().join(BASES).join(name), &passage).ok()?;
    let here = Where::of(&passage.join(ROOT)).ok();
    let record = Record::read(&passage.join(RECORD));
    let record =
        record.filter(|record| record.name == name && here.as_ref() == Some(&record.place)).and_then(|record| {
            fs::rename(passage.join(ROOT), workspace.join(ROOT)).ok()?;
            fs::rename(passage.join(RECORD), workspace.join(RECORD)).ok()?;
            Some(record)
        });
    // A passage that is in the way keeps the base from going back: no more.
    let _ = clear(&passage);
    record
}

impl Record {
    fn read(path: &Path) -> Option<Self> {
        postcard::from_bytes(&fs::read(path).ok()?).ok()
    }

    fn save(&self, workspace: &Path) -> Result<()> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other);
        let saved = bytes.and_then(|bytes| fs::write(workspace.join(RECORD), bytes));
        saved.map_err(doing("write the record of an unpacked base"))
    }

    /// Puts right what commands did to the base. Gives its owners.
    fn restore(mut self, workspace: &Path, rung: Rung, base: &Snapshot) -> Result<Owners> {
        let root = workspace.join(ROOT);
        let owned = owning(rung, &mut self.owners);
        if let Some(index) = disk::restore(base, &self.index, &root, owned, Limits::default())? {
            self.index = index;
            self.save(workspace)?;
        }
        Ok(self.owners)
    }
}

impl Where {
    /// Where a root is.
    fn of(root: &Path) -> io::Result<Self> {
        // Where the system doesn't tell, its runs count as one.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self { boot, device: fs::metadata(root)?.dev() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        directory: tempfile::TempDir,
        store: Store,
        links: Vec<Link>,
        base: Snapshot,
    }

    fn fixture() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let file = steprun_snapshot::ChangeEntry {
            path: "file".into(),
            change: steprun_snapshot::Change::Inline(b"content".to_vec()),
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: steprun_snapshot::Timestamp { seconds: 1, nanoseconds: 0 },
        };
        let base = Snapshot::scratch().extend(&[], vec![file]).unwrap();
        let links = base.links(&store).unwrap();
        Fixture { directory, store, links, base }
    }

    impl Fixture {
        /// A workspace that holds the base.
        fn workspace(&self, name: &str) -> PathBuf {
            let path = self.directory.path().join(name);
            fs::create_dir(&path).unwrap();
            provide(&self.store, &path, Rung::Supervised, &self.links, &self.base).unwrap();
            assert_eq!(fs::read_to_string(path.join("root/file")).unwrap(), "content");
            assert_eq!(fs::read_dir(path.join("root")).unwrap().count(), 1);
            path
        }

        fn bases(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(self.store.root().join(BASES));
            entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
        }
    }

    fn inode(workspace: &Path, name: &str) -> u64 {
        fs::metadata(workspace.join("root").join(name)).unwrap().ino()
    }

    #[test]
    fn a_base_goes_from_session_to_session_and_is_put_right() {
        let fixture = fixture();
        let first = fixture.workspace("first");
        let root = inode(&first, "");
        fs::write(first.join("root/file"), "changed").unwrap();
        fs::write(first.join("root/more"), "").unwrap();
        give_back(&fixture.store, &first);
        assert!(!first.join("root").exists());
        assert_eq!(fixture.bases().len(), 1);
        let second = fixture.workspace("second");
        assert_eq!(inode(&second, ""), root);
        assert!(fixture.bases().is_empty(), "it is taken");
        let third = fixture.workspace("third");
        assert_ne!(inode(&third, ""), root, "one base is not for two");
        give_back(&fixture.store, &second);
        give_back(&fixture.store, &third);
        assert_eq!(fixture.bases().len(), 1, "one of a kind is kept");
    }

    #[test]
    fn a_record_that_is_not_whole_or_of_another_boot_counts_for_nothing() {
        let fixture = fixture();
        let workspace = fixture.workspace("first");
        let mut record = Record::read(&workspace.join(RECORD)).unwrap();
        record.place.boot = "another".into();
        record.save(&workspace).unwrap();
        let root = inode(&workspace, "");
        // Many file systems give the number of a removed directory to the next one, unless somebody has it open.
        let _open = fs::File::open(workspace.join("root")).unwrap();
        give_back(&fixture.store, &workspace);
        let second = fixture.workspace("second");
        assert_ne!(inode(&second, ""), root);
        let whole = fs::read(second.join(RECORD)).unwrap();
        give_back(&fixture.store, &second);
        let kept = fixture.bases().remove(0);
        fs::write(kept.join(RECORD), &whole[..whole.len() / 2]).unwrap();
        fs::write(kept.join("root/file"), "broken").unwrap();
        fixture.workspace("third");
    }
}
