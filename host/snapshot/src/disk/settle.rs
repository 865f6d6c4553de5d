//! Metadata of files that were just made: on the files, or in the table.

use rustix::io::Errno;

use super::place::Place;
use super::target::Target;
use super::walk::key;
use super::{Owner, Owners};
use crate::meta::Attributes;
use crate::{Error, Result, Xattrs, name};

/// Where owners go: [`super::Owning`] without the table, which workers fill later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// On the files.
    Real { userns: bool },
    /// Into the table.
    Table,
}

impl How {
    /// Whether a device is made as a node. An overlay, as there is one in a user namespace, takes a character device 0:0 for a removal.
    pub(super) fn has_node(self, (_, major, minor): (bool, u32, u32)) -> bool {
        match self {
            Self::Real { userns } => !userns || (major, minor) != (0, 0),
            Self::Table => false,
        }
    }
}

/// What has to go into the table for a file; none removes what was known of an inode that is used again.
pub(super) type Record = ((u64, u64), Option<Owner>);

/// Sets metadata in a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settler<'p> {
    pub(super) place: &'p Place,
    pub(super) how: How,
}

impl Settler<'_> {
    /// Sets all metadata, in the order in which one doesn't undo the other: owner, mode, attributes, times.
    /// `device` is what an empty file stands for. Gives what has to go into the table.
    pub(super) fn settle(
        self,
        target: Target<'_>,
        path: &[u8],
        attributes: &Attributes,
        kind: Kind,
        device: Option<(bool, u32, u32)>,
    ) -> Result<Record> {
        let place = self.place;
        let failed = |operation: &'static str| Error::io(operation, place.full(path));
        if let How::Real { .. } = self.how {
            let Attributes { uid, gid, .. } = *attributes;
            target
                .chown(uid, gid)
                .map_err(|errno| foreign_owner(errno, path, (uid, gid), failed("change the owner of")))?;
        }
        let disk_mode = self.disk_mode(attributes.mode, kind);
        if kind != Kind::Symlink {
            target.chmod(disk_mode).map_err(failed("change the mode of"))?;
        }
        let mut refused = Xattrs::new();
        for (attribute, value) in &attributes.xattrs {
            if self.in_table(attribute)
                || !try_xattr(target, attribute, value).map_err(failed("set an attribute of"))?
            {
                refused.insert(attribute.clone(), value.clone());
            }
        }
        target.set_modified(attributes.modified).map_err(failed("set the modification time of"))?;
        let stat = target.stat().map_err(failed("stat"))?;
        let mode = (self.how == How::Table && kind != Kind::Symlink).then_some(attributes.mode);
        let owner = Owner {
            uid: attributes.uid,
            gid: attributes.gid,
            mode: mode.filter(|mode| *mode != disk_mode),
            device,
            xattrs: refused,
        };
        Ok((key(&stat), self.needed(&owner).then_some(owner)))
    }

    fn disk_mode(self, mode: u32, kind: Kind) -> u32 {
        match (self.how, kind) {
            (How::Real { .. }, _) => mode,
            (How::Table, Kind::Directory) => mode & 0o777 | 0o700,
            (How::Table, _) => mode & 0o777 | 0o600,
        }
    }

    /// Whether an attribute never goes on disk. An overlay's own would change what the overlay shows.
    fn in_table(self, attribute: &[u8]) -> bool {
        let privileged = attribute.starts_with(b"security.") || attribute.starts_with(b"trusted.");
        is_overlay(attribute) || (privileged && self.how == How::Table)
    }

    fn needed(self, owner: &Owner) -> bool {
        let owned = self.how == How::Table && (owner.uid, owner.gid) != (0, 0);
        owned || owner.mode.is_some() || owner.device.is_some() || !owner.xattrs.is_empty()
    }
}

/// What matters of a kind for its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Must stay one that can be entered.
    Directory,
    /// Has no mode.
    Symlink,
    /// All else.
    Other,
}

/// Whether an extended attribute is an overlay's own bookkeeping.
pub(super) fn is_overlay(attribute: &[u8]) -> bool {
    attribute.starts_with(b"user.overlay.") || attribute.starts_with(b"trusted.overlay.")
}

/// Sets an attribute; false if the disk or this process's rights can't hold it.
fn try_xattr(target: Target<'_>, attribute: &[u8], value: &[u8]) -> Result<bool, Errno> {
    match target.set_xattr(attribute, value) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn foreign_owner(errno: Errno, path: &[u8], (uid, gid): (u32, u32), failed: impl FnOnce(Errno) -> Error) -> Error {
    match errno {
        Errno::INVAL => Error::Unsupported(format!(
            "`{}` belongs to {uid}:{gid}, which this place has no such ids for: give its user a larger range in /etc/subuid and /etc/subgid",
            name::encode(path)
        )),
        errno => failed(errno),
    }
}

/// Puts what was made into the table.
pub(super) fn record(table: &mut Owners, records: Vec<Record>) {
    for (file, owner) in records {
        match owner {
            Some(owner) => table.insert(file, owner),
            None => table.remove(&file),
        };
    }
}
