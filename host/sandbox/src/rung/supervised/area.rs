//! What lies where: the root file system, and what is seen at places in it instead of its own files.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::owners::key;
use super::path::below;

/// What serves an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// The disk.
    Disk,
    /// [`super::procfs`]; on disk there is only a directory for listings.
    Processes,
}

/// Part of what the command sees: a file or directory of the host, at a place.
#[derive(Debug)]
pub(super) struct Area {
    /// Where the command sees it, without symlinks; empty for the root.
    target: Vec<u8>,
    /// Where it lies.
    host: Vec<u8>,
    /// The file or directory.
    pub(super) file: OwnedFd,
    /// Whether anything in it may change.
    pub(super) writable: bool,
    /// Who serves it.
    pub(super) server: Server,
    /// Device and inode of what it hides.
    hidden: Option<(u64, u64)>,
}

impl Area {
    /// Opens what lies at `host`.
    ///
    /// # Errors
    /// What open(2) gives.
    pub(super) fn new(target: Vec<u8>, host: &Path, writable: bool, server: Server) -> std::io::Result<Self> {
        let host = host.canonicalize()?;
        let file = open(&host, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { target, host: host.into_os_string().into_vec(), file, writable, server, hidden: None })
    }
}

impl Area {
    /// Where it lies on the host.
    pub(super) fn host(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.host))
    }
}

/// All areas; the first is the root.
#[derive(Debug)]
pub(super) struct Areas(Vec<Area>);

/// An area, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AreaId(usize);

/// The root file system's area.
pub(super) const ROOT: AreaId = AreaId(0);

impl Areas {
    /// The root alone.
    pub(super) fn new(root: Area) -> Self {
        Self(vec![root])
    }

    /// Adds one over those that are there. `hidden` is what was seen there before, if anything.
    pub(super) fn add(&mut self, mut area: Area, hidden: Option<&libc::stat>) {
        area.hidden = hidden.map(key);
        self.0.push(area);
    }

    /// Which area this is.
    pub(super) fn get(&self, id: AreaId) -> &Area {
        &self.0[id.0]
    }

    /// The area of a clean path without symlinks and `..`, and the path in it.
    pub(super) fn locate<'a>(&self, path: &'a [u8]) -> (AreaId, &'a [u8]) {
        let found =
            self.0.iter().enumerate().rev().find_map(|(id, area)| Some((AreaId(id), below(path, &area.target)?)));
        found.unwrap_or((ROOT, path))
    }

    /// Whether another area hides this file.
    pub(super) fn hide(&self, stat: &libc::stat) -> bool {
        self.0.iter().any(|area| area.hidden == Some(key(stat)))
    }

    /// How the command names a file of the host, if it sees it: the area that lies nearest above it.
    pub(super) fn seen_as(&self, host: &[u8]) -> Option<(AreaId, Vec<u8>)> {
        let areas = self.0.iter().enumerate().rev();
        let found = areas.filter_map(|(id, area)| Some((area, id, below(host, &area.host)?)));
        let (area, id, rest) = found.max_by_key(|(area, ..)| area.host.len())?;
        let path = [&area.target, rest].concat();
        Some((AreaId(id), if path.is_empty() { b"/".to_vec() } else { path }))
    }

    /// What Landlock has to open: path, and whether it may be written.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.0.iter().map(|area| (area.host(), area.writable))
    }

    /// EROFS in an area that can't be written.
    pub(super) fn permit_change(&self, id: AreaId) -> Result<(), Errno> {
        if self.get(id).writable { Ok(()) } else { Err(Errno::ROFS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_area_counts() {
        let host = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(host.path().join("root/mnt")).expect("directories");
        std::fs::create_dir_all(host.path().join("a/b")).expect("directories");
        let area = |target: &[u8], at: &str| {
            Area::new(target.to_vec(), &host.path().join(at), true, Server::Disk).expect("there")
        };
        let mut areas = Areas::new(area(b"", "root"));
        let hidden = super::super::file::stat(&areas.get(ROOT).file).expect("there");
        areas.add(area(b"/mnt", "a"), Some(&hidden));
        areas.add(area(b"/mnt/in", "a/b"), Some(&hidden));
        assert_eq!(areas.locate(b"/mnt/in/x"), (AreaId(2), &b"/x"[..]));
        assert_eq!(areas.locate(b"/mntx"), (ROOT, &b"/mntx"[..]));
        let host = host.path().canonicalize().expect("there");
        let seen = |at: &str| areas.seen_as(host.join(at).as_os_str().as_bytes()).map(|(_, path)| path);
        assert_eq!(seen("a/b/x"), Some(b"/mnt/in/x".to_vec()));
        assert_eq!(seen("root"), Some(b"/".to_vec()));
        assert_eq!(seen("rootx"), None);
        assert!(areas.hide(&hidden));
    }
}
