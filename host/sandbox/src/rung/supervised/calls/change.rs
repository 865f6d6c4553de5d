//! Calls that change a file's metadata or length.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, chmod, ftruncate};
use rustix::io::Errno;

use super::super::file::{is, magic};
use super::super::owners::{self, PERMISSIONS, WRITE};
use super::super::times;
use super::super::world::Found;
use super::{Asked, Result};
use crate::sys::notify::Answer;

/// "Leave it as it is", in chown(2).
const UNCHANGED: u32 = u32::MAX;

impl Asked<'_> {
    /// The file behind a descriptor, if it is one that the command has by itself. The host's (what it writes its output to) stay as they are,
    /// though the command is told otherwise.
    fn own_descriptor(&self, descriptor: i32) -> Result<Option<Found>> {
        let host = self.world.host_path(self.caller.thread, descriptor)?;
        let visible = self.world.areas.seen_as(&host).is_some();
        if visible { self.opened(descriptor).map(Some) } else { Ok(None) }
    }

    fn changed_file(&self, by_descriptor: bool, flags: i32) -> Result<Option<Found>> {
        let found = if by_descriptor || self.is_descriptor(1, flags)? {
            self.own_descriptor(self.int(0))?
        } else {
            Some(self.file(self.int(0), 1, flags)?)
        };
        if let Some(found) = &found {
            self.world.areas.permit_change(found.area)?;
        }
        Ok(found)
    }

    pub(super) fn chmod(&self) -> Result<i64> {
        let by_descriptor = self.number == libc::SYS_fchmod;
        let (wanted, flags) = if by_descriptor { (self.word(1), 0) } else { (self.word(2), self.int(3)) };
        let Some(found) = self.changed_file(by_descriptor, flags)? else { return Ok(0) };
        let looks = self.looks(&found);
        let ids = self.caller.process.ids().clone();
        if !looks.owned_by(&ids) {
            return Err(Errno::PERM);
        }
        if looks.kind() == libc::S_IFLNK {
            return Err(Errno::OPNOTSUPP);
        }
        let mut mode = wanted as u32 & PERMISSIONS;
        if !ids.overrides() && !ids.in_group(looks.gid) {
            mode &= !libc::S_ISGID;
        }
        self.set_mode(&found, mode)?;
        Ok(0)
    }

    /// The disk gets what is harmless, the table what is true.
    fn set_mode(&self, found: &Found, mode: u32) -> Result<()> {
        let on_disk = owners::on_disk(found.stat.st_mode & libc::S_IFMT, mode);
        chmod(magic(found.file.as_fd()), Mode::from_raw_mode(on_disk))?;
        self.world.owners.change(&found.stat, |owner| owner.mode = (on_disk != mode).then_some(mode));
        Ok(())
    }

    pub(super) fn chown(&self) -> Result<i64> {
        let by_descriptor = self.number == libc::SYS_fchown;
        let (first, flags) = if by_descriptor { (1, 0) } else { (2, self.int(4)) };
        let (uid, gid) = (self.word(first) as u32, self.word(first + 1) as u32);
        let Some(found) = self.changed_file(by_descriptor, flags)? else { return Ok(0) };
        let looks = self.looks(&found);
        let ids = self.caller.process.ids().clone();
        let own_user = uid == UNCHANGED || uid == looks.uid;
        let own_group = gid == UNCHANGED || gid == looks.gid || ids.in_group(gid);
        if !(ids.overrides() || looks.owned_by(&ids) && own_user && own_group) {
            return Err(Errno::PERM);
        }
        self.world.owners.change(&found.stat, |owner| {
            // An entry of the table speaks for both.
            owner.uid = if uid == UNCHANGED { looks.uid } else { uid };
            owner.gid = if gid == UNCHANGED { looks.gid } else { gid };
        });
        self.lose_privileges(&found, looks.mode)?;
        Ok(0)
    }

    /// A file with another owner has no set-id bits and no capabilities any more, whoever changed it (chown(2)).
    fn lose_privileges(&self, found: &Found, mode: u32) -> Result<()> {
        if is(&found.stat, libc::S_IFDIR) || is(&found.stat, libc::S_IFLNK) {
            return Ok(());
        }
        let group_executes = mode & libc::S_IXGRP != 0;
        let lost = libc::S_ISUID | if group_executes { libc::S_ISGID } else { 0 };
        if mode & lost != 0 {
            self.set_mode(found, mode & PERMISSIONS & !lost)?;
        }
        if self.world.owners.get(&found.stat).xattrs.contains_key(&b"security.capability"[..]) {
            self.world.owners.change(&found.stat, |owner| {
                owner.xattrs.remove(&b"security.capability"[..]);
            });
        }
        Ok(())
    }

    pub(super) fn truncate(&self) -> Result<i64> {
        let found = self.file(libc::AT_FDCWD, 0, 0)?;
        let looks = self.looks(&found);
        match looks.kind() {
            libc::S_IFDIR => return Err(Errno::ISDIR),
            libc::S_IFREG => {}
            _ => return Err(Errno::INVAL),
        }
        self.world.areas.permit_change(found.area)?;
        looks.permit(&self.caller.process.ids(), WRITE)?;
        let file = self.world.reopen(found.file.as_fd(), OFlags::WRONLY)?;
        let length = i64::try_from(self.word(1)).map_err(|_| Errno::INVAL)?;
        ftruncate(&file, length as u64)?;
        Ok(0)
    }

    pub(super) fn set_times(&self) -> Result<Answer> {
        if self.number == libc::SYS_utimensat && self.word(1) == 0 {
            // futimens(3): a descriptor, which the caller holds open; the kernel follows no path.
            return Ok(Answer::Continue);
        }
        let (directory, index, address, flags) = match self.number {
            libc::SYS_utimensat => (self.int(0), 1, self.word(2), self.int(3)),
            number if times::PATH_FIRST.contains(&number) => (libc::AT_FDCWD, 0, self.word(1), 0),
            _ => (self.int(0), 1, self.word(2), 0),
        };
        let times = times::given(self.number, address, |buffer| self.memory.read(address, buffer))?;
        let found = self.file(directory, index, flags)?;
        self.world.areas.permit_change(found.area)?;
        let looks = self.looks(&found);
        let ids = self.caller.process.ids().clone();
        if !looks.owned_by(&ids) {
            // Whoever may write may say "now".
            let now = times.iter().all(|time| time.tv_nsec == libc::UTIME_NOW);
            if !now {
                return Err(Errno::PERM);
            }
            looks.permit(&ids, WRITE)?;
        }
        times::set(found.file.as_fd(), &times)?;
        Ok(Answer::Value(0))
    }
}
