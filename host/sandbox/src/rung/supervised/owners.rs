//! What files look like to the command: owners, modes, device numbers and privileged attributes, kept beside the disk.
//!
//! On disk all files are ours, with at least u+rw (directories u+rwx), so that whoever is root for the command can do with them what root can.

use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use steprun_snapshot::disk::{Owner, Owners};

use super::ids::Ids;

/// Bits of a mode without the file's kind.
pub(super) const PERMISSIONS: u32 = 0o7777;

/// Reading, writing, executing or searching, as in access(2).
pub(super) const READ: u32 = 4;
/// See [`READ`].
pub(super) const WRITE: u32 = 2;
/// See [`READ`].
pub(super) const EXECUTE: u32 = 1;

/// A file's looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Kind and permissions.
    pub(super) mode: u32,
    /// Of a device node.
    pub(super) device: u64,
}

impl Looks {
    /// What kind of file it is: `S_IFREG`, ...
    pub(super) fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// Whether it is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Checks access as the kernel does (path_resolution(7), "Permissions"): `want` is of [`READ`], [`WRITE`], [`EXECUTE`].
    pub(super) fn permit(&self, ids: &Ids, want: u32) -> Result<(), Errno> {
        let class = if ids.overrides() {
            // Root reads and writes all, searches all directories, and executes what anybody may.
            let anybody = self.is_directory() || self.mode & 0o111 != 0;
            READ | WRITE | if anybody { EXECUTE } else { 0 }
        } else if ids.user.files == self.uid {
            self.mode >> 6
        } else if ids.in_group(self.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        if want & !class & 7 == 0 { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// Whether the process may change the file's mode, times and attributes.
    pub(super) fn owned_by(&self, ids: &Ids) -> bool {
        ids.overrides() || ids.user.files == self.uid
    }
}

/// The table of owners, for several threads.
#[derive(Debug)]
pub(super) struct Table {
    owners: Mutex<Owners>,
    /// Who we are: a file of ours that the table doesn't name is root's.
    own: (u32, u32),
}

type Key = (u64, u64);

/// Names a file.
pub(super) fn key(stat: &libc::stat) -> Key {
    (stat.st_dev, stat.st_ino)
}

impl Table {
    /// A table with what is known from before.
    pub(super) fn new(owners: Owners) -> Self {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { owners: Mutex::new(owners), own }
    }

    fn lock(&self) -> MutexGuard<'_, Owners> {
        // A thread that panicked has left whole entries: each change is one assignment.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, as it is now.
    pub(super) fn take(&self) -> Owners {
        std::mem::take(&mut *self.lock())
    }

    /// How the command sees a file.
    pub(super) fn looks(&self, stat: &libc::stat) -> Looks {
        let mut looks = Looks {
            uid: if stat.st_uid == self.own.0 { 0 } else { stat.st_uid },
            gid: if stat.st_gid == self.own.1 { 0 } else { stat.st_gid },
            mode: stat.st_mode,
            device: stat.st_rdev,
        };
        if let Some(owner) = self.lock().get(&key(stat)) {
            (looks.uid, looks.gid) = (owner.uid, owner.gid);
            looks.mode = owner.mode.map_or(looks.mode, |mode| stat.st_mode & libc::S_IFMT | mode);
            if let Some((block, major, minor)) = owner.device {
                let kind = if block { libc::S_IFBLK } else { libc::S_IFCHR };
                looks.mode = kind | looks.mode & PERMISSIONS;
                looks.device = libc::makedev(major, minor);
            }
        }
        looks
    }

    /// The device that a file stands for: block else character, major, minor.
    pub(super) fn device(&self, stat: &libc::stat) -> Option<(bool, u32, u32)> {
        self.lock().get(&key(stat)).and_then(|owner| owner.device)
    }

    /// Changes what is known of a file. An entry that says no more than its absence is dropped.
    pub(super) fn change(&self, stat: &libc::stat, change: impl FnOnce(&mut Owner)) {
        let mut owners = self.lock();
        match owners.entry(key(stat)) {
            Entry::Occupied(mut entry) => {
                change(entry.get_mut());
                if *entry.get() == Owner::default() {
                    entry.remove();
                }
            }
            Entry::Vacant(entry) => {
                let mut owner = Owner::default();
                change(&mut owner);
                if owner != Owner::default() {
                    entry.insert(owner);
                }
            }
        }
    }

    /// What is known of a file; a default where nothing is.
    pub(super) fn get(&self, stat: &libc::stat) -> Owner {
        self.lock().get(&key(stat)).cloned().unwrap_or_default()
    }

    /// Drops what is known of a file whose last name is about to go: its inode number may come again.
    pub(super) fn forget(&self, stat: &libc::stat) -> Option<Owner> {
        let last = stat.st_nlink <= 1 || stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if last { self.lock().remove(&key(stat)) } else { None }
    }

    /// Takes [`forget`](Self::forget) back, where the name stayed.
    pub(super) fn restore(&self, stat: &libc::stat, known: Option<Owner>) {
        if let Some(known) = known {
            self.lock().insert(key(stat), known);
        }
    }
}

/// The permissions that a file has on disk, where the command wants these.
pub(super) fn on_disk(kind: u32, permissions: u32) -> u32 {
    let least = if kind == libc::S_IFDIR { 0o700 } else { 0o600 };
    // Set-id bits are in the table only, so that they mean nothing to the host; a directory's group bit is harmless but the kernel would
    // pass it on.
    permissions & 0o1777 | least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(inode: u64, mode: u32) -> libc::stat {
        // SAFETY: all bits zero are a valid value of this plain structure.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_nlink) = (1, inode, mode, 1);
        (stat.st_uid, stat.st_gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        stat
    }

    fn user(uid: u32, gid: u32, groups: &[u32]) -> Ids {
        Ids::of(&crate::request::User { uid, gid, groups: groups.to_vec() })
    }

    #[test]
    fn looks_come_from_the_table() {
        let table = Table::new(Owners::new());
        let file = stat(7, libc::S_IFREG | 0o644);
        assert_eq!(table.looks(&file), Looks { uid: 0, gid: 0, mode: libc::S_IFREG | 0o644, device: 0 });
        table.change(&file, |owner| {
            (owner.uid, owner.mode, owner.device) = (5, Some(0o4444), Some((false, 1, 3)));
        });
        let looks = table.looks(&file);
        assert_eq!((looks.uid, looks.mode, looks.device), (5, libc::S_IFCHR | 0o4444, libc::makedev(1, 3)));
        table.change(&file, |owner| *owner = Owner::default());
        assert!(table.take().is_empty());
        table.change(&file, |owner| owner.gid = 3);
        let mut linked = file;
        linked.st_nlink = 2;
        table.forget(&linked);
        assert_eq!(table.get(&file).gid, 3, "has another name");
        table.forget(&file);
        assert!(table.take().is_empty());
    }

    #[test]
    fn access_is_by_class() {
        let looks = |mode| Looks { uid: 10, gid: 20, mode: libc::S_IFREG | mode, device: 0 };
        let table = [
            (user(10, 1, &[]), 0o077, READ, false),
            (user(10, 1, &[]), 0o400, READ, true),
            (user(11, 20, &[]), 0o707, WRITE, false),
            (user(11, 1, &[20]), 0o060, READ | WRITE, true),
            (user(11, 1, &[]), 0o776, EXECUTE, false),
            (user(0, 0, &[]), 0o000, READ | WRITE, true),
            (user(0, 0, &[]), 0o000, EXECUTE, false),
            (user(0, 0, &[]), 0o001, EXECUTE, true),
        ];
        for (ids, mode, want, allowed) in table {
            assert_eq!(looks(mode).permit(&ids, want).is_ok(), allowed, "{mode:o} {want}");
        }
    }
}
