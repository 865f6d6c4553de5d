//! How a path of the command leads to a file.
//!
//! Two ways lead there. The short one is a single openat2(RESOLVE_IN_ROOT): the kernel follows the image's symlinks and nothing can lead out. It
//! knows the disk alone, so where it ends at a directory that an area hides, or finds nothing, a symlink may have led into another area. Then the
//! long way walks component by component, and gives the kernel a path without symlinks.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, readlinkat};
use rustix::io::Errno;

use super::area::{AreaId, ROOT, Server};
use super::file::{is, open_at, stat};
use super::owners::EXECUTE;
use super::path::{components, goes_up, relative, split};
use super::procfs::{self, Node};
use super::world::{Caller, Found, Last, World, number};

/// As many symlinks as the kernel follows (MAXSYMLINKS).
const MOST_LINKS: usize = 40;

impl World {
    /// None: the long way has to decide.
    pub(super) fn short_way(&self, path: &[u8], flags: OFlags) -> Result<Option<Found>, Errno> {
        let (area, rest) = self.areas.locate(path);
        let found = if area == ROOT { self.in_root(path, flags)? } else { self.in_area(area, rest, flags)? };
        let Some(file) = found else { return Ok(None) };
        let stat = stat(&file)?;
        let hidden = self.areas.hide(&stat);
        Ok((!hidden).then_some(Found { file, stat, area, text: None }))
    }

    fn in_root(&self, path: &[u8], flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
        let root = self.areas.get(ROOT).file.as_fd();
        match open_at(root, relative(path), flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
            Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                let literally = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
                if goes_up(path) || self.areas_may_hold(root, path, literally) { Ok(None) } else { Err(error) }
            }
            other => other.map(Some),
        }
    }

    /// In any other area the kernel would take absolute symlinks for relative to that, so it must not follow any.
    fn in_area(&self, area: AreaId, rest: &[u8], flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
        let area = self.areas.get(area);
        if area.server == Server::Processes || rest.is_empty() || goes_up(rest) {
            return Ok(None);
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match open_at(area.file.as_fd(), relative(rest), flags, resolve) {
            Err(Errno::LOOP | Errno::XDEV) => Ok(None),
            other => other.map(Some),
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

    pub(super) fn long_way(&self, caller: &Caller, path: &[u8], last: Last, flags: OFlags) -> Result<Found, Errno> {
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
        let (host, text, flags) = match procfs::node(self, caller.asker(), rest) {
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
        self.trail(caller, path, last, &mut |_| ())
    }

    /// The same, which also tells the literal paths that count besides the one it ends at: symlinks that are followed, and what `..` leaves.
    pub(super) fn trail(
        &self,
        caller: &Caller,
        path: &[u8],
        last: Last,
        passed: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>, Errno> {
        let mut ahead: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        let mut walked = Vec::new();
        let mut links = 0;
        while let Some(component) = ahead.pop_front() {
            if component == b".." {
                passed(&walked);
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
            passed(&walked);
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
            return match procfs::node(self, caller.asker(), rest) {
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
    pub(super) fn permit_search(&self, caller: &Caller, found: &Found) -> Result<(), Errno> {
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
}
