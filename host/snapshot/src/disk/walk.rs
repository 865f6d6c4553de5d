//! What is in a directory and below, by the kernel's word alone: nothing is opened but directories.

use std::collections::HashSet;
use std::mem::MaybeUninit;

use rustix::fs::{FileType, OFlags, RawDir, Statx, makedev};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::place::Place;
use super::target::Target;
use crate::{Error, Result, Timestamp, name};

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) key: (u64, u64),
    #[serde(with = "kind")]
    pub(super) kind: FileType,
    /// 0 to 0o7777.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u32,
    /// Major and minor number of what the file is a node for.
    pub(super) device: (u32, u32),
    pub(super) modified: Timestamp,
    /// Nobody but the kernel sets this one.
    pub(super) changed: Timestamp,
    /// Tells two files apart that had the same inode one after the other. Zero where the file system doesn't keep it.
    pub(super) born: Timestamp,
}

impl Stamp {
    /// Of an answer of the kernel.
    pub(super) fn of(stat: &Statx) -> Self {
        let time = |at: rustix::fs::StatxTimestamp| Timestamp { seconds: at.tv_sec, nanoseconds: at.tv_nsec };
        Self {
            key: key(stat),
            kind: FileType::from_raw_mode(stat.stx_mode.into()),
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            links: stat.stx_nlink,
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
            modified: time(stat.stx_mtime),
            changed: time(stat.stx_ctime),
            born: time(stat.stx_btime),
        }
    }

    /// Whether the same file has both stamps, whatever was done to it.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.key == other.key && self.born == other.born && self.kind == other.kind
    }
}

/// A kind of file as the bits of a mode.
mod kind {
    use rustix::fs::{FileType, RawMode};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(kind: &FileType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(kind.as_raw_mode())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<FileType, D::Error> {
        RawMode::deserialize(from).map(FileType::from_raw_mode)
    }
}

/// Device and inode, as `stat` has them.
pub(super) fn key(stat: &Statx) -> (u64, u64) {
    (makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino)
}

/// Paths that are not looked at, with all below them.
pub(super) struct Hidden<'a>(HashSet<&'a [u8]>);

impl<'a> Hidden<'a> {
    /// Of clean paths without leading `/`.
    pub(super) fn new(paths: &'a [Vec<u8>]) -> Self {
        Self(paths.iter().map(Vec::as_slice).collect())
    }

    fn hides(&self, path: &[u8]) -> bool {
        self.0.contains(path)
    }

    /// The directories that they are in.
    pub(super) fn parents(&self) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(|path| Some(name::split_last(path)?.0))
    }
}

/// Shows `see` the root and all that is below it, in no particular order.
pub(super) fn walk(place: &Place, hidden: &Hidden<'_>, see: &mut dyn FnMut(Vec<u8>, Stamp)) -> Result<()> {
    let mut directories = vec![Vec::new()];
    let root = place.directory(b"", OFlags::PATH).and_then(|root| {
        let stat = Target::Open(rustix::fd::AsFd::as_fd(&root)).stat()?;
        Ok(Stamp::of(&stat))
    });
    see(Vec::new(), root.map_err(Error::io("stat", place.full(b"")))?);
    let mut buffer = [MaybeUninit::<u8>::uninit(); 32 * 1024];
    while let Some(directory) = directories.pop() {
        let mut found = |path: Vec<u8>, stamp: Stamp| {
            if stamp.kind == FileType::Directory {
                directories.push(path.clone());
            }
            see(path, stamp);
        };
        list(place, &directory, hidden, &mut buffer, &mut found)
            .map_err(Error::io("list the directory", place.full(&directory)))?;
    }
    Ok(())
}

fn list(
    place: &Place,
    directory: &[u8],
    hidden: &Hidden<'_>,
    buffer: &mut [MaybeUninit<u8>],
    found: &mut dyn FnMut(Vec<u8>, Stamp),
) -> Result<(), Errno> {
    let fd = place.directory(directory, OFlags::RDONLY)?;
    let mut raw = RawDir::new(&fd, buffer);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let file = entry.file_name().to_bytes();
        let path = name::join(directory, file);
        if matches!(file, b"." | b"..") || hidden.hides(&path) {
            continue;
        }
        let stat = Target::Named(rustix::fd::AsFd::as_fd(&fd), file).stat()?;
        found(path, Stamp::of(&stat));
    }
    Ok(())
}
