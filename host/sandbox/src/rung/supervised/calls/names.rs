//! Calls that make, move and remove names.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, linkat, mkdirat, mknodat, renameat_with, symlinkat, unlinkat};
use rustix::io::Errno;
use steprun_snapshot::Reach;

use super::super::file::{is, magic, stat_entry};
use super::super::owners::{self, EXECUTE, WRITE, key};
use super::super::path::{clean, wants_directory};
use super::super::world::{Last, Slot};
use super::{Asked, Result};

impl Asked<'_> {
    fn slot(&self, directory: i32, index: usize) -> Result<Slot> {
        let path = self.path(directory, index)?;
        self.world.slot(&self.caller, &path)
    }

    /// The same of something whose entries count, or all that is below it.
    fn slot_within(&self, directory: i32, index: usize, reach: Reach) -> Result<Slot> {
        let path = self.path(directory, index)?;
        self.note_entry(&path, reach);
        self.world.slot(&self.caller, &path)
    }

    /// Notes how much of an entry counts, by a path that may have a slash at its end.
    fn note_entry(&self, path: &[u8], reach: Reach) {
        self.world.note(&self.caller, &clean(path), Last::Keep, reach);
    }

    /// What is at a slot now.
    fn entry(&self, slot: &Slot) -> Result<libc::stat> {
        stat_entry(slot.directory.file.as_fd(), &slot.name, libc::AT_SYMLINK_NOFOLLOW)
    }

    pub(super) fn mkdirat(&self) -> Result<i64> {
        let slot = self.slot(self.int(0), 1)?;
        if self.entry(&slot).is_ok() {
            return Err(Errno::EXIST);
        }
        self.permit_entry(&slot)?;
        let mode = self.masked(self.word(2) as u32 & 0o1777);
        let on_disk = Mode::from_raw_mode(owners::on_disk(libc::S_IFDIR, mode));
        mkdirat(&slot.directory.file, &slot.name, on_disk)?;
        self.own(&slot.directory, &self.entry(&slot)?, mode, None);
        Ok(0)
    }

    pub(super) fn mknodat(&self) -> Result<i64> {
        let (mode, device) = (self.word(2) as u32, self.word(3));
        let slot = self.slot(self.int(0), 1)?;
        if self.entry(&slot).is_ok() {
            return Err(Errno::EXIST);
        }
        self.permit_entry(&slot)?;
        let (kind, node) = match mode & libc::S_IFMT {
            0 | libc::S_IFREG => (FileType::RegularFile, None),
            libc::S_IFIFO => (FileType::Fifo, None),
            libc::S_IFSOCK => (FileType::Socket, None),
            kind @ (libc::S_IFCHR | libc::S_IFBLK) if self.caller.process.ids().privileged() => {
                let number = (kind == libc::S_IFBLK, libc::major(device), libc::minor(device));
                (FileType::RegularFile, Some(number))
            }
            libc::S_IFCHR | libc::S_IFBLK => return Err(Errno::PERM),
            _ => return Err(Errno::INVAL),
        };
        let mode = self.masked(mode);
        let on_disk = Mode::from_raw_mode(owners::on_disk(libc::S_IFREG, mode));
        mknodat(&slot.directory.file, &slot.name, kind, on_disk, 0)?;
        self.own(&slot.directory, &self.entry(&slot)?, mode, node);
        Ok(0)
    }

    pub(super) fn symlinkat(&self) -> Result<i64> {
        let target = self.string(0)?;
        if target.is_empty() {
            return Err(Errno::NOENT);
        }
        let slot = self.slot(self.int(1), 2)?;
        if self.entry(&slot).is_ok() {
            return Err(Errno::EXIST);
        }
        self.permit_entry(&slot)?;
        symlinkat(target.as_slice(), &slot.directory.file, &slot.name)?;
        self.world.names_change();
        self.own(&slot.directory, &self.entry(&slot)?, 0o777, None);
        Ok(0)
    }

    pub(super) fn linkat(&self) -> Result<i64> {
        let flags = self.int(4);
        // linkat(2) follows on demand only, unlike all other calls.
        let keep = if flags & libc::AT_SYMLINK_FOLLOW == 0 { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
        let source = self.file(self.int(0), 1, flags & libc::AT_EMPTY_PATH | keep)?;
        let slot = self.slot(self.int(2), 3)?;
        if self.entry(&slot).is_ok() {
            return Err(Errno::EXIST);
        }
        self.permit_entry(&slot)?;
        if self.looks(&source).is_directory() {
            return Err(Errno::PERM);
        }
        if source.area != slot.directory.area {
            return Err(Errno::XDEV);
        }
        let file = magic(source.file.as_fd());
        linkat(rustix::fs::CWD, file, &slot.directory.file, &slot.name, AtFlags::SYMLINK_FOLLOW)?;
        self.world.names_change();
        Ok(0)
    }

    pub(super) fn unlinkat(&self) -> Result<i64> {
        let path = self.path(self.int(0), 1)?;
        let directory = self.int(2) & libc::AT_REMOVEDIR != 0;
        if directory {
            // That it can be removed says that it is empty.
            self.note_entry(&path, Reach::Entries);
        }
        let slot = self.world.slot(&self.caller, &path).map_err(no_entry)?;
        let stat = self.entry(&slot)?;
        if wants_directory(&path) && !is(&stat, libc::S_IFDIR) {
            return Err(Errno::NOTDIR);
        }
        self.permit_removal(&slot, &stat)?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        // Forgotten first: as soon as it is gone, another thread may make a file with the same inode number.
        let known = self.world.owners.forget(&stat);
        unlinkat(&slot.directory.file, &slot.name, flags).inspect_err(|_| self.world.owners.restore(&stat, known))?;
        Ok(0)
    }

    pub(super) fn renameat(&self) -> Result<i64> {
        let flags = RenameFlags::from_bits_retain(self.word(4) as u32);
        if flags.contains(RenameFlags::WHITEOUT) {
            return Err(Errno::PERM);
        }
        // What is below a directory moves with it, under names that are never called.
        let from = self.slot_within(self.int(0), 1, Reach::Below).map_err(no_entry)?;
        let of_target = if flags.contains(RenameFlags::EXCHANGE) { Reach::Below } else { Reach::Entries };
        let to = self.slot_within(self.int(2), 3, of_target).map_err(no_entry)?;
        let moved = self.entry(&from)?;
        let replaced = self.entry(&to).ok();
        self.permit_removal(&from, &moved)?;
        match &replaced {
            Some(replaced) => self.permit_removal(&to, replaced)?,
            None => self.permit_entry(&to)?,
        }
        if from.directory.area != to.directory.area {
            return Err(Errno::XDEV);
        }
        let (old, new) = (&from.directory.file, &to.directory.file);
        // Two names of one file both stay (rename(2)), as do both files of an exchange.
        let gone = replaced.filter(|replaced| key(replaced) != key(&moved) && !flags.contains(RenameFlags::EXCHANGE));
        let gone = gone.filter(|_| !flags.contains(RenameFlags::NOREPLACE));
        let known = gone.as_ref().and_then(|gone| self.world.owners.forget(gone));
        renameat_with(old, &from.name, new, &to.name, flags).inspect_err(|_| {
            if let Some(gone) = &gone {
                self.world.owners.restore(gone, known);
            }
        })?;
        self.world.names_change();
        Ok(0)
    }

    /// Whether the caller may take a name away: it may write the directory, and where that is sticky owns it or the file.
    fn permit_removal(&self, slot: &Slot, entry: &libc::stat) -> Result<()> {
        if self.world.areas.hide(entry) {
            return Err(Errno::BUSY);
        }
        self.world.areas.permit_change(slot.directory.area)?;
        let ids = self.caller.process.ids();
        let directory = self.looks(&slot.directory);
        directory.permit(&ids, WRITE | EXECUTE)?;
        let sticky = directory.mode & libc::S_ISVTX != 0;
        let owns = directory.owned_by(&ids) || self.world.owners.looks(entry).owned_by(&ids);
        if sticky && !owns { Err(Errno::PERM) } else { Ok(()) }
    }
}

/// Where an entry has to be there, that it can't be one is told so.
fn no_entry(error: Errno) -> Errno {
    if error == Errno::EXIST { Errno::BUSY } else { error }
}
