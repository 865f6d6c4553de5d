//! Extended attributes (xattr(7)): those of users are on disk, those that take privilege in the table.

use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::super::file::magic;
use super::super::owners::{READ, WRITE};
use super::super::world::Found;
use super::super::xattr::{LONGEST, give, value};
use super::{Asked, Result};

/// All calls of extended attributes by path or descriptor.
pub(in super::super) const CALLS: &[libc::c_long] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];

/// Where an attribute is kept.
enum Namespace {
    Disk,
    Table,
    /// Access control lists, which no layer holds.
    None,
}

fn namespace(name: &[u8]) -> Namespace {
    match name.split(|byte| *byte == b'.').next() {
        Some(b"user") => Namespace::Disk,
        Some(b"security" | b"trusted") => Namespace::Table,
        _ => Namespace::None,
    }
}

impl Asked<'_> {
    pub(super) fn xattr(&self) -> Result<i64> {
        let number = self.number;
        let by_descriptor = [libc::SYS_fsetxattr, libc::SYS_fgetxattr, libc::SYS_flistxattr, libc::SYS_fremovexattr];
        let keep = [libc::SYS_lsetxattr, libc::SYS_lgetxattr, libc::SYS_llistxattr, libc::SYS_lremovexattr];
        let found = if by_descriptor.contains(&number) {
            self.opened(self.int(0))?
        } else {
            let flags = if keep.contains(&number) { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
            self.file(libc::AT_FDCWD, 0, flags)?
        };
        match number {
            libc::SYS_listxattr | libc::SYS_llistxattr | libc::SYS_flistxattr => self.list_xattrs(&found),
            libc::SYS_getxattr | libc::SYS_lgetxattr | libc::SYS_fgetxattr => self.get_xattr(&found),
            libc::SYS_setxattr | libc::SYS_lsetxattr | libc::SYS_fsetxattr => self.set_xattr(&found),
            _ => self.remove_xattr(&found),
        }
    }

    fn list_xattrs(&self, found: &Found) -> Result<i64> {
        let mut on_disk = vec![0; LONGEST];
        let length = listxattr(magic(found.file.as_fd()), &mut on_disk).or_else(none_there)?;
        let mut list = Vec::new();
        for name in on_disk[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if let Namespace::Disk = namespace(name) {
                list.extend_from_slice(name);
                list.push(0);
            }
        }
        let privileged = self.caller.process.ids().privileged();
        for name in self.world.owners.get(&found.stat).xattrs.keys() {
            if privileged || !name.starts_with(b"trusted.") {
                list.extend_from_slice(name);
                list.push(0);
            }
        }
        self.give(&list, self.word(1), self.word(2))
    }

    fn get_xattr(&self, found: &Found) -> Result<i64> {
        let name = self.string(1)?;
        self.looks(found).permit(&self.caller.process.ids(), READ)?;
        let value = match namespace(&name) {
            Namespace::None => return Err(Errno::NODATA),
            Namespace::Table => self.world.owners.get(&found.stat).xattrs.remove(&name).ok_or(Errno::NODATA)?,
            Namespace::Disk => {
                let mut value = vec![0; LONGEST];
                let length = getxattr(magic(found.file.as_fd()), name.as_slice(), &mut value)?;
                value.truncate(length);
                value
            }
        };
        self.give(&value, self.word(2), self.word(3))
    }

    fn set_xattr(&self, found: &Found) -> Result<i64> {
        let name = self.string(1)?;
        let value = value(self.word(3), |buffer| self.memory.read(self.word(2), buffer))?;
        self.permit_xattr(found, &name)?;
        let flags = XattrFlags::from_bits_retain(self.word(4) as u32);
        match namespace(&name) {
            Namespace::None => return Err(Errno::OPNOTSUPP),
            Namespace::Disk => setxattr(magic(found.file.as_fd()), name.as_slice(), &value, flags)?,
            Namespace::Table => {
                let there = self.world.owners.get(&found.stat).xattrs.contains_key(&name);
                if flags.contains(XattrFlags::CREATE) && there {
                    return Err(Errno::EXIST);
                }
                if flags.contains(XattrFlags::REPLACE) && !there {
                    return Err(Errno::NODATA);
                }
                self.world.owners.change(&found.stat, |owner| {
                    owner.xattrs.insert(name, value);
                });
            }
        }
        Ok(0)
    }

    fn remove_xattr(&self, found: &Found) -> Result<i64> {
        let name = self.string(1)?;
        self.permit_xattr(found, &name)?;
        match namespace(&name) {
            Namespace::None => return Err(Errno::NODATA),
            Namespace::Disk => removexattr(magic(found.file.as_fd()), name.as_slice())?,
            Namespace::Table => {
                let mut removed = None;
                self.world.owners.change(&found.stat, |owner| removed = owner.xattrs.remove(&name));
                removed.ok_or(Errno::NODATA)?;
            }
        }
        Ok(0)
    }

    fn permit_xattr(&self, found: &Found, name: &[u8]) -> Result<()> {
        self.world.areas.permit_change(found.area)?;
        let ids = self.caller.process.ids();
        match namespace(name) {
            Namespace::Table if !ids.privileged() => Err(Errno::PERM),
            _ => self.looks(found).permit(&ids, WRITE),
        }
    }

    fn give(&self, bytes: &[u8], address: u64, room: u64) -> Result<i64> {
        give(bytes, room, |bytes| self.memory.write(address, bytes))
    }
}

fn none_there(error: Errno) -> Result<usize> {
    if error == Errno::OPNOTSUPP { Ok(0) } else { Err(error) }
}
