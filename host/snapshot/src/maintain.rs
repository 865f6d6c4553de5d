//! Keeping a store small and whole: what is in it, what can go, what is broken.
//!
//! Those who use a store hold its lock shared as long as they do; here it is held alone, so that nothing goes away under a build.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::image::Digest;
use rustix::fs::{FlockOperation, flock};

use crate::hash::Hasher;
use crate::{Error, Result, Store, disk, store};

/// The directories of a store, and how deep below them the things lie that are kept or removed as one. What commands left in `caches` and
/// unpacked in `bases` are directories; all else are files.
const PARTS: [(&str, usize); 6] =
    [("blobs", 2), ("toc", 1), ("records", 2), ("digests", 1), ("bases", 1), ("caches", 1)];

/// A store that nobody else uses.
#[derive(Debug)]
pub struct Alone {
    store: Store,
}

/// One thing in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The store's directory that it is in: `blobs`, `caches`.
    pub part: &'static str,
    /// Where it lies.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// When it was made or used last, as far as the file system tells.
    pub used: SystemTime,
}

impl Alone {
    /// Waits until nobody uses the store.
    pub fn open(root: &Path) -> Result<Self> {
        // Makes it, if there is none.
        drop(Store::open(root)?);
        let path = root.join(store::LOCK);
        let lock = File::open(&path).map_err(Error::io("open", &path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(Error::io("lock", &path))?;
        Ok(Self { store: Store::locked(root, lock) })
    }

    /// All that is in it, least recently used first.
    pub fn list(&self) -> Result<Vec<Kept>> {
        let mut all = Vec::new();
        for (part, depth) in PARTS {
            collect(&self.store.root().join(part), part, depth, &mut all)?;
        }
        all.sort_by(|a, b| a.used.cmp(&b.used).then_with(|| a.path.cmp(&b.path)));
        Ok(all)
    }

    /// Removes what was not used since `oldest`, then what was used least recently until at most `most` bytes are left, then records whose blobs are gone.
    /// Gives what it removed, records aside.
    pub fn collect_garbage(&self, oldest: Option<SystemTime>, most: Option<u64>) -> Result<Vec<Kept>> {
        let all = self.list()?;
        let mut left: u64 = all.iter().map(|kept| kept.size).sum();
        let mut removed = Vec::new();
        for kept in all {
            let is_old = oldest.is_some_and(|oldest| kept.used < oldest);
            if is_old || most.is_some_and(|most| left > most) {
                left -= kept.size;
                remove(&kept.path)?;
                removed.push(kept);
            }
        }
        for kept in self.list()?.iter().filter(|kept| kept.part == "records") {
            if !self.store.is_usable(&kept.path) {
                remove(&kept.path)?;
            }
        }
        Ok(removed)
    }

    /// Reads all blobs, and removes those that do not have their digest. Gives those.
    pub fn verify(&self) -> Result<Vec<Kept>> {
        let mut broken = Vec::new();
        for kept in self.list()?.into_iter().filter(|kept| kept.part == "blobs") {
            if !has_its_digest(&kept)? {
                remove(&kept.path)?;
                broken.push(kept);
            }
        }
        Ok(broken)
    }
}

fn collect(directory: &Path, part: &'static str, depth: usize, all: &mut Vec<Kept>) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("list", directory))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::io("list", directory))?.path();
        let found = fs::symlink_metadata(&path).map_err(Error::io("stat", &path))?;
        if depth > 1 && found.is_dir() {
            collect(&path, part, depth - 1, all)?;
        } else {
            all.push(Kept { part, size: size(&path, &found)?, used: last_use(&found), path });
        }
    }
    Ok(())
}

/// Of a directory with all that is in it, as far as it can be read.
fn size(path: &Path, found: &fs::Metadata) -> Result<u64> {
    if !found.is_dir() {
        return Ok(found.len());
    }
    let mut total = 0;
    let mut todo = vec![path.to_owned()];
    while let Some(directory) = todo.pop() {
        // What belongs to another user of a namespace can't be looked into.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => todo.push(entry.path()),
                Ok(found) => total += found.len(),
                Err(_) => {}
            }
        }
    }
    Ok(total)
}

fn last_use(found: &fs::Metadata) -> SystemTime {
    use std::os::unix::fs::MetadataExt;
    let changed = u64::try_from(found.ctime()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(changed);
    // The tree in a directory has times of its own, which say nothing.
    if found.is_dir() { changed } else { found.modified().map_or(changed, |modified| modified.max(changed)) }
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { disk::remove(path) } else { fs::remove_file(path) };
    removed.map_err(Error::io("remove", path))
}

/// Whether a blob is what its name says, `ALGORITHM/HEX`.
fn has_its_digest(kept: &Kept) -> Result<bool> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = format!("{}:{}", kept.path.parent().map(name).unwrap_or_default(), name(&kept.path));
    let Ok(expected) = text.parse::<Digest>() else { return Ok(false) };
    let mut file = File::open(&kept.path).map_err(Error::io("open", &kept.path))?;
    let mut hashing = crate::hash::Hashing::new(io::sink(), Hasher::of(&expected)?);
    io::copy(&mut file, &mut hashing).map_err(Error::io("read", &kept.path))?;
    Ok(hashing.hasher.finish() == expected)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Descriptor;

    fn store() -> (tempfile::TempDir, Store, Vec<Digest>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let digests = ["one", "three", "twelve bytes"].map(|text| store.put_bytes(text.as_bytes()).unwrap());
        for (age, digest) in [30u64, 20, 10].into_iter().zip(&digests) {
            let file = File::options().write(true).open(store.blob_path(digest).unwrap()).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(1000 - age)).unwrap();
        }
        (directory, store, digests.into())
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (directory, store, digests) = store();
        let blob = |digest: &Digest, size| Descriptor { media_type: "a".into(), digest: digest.clone(), size };
        store.put_record("s", "old", b"", &[blob(&digests[0], 3)]).unwrap();
        store.put_record("s", "new", b"", &[blob(&digests[2], 12)]).unwrap();
        drop(store);
        let alone = Alone::open(directory.path()).unwrap();
        let records: u64 =
            alone.list().unwrap().iter().filter(|kept| kept.part == "records").map(|kept| kept.size).sum();
        // Records are older than the blobs here, and go before them.
        let removed = alone.collect_garbage(None, Some(17)).unwrap();
        assert_eq!(removed.iter().map(|kept| kept.size).sum::<u64>(), records + 3);
        assert_eq!(alone.list().unwrap().iter().map(|kept| kept.size).collect::<Vec<_>>(), [5, 12]);
        assert_eq!(alone.collect_garbage(None, None).unwrap(), []);
        let all = Some(SystemTime::now() + Duration::from_secs(5000));
        assert_eq!(alone.collect_garbage(all, None).unwrap().len(), 2);
    }

    #[test]
    fn what_lost_its_blob_goes() {
        let (directory, store, digests) = store();
        let blob = Descriptor { media_type: "a".into(), digest: digests[0].clone(), size: 3 };
        store.put_record("s", "k", b"", &[blob]).unwrap();
        fs::remove_file(store.blob_path(&digests[0]).unwrap()).unwrap();
        drop(store);
        let alone = Alone::open(directory.path()).unwrap();
        alone.collect_garbage(None, None).unwrap();
        assert!(alone.list().unwrap().iter().all(|kept| kept.part == "blobs"));
    }

    #[test]
    fn what_is_broken_is_found() {
        let (directory, store, digests) = store();
        fs::write(store.blob_path(&digests[1]).unwrap(), "other").unwrap();
        let path = store.blob_path(&digests[1]).unwrap();
        drop(store);
        let alone = Alone::open(directory.path()).unwrap();
        let broken = alone.verify().unwrap();
        assert_eq!(broken.iter().map(|kept| kept.path.clone()).collect::<Vec<_>>(), std::slice::from_ref(&path));
        assert!(!path.exists());
        assert_eq!(alone.verify().unwrap(), []);
    }

    #[test]
    fn a_store_in_use_is_waited_for() {
        let (directory, store, _) = store();
        let lock = File::open(directory.path().join(crate::store::LOCK)).unwrap();
        assert!(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
        let other = store.clone();
        drop(store);
        assert!(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(other);
        assert!(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok());
    }
}
