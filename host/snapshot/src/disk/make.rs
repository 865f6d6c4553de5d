//! Making the files of a snapshot, one at a time.

use std::fs::File;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;

use super::place::{Cursor, Place};
use super::settle::{How, Kind, Record, Settler};
use super::target::Target;
use crate::meta::Attributes;
use crate::tree::{Leaf, LeafBody};
use crate::{Error, Result, name};

/// Makes files in a place, and remembers what has to go into the table.
pub(super) struct Maker<'p> {
    cursor: Cursor<'p>,
    settler: Settler<'p>,
    records: Vec<Record>,
}

impl<'p> Maker<'p> {
    /// Begins with nothing made.
    pub(super) fn new(place: &'p Place, how: How) -> Self {
        Self { cursor: Cursor::new(place), settler: Settler { place, how }, records: Vec::new() }
    }

    /// What has to go into the table for what was made.
    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// Makes a directory for this process only, until [`Maker::finish_directory`].
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<()> {
        let full = self.settler.place.full(path);
        let (parent, last) = self.cursor.parent(path)?;
        rustix::fs::mkdirat(parent, last, Mode::RWXU).map_err(Error::io("create the directory", full))
    }

    /// Gives a directory its attributes, when all is in it that belongs there. `stale` are attributes that it had before.
    pub(super) fn finish_directory(&mut self, path: &[u8], attributes: &Attributes, stale: &[&[u8]]) -> Result<()> {
        let place = self.settler.place;
        let fd = place.directory(path, OFlags::RDONLY).map_err(Error::io("open the directory", place.full(path)))?;
        let target = Target::Open(fd.as_fd());
        for attribute in stale {
            let removed = target.remove_xattr(attribute);
            removed.map_err(Error::io("remove an extended attribute of", place.full(path)))?;
        }
        self.records.push(self.settler.settle(target, path, attributes, Kind::Directory, None)?);
        Ok(())
    }

    /// Makes a regular file; `fill` writes its content.
    pub(super) fn regular(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        fill: impl FnOnce(&File) -> Result<()>,
    ) -> Result<()> {
        let file = File::from(self.create(path)?);
        fill(&file)?;
        let target = Target::Open(file.as_fd());
        self.records.push(self.settler.settle(target, path, attributes, Kind::Other, None)?);
        Ok(())
    }

    /// Makes anything else that is no directory.
    pub(super) fn special(&mut self, path: &[u8], leaf: &Leaf) -> Result<()> {
        let place = self.settler.place;
        let (parent, last) = self.cursor.parent(path)?;
        let (made, operation, kind) = match &leaf.body {
            LeafBody::Symlink(target) => {
                (rustix::fs::symlinkat(&target[..], parent, last), "create the symlink", Kind::Symlink)
            }
            LeafBody::Fifo => (
                rustix::fs::mknodat(parent, last, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0),
                "create the fifo",
                Kind::Other,
            ),
            LeafBody::Device { block, major, minor } => return self.device(path, leaf, (*block, *major, *minor)),
            LeafBody::Regular { .. } => return self.regular(path, &leaf.attributes, |_| Ok(())),
        };
        made.map_err(Error::io(operation, place.full(path)))?;
        let target = Target::Named(parent, last);
        self.records.push(self.settler.settle(target, path, &leaf.attributes, kind, None)?);
        Ok(())
    }

    /// Makes another name of a file that is there.
    pub(super) fn link(&mut self, path: &[u8], earlier: &[u8]) -> Result<()> {
        let place = self.settler.place;
        let (from, to) = (name::split_last(earlier).unwrap_or_default(), place.full(path));
        let from_directory = place.directory(from.0, OFlags::PATH).map_err(Error::io("open", place.full(from.0)))?;
        let (parent, last) = self.cursor.parent(path)?;
        rustix::fs::linkat(from_directory, from.1, parent, last, AtFlags::empty())
            .map_err(Error::io("create the hard link", to))
    }

    fn create(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let full = self.settler.place.full(path);
        let (parent, last) = self.cursor.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(parent, last, flags, Mode::RUSR | Mode::WUSR).map_err(Error::io("create the file", full))
    }

    fn device(&mut self, path: &[u8], leaf: &Leaf, device: (bool, u32, u32)) -> Result<()> {
        let (place, how) = (self.settler.place, self.settler.how);
        if how.has_node(device) {
            let (parent, last) = self.cursor.parent(path)?;
            match make_node(parent, last, device) {
                Ok(()) => {
                    let target = Target::Named(parent, last);
                    self.records.push(self.settler.settle(target, path, &leaf.attributes, Kind::Other, None)?);
                    return Ok(());
                }
                Err(Errno::PERM) if how == (How::Real { userns: true }) => {}
                Err(Errno::PERM) => return Err(no_node(path, device)),
                Err(errno) => return Err(Error::io("create the device node", place.full(path))(errno)),
            }
        }
        let file = self.create(path)?;
        let target = Target::Open(file.as_fd());
        self.records.push(self.settler.settle(target, path, &leaf.attributes, Kind::Other, Some(device))?);
        Ok(())
    }
}

fn make_node(parent: BorrowedFd<'_>, last: &[u8], (block, major, minor): (bool, u32, u32)) -> Result<(), Errno> {
    let kind = if block { FileType::BlockDevice } else { FileType::CharacterDevice };
    rustix::fs::mknodat(parent, last, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor))
}

fn no_node(path: &[u8], (_, major, minor): (bool, u32, u32)) -> Error {
    Error::Unsupported(format!(
        "the image has the device node `{}` ({major}:{minor}), and this place lets nobody make one: use an image without it, or a place \
         with CAP_MKNOD",
        name::encode(path)
    ))
}
