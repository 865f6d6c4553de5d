//! Entries as a tar stream.

use std::io::{self, Read, Write};

use crate::diff::{self, Difference, Differences, Written};
use crate::meta::Attributes;
use crate::tar::write::{END, Shape, padding, push_header};
use crate::tree::{Leaf, LeafBody, Node};
use crate::{Error, Result, Snapshot};

/// Content is read in pieces of this size.
const BUFFER: usize = 256 * 1024;

impl Snapshot {
    /// Writes the whole file system as an uncompressed tar archive, sorted by path; equal trees give equal bytes. The root itself is
    /// no entry: an archive is unpacked into a directory that is there.
    pub fn export(&self, to: &mut dyn Write) -> Result<()> {
        let mut entries = diff::all(self.tree());
        entries.remove(b"".as_slice());
        write_entries(entries, to)
    }
}

/// Writes entries as an archive.
pub(crate) fn write_entries(entries: Differences, to: &mut dyn Write) -> Result<()> {
    let mut archive = Archive { to, written: Written::default(), headers: Vec::new(), buffer: vec![0; BUFFER] };
    for (path, entry) in &entries {
        match entry {
            Difference::Whiteout => archive.header(path, &Attributes::default(), Shape::Regular { size: 0 })?,
            Difference::Put(Node::Directory(directory)) => {
                archive.header(path, &directory.attributes, Shape::Directory)?
            }
            Difference::Put(Node::Leaf(leaf)) => archive.leaf(path, leaf)?,
        }
    }
    archive.to.write_all(&END).map_err(broken)
}

struct Archive<'a> {
    to: &'a mut dyn Write,
    written: Written,
    headers: Vec<u8>,
    buffer: Vec<u8>,
}

impl Archive<'_> {
    fn leaf(&mut self, path: &[u8], leaf: &Leaf) -> Result<()> {
        if let Some(earlier) = self.written.earlier(path, leaf) {
            let target = earlier.to_vec();
            return self.header(path, &leaf.attributes, Shape::HardLink(&target));
        }
        let shape = match &leaf.body {
            LeafBody::Regular { size, content } => {
                self.header(path, &leaf.attributes, Shape::Regular { size: *size })?;
                let mut reader = content.open(*size)?;
                self.content(&mut reader, *size)?;
                return reader.finish();
            }
            LeafBody::Symlink(target) => Shape::Symlink(target),
            LeafBody::Fifo => Shape::Fifo,
            LeafBody::Device { block, major, minor } => Shape::Device { block: *block, major: *major, minor: *minor },
        };
        self.header(path, &leaf.attributes, shape)
    }

    fn header(&mut self, path: &[u8], attributes: &Attributes, shape: Shape<'_>) -> Result<()> {
        self.headers.clear();
        push_header(&mut self.headers, path, attributes, shape);
        self.to.write_all(&self.headers).map_err(broken)
    }

    fn content(&mut self, reader: &mut impl Read, size: u64) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let count = reader.read(&mut self.buffer).map_err(broken)?;
            if count == 0 {
                return Err(broken(io::ErrorKind::UnexpectedEof.into()));
            }
            self.to.write_all(&self.buffer[..count]).map_err(broken)?;
            left -= count as u64;
        }
        self.to.write_all(&END[..padding(size)]).map_err(broken)
    }
}

fn broken(error: io::Error) -> Error {
    Error::io("write", "an archive")(error)
}
