//! Sessions: where the workspaces of one run of the host lie, and how long.
//!
//! A session is a directory `runs/<name>` of the store with a file `lock` in it. The host and its supervisors hold that lock shared as long as they live, so
//! whoever gets it exclusively knows that nobody is left, however they ended, and may remove the directory.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The directory of all sessions in a store.
const RUNS: &str = "runs";
const LOCK: &str = "lock";

/// A session that this process takes part in.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    _lock: File,
}

impl Session {
    /// Begins a session.
    ///
    /// # Errors
    /// If the store can't be written.
    pub fn begin(store: &Path) -> io::Result<Self> {
        let runs = store.join(RUNS);
        DirBuilder::new().recursive(true).mode(0o700).create(&runs)?;
        for attempt in 0u32.. {
            let path = runs.join(format!("{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = File::create(path.join(LOCK))?;
                    flock(&lock, FlockOperation::LockShared)?;
                    return Ok(Self { path, _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Takes part in a session that another process began.
    ///
    /// # Errors
    /// If it is not there any more.
    pub fn join(path: &Path) -> io::Result<Self> {
        let lock = File::open(path.join(LOCK))?;
        flock(&lock, FlockOperation::LockShared)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Sessions that nobody holds: their paths, and the locks that keep others from them.
pub(crate) fn abandoned(store: &Path) -> Vec<(PathBuf, File)> {
    let sessions = fs::read_dir(store.join(RUNS)).into_iter().flatten().flatten();
    sessions
        .filter_map(|entry| {
            let path = entry.path();
            let lock = match File::open(path.join(LOCK)) {
                Ok(lock) => lock,
                // Killed between two steps of its beginning, or of its removal: a lock of its own takes the place.
                Err(error) if error.kind() == io::ErrorKind::NotFound && is_old(&path) => {
                    File::create(path.join(LOCK)).ok()?
                }
                Err(_) => return None,
            };
            flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
            Some((path, lock))
        })
        .collect()
}

/// Whether a directory without a lock is more than being made this moment.
fn is_old(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age.as_secs() >= 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_abandoned_when_all_are_gone() {
        let store = tempfile::tempdir().unwrap();
        let host = Session::begin(store.path()).unwrap();
        let path = host.path().to_owned();
        let supervisor = Session::join(&path).unwrap();
        assert!(abandoned(store.path()).is_empty());
        drop(host);
        assert!(abandoned(store.path()).is_empty());
        drop(supervisor);
        assert_eq!(abandoned(store.path()).into_iter().map(|(path, _)| path).collect::<Vec<_>>(), [path]);
    }
}
