//! Calls that change a file by a name in `/proc`, mostly that of a descriptor. C libraries make such names where a call takes no descriptor: for
//! `mkfifo -m` (fchmodat with AT_SYMLINK_NOFOLLOW), to give a name to a file that has none (open(2), "O_TMPFILE").
//!
//! The kernel decides: this thread does the call as the caller, with the same user, groups and capabilities, and it finds a descriptor of another process
//! only if the caller would. With a descriptor's file nearly all of this can be done without `/proc` too (fchmod(2), futimens(3), fsetxattr(2), fchownat(2) with
//! AT_EMPTY_PATH). Two calls do more, and Landlock would refuse them outside of the root, which doesn't hold for this process: truncate(2) asks who may
//! write the file, not how it was opened; a link gives a name to it. Both are done in the root only.
//!
//! The path is read once, here. What another thread of the caller puts in its place meanwhile counts for a call that is left to the kernel, which
//! then finds that `/proc` as empty as it is: the same as if the call had been made with that path.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chmod, chownat, linkat};
use rustix::io::Errno;

use super::follow::{Last, Place};
use super::{Asked, Result};
use crate::rung::file::{magic, open_at};
use crate::rung::memory::last_error;
use crate::rung::path::{relative, split, wants_directory};
use crate::rung::procfs::Node;
use crate::rung::times;

/// "Leave it as it is", in chown(2).
const UNCHANGED: u32 = u32::MAX;

impl Asked<'_> {
    pub(super) fn set_mode(&self, place: &Place) -> Result<i64> {
        let file = self.changed(place)?;
        self.permit_flags(3, libc::AT_EMPTY_PATH)?;
        chmod(magic(file.as_fd()), Mode::from_raw_mode(self.word(2) as u32 & 0o7777))?;
        Ok(0)
    }

    pub(super) fn set_owner(&self, place: &Place) -> Result<i64> {
        let file = self.changed(place)?;
        self.permit_flags(4, libc::AT_EMPTY_PATH)?;
        let given = |index| Some(self.word(index) as u32).filter(|id| *id != UNCHANGED);
        let (user, group) = (given(2).map(Uid::from_raw), given(3).map(Gid::from_raw));
        chownat(CWD, magic(file.as_fd()), user, group, AtFlags::empty())?;
        Ok(0)
    }

    pub(super) fn set_times(&self, place: &Place) -> Result<i64> {
        let file = self.changed(place)?;
        let address = self.word(if times::PATH_FIRST.contains(&self.number) { 1 } else { 2 });
        let times = times::given(self.number, address, |buffer| self.memory.read(address, buffer))?;
        times::set(file.as_fd(), &times)?;
        Ok(0)
    }

    pub(super) fn truncate(&self, place: &Place) -> Result<i64> {
        let file = self.changed(place)?;
        self.confine(&file)?;
        // SAFETY: the name ends in NUL.
        let result = unsafe { libc::truncate(magic(file.as_fd()).as_ptr(), self.word(1) as i64) };
        if result < 0 { Err(last_error()) } else { Ok(0) }
    }

    /// A new name for what is at a place.
    pub(super) fn link(&self, place: &Place) -> Result<i64> {
        let file = self.changed(place)?;
        self.permit_flags(4, libc::AT_EMPTY_PATH | libc::AT_SYMLINK_FOLLOW)?;
        self.confine(&file)?;
        let (directory, name) = self.slot(self.int(2), self.memory.read_string(self.word(3))?)?;
        linkat(CWD, magic(file.as_fd()), directory, name, AtFlags::SYMLINK_FOLLOW)?;
        Ok(0)
    }

    /// What is to be changed. Of the kernel's own files nothing can be, whoever asks.
    fn changed(&self, place: &Place) -> Result<OwnedFd> {
        match place {
            Place::Root(_) | Place::Proc(_, Node::Descriptor(_)) => self.find(place, Last::Follow),
            Place::Proc(..) => Err(Errno::PERM),
        }
    }

    /// Refuses what does not lie in the root, but for what no path leads to.
    fn confine(&self, file: &OwnedFd) -> Result<()> {
        if self.proc.names(file)? { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// Refuses flags that the kernel doesn't know in this call.
    fn permit_flags(&self, index: usize, known: i32) -> Result<()> {
        if self.int(index) & !known == 0 { Ok(()) } else { Err(Errno::INVAL) }
    }

    /// The directory and the name of a new entry; `directory` is the descriptor that the path is relative to. No link leads out of the root.
    fn slot(&self, directory: i32, path: Vec<u8>) -> Result<(OwnedFd, CString)> {
        let path = match path.first() {
            None => return Err(Errno::NOENT),
            Some(b'/') => path,
            Some(_) => [&self.directory(directory)?, &b"/"[..], &path].concat(),
        };
        if wants_directory(&path) {
            return Err(Errno::NOENT);
        }
        let (above, name) = split(&path).ok_or(Errno::EXIST)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let above = open_at(self.proc.root.as_fd(), relative(above), OFlags::PATH | OFlags::DIRECTORY, resolve)?;
        Ok((above, CString::new(name).map_err(|_| Errno::INVAL)?))
    }

    /// The path of a directory that the caller has open, or works in.
    fn directory(&self, descriptor: i32) -> Result<Vec<u8>> {
        let thread = self.caller.asker.thread;
        let link = match descriptor {
            libc::AT_FDCWD => format!("{thread}/cwd"),
            descriptor => format!("{thread}/fd/{descriptor}"),
        };
        let path = self.proc.tree.named_by(link.as_bytes()).ok_or(Errno::BADF)?;
        if path.starts_with(b"/") { Ok(path) } else { Err(Errno::NOTDIR) }
    }
}
