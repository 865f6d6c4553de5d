//! What is known of the contents of files.
//!
//! Content is the same where it lies at the same place of the same archive, or has the same digest. The place costs nothing, and is all that is known of
//! files in large compressed layers: a base image that changed is another one, and reading all of it after each command would cost more than it saves.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};

use super::facts::Frames;
use crate::content::{Content, FileOrigin, Origin};
use crate::directory::with_xattrs;
use crate::hash::{Hasher, Hashing};
use crate::layer::TarOrigin;
use crate::snapshot::regular;
use crate::tree::Node;
use crate::{Error, Result, Store, name, parallel};

/// Compressed layers up to this many bytes are decompressed, once, for digests of what is in them: those of COPY mostly are.
const SMALL: u64 = 8 << 20;

/// What is known of a file's content; nothing of what has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Digest of where it lies, if that is an archive.
    pub(super) place: Option<[u8; 32]>,
    /// Of its bytes.
    pub(super) digest: Option<[u8; 32]>,
}

impl Known {
    /// Without reading anything.
    pub(super) fn by_place(node: &Node) -> Self {
        Self { place: regular(node).and_then(|(content, size)| place(content, size)), digest: None }
    }
}

fn place(content: &Content, size: u64) -> Option<[u8; 32]> {
    let Content::Extent { origin: Origin::Tar(tar), offset, map } = content else { return None };
    let mut frames = Frames::default();
    frames.add(tar.diff_id().as_ref().as_bytes());
    frames.add(&offset.to_be_bytes());
    frames.add(&size.to_be_bytes());
    for segment in map.iter().flat_map(|map| map.iter()) {
        frames.add(&segment.at.to_be_bytes());
        frames.add(&segment.length.to_be_bytes());
    }
    Some(frames.finish())
}

/// What is known of the contents of nodes, in their order.
///
/// # Errors
/// If one can't be read, or has changed since it was listed.
pub(super) fn known(store: &Store, nodes: &[&Node]) -> Result<Vec<Known>> {
    let mut all: Vec<Known> = nodes.iter().map(|node| Known::by_place(node)).collect();
    let mut of_directories = OfDirectories::default();
    let mut readable = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        match regular(node) {
            Some((Content::Extent { origin: Origin::File(origin), .. }, _)) => of_directories.add(index, origin),
            Some((Content::Extent { origin: Origin::Tar(tar), .. }, _)) if !is_cheap(tar)? => {}
            Some(_) => readable.push(index),
            None => {}
        }
    }
    for (index, digest) in of_directories.digests(store)? {
        all[index].digest = Some(digest);
    }
    for (index, digest) in readable.iter().zip(parallel::map(&readable, |index| read(nodes[*index]))) {
        all[*index].digest = digest?;
    }
    Ok(all)
}

/// Whether the archive's bytes can be had without much ado.
fn is_cheap(tar: &TarOrigin) -> Result<bool> {
    let is_small = tar.descriptor().is_none_or(|layer| layer.size <= SMALL);
    Ok(is_small || !tar.is_packed()?)
}

fn read(node: &Node) -> Result<Option<[u8; 32]>> {
    let Some((content, size)) = regular(node) else { return Ok(None) };
    let mut reader = content.open(size)?;
    let mut hashing = Hashing::new(io::sink(), Hasher::sha256());
    io::copy(&mut reader, &mut hashing).map_err(Error::io("read", "a file of a layer"))?;
    reader.finish()?;
    Ok(Some(short(&with_xattrs(hashing.hasher.finish(), &node.attributes().xattrs))))
}

/// Files of granted directories: the store knows most of their digests.
#[derive(Default)]
struct OfDirectories<'n>(BTreeMap<std::path::PathBuf, Vec<(usize, &'n Arc<FileOrigin>)>>);

impl<'n> OfDirectories<'n> {
    fn add(&mut self, index: usize, origin: &'n Arc<FileOrigin>) {
        self.0.entry(origin.directory.full(b"")).or_default().push((index, origin));
    }

    fn digests(self, store: &Store) -> Result<Vec<(usize, [u8; 32])>> {
        let mut all = Vec::new();
        for files in self.0.into_values() {
            let Some((_, first)) = files.first() else { continue };
            let paths: Vec<String> = files.iter().map(|(_, origin)| name::encode(&origin.path)).collect();
            let digests = first.directory.digests(store, &paths)?;
            // What was changed while the command ran is not what it saw.
            files.iter().try_for_each(|(_, origin)| origin.verify())?;
            all.extend(files.iter().zip(digests).map(|((index, _), digest)| (*index, short_text(&digest))));
        }
        Ok(all)
    }
}

fn short(digest: &Digest) -> [u8; 32] {
    short_text(digest.as_ref())
}

fn short_text(digest: &str) -> [u8; 32] {
    let mut frames = Frames::default();
    frames.add(digest.as_bytes());
    frames.finish()
}
