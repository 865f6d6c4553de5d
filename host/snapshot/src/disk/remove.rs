//! Removing a tree, whatever its modes and however deep.
//!
//! Nothing here recurses, and no path is ever longer than one name: the subdirectories of a directory that shall go are first moved up to
//! the top. So each directory is moved once, and three are open at a time.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, renameat, statx, unlinkat};
use rustix::io::Errno;

use super::place::{Cursor, Place};
use crate::Error;

/// Removes a directory of the host with all that is in it, read-only directories too. Symlinks are removed, not followed.
///
/// # Errors
/// The system's: what is a mount point or somebody else's can't be removed.
pub fn remove(root: &Path) -> io::Result<()> {
    clear(&enter(CWD, root.as_os_str().as_encoded_bytes())?)?;
    unlinkat(CWD, root, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Removes what is at a clean path of a place, if anything is.
pub(super) fn below(place: &Place, path: &[u8]) -> Result<(), Error> {
    let mut cursor = Cursor::new(place);
    let (parent, last) = cursor.parent(path)?;
    discard(parent, last).map_err(Error::io("remove", place.full(path)))
}

fn discard(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::NOENT) => return Ok(()),
        other => return other,
    }
    clear(&enter(parent, name)?)?;
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Opens a directory and makes it one that entries can be removed from.
fn enter(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // It is a directory, and nobody else is here to make it a link before this follows one.
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    match rustix::fs::fchmod(&fd, Mode::RWXU) {
        // Not ours; then it may still let us.
        Ok(()) | Err(Errno::PERM) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

/// Removes all that is in a directory.
fn clear(top: &OwnedFd) -> Result<(), Errno> {
    let mut moved = 0;
    loop {
        let entries = list(top)?;
        if entries.is_empty() {
            return Ok(());
        }
        for (name, directory) in entries {
            if !directory {
                gone(unlinkat(top, &name, AtFlags::empty()))?;
                continue;
            }
            match enter(top.as_fd(), &name) {
                Ok(inner) => flatten(&inner, top, &mut moved)?,
                // An empty one, whose name was taken by one that was moved up.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            }
            gone(unlinkat(top, &name, AtFlags::REMOVEDIR))?;
        }
    }
}

/// Empties a directory: its files go, its directories move to the top.
fn flatten(directory: &OwnedFd, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    for (name, is_directory) in list(directory)? {
        if !is_directory {
            unlinkat(directory, &name, AtFlags::empty())?;
            continue;
        }
        // Moving a directory writes its `..`.
        drop(enter(directory.as_fd(), &name)?);
        loop {
            *moved += 1;
            match renameat(directory, &name, top, format!(".removed-{moved}")) {
                // Something has that name.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                other => break other?,
            }
        }
    }
    Ok(())
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Names in a directory, and whether each is a directory.
fn list(directory: &OwnedFd) -> Result<Vec<(Vec<u8>, bool)>, Errno> {
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = [MaybeUninit::<u8>::uninit(); 32 * 1024];
    let mut raw = RawDir::new(directory, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let directory_type = match entry.file_type() {
            FileType::Unknown => {
                let stat = statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, rustix::fs::StatxFlags::TYPE)?;
                FileType::from_raw_mode(stat.stx_mode.into())
            }
            known => known,
        };
        entries.push((name.to_bytes().to_vec(), directory_type == FileType::Directory));
    }
    Ok(entries)
}
