//! What one file on disk is, in the terms of a tree.

use std::fs::File;

use rustix::fs::{FileType, Mode, OFlags};

use super::place::{Cursor, Place};
use super::same::same;
use super::settle::is_overlay;
use super::upper::{Mark, mark};
use super::walk::Stamp;
use super::{Index, Owned, Owner};
use crate::content::{Content, FileOrigin};
use crate::directory::{Directory, Identity, xattrs_where};
use crate::meta::Attributes;
use crate::tree::{LeafBody, Node};
use crate::{Error, Result, Timestamp, Xattrs};

/// What was found at a path.
pub(super) enum Found {
    /// A mark that nothing is there.
    Whiteout,
    /// What no layer can hold.
    Socket,
    /// A directory. If it is opaque, nothing of what the base has in it is left.
    Directory { attributes: Attributes, opaque: bool },
    /// Anything else.
    Leaf(FoundLeaf),
}

/// A file.
pub(super) struct FoundLeaf {
    pub(super) attributes: Attributes,
    pub(super) body: LeafBody,
    /// It is the base's file at this path, whatever was done to it; else it may still be equal.
    pub(super) original: bool,
    /// Its content (target, numbers) is that of the base.
    pub(super) same_body: bool,
}

/// Looks at files of a place.
pub(super) struct Look<'a> {
    place: &'a Place,
    cursor: Cursor<'a>,
    /// The place again, for content that is read later.
    directory: Directory,
    owned: Owned<'a>,
    /// None in the upper directory of an overlay.
    before: Option<&'a Index>,
    /// When the files in the table were born that were there before.
    born: std::collections::HashMap<(u64, u64), Timestamp>,
}

impl<'a> Look<'a> {
    /// Begins to look at a place.
    pub(super) fn new(place: &'a Place, owned: Owned<'a>, before: Option<&'a Index>) -> Result<Self> {
        let shown = place.full(b"");
        let directory = Directory::open(&shown, shown.to_string_lossy())?;
        let stamps = before.into_iter().flat_map(Index::iter).map(|(_, stamp)| stamp);
        let born = stamps.filter(|stamp| owned.table().contains_key(&stamp.key)).map(|stamp| (stamp.key, stamp.born));
        let born = born.collect();
        Ok(Self { place, cursor: Cursor::new(place), directory, owned, before, born })
    }

    /// Looks at a file; `base` is what the snapshot has at its path.
    pub(super) fn at(&mut self, path: &[u8], stamp: &Stamp, base: Option<&Node>) -> Result<Found> {
        if stamp.kind == FileType::Socket {
            return Ok(Found::Socket);
        }
        let file = match stamp.kind {
            FileType::RegularFile | FileType::Directory => Some(self.open(path)?),
            _ => None,
        };
        let shown = self.place.full(path);
        let raw = file.as_ref().map(|file| xattrs_where(file, |_| true)).transpose();
        let raw = raw.map_err(Error::io("read the extended attributes of", &shown))?.unwrap_or_default();
        let mark = if self.before.is_some() { Mark::None } else { mark(path, stamp, &raw)? };
        if mark == Mark::Whiteout {
            return Ok(Found::Whiteout);
        }
        let record = self.record(stamp);
        let original = match self.before {
            Some(before) => before.get(path).is_some_and(|before| before.is_same_file(stamp)),
            None => mark == Mark::CopiedUp || matches!(base, Some(Node::Directory(_)) if mark != Mark::Opaque),
        };
        let attributes = self.attributes(stamp, record, raw, base.filter(|_| original));
        if stamp.kind == FileType::Directory {
            return Ok(Found::Directory { attributes, opaque: mark == Mark::Opaque });
        }
        let body = self.body(path, stamp, record, base.filter(|_| mark == Mark::CopiedUp))?;
        let same_body = is_same(base, &body, file.as_ref(), &shown)?;
        Ok(Found::Leaf(FoundLeaf { attributes, body, original, same_body }))
    }

    fn open(&mut self, path: &[u8]) -> Result<File> {
        let shown = self.place.full(path);
        let (parent, last) = self.cursor.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, last, flags, Mode::empty());
        fd.map(File::from).map_err(Error::io("open", shown))
    }

    /// What the table says of a file, if it is still the file that it says it of.
    fn record(&self, stamp: &Stamp) -> Option<&'a Owner> {
        match self.owned {
            Owned::Table(table) => table.get(&stamp.key),
            // Nobody kept this one up to date: an inode may have been used again.
            Owned::Real(table) => table.get(&stamp.key).filter(|_| self.born.get(&stamp.key) == Some(&stamp.born)),
        }
    }

    fn attributes(&self, stamp: &Stamp, record: Option<&Owner>, raw: Xattrs, original: Option<&Node>) -> Attributes {
        let (uid, gid, mode) = match (self.owned, record) {
            (Owned::Real(_), _) => (stamp.uid, stamp.gid, stamp.mode),
            (Owned::Table(_), None) => (0, 0, stamp.mode),
            (Owned::Table(_), Some(owner)) => (owner.uid, owner.gid, owner.mode.unwrap_or(stamp.mode)),
        };
        let mode = if stamp.kind == FileType::Symlink { 0o777 } else { mode };
        let had = original.map(Node::attributes).map(|attributes| &attributes.xattrs);
        let mut xattrs = raw;
        xattrs.retain(|attribute, _| self.shows(attribute, had));
        xattrs.extend(record.map(|owner| owner.xattrs.clone()).unwrap_or_default());
        if self.before.is_none() {
            // An overlay copies what it may; the others are what they were.
            let kept = had.into_iter().flatten().filter(|(attribute, _)| !is_common(attribute));
            for (attribute, value) in kept {
                xattrs.entry(attribute.clone()).or_insert_with(|| value.clone());
            }
        }
        Attributes { mode, uid, gid, modified: stamp.modified, xattrs }
    }

    /// Whether an attribute on disk is the image's: not an overlay's, and not one that the host gives to every file.
    fn shows(&self, attribute: &[u8], had: Option<&Xattrs>) -> bool {
        match self.owned {
            _ if is_overlay(attribute) => false,
            Owned::Table(_) => attribute.starts_with(b"user."),
            Owned::Real(_) => {
                is_common(attribute)
                    || attribute.starts_with(b"trusted.")
                    || had.is_some_and(|had| had.contains_key(attribute))
            }
        }
    }

    /// `copied` is what an overlay copied the file from.
    fn body(&mut self, path: &[u8], stamp: &Stamp, record: Option<&Owner>, copied: Option<&Node>) -> Result<LeafBody> {
        let (major, minor) = stamp.device;
        Ok(match stamp.kind {
            FileType::Symlink => {
                let shown = self.place.full(path);
                let (parent, last) = self.cursor.parent(path)?;
                let target =
                    rustix::fs::readlinkat(parent, last, Vec::new()).map_err(Error::io("read the link", shown))?;
                LeafBody::Symlink(target.into_bytes().into())
            }
            FileType::Fifo => LeafBody::Fifo,
            FileType::BlockDevice => LeafBody::Device { block: true, major, minor },
            FileType::CharacterDevice => LeafBody::Device { block: false, major, minor },
            _ => match (record.and_then(|owner| owner.device), copied) {
                (Some((block, major, minor)), _) => LeafBody::Device { block, major, minor },
                // It was made as an empty file below, too.
                (None, Some(Node::Leaf(leaf))) if stamp.size == 0 && matches!(leaf.body, LeafBody::Device { .. }) => {
                    leaf.body.clone()
                }
                _ => LeafBody::Regular { size: stamp.size, content: self.content(path, stamp) },
            },
        })
    }

    fn content(&self, path: &[u8], stamp: &Stamp) -> Content {
        let identity = Identity { size: stamp.size, modified: stamp.modified, inode: stamp.key.1 };
        Content::of_file(FileOrigin { directory: self.directory.clone(), path: path.to_vec(), identity })
    }
}

/// Whether every process that may write a file may see the attribute, in a user namespace too.
pub(super) fn is_common(attribute: &[u8]) -> bool {
    attribute == b"security.capability" || (attribute.starts_with(b"user.") && !is_overlay(attribute))
}

fn is_same(base: Option<&Node>, body: &LeafBody, file: Option<&File>, shown: &std::path::Path) -> Result<bool> {
    let Some(Node::Leaf(base)) = base else { return Ok(false) };
    match (&base.body, body, file) {
        (LeafBody::Regular { size, content }, LeafBody::Regular { size: now, .. }, Some(file)) => {
            Ok(size == now && same(content, *size, file, shown)?)
        }
        (before, now, _) => Ok(before == now),
    }
}
