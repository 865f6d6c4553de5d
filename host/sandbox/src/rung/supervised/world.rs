//! What all threads of the supervisor share, and how a path of the command leads to a file.
//!
//! Two ways lead there. The short one is a single openat2(RESOLVE_IN_ROOT): the kernel follows the image's symlinks and nothing can lead out. It
//! knows the disk alone, so where it ends at a directory that an area hides, or finds nothing, a symlink may have led into another area. Then the
//! long way walks component by component, and gives the kernel a path without symlinks.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, readlinkat};
use rustix::io::Errno;

use super::area::{AreaId, Areas, ROOT, Server};
use super::file::{is, open_at, stat};
use super::owners::{EXECUTE, Looks, Table};
use super::path::{clean, components, goes_up, relative, split, wants_directory};
use super::process::{Process, Processes};
use super::procfs::{self, Node};

/// As many symlinks as the kernel follows (MAXSYMLINKS).
const MOST_LINKS: usize = 40;

/// Shared state.
#[derive(Debug)]
pub(super) struct World {
    /// What lies where.
    pub(super) areas: Areas,
    /// What files look like.
    pub(super) owners: Table,
    /// Who runs.
    pub(super) processes: Processes,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// None: the long way has to decide.
    fn short_way(&self, path: &[u8], flags: OFlags) -> Result<Option<Found>, Errno> {
        if self.areas.locate(path).0 != ROOT {
            return Ok(None);
        }
        let root = self.areas.get(ROOT).file.as_fd();
        match open_at(root, relative(path), flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
            Ok(file) => {
                let stat = stat(&file)?;
                let hidden = self.areas.hide(&stat);
                Ok((!hidden).then_some(Found { file, stat, area: ROOT, text: None }))
            }
            Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                let literally = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
                if goes_up(path) || self.areas_may_hold(root, path, literally) { Ok(None) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a path that leads to nothing in the root met a symlink, which may lead to another area.
    fn areas_may_hold(&self, root: BorrowedFd<'_>, path: &[u8], literally: ResolveFlags) -> bool {
        if !matches!(open_at(root, relative(path), OFlags::PATH, literally), Err(Errno::LOOP)) {
            return false;
        }
        // Most misses are in a directory that is there: then only the missing name could be a symlink.
        let Some((directory, name)) = split(path) else { return false };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let Ok(directory) = open_at(root, relative(directory), flags, ResolveFlags::IN_ROOT) else { return true };
        let hidden = stat(&directory).is_ok_and(|stat| self.areas.hide(&stat));
        hidden || readlinkat(&directory, name, Vec::new()).is_ok()
    }

    fn long_way(&self, caller: &Caller, path: &[u8], last: Last, flags: OFlags) -> Result<Found, Errno> {
        let path = self.without_links(caller, path, last)?;
        let (area, rest) = self.areas.locate(&path);
        if self.areas.get(area).server == Server::Processes && !rest.is_empty() {
            return self.find_process_file(caller, area, rest, last, flags);
        }
        let root = self.areas.get(area).file.as_fd();
        let file = if rest.is_empty() {
            // Anything may be attached, not only directories.
            let flags = flags.difference(OFlags::DIRECTORY | OFlags::NOFOLLOW);
            openat(&self.descriptors, number(root).as_slice(), flags | OFlags::CLOEXEC, Mode::empty())?
        } else {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            open_at(root, relative(rest), flags | OFlags::NOFOLLOW, resolve)?
        };
        let stat = stat(&file)?;
        if flags.contains(OFlags::DIRECTORY) && !is(&stat, libc::S_IFDIR) {
            return Err(Errno::NOTDIR);
        }
        Ok(Found { file, stat, area, text: None })
    }

    fn find_process_file(
        &self,
        caller: &Caller,
        area: AreaId,
        rest: &[u8],
        last: Last,
        flags: OFlags,
    ) -> Result<Found, Errno> {
        let (host, text, flags) = match procfs::node(self, caller, rest) {
            Node::Absent => return Err(Errno::NOENT),
            Node::Host(host) => (host, None, flags | OFlags::NOFOLLOW),
            Node::Text(host, text) => (host, Some(text), flags | OFlags::NOFOLLOW),
            // Those that are followed have been followed before.
            Node::Link(target) => (procfs::own_link(rest), Some(target), OFlags::PATH | OFlags::NOFOLLOW),
            Node::Descriptor(host) if last == Last::Keep => (host, None, flags | OFlags::NOFOLLOW),
            Node::Descriptor(host) => return self.find_open_file(&host, flags.difference(OFlags::NOFOLLOW)),
        };
        let file = openat(&self.proc, host.as_slice(), flags | OFlags::CLOEXEC, Mode::empty())?;
        let stat = stat(&file)?;
        Ok(Found { file, stat, area, text })
    }

    /// What one of the command's processes has open, by its magic link.
    fn find_open_file(&self, link: &[u8], flags: OFlags) -> Result<Found, Errno> {
        let host = readlinkat(&self.proc, link, Vec::new())?.into_bytes();
        let file = openat(&self.proc, link, flags | OFlags::CLOEXEC, Mode::empty())?;
        let stat = stat(&file)?;
        let area = self.areas.seen_as(&host).map_or(ROOT, |(area, _)| area);
        Ok(Found { file, stat, area, text: None })
    }

    /// The path with all symlinks replaced (of the last component on demand). What doesn't exist is kept as it is.
    pub(super) fn without_links(&self, caller: &Caller, path: &[u8], last: Last) -> Result<Vec<u8>, Errno> {
        let mut ahead: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        let mut walked = Vec::new();
        let mut links = 0;
        while let Some(component) = ahead.pop_front() {
            if component == b".." {
                let end = walked.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                walked.truncate(end);
                continue;
            }
            let before = walked.len();
            walked.push(b'/');
            walked.extend_from_slice(&component);
            if last == Last::Keep && ahead.is_empty() {
                break;
            }
            let Some(target) = self.link_at(caller, &walked, ahead.is_empty()) else { continue };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            walked.truncate(if target.starts_with(b"/") { 0 } else { before });
            for component in components(&target).rev() {
                ahead.push_front(component.to_vec());
            }
        }
        Ok(walked)
    }

    /// Where a symlink points, if there is one at a path without symlinks before it.
    fn link_at(&self, caller: &Caller, path: &[u8], is_last: bool) -> Option<Vec<u8>> {
        let (area, rest) = self.areas.locate(path);
        if rest.is_empty() {
            return None;
        }
        if self.areas.get(area).server == Server::Processes {
            return match procfs::node(self, caller, rest) {
                Node::Link(target) => Some(target),
                // At the end the kernel follows it to the very file; before it, only a directory with a name makes sense.
                Node::Descriptor(host) if !is_last => {
                    let path = readlinkat(&self.proc, host, Vec::new()).ok()?;
                    self.seen_as(path.as_bytes())
                }
                _ => None,
            };
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let file = open_at(self.areas.get(area).file.as_fd(), relative(rest), flags, ResolveFlags::BENEATH).ok()?;
        readlinkat(&file, c"", Vec::new()).ok().map(CString::into_bytes)
    }

    /// For whom isn't root: search permission of all directories above a file, as its present name has them.
    fn permit_search(&self, caller: &Caller, found: &Found) -> Result<(), Errno> {
        let ids = caller.process.ids();
        if ids.overrides() || self.areas.get(found.area).server == Server::Processes {
            return Ok(());
        }
        let ids = ids.clone();
        let host = readlinkat(&self.descriptors, number(found.file.as_fd()).as_slice(), Vec::new())?.into_bytes();
        let Some((area, path)) = self.areas.seen_as(&host) else { return Ok(()) };
        let (_, rest) = self.areas.locate(&path);
        let root = self.areas.get(area).file.as_fd();
        let mut above = rest;
        while let Some((directory, _)) = split(above) {
            let opened = open_at(root, relative(directory), OFlags::PATH, ResolveFlags::BENEATH);
            if let Ok(opened) = opened {
                self.owners.looks(&stat(&opened)?).permit(&ids, EXECUTE)?;
            }
            above = directory;
        }
        Ok(())
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
