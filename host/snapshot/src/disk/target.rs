//! Metadata of one file on disk, by descriptor or by its name in an open directory; links are never followed.

use std::os::fd::AsRawFd;

use rustix::fd::BorrowedFd;
use rustix::fs::{self, AtFlags, Gid, Mode, Statx, StatxFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use crate::Timestamp;

/// A file whose metadata is set or read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'f> {
    /// An open file or directory.
    Open(BorrowedFd<'f>),
    /// Something in a directory.
    Named(BorrowedFd<'f>, &'f [u8]),
}

impl Target<'_> {
    /// Gives it to an owner. Clears setuid, setgid and `security.capability`.
    pub(super) fn chown(self, uid: u32, gid: u32) -> Result<(), Errno> {
        // The kernel takes -1 as "leave it".
        if uid == u32::MAX || gid == u32::MAX {
            return Err(Errno::INVAL);
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Open(fd) => fs::fchown(fd, uid, gid),
            Self::Named(directory, name) => fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Sets the mode. Not for symlinks, which have none, and which this would follow.
    pub(super) fn chmod(self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(fd) => fs::fchmod(fd, mode),
            Self::Named(directory, name) => fs::chmodat(directory, name, mode, AtFlags::empty()),
        }
    }

    /// Sets an extended attribute.
    pub(super) fn set_xattr(self, attribute: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => fs::fsetxattr(fd, attribute, value, XattrFlags::empty()),
            Self::Named(directory, name) => {
                fs::lsetxattr(magic(directory, name), attribute, value, XattrFlags::empty())
            }
        }
    }

    /// Removes an extended attribute, if it is there.
    pub(super) fn remove_xattr(self, attribute: &[u8]) -> Result<(), Errno> {
        let removed = match self {
            Self::Open(fd) => fs::fremovexattr(fd, attribute),
            Self::Named(directory, name) => fs::lremovexattr(magic(directory, name), attribute),
        };
        match removed {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            other => other,
        }
    }

    /// Sets the modification time.
    pub(super) fn set_modified(self, at: Timestamp) -> Result<(), Errno> {
        let last_modification = Timespec { tv_sec: at.seconds, tv_nsec: at.nanoseconds.into() };
        let times = Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification };
        match self {
            Self::Open(fd) => fs::futimens(fd, &times),
            Self::Named(directory, name) => fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// All that the kernel says of it.
    pub(super) fn stat(self) -> Result<Statx, Errno> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        match self {
            Self::Open(fd) => fs::statx(fd, c"", AtFlags::EMPTY_PATH, wanted),
            Self::Named(directory, name) => fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, wanted),
        }
    }
}

/// A path of a name in an open directory, for calls that take paths only. The last component is not followed by them.
fn magic(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat()
}
