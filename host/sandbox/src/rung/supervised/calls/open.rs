//! open(2) and openat(2).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use steprun_snapshot::Reach;
use steprun_snapshot::disk::Owner;

use super::super::area::Server;
use super::super::devices::harmless;
use super::super::file::{is, stat, with_text};
use super::super::owners::{self, EXECUTE, Looks, PERMISSIONS, READ, WRITE};
use super::super::path::wants_directory;
use super::super::serve::Outcome;
use super::super::view;
use super::super::world::{Found, Last, Slot};
use super::{Asked, Result};
use crate::sys::notify::Answer;

/// As many turns as symlinks are followed.
const MOST_TURNS: usize = 40;
/// What a program may ask for; the kernel ignores all else (open(2) "unknown flags").
const KNOWN: OFlags = OFlags::RWMODE
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::TRUNC)
    .union(OFlags::APPEND)
    .union(OFlags::NONBLOCK)
    .union(OFlags::DSYNC)
    .union(OFlags::SYNC)
    .union(OFlags::DIRECT)
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::PATH)
    .union(OFlags::TMPFILE)
    .union(OFlags::CLOEXEC);

impl Asked<'_> {
    pub(super) fn openat(&self) -> Result<Outcome> {
        let flags = OFlags::from_bits_truncate(self.int(2) as u32) & KNOWN;
        let mode = self.word(3) as u32;
        let path = self.path(self.int(0), 1)?;
        let keeps = flags.contains(OFlags::NOFOLLOW) || flags.contains(OFlags::CREATE | OFlags::EXCL);
        // A directory that is open can be listed, even by what stands for O_PATH here.
        self.world.note(&self.caller, &path, if keeps { Last::Keep } else { Last::Follow }, Reach::Entries);
        if flags.contains(OFlags::PATH) {
            return self
                .open_there(&path, flags & (OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC));
        }
        if flags.contains(OFlags::TMPFILE) {
            return self.open_temporary(&path, flags, mode);
        }
        if flags.contains(OFlags::CREATE) {
            return self.create(path, flags, mode);
        }
        self.open_there(&path, flags)
    }

    fn open_there(&self, path: &[u8], flags: OFlags) -> Result<Outcome> {
        let last = if flags.contains(OFlags::NOFOLLOW) { Last::Keep } else { Last::Follow };
        let found = self.world.find(&self.caller, path, last)?;
        self.open_found(found, flags)
    }

    /// Opens what is there.
    fn open_found(&self, found: Found, flags: OFlags) -> Result<Outcome> {
        let looks = self.looks(&found);
        if flags.contains(OFlags::DIRECTORY) && !looks.is_directory() {
            return Err(Errno::NOTDIR);
        }
        if flags.contains(OFlags::PATH) {
            return self.open_path(&found, &looks, flags);
        }
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        match looks.kind() {
            libc::S_IFLNK => return Err(Errno::LOOP),
            libc::S_IFDIR if writes => return Err(Errno::ISDIR),
            libc::S_IFSOCK => return Err(Errno::NXIO),
            _ => {}
        }
        if let Some(text) = &found.text {
            return if writes { Err(Errno::ACCESS) } else { Ok(give(with_text(text)?, flags)) };
        }
        self.permit_open(&found, &looks, flags)?;
        if let Some((block, major, minor)) = self.world.owners.device(&found.stat) {
            return open_device(block, major, minor, flags).map(|file| give(file, flags));
        }
        if writes {
            self.world.areas.permit_change(found.area)?;
            self.lose_capabilities(&found);
        }
        let blocks = looks.kind() == libc::S_IFIFO && !flags.intersects(OFlags::NONBLOCK | OFlags::RDWR);
        if blocks {
            return Ok(Outcome::opens(found.file, flags));
        }
        self.list_processes(&found)?;
        let flags_here = flags.difference(OFlags::NOFOLLOW | OFlags::CREATE | OFlags::EXCL);
        Ok(give(self.world.reopen(found.file.as_fd(), flags_here)?, flags))
    }

    /// O_PATH. The kernel hands no such descriptor to another process (EBADF), so one for reading takes its place: it serves fstat, fchdir, as a
    /// directory for other calls, and by its name in /proc/self/fd. That it can also be read tells the command nothing that fake root may not
    /// know; another user gets it only with the right to read. There is none for a symlink or a socket.
    fn open_path(&self, found: &Found, looks: &Looks, flags: OFlags) -> Result<Outcome> {
        match looks.kind() {
            libc::S_IFLNK => return Err(Errno::LOOP),
            libc::S_IFSOCK => return Err(Errno::NXIO),
            _ => {}
        }
        if let Some(text) = &found.text {
            return Ok(give(with_text(text)?, flags));
        }
        self.permit_open(found, looks, OFlags::RDONLY)?;
        let flags_here = (flags & (OFlags::DIRECTORY | OFlags::CLOEXEC)) | OFlags::RDONLY | OFlags::NONBLOCK;
        Ok(give(self.world.reopen(found.file.as_fd(), flags_here)?, flags))
    }

    fn permit_open(&self, found: &Found, looks: &Looks, flags: OFlags) -> Result<()> {
        // The kernel asks for itself who may look at a process.
        if self.world.areas.get(found.area).server == Server::Processes {
            return Ok(());
        }
        let want = match flags & OFlags::RWMODE {
            OFlags::WRONLY => WRITE,
            OFlags::RDWR => READ | WRITE,
            _ => READ,
        };
        let want = if flags.contains(OFlags::TRUNC) { want | WRITE } else { want };
        looks.permit(&self.caller.process.ids(), want)
    }

    /// Writing takes the capabilities from a file (capabilities(7), "file_remove_privs"); we see no write, but that it is meant.
    fn lose_capabilities(&self, found: &Found) {
        if self.world.owners.get(&found.stat).xattrs.contains_key(&b"security.capability"[..]) {
            self.world.owners.change(&found.stat, |owner| {
                owner.xattrs.remove(&b"security.capability"[..]);
            });
        }
    }

    /// `/proc` itself is listed from a directory of ours.
    fn list_processes(&self, found: &Found) -> Result<()> {
        let area = self.world.areas.get(found.area);
        if area.server == Server::Processes && stat(&area.file)?.st_ino == found.stat.st_ino {
            view::list(area.host(), &self.world.processes.numbers()).map_err(|_| Errno::IO)?;
        }
        Ok(())
    }

    /// O_CREAT: what is there is opened; else a new file, at the end of symlinks that lead to nothing.
    fn create(&self, mut path: Vec<u8>, flags: OFlags, mode: u32) -> Result<Outcome> {
        let exclusive = flags.contains(OFlags::EXCL);
        if wants_directory(&path) {
            return Err(Errno::ISDIR);
        }
        for _ in 0..MOST_TURNS {
            if !exclusive {
                let last = if flags.contains(OFlags::NOFOLLOW) { Last::Keep } else { Last::Follow };
                match self.world.find(&self.caller, &path, last) {
                    Ok(found) => return self.open_found(found, flags),
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            let slot = self.world.slot(&self.caller, &path)?;
            if !exclusive && let Ok(target) = readlinkat(&slot.directory.file, &slot.name, Vec::new()) {
                path = beside(&path, target);
                continue;
            }
            match self.create_in(&slot, flags, mode) {
                Err(Errno::EXIST) if !exclusive => {}
                other => return other.map(|file| give(file, flags)),
            }
        }
        Err(Errno::LOOP)
    }

    fn create_in(&self, slot: &Slot, flags: OFlags, mode: u32) -> Result<OwnedFd> {
        self.permit_entry(slot)?;
        let mode = self.masked(mode);
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let on_disk = Mode::from_raw_mode(owners::on_disk(libc::S_IFREG, mode));
        let file = openat(&slot.directory.file, &slot.name, flags, on_disk)?;
        self.own(&slot.directory, &stat(&file)?, mode, None);
        Ok(file)
    }

    fn open_temporary(&self, path: &[u8], flags: OFlags, mode: u32) -> Result<Outcome> {
        let directory = self.world.find(&self.caller, path, Last::Follow)?;
        self.world.areas.permit_change(directory.area)?;
        self.looks(&directory).permit(&self.caller.process.ids(), WRITE | EXECUTE)?;
        let mode = self.masked(mode);
        let name = super::super::world::number(directory.file.as_fd());
        let on_disk = Mode::from_raw_mode(owners::on_disk(libc::S_IFREG, mode));
        let file = openat(&self.world.descriptors, name.as_slice(), flags | OFlags::CLOEXEC, on_disk)?;
        self.own(&directory, &stat(&file)?, mode, None);
        Ok(give(file, flags))
    }

    /// Whether the caller may make an entry in a directory.
    pub(super) fn permit_entry(&self, slot: &Slot) -> Result<()> {
        self.world.areas.permit_change(slot.directory.area)?;
        self.looks(&slot.directory).permit(&self.caller.process.ids(), WRITE | EXECUTE)
    }

    /// A new file belongs to its maker; in a directory with the set-group-id bit to that one's group, and directories pass the bit on (inode(7)).
    pub(super) fn own(&self, directory: &Found, new: &libc::stat, mode: u32, device: Option<(bool, u32, u32)>) {
        let parent = self.looks(directory);
        let (uid, own_group) = {
            let ids = self.caller.process.ids();
            (ids.user.files, ids.group.files)
        };
        let inherits = parent.mode & libc::S_ISGID != 0;
        let mode = if inherits && is(new, libc::S_IFDIR) { mode | libc::S_ISGID } else { mode };
        let differs = !is(new, libc::S_IFLNK) && mode != new.st_mode & PERMISSIONS;
        let owner = Owner {
            uid,
            gid: if inherits { parent.gid } else { own_group },
            mode: differs.then_some(mode),
            device,
            ..Owner::default()
        };
        self.world.owners.change(new, |known| *known = owner);
    }
}

fn give(file: OwnedFd, flags: OFlags) -> Outcome {
    Outcome::Now(Answer::Descriptor { file, cloexec: flags.contains(OFlags::CLOEXEC) })
}

/// The path that a symlink at `path` leads to.
fn beside(path: &[u8], target: CString) -> Vec<u8> {
    let target = target.into_bytes();
    if target.starts_with(b"/") {
        return target;
    }
    let directory = super::super::path::split(path).map_or(&b"/"[..], |(directory, _)| directory);
    [directory, b"/", &target].concat()
}

fn open_device(block: bool, major: u32, minor: u32, flags: OFlags) -> Result<OwnedFd> {
    let name = harmless(major, minor).filter(|_| !block).ok_or(Errno::NXIO)?;
    let flags = flags & (OFlags::RWMODE | OFlags::NONBLOCK | OFlags::APPEND) | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(Path::new("/dev").join(name), flags, Mode::empty())
}
