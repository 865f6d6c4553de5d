//! What all threads of the supervisor share, and what a call's path arguments stand for.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use steprun_snapshot::Reach;

use super::area::{AreaId, Areas, ROOT, Server};
use super::file::stat;
use super::owners::{Looks, Table};
use super::path::{clean, split, wants_directory};
use super::process::{Process, Processes};
use super::procfs::Asker;
use super::witness::Witness;

/// Shared state.
#[derive(Debug)]
pub(super) struct World {
    /// What lies where.
    pub(super) areas: Areas,
    /// What files look like.
    pub(super) owners: Table,
    /// Who runs.
    pub(super) processes: Processes,
    /// What the command looks at, where somebody wants to know.
    pub(super) witness: Option<Witness>,
    /// `/proc` of the host.
    pub(super) proc: OwnedFd,
    /// `/proc/self/fd` of this process.
    pub(super) descriptors: OwnedFd,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The thread.
    pub(super) thread: i32,
    /// Its process.
    pub(super) process: Arc<Process>,
}

impl Caller {
    /// As [`procfs`](super::procfs) knows it.
    pub(super) fn asker(&self) -> Asker {
        Asker { process: self.process.id, thread: self.thread }
    }
}

/// A file that exists.
#[derive(Debug)]
pub(super) struct Found {
    /// Open with O_PATH.
    pub(super) file: OwnedFd,
    /// What the disk says.
    pub(super) stat: libc::stat,
    /// Where it lies.
    pub(super) area: AreaId,
    /// What it holds, where that is not what the disk says.
    pub(super) text: Option<Vec<u8>>,
}

/// A name in a directory, of a file that may exist.
#[derive(Debug)]
pub(super) struct Slot {
    /// The directory.
    pub(super) directory: Found,
    /// One component, neither `.` nor `..`.
    pub(super) name: CString,
}

/// Whether a symlink at the end is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Last {
    /// It is.
    Follow,
    /// It is meant itself.
    Keep,
}

impl World {
    /// The absolute path that a path argument stands for.
    ///
    /// # Errors
    /// ENOENT for an empty path or a directory that the command can't see, EBADF.
    pub(super) fn absolute(&self, caller: &Caller, directory: i32, path: &[u8]) -> Result<Vec<u8>, Errno> {
        match path.first() {
            None => Err(Errno::NOENT),
            Some(b'/') => Ok(path.to_vec()),
            Some(_) => {
                let mut base = self.directory_path(caller, directory)?;
                base.push(b'/');
                base.extend_from_slice(path);
                Ok(base)
            }
        }
    }

    /// How the command names the directory behind a descriptor, or its working directory.
    ///
    /// # Errors
    /// EBADF; ENOENT where it can't see it: a directory that is removed, a pipe.
    pub(super) fn directory_path(&self, caller: &Caller, directory: i32) -> Result<Vec<u8>, Errno> {
        let host = self.host_path(caller.thread, directory)?;
        self.seen_as(&host).ok_or(Errno::NOENT)
    }

    /// Where the file behind a thread's descriptor, or its working directory, lies on the host.
    pub(super) fn host_path(&self, thread: i32, descriptor: i32) -> Result<Vec<u8>, Errno> {
        let link = link_of(thread, descriptor);
        match readlinkat(&self.proc, link, Vec::new()) {
            Ok(path) => Ok(path.into_bytes()),
            Err(Errno::NOENT) => Err(Errno::BADF),
            Err(error) => Err(error),
        }
    }

    /// How the command names a file of the host.
    pub(super) fn seen_as(&self, host: &[u8]) -> Option<Vec<u8>> {
        let of_process = host.strip_prefix(b"/proc/").is_some();
        if of_process { Some(host.to_vec()) } else { self.areas.seen_as(host).map(|(_, path)| path) }
    }

    /// The file behind a descriptor of the caller.
    ///
    /// # Errors
    /// EBADF.
    pub(super) fn descriptor(&self, caller: &Caller, descriptor: i32) -> Result<Found, Errno> {
        let link = link_of(caller.thread, descriptor);
        let file = openat(&self.proc, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|error| if error == Errno::NOENT { Errno::BADF } else { error })?;
        let stat = stat(&file)?;
        Ok(Found { file, stat, area: ROOT, text: None })
    }

    /// The area that the file behind a descriptor lies in, for calls that change it.
    pub(super) fn area_of_descriptor(&self, caller: &Caller, descriptor: i32) -> AreaId {
        let host = self.host_path(caller.thread, descriptor).unwrap_or_default();
        self.areas.seen_as(&host).map_or(ROOT, |(area, _)| area)
    }

    /// The file at an absolute path.
    ///
    /// # Errors
    /// Those of path_resolution(7).
    pub(super) fn find(&self, caller: &Caller, path: &[u8], last: Last) -> Result<Found, Errno> {
        self.note(caller, path, last, Reach::Itself);
        let cleaned = clean(path);
        let mut flags = OFlags::PATH;
        let mut last = last;
        if wants_directory(path) {
            flags |= OFlags::DIRECTORY;
            last = Last::Follow;
        }
        if last == Last::Keep {
            flags |= OFlags::NOFOLLOW;
        }
        let found = match self.short_way(&cleaned, flags)? {
            Some(found) => found,
            None => self.long_way(caller, &cleaned, last, flags)?,
        };
        self.permit_search(caller, &found)?;
        Ok(found)
    }

    /// The place of a path's last component.
    ///
    /// # Errors
    /// As `find`, of the directory. EEXIST for what can't be an entry: the root, `.`, `..`.
    pub(super) fn slot(&self, caller: &Caller, path: &[u8]) -> Result<Slot, Errno> {
        let (directory, name) = split(path).ok_or(Errno::EXIST)?;
        if name == b"." || name == b".." {
            return Err(Errno::EXIST);
        }
        if name.len() > 255 {
            return Err(Errno::NAMETOOLONG);
        }
        self.note(caller, &[directory, name].concat(), Last::Keep, Reach::Itself);
        let directory = [directory, b"/"].concat();
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let directory = self.find(caller, &directory, Last::Follow)?;
        if self.areas.get(directory.area).server == Server::Processes {
            return Err(Errno::ACCESS);
        }
        Ok(Slot { directory, name })
    }

    /// What a file looks like to the command.
    pub(super) fn looks(&self, found: &Found) -> Looks {
        self.owners.looks(&found.stat)
    }

    /// Opens a file that was found for reading, writing or executing.
    pub(super) fn reopen(&self, file: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        openat(&self.descriptors, number(file).as_slice(), flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
    }
}

/// A descriptor's name in `/proc/self/fd`.
pub(super) fn number(file: BorrowedFd<'_>) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    file.as_raw_fd().to_string().into_bytes()
}

/// The magic link of a thread's descriptor or working directory, relative to `/proc`.
fn link_of(thread: i32, descriptor: i32) -> String {
    if descriptor == libc::AT_FDCWD { format!("{thread}/cwd") } else { format!("{thread}/fd/{descriptor}") }
}
