//! What is away from home is written down beside the root, for the case that the supervisor is killed before it can bring it back.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, open, renameat_with, statat};
use serde::{Deserialize, Serialize};

use super::attach::{directory, split};
use super::leftovers;

/// Holds a directory for each run, beside the root.
pub(super) const DIRECTORY: &str = "attached";
const EXTENSION: &str = "record";

/// Something that was moved into a root.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    home: Vec<u8>,
    target: Vec<u8>,
    device: u64,
    inode: u64,
}

impl Record {
    /// Of what is now at `home`.
    pub(super) fn new(home: &Path, target: &[u8], found: &Stat) -> Self {
        let home = home.as_os_str().as_bytes().to_vec();
        Self { home, target: target.to_vec(), device: found.st_dev, inode: found.st_ino }
    }

    /// Written before the move.
    pub(super) fn write(&self, to: &Path) -> io::Result<()> {
        fs::write(to, postcard::to_allocvec(self).map_err(io::Error::other)?)
    }

    /// Moves it home, if it still is where it was put and nothing has taken its place.
    fn bring_home(&self, root: &Path) -> io::Result<()> {
        let home = PathBuf::from(std::ffi::OsString::from_vec(self.home.clone()));
        let (above, name) = split(&self.target)?;
        let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let parent = directory(&root, above)?;
        let found = statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (found.st_dev, found.st_ino) != (self.device, self.inode) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(renameat_with(&parent, &name, CWD, &home, RenameFlags::NOREPLACE)?)
    }
}

/// Brings home what a killed supervisor has left in `root`, and kills what it has left running there; to be called before the workspace is removed. What
/// the command has moved elsewhere is lost with the workspace: it is a cache, or was made for the run.
///
/// # Errors
/// What kept processes from being killed or records from being read. What they name and isn't there is no error.
pub(crate) fn recover(root: &Path) -> io::Result<()> {
    leftovers::kill(root)?;
    let Some(workspace) = root.parent() else { return Ok(()) };
    for run in entries(&workspace.join(DIRECTORY))? {
        let mut records = entries(&run)?;
        records.retain(|path| path.extension().is_some_and(|found| found == EXTENSION));
        // Inner ones first, as in an orderly end: those with the higher number.
        records.sort_by_key(|path| std::cmp::Reverse(number(path)));
        for path in records {
            // A record that isn't whole was being written when nothing had been moved.
            if let Ok(record) = postcard::from_bytes::<Record>(&fs::read(path)?) {
                let _ = record.bring_home(root);
            }
        }
    }
    Ok(())
}

/// What a directory holds; nothing where there is none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        entries => entries?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

fn number(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::attach::Attached;
    use super::*;
    use crate::request::{Attachment, AttachmentSource};

    #[test]
    fn what_is_away_comes_home() {
        let workspace = tempfile::tempdir().expect("a directory");
        let root = workspace.path().join("root");
        let [outer, inner] = ["outer", "inner"].map(|name| workspace.path().join("caches").join(name));
        for path in [&root.join("mnt"), &outer.join("sub"), &inner] {
            fs::create_dir_all(path).expect("a directory");
        }
        fs::write(inner.join("file"), "kept").expect("a file");
        let attach = |target: &str, path: &Path| Attachment {
            target: target.into(),
            source: AttachmentSource::Path { path: path.to_owned(), writable: true },
        };
        let mut attached = Attached::new(&root).expect("a workspace");
        attached.all(&[attach("/mnt", &outer), attach("/mnt/sub", &inner)]).expect("attached");
        assert!(!outer.exists() && root.join("mnt/sub/file").exists());
        // As if it had been killed.
        drop(attached);
        recover(&root).expect("recovered");
        assert_eq!(fs::read_to_string(inner.join("file")).expect("home"), "kept");
        assert!(outer.exists() && !root.join("mnt/sub").exists());
        recover(&root).expect("nothing to do");
        recover(&workspace.path().join("none")).expect("nothing to do");
    }
}
