//! Directories of `/proc`, for programs that list them.
//!
//! A directory of the host's `/proc` is never given to the command, as `..` of it leads out of the root. So what is listed is a directory in the
//! root itself, which is filled when it is opened. Its entries serve for their names and kinds: by a full path a look-up never comes to them.
//! The command may change what is there as it likes, so no symlink of it is followed.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, mkdirat, mknodat, openat, readlinkat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::rung::file::open_at;
use crate::rung::path::components;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);
/// As deep as directories of processes are: number, task, number, fd.
const DEEPEST: u32 = 6;

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File,
    /// To this path of the command.
    Link(Vec<u8>),
}

/// Names and what they stand for.
pub(super) type Entries = HashMap<CString, Entry>;

/// The directory at the command's `/proc`.
#[derive(Debug)]
pub(super) struct Listing {
    top: OwnedFd,
    /// Held while entries come and go.
    filling: Mutex<()>,
}

impl Listing {
    /// In this directory, which is empty.
    pub(super) fn new(top: OwnedFd) -> Self {
        Self { top, filling: Mutex::new(()) }
    }

    /// Brings the directory at a path below `/proc` up to date, and opens it.
    ///
    /// # Errors
    /// ENOENT, ELOOP, ... where the command has put something else in its place; those of the disk.
    pub(super) fn open(&self, path: &[u8], mut entries: Entries) -> Result<OwnedFd, Errno> {
        let _alone = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut directory = open_at(self.top.as_fd(), b".", DIRECTORY, INSIDE)?;
        for component in components(path) {
            match mkdirat(&directory, component, Mode::from_raw_mode(0o555)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            directory = open_at(directory.as_fd(), component, DIRECTORY, INSIDE)?;
        }
        for (name, kind) in read(directory.as_fd())? {
            match entries.get(&name) {
                Some(wanted) if is(wanted, directory.as_fd(), &name, kind) => drop(entries.remove(&name)),
                _ => remove(directory.as_fd(), &name, kind, DEEPEST)?,
            }
        }
        for (name, entry) in &entries {
            make(directory.as_fd(), name, entry)?;
        }
        Ok(directory)
    }
}

/// What a directory holds.
pub(super) fn read(directory: BorrowedFd<'_>) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(entries)
}

fn is(wanted: &Entry, directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> bool {
    match wanted {
        Entry::Directory => kind == FileType::Directory,
        Entry::File => kind == FileType::RegularFile,
        Entry::Link(target) => readlinkat(directory, name, Vec::new()).is_ok_and(|found| found.as_bytes() == target),
    }
}

fn make(directory: BorrowedFd<'_>, name: &CStr, entry: &Entry) -> Result<(), Errno> {
    let made = match entry {
        Entry::Directory => mkdirat(directory, name, Mode::from_raw_mode(0o555)),
        Entry::File => mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(0o444), 0),
        Entry::Link(target) => symlinkat(target.as_slice(), directory, name),
    };
    if made == Err(Errno::EXIST) { Ok(()) } else { made }
}

/// Removes an entry with all below it. The command may have made it deeper than we go; then it stays.
fn remove(directory: BorrowedFd<'_>, name: &CStr, kind: FileType, depth: u32) -> Result<(), Errno> {
    if kind != FileType::Directory {
        return unlinkat(directory, name, AtFlags::empty());
    }
    if depth > 0 {
        let inner = openat(directory, name, DIRECTORY, Mode::empty())?;
        for (name, kind) in read(inner.as_fd())? {
            remove(inner.as_fd(), &name, kind, depth - 1)?;
        }
    }
    unlinkat(directory, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn listings_follow_what_is_there() {
        let at = tempfile::tempdir().expect("a directory");
        let at = at.path();
        let listing = Listing::new(rustix::fs::open(at, OFlags::PATH, Mode::empty()).expect("a directory"));
        let entries = |names: &[(&CStr, Entry)]| {
            names.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect::<Entries>()
        };
        let link = |target: &[u8]| Entry::Link(target.to_vec());
        listing.open(b"/3/fd", entries(&[(c"0", link(b"/a")), (c"1", link(b"/b"))])).expect("listed");
        listing.open(b"/3/fd", entries(&[(c"0", link(b"/c"))])).expect("listed");
        assert_eq!(fs::read_link(at.join("3/fd/0")).expect("there"), std::path::Path::new("/c"));
        assert!(fs::symlink_metadata(at.join("3/fd/1")).is_err());
        listing.open(b"", entries(&[(c"4", Entry::Directory), (c"stat", Entry::File)])).expect("listed");
        assert!(!at.join("3").exists() && at.join("4").is_dir() && at.join("stat").is_file());
    }

    #[test]
    fn no_symlink_is_followed() {
        let at = tempfile::tempdir().expect("a directory");
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("precious"), "").expect("a file");
        symlink(outside.path(), at.path().join("3")).expect("a symlink");
        let listing = Listing::new(rustix::fs::open(at.path(), OFlags::PATH, Mode::empty()).expect("a directory"));
        assert!(listing.open(b"/3", Entries::new()).is_err());
        listing.open(b"", Entries::new()).expect("listed");
        assert!(outside.path().join("precious").exists() && fs::symlink_metadata(at.path().join("3")).is_err());
    }
}
