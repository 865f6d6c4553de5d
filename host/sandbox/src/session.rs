//! Sessions: where the workspaces of one run of the host lie, and how long.
//!
//! A session is a directory `runs/<name>` of the store, and a file `runs/<name>.lock`, which is made before it and removed after it. The host and its
//! supervisors hold that lock shared as long as they live, so whoever gets it exclusively knows that nobody is left, however they
//! ended, and may remove the session.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The directory of all sessions in a store.
const RUNS: &str = "runs";
/// What the name of a lock has more than its session's.
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
            let lock = match File::create_new(path.with_extension(LOCK)) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Until it is held it looks abandoned.
            if hold(&lock, FlockOperation::NonBlockingLockShared)? {
                DirBuilder::new().mode(0o700).create(&path)?;
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Takes part in a session that another process began.
    ///
    /// # Errors
    /// If it is not there any more.
    pub fn join(path: &Path) -> io::Result<Self> {
        let lock = File::open(path.with_extension(LOCK))?;
        match hold(&lock, FlockOperation::LockShared)? {
            true => Ok(Self { path: path.to_owned(), _lock: lock }),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A session that nobody takes part in any more, and nobody else removes.
#[derive(Debug)]
pub(crate) struct Abandoned {
    path: PathBuf,
    _lock: File,
}

impl Abandoned {
    /// All in a store.
    pub(crate) fn all(store: &Path) -> Vec<Self> {
        let entries = fs::read_dir(store.join(RUNS)).into_iter().flatten().flatten().map(|entry| entry.path());
        let locks = entries.filter(|path| path.extension().is_some_and(|extension| extension == LOCK));
        locks
            .filter_map(|path| {
                let lock = File::open(&path).ok()?;
                hold(&lock, FlockOperation::NonBlockingLockExclusive)
                    .ok()?
                    .then(|| Self { path: path.with_extension(""), _lock: lock })
            })
            .collect()
    }

    /// Where it lies; the directory may be gone already.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets go of its name, once the directory is gone.
    ///
    /// # Errors
    /// If the store can't be written.
    pub(crate) fn end(self) -> io::Result<()> {
        fs::remove_file(self.path.with_extension(LOCK))
    }
}

/// Whether a store has sessions that nobody takes part in any more.
pub fn is_any_abandoned(store: &Path) -> bool {
    !Abandoned::all(store).is_empty()
}

/// Locks a file that is still there; false if it isn't, or another holds it.
fn hold(lock: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(lock, how) {
        Ok(()) => Ok(lock.metadata()?.nlink() > 0),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abandoned(store: &Path) -> Vec<PathBuf> {
        Abandoned::all(store).into_iter().map(|session| session.path).collect()
    }

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
        assert_eq!(abandoned(store.path()), [path]);
    }

    /// Killed at any moment of its beginning or its removal, it leaves what is found.
    #[test]
    fn a_session_without_a_directory_is_found() {
        let store = tempfile::tempdir().unwrap();
        let session = Session::begin(store.path()).unwrap();
        let path = session.path().to_owned();
        drop(session);
        fs::remove_dir(&path).unwrap();
        let mut found = Abandoned::all(store.path());
        assert_eq!(found.len(), 1);
        assert!(abandoned(store.path()).is_empty(), "one removes it");
        found.remove(0).end().unwrap();
        assert_eq!(fs::read_dir(store.path().join(RUNS)).unwrap().count(), 0);
        assert_eq!(Session::join(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
