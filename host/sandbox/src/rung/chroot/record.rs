//! What is away from home is written down beside the root, for the case that the supervisor is killed before it can bring it back.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, open, renameat_with, statat};
use serde::{Deserialize, Serialize};

use super::attach::{directory, split};

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

/// Brings home what a killed supervisor has left in `root`; to be called before its workspace is removed, when no process of the run is alive.
/// What the command has moved elsewhere is lost with the workspace: it is a cache, or was made for the run.
///
/// # Errors
/// What kept the records from being read. What they name and isn't there is no error.
pub(crate) fn recover(root: &Path) -> io::Result<()> {
    let Some(above) = root.parent().map(|workspace| workspace.join(DIRECTORY)) else { return Ok(()) };
    let runs = match fs::read_dir(above) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        runs => runs?,
    };
    for run in runs {
        let mut records = fs::read_dir(run?.path())?
            .map(|entry| entry.map(|entry| entry.path()))
            .filter(|path| path.as_ref().map_or(true, |path| path.extension().is_some_and(|found| found == EXTENSION)))
            .collect::<io::Result<Vec<_>>>()?;
        // Inner ones first, as in an orderly end: those with the higher number.
        records.sort_by_key(|path| std::cmp::Reverse(number(path)));
        for path in records {
            if let Ok(record) = postcard::from_bytes::<Record>(&fs::read(path)?) {
                let _ = record.bring_home(root);
            }
        }
    }
    Ok(())
}

fn number(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.parse().ok()
}
