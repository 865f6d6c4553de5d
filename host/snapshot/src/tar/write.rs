//! Headers of entries: ustar, with a PAX header before it for what ustar can't say. The same entry gives the same bytes everywhere.

use ::tar::{EntryType, Header};

use super::{BLOCK, pax};
use crate::meta::Attributes;

/// Largest value of a 12-byte octal field.
const MAX_LONG: u64 = 0o777_7777_7777;
/// Largest value of an 8-byte octal field.
const MAX_SHORT: u32 = 0o777_7777;
const NAME: usize = 100;
const PREFIX: usize = 155;

/// What an entry is, for its header.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    Regular { size: u64 },
    Directory,
    Symlink(&'a [u8]),
    HardLink(&'a [u8]),
    Fifo,
    Device { block: bool, major: u32, minor: u32 },
}

/// Appends an entry's headers; the content and its [`padding`] come after. `path` is clean; a directory gets its `/` here.
pub(crate) fn push_header(out: &mut Vec<u8>, path: &[u8], attributes: &Attributes, shape: Shape<'_>) {
    let mut name = if path.is_empty() { b".".to_vec() } else { path.to_vec() };
    if matches!(shape, Shape::Directory) {
        name.push(b'/');
    }
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    if !put_name(&mut header, &name) {
        pax::push(&mut records, b"path", &name);
    }
    put_shape(&mut header, &mut records, shape);
    put_attributes(&mut header, &mut records, attributes);
    header.set_cksum();
    if !records.is_empty() {
        push_extension(out, &name, &records);
    }
    out.extend_from_slice(header.as_bytes());
}

/// Zeros that follow content of this size.
pub(crate) fn padding(size: u64) -> usize {
    // Below 512.
    (size.wrapping_neg() % BLOCK) as usize
}

/// What ends an archive.
pub(crate) const END: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

fn put_shape(header: &mut Header, records: &mut Vec<u8>, shape: Shape<'_>) {
    header.set_size(0);
    header.set_entry_type(match shape {
        Shape::Regular { .. } => EntryType::Regular,
        Shape::Directory => EntryType::Directory,
        Shape::Symlink(_) => EntryType::Symlink,
        Shape::HardLink(_) => EntryType::Link,
        Shape::Fifo => EntryType::Fifo,
        Shape::Device { block: true, .. } => EntryType::Block,
        Shape::Device { block: false, .. } => EntryType::Char,
    });
    match shape {
        Shape::Regular { size } if size > MAX_LONG => pax::push(records, b"size", size.to_string().as_bytes()),
        Shape::Regular { size } => header.set_size(size),
        Shape::Symlink(target) | Shape::HardLink(target) if target.len() > NAME => {
            pax::push(records, b"linkpath", target)
        }
        Shape::Symlink(target) | Shape::HardLink(target) => {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target)
        }
        Shape::Device { major, minor, .. } => {
            if let Some(ustar) = header.as_ustar_mut() {
                ustar.set_device_major(major);
                ustar.set_device_minor(minor);
            }
        }
        Shape::Directory | Shape::Fifo => {}
    }
}

fn put_attributes(header: &mut Header, records: &mut Vec<u8>, attributes: &Attributes) {
    header.set_mode(attributes.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match attributes.uid {
        uid @ 0..=MAX_SHORT => header.set_uid(uid.into()),
        uid => pax::push(records, b"uid", uid.to_string().as_bytes()),
    }
    match attributes.gid {
        gid @ 0..=MAX_SHORT => header.set_gid(gid.into()),
        gid => pax::push(records, b"gid", gid.to_string().as_bytes()),
    }
    let modified = attributes.modified;
    match u64::try_from(modified.seconds) {
        Ok(seconds @ 0..=MAX_LONG) => {
            header.set_mtime(seconds);
            if modified.nanoseconds != 0 {
                pax::push(records, b"mtime", pax::format_timestamp(modified).as_bytes());
            }
        }
        _ => pax::push(records, b"mtime", pax::format_timestamp(modified).as_bytes()),
    }
    for (attribute, value) in &attributes.xattrs {
        pax::push(records, &[pax::XATTR, attribute].concat(), value);
    }
}

/// Writes a name that fits into the name field, or into it and the prefix, divided at a slash.
fn put_name(header: &mut Header, name: &[u8]) -> bool {
    if name.len() <= NAME {
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        return true;
    }
    // The slash at the very end of a directory divides nothing.
    let divided = (name.len() - NAME - 1..=PREFIX.min(name.len() - 2)).find(|at| name[*at] == b'/');
    match (divided, header.as_ustar_mut()) {
        (Some(slash @ 1..), Some(ustar)) => {
            ustar.prefix[..slash].copy_from_slice(&name[..slash]);
            let rest = &name[slash + 1..];
            ustar.name[..rest.len()].copy_from_slice(rest);
            true
        }
        _ => {
            // For readers without PAX; they see the beginning.
            header.as_old_mut().name.copy_from_slice(&name[..NAME]);
            false
        }
    }
}

fn push_extension(out: &mut Vec<u8>, name: &[u8], records: &[u8]) {
    let mut header = Header::new_ustar();
    let mut own = b"PaxHeaders/".to_vec();
    own.extend_from_slice(name);
    own.truncate(NAME);
    header.as_old_mut().name[..own.len()].copy_from_slice(&own);
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
