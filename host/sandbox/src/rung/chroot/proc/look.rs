//! stat(2), access(2) and readlink(2) of what is in `/proc`.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Access, AtFlags, CWD, OFlags, ResolveFlags, accessat, readlinkat};
use rustix::io::Errno;

use super::follow::{Last, Place};
use super::{Asked, Result};
use crate::rung::file::{is, magic, open_at, stat, statx};
use crate::rung::memory::bytes_of;
use crate::rung::path::{relative, wants_directory};
use crate::rung::procfs::{Node, own_link};

impl Asked<'_> {
    pub(super) fn stat(&self, place: &Place, last: Last) -> Result<i64> {
        let file = self.find(place, last)?;
        self.memory.write(self.word(2), bytes_of(&stat(&file)?))?;
        Ok(0)
    }

    pub(super) fn statx(&self, place: &Place, last: Last) -> Result<i64> {
        let file = self.find(place, last)?;
        let sync = self.int(2) & (libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC);
        let found = statx(file.as_fd(), sync, self.word(3) as u32)?;
        self.memory.write(self.word(4), bytes_of(&found))?;
        Ok(0)
    }

    /// With the effective user where the call asks for the real one: they are the same in all that we can look into.
    pub(super) fn access(&self, place: &Place, last: Last) -> Result<i64> {
        let wanted = Access::from_bits(self.word(2) as u32).ok_or(Errno::INVAL)?;
        let file = self.find(place, last)?;
        let is_ours = matches!(place, Place::Proc(_, Node::Host(_) | Node::Text(..)));
        if is_ours && wanted.contains(Access::WRITE_OK) {
            return Err(Errno::ROFS);
        }
        accessat(CWD, magic(file.as_fd()), wanted, AtFlags::EACCESS)?;
        Ok(0)
    }

    pub(super) fn readlink(&self, place: &Place) -> Result<i64> {
        let target = match place {
            Place::Proc(_, Node::Link(target)) => target.clone(),
            Place::Proc(_, Node::Descriptor(link)) => self.target(link)?,
            place => {
                let file = self.find(place, Last::Keep)?;
                if !is(&stat(&file)?, libc::S_IFLNK) {
                    return Err(Errno::INVAL);
                }
                readlinkat(&file, c"", Vec::new())?.into_bytes()
            }
        };
        let length = usize::try_from(self.int(3)).ok().filter(|length| *length > 0).ok_or(Errno::INVAL)?;
        let target = &target[..target.len().min(length)];
        self.memory.write(self.word(2), target)?;
        Ok(target.len() as i64)
    }

    /// What a place is, open with O_PATH.
    pub(super) fn find(&self, place: &Place, last: Last) -> Result<OwnedFd> {
        let keep = if last == Last::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
        let file = match place {
            Place::Root(path) => {
                let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                open_at(self.proc.root.as_fd(), relative(path), OFlags::PATH | keep, resolve)?
            }
            Place::Proc(_, Node::Absent) => return Err(Errno::NOENT),
            Place::Proc(_, Node::Host(host) | Node::Text(host, _)) => self.proc.entry(host, OFlags::NOFOLLOW)?,
            Place::Proc(path, Node::Link(_)) => self.proc.entry(&own_link(path), OFlags::NOFOLLOW)?,
            Place::Proc(_, Node::Descriptor(link)) => self.proc.entry(link, keep)?,
        };
        if wants_directory(&self.path) && !is(&stat(&file)?, libc::S_IFDIR) {
            return Err(Errno::NOTDIR);
        }
        Ok(file)
    }
}
