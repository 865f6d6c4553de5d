//! Calls that change nothing: stat(2), access(2), readlink(2), getcwd(2), statfs(2).

use std::ffi::CString;
use std::os::fd::AsFd;

use rustix::fs::readlinkat;
use rustix::io::Errno;

use super::super::area::{ROOT, Server};
use super::super::file::{is, stat_entry, statx};
use super::super::memory::{bytes_of, last_error};
use super::super::owners::{PERMISSIONS, WRITE, key};
use super::super::world::{Found, Last};
use super::{Asked, Result};

impl Asked<'_> {
    pub(super) fn fstatat(&self) -> Result<i64> {
        let flags = self.int(3);
        if self.is_descriptor(1, flags)? {
            return self.stat_descriptor(self.int(0), self.word(2));
        }
        let found = self.file(self.int(0), 1, flags)?;
        self.give_stat(found.stat, self.word(2))
    }

    pub(super) fn fstat(&self) -> Result<i64> {
        self.stat_descriptor(self.int(0), self.word(1))
    }

    fn stat_descriptor(&self, descriptor: i32, address: u64) -> Result<i64> {
        let link = match descriptor {
            libc::AT_FDCWD => format!("{}/cwd", self.caller.thread),
            descriptor => format!("{}/fd/{descriptor}", self.caller.thread),
        };
        let link = CString::new(link).map_err(|_| Errno::INVAL)?;
        match stat_entry(self.world.proc.as_fd(), &link, 0) {
            Ok(stat) => self.give_stat(stat, address),
            Err(Errno::NOENT) => Err(Errno::BADF),
            Err(error) => Err(error),
        }
    }

    fn give_stat(&self, mut stat: libc::stat, address: u64) -> Result<i64> {
        let looks = self.world.owners.looks(&stat);
        (stat.st_uid, stat.st_gid, stat.st_mode, stat.st_rdev) = (looks.uid, looks.gid, looks.mode, looks.device);
        self.memory.write(address, bytes_of(&stat))?;
        Ok(0)
    }

    pub(super) fn statx(&self) -> Result<i64> {
        let (flags, mask) = (self.int(2), self.word(3) as u32);
        let found = self.file(self.int(0), 1, flags)?;
        let sync = flags & (libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC);
        let mut stat = statx(found.file.as_fd(), sync, mask)?;
        let looks = self.looks(&found);
        (stat.stx_uid, stat.stx_gid, stat.stx_mode) = (looks.uid, looks.gid, looks.mode as u16);
        (stat.stx_rdev_major, stat.stx_rdev_minor) = (libc::major(looks.device), libc::minor(looks.device));
        self.memory.write(self.word(4), bytes_of(&stat))?;
        Ok(0)
    }

    pub(super) fn faccessat(&self) -> Result<i64> {
        let (want, flags) = (self.word(2) as u32, self.int(3));
        if want & !7 != 0 {
            return Err(Errno::INVAL);
        }
        let found = self.file(self.int(0), 1, flags)?;
        if want & WRITE != 0 {
            self.world.areas.permit_change(found.area)?;
        }
        let mut ids = self.caller.process.ids().clone();
        if flags & libc::AT_EACCESS == 0 {
            (ids.user.files, ids.group.files) = (ids.user.real, ids.group.real);
        }
        self.looks(&found).permit(&ids, want)?;
        Ok(0)
    }

    pub(super) fn readlinkat(&self) -> Result<i64> {
        let found = if self.string(1)?.is_empty() {
            self.world.descriptor(&self.caller, self.int(0))?
        } else {
            let path = self.path(self.int(0), 1)?;
            self.world.find(&self.caller, &path, Last::Keep)?
        };
        if !is(&found.stat, libc::S_IFLNK) {
            return Err(Errno::INVAL);
        }
        let target = self.target(found)?;
        let length = self.int(3);
        if length <= 0 {
            return Err(Errno::INVAL);
        }
        let target = &target[..target.len().min(length as usize)];
        self.memory.write(self.word(2), target)?;
        Ok(target.len() as i64)
    }

    /// Where a symlink points. Of a link to an open file the command sees a name that it knows, or none.
    fn target(&self, found: Found) -> Result<Vec<u8>> {
        if let Some(text) = found.text {
            return Ok(text);
        }
        let target = readlinkat(&found.file, c"", Vec::new())?.into_bytes();
        if self.world.areas.get(found.area).server != Server::Processes || !target.starts_with(b"/") {
            return Ok(target);
        }
        let harmless = target.starts_with(b"/dev/") || target.starts_with(b"/memfd:");
        let seen = self.world.seen_as(&target);
        Ok(seen.unwrap_or_else(|| if harmless { target } else { b"(unreachable)".to_vec() }))
    }

    pub(super) fn getcwd(&self) -> Result<i64> {
        let mut path = self.world.directory_path(&self.caller, libc::AT_FDCWD)?;
        path.push(0);
        if path.len() as u64 > self.word(1) {
            return Err(Errno::RANGE);
        }
        self.memory.write(self.word(0), &path)?;
        Ok(path.len() as i64)
    }

    pub(super) fn statfs(&self) -> Result<i64> {
        let found = self.file(libc::AT_FDCWD, 0, 0)?;
        // SAFETY: all bits zero are a valid value of this plain structure.
        let mut result: libc::statfs = unsafe { std::mem::zeroed() };
        let file = std::os::fd::AsRawFd::as_raw_fd(&found.file);
        // SAFETY: an open file and a live structure.
        if unsafe { libc::fstatfs(file, &raw mut result) } < 0 {
            return Err(last_error());
        }
        self.memory.write(self.word(1), bytes_of(&result))?;
        Ok(0)
    }

    /// Only a change to the root itself is possible, which changes nothing: programs do that to be safe.
    pub(super) fn chroot(&self) -> Result<i64> {
        let found = self.file(libc::AT_FDCWD, 0, 0)?;
        let root = super::super::file::stat(&self.world.areas.get(ROOT).file)?;
        let is_root = key(&root) == key(&found.stat) && found.stat.st_mode & PERMISSIONS != 0;
        if is_root && self.caller.process.ids().privileged() { Ok(0) } else { Err(Errno::PERM) }
    }
}
