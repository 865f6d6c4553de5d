//! Directories below a root, reached without following links.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::{Error, Result, name};

/// A directory that holds a file system.
#[derive(Debug)]
pub(super) struct Place {
    fd: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// Opens it by a path of the host.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(Error::io("open the directory", path))?;
        Ok(Self { fd, path: path.into() })
    }

    /// Where a clean path lies on the host, for messages.
    pub(super) fn full(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.path.clone() } else { self.path.join(OsStr::from_bytes(path)) }
    }

    /// Opens a directory by its clean path. Fails with `ENOTDIR` or `ELOOP` where a component is none.
    pub(super) fn directory(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let here = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(&self.fd, here, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // No such call here, or a path that is longer than it takes.
                Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => return self.step_by_step(path, flags),
                opened => return opened,
            }
        }
    }

    fn step_by_step(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here = openat(&self.fd, ".", step, Mode::empty())?;
        for component in name::components(path) {
            here = openat(&here, component, step, Mode::empty())?;
        }
        openat(&here, ".", flags, Mode::empty())
    }
}

/// Goes from directory to directory, and keeps the last one open: files come in the order of their directories.
pub(super) struct Cursor<'p> {
    place: &'p Place,
    path: Vec<u8>,
    open: Option<OwnedFd>,
}

impl<'p> Cursor<'p> {
    /// Begins nowhere.
    pub(super) fn new(place: &'p Place) -> Self {
        Self { place, path: Vec::new(), open: None }
    }

    /// The directory that a clean path is in, opened as a path only, and the last component; for the root itself, the root and `.`.
    pub(super) fn parent<'n>(&mut self, path: &'n [u8]) -> Result<(BorrowedFd<'_>, &'n [u8])> {
        let (parent, last) = name::split_last(path).unwrap_or((b"", b"."));
        if self.path != parent {
            self.open = None;
        }
        let fd = match self.open.take() {
            Some(fd) => fd,
            None => {
                let opened = self.place.directory(parent, OFlags::PATH);
                opened.map_err(|errno| Error::io("open the directory", self.place.full(parent))(errno))?
            }
        };
        parent.clone_into(&mut self.path);
        let open: &OwnedFd = self.open.insert(fd);
        Ok((open.as_fd(), last))
    }
}
