//! Extended attributes of files that names in `/proc` lead to. See [`change`](super::change) for what the kernel decides.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::follow::{Last, Place};
use super::{Asked, Result};
use crate::rung::file::magic;
use crate::rung::procfs::Node;
use crate::rung::xattr::{LONGEST, give, value};

impl Asked<'_> {
    pub(super) fn get_xattr(&self, place: &Place, last: Last) -> Result<i64> {
        let file = self.with_xattrs(place, last)?.ok_or(Errno::OPNOTSUPP)?;
        let name = self.memory.read_string(self.word(1))?;
        let mut value = vec![0; LONGEST];
        let length = getxattr(magic(file.as_fd()), name, &mut value)?;
        give(&value[..length], self.word(3), |bytes| self.memory.write(self.word(2), bytes))
    }

    pub(super) fn list_xattrs(&self, place: &Place, last: Last) -> Result<i64> {
        let Some(file) = self.with_xattrs(place, last)? else { return Ok(0) };
        let mut list = vec![0; LONGEST];
        let length = listxattr(magic(file.as_fd()), &mut list)?;
        give(&list[..length], self.word(2), |bytes| self.memory.write(self.word(1), bytes))
    }

    pub(super) fn set_xattr(&self, place: &Place, last: Last) -> Result<i64> {
        let file = self.with_xattrs(place, last)?.ok_or(Errno::OPNOTSUPP)?;
        let name = self.memory.read_string(self.word(1))?;
        let value = value(self.word(3), |buffer| self.memory.read(self.word(2), buffer))?;
        let flags = XattrFlags::from_bits_retain(self.int(4) as u32);
        setxattr(magic(file.as_fd()), name, &value, flags)?;
        Ok(0)
    }

    pub(super) fn remove_xattr(&self, place: &Place, last: Last) -> Result<i64> {
        let file = self.with_xattrs(place, last)?.ok_or(Errno::OPNOTSUPP)?;
        removexattr(magic(file.as_fd()), self.memory.read_string(self.word(1))?)?;
        Ok(0)
    }

    /// What is at a place, if it isn't the kernel's own: that has no attributes.
    fn with_xattrs(&self, place: &Place, last: Last) -> Result<Option<OwnedFd>> {
        match (place, last) {
            (Place::Root(_), _) | (Place::Proc(_, Node::Descriptor(_)), Last::Follow) => {
                self.find(place, last).map(Some)
            }
            (Place::Proc(..), _) => Ok(None),
        }
    }
}
