//! Resolving a path one component at a time, below a directory.
//!
//! The kernel does the same faster (`openat2`); this is for what it doesn't tell: the resolved path, and which link led out. It is
//! also the way on kernels and under filters that lack `openat2`.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, Statx};
use rustix::io::Errno;

use crate::name;

/// As in the kernel.
const MAX_LINKS: usize = 40;

/// A symlink that was followed.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    /// It is absolute, or climbs above the root.
    leads_out: bool,
}

/// Why a walk ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The system's answer.
    System(Errno),
    /// Nothing is there, at the end of a link that leads out of the directory.
    LedOut(Link),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Where a walk arrived. Its parents are held open, so that the place can't be swapped for another.
pub(super) struct Place<'r> {
    root: BorrowedFd<'r>,
    /// Each component below the root, opened as a path.
    stack: Vec<(Vec<u8>, OwnedFd)>,
}

impl Place<'_> {
    /// The path without symlinks.
    pub(super) fn path(&self) -> Vec<u8> {
        self.stack.iter().fold(Vec::new(), |path, (component, _)| name::join(&path, component))
    }

    /// Opens what is here. Never follows a link that came here since.
    pub(super) fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self.stack.as_slice() {
            [] => rustix::fs::openat(self.root, ".", flags, Mode::empty()),
            [(component, _)] => rustix::fs::openat(self.root, component.as_slice(), flags, Mode::empty()),
            [.., (_, parent), (component, _)] => rustix::fs::openat(parent, component.as_slice(), flags, Mode::empty()),
        }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.stack.last().map_or(self.root, |(_, fd)| fd.as_fd())
    }
}

/// Resolves a path below `root` as if that were the root of the file system. `follow` is for a link in the last component;
/// `links` says whether any link may be followed at all (if not, one fails with `ELOOP`).
pub(super) fn walk<'r>(root: BorrowedFd<'r>, path: &[u8], follow: bool, links: bool) -> Result<Place<'r>, Stop> {
    let mut place = Place { root, stack: Vec::new() };
    let mut followed: Vec<Link> = Vec::new();
    // The components still to go, last first, each with the link that brought it.
    let mut pending: Vec<(Vec<u8>, Option<usize>)> = Vec::new();
    push(&mut pending, path, None);
    while let Some((component, link)) = pending.pop() {
        if component == b".." {
            if place.stack.pop().is_none()
                && let Some(link) = link
            {
                followed[link].leads_out = true;
            }
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(place.here(), component.as_slice(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => {
                let out = link.map(|link| &followed[link]).filter(|link| link.leads_out);
                return Err(out.map_or(Stop::System(Errno::NOENT), |link| Stop::LedOut(link.clone())));
            }
            Err(errno) => return Err(errno.into()),
        };
        if FileType::from_raw_mode(stat(&fd)?.stx_mode.into()) != FileType::Symlink {
            place.stack.push((component, fd));
            continue;
        }
        if pending.is_empty() && !follow {
            place.stack.push((component, fd));
            break;
        }
        if !links || followed.len() == MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = rustix::fs::readlinkat(&fd, c"", Vec::new())?.into_bytes();
        let absolute = target.first() == Some(&b'/');
        push(&mut pending, &target, Some(followed.len()));
        followed.push(Link { path: name::join(&place.path(), &component), target, leads_out: absolute });
        if absolute {
            place.stack.clear();
        }
    }
    Ok(place)
}

fn push(pending: &mut Vec<(Vec<u8>, Option<usize>)>, path: &[u8], link: Option<usize>) {
    pending.extend(name::components(path).rev().map(|component| (component.to_vec(), link)));
}

/// Metadata of an open file.
pub(super) fn stat(fd: impl AsFd) -> Result<Statx, Errno> {
    statx_at(fd, c"")
}

/// Metadata of a name in an open directory, or of the open file itself with an empty name.
pub(super) fn statx_at(fd: impl AsFd, file: &std::ffi::CStr) -> Result<Statx, Errno> {
    use rustix::fs::{AtFlags, StatxFlags};
    rustix::fs::statx(fd, file, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
}

/// Opens a directory that is named from outside.
pub(super) fn open_root(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
