//! Cache mounts: directories of the store that stay from one build to the next.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use steprun_snapshot::disk::Owners;
use steprun_snapshot::{Store, sha256};

use crate::error::{Result, doing};
use crate::request::Sharing;
use crate::rung::{Ownership, Rung};

/// A cache that this run uses: `caches/<key>/<number>/{lock,data,owners}`.
pub(crate) struct Cache {
    path: PathBuf,
    table: bool,
    _lock: File,
}

impl Cache {
    /// Takes a cache; a new one begins with `initial`, which lies in the same file system. May wait for another user of a locked one.
    pub(super) fn take(
        store: &Store,
        rung: Rung,
        id: &str,
        sharing: Sharing,
        initial: &Path,
        owners: &mut Owners,
    ) -> Result<Self> {
        // Ids of users mean other files on another rung, so each has caches of its own.
        let key = sha256(format!("{} {id}", rung.name()).as_bytes());
        let family = store.root().join("caches").join(key.digest());
        let (path, lock) = claim(&family, rung, sharing).map_err(doing("take a cache"))?;
        let cache = Self { path, table: rung.ownership() == Ownership::Table, _lock: lock };
        let data = cache.path();
        if !data.exists() {
            // Another first user of a shared one may have been faster: then theirs is taken, and this one goes with the workspace.
            match fs::rename(initial, &data) {
                Err(_) if data.is_dir() => {}
                outcome => outcome.map_err(doing("put a new cache in its place"))?,
            }
        }
        if cache.table
            && let Ok(bytes) = fs::read(cache.path.join("owners"))
        {
            // A table that can't be read gives all to root, which a build can mend.
            owners.extend(postcard::from_bytes::<Owners>(&bytes).unwrap_or_default());
        }
        Ok(cache)
    }

    /// The directory that the command sees.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Keeps the owners of its files for the next user.
    pub(super) fn give_back(self, owners: &mut Owners) -> io::Result<()> {
        if !self.table {
            return Ok(());
        }
        let mut own = Owners::default();
        let mut pending = vec![self.path()];
        while let Some(path) = pending.pop() {
            let there = fs::symlink_metadata(&path)?;
            let key = (there.dev(), there.ino());
            if let Some(owner) = owners.remove(&key) {
                own.insert(key, owner);
            }
            if there.is_dir() {
                pending.extend(
                    fs::read_dir(&path)?
                        .map(|entry| entry.map(|entry| entry.path()))
                        .collect::<io::Result<Vec<_>>>()?,
                );
            }
        }
        let bytes = postcard::to_stdvec(&own).map_err(io::Error::other)?;
        let new = self.path.join("owners.new");
        fs::write(&new, bytes)?;
        fs::rename(&new, self.path.join("owners"))
    }
}

/// The member of a family of caches that sharing allows, with its lock.
fn claim(family: &Path, rung: Rung, sharing: Sharing) -> io::Result<(PathBuf, File)> {
    let member = |number: u32| -> io::Result<(PathBuf, File)> {
        let path = family.join(number.to_string());
        fs::create_dir_all(&path)?;
        let lock = File::options().create(true).append(true).open(path.join("lock"))?;
        Ok((path, lock))
    };
    // A directory that is moved into place, and one whose owners are in a table, has one user at a time.
    let shared = sharing == Sharing::Shared && rung == Rung::Userns;
    match sharing {
        Sharing::Private => {
            for number in 0.. {
                let (path, lock) = member(number)?;
                if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    return Ok((path, lock));
                }
            }
            Err(io::ErrorKind::ResourceBusy.into())
        }
        Sharing::Shared | Sharing::Locked => {
            let (path, lock) = member(0)?;
            flock(&lock, if shared { FlockOperation::LockShared } else { FlockOperation::LockExclusive })?;
            Ok((path, lock))
        }
    }
}
