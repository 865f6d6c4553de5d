//! A snapshot written out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::make::Maker;
use super::place::Place;
use super::plan::{Batch, Plan, RegularFile};
use super::settle::{How, Record, record};
use super::{Owners, Owning, remove};
use crate::content::Content;
use crate::tar::sparse::Segment;
use crate::{Error, Result, Snapshot, parallel};

/// Content is copied in pieces of this size.
const BUFFER: usize = 128 * 1024;

/// How much [`write`] may write. An image is somebody else's, and a few bytes of it can become many on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of content; holes of sparse files don't count.
    pub bytes: Option<u64>,
    /// Files, directories and all else, each of its names.
    pub entries: u64,
}

impl Default for Limits {
    /// Any number of bytes in 10 million entries.
    fn default() -> Self {
        Self { bytes: None, entries: 10_000_000 }
    }
}

/// Makes the directory `root`, which holds `from` (of [`Snapshot::scratch`]: nothing), hold `to`. Only the differences are written. A layer that is
/// compressed in the store is decompressed once, on the way. What is made stays below `root`, whatever the layers say: no link is followed.
/// If it fails, `root` and the table are good for nothing but [`remove()`].
///
/// # Errors
/// [`Error::Invalid`] if `limits` are exceeded, before anything is written; [`Error::Unsupported`] on a device node or an owner that this place
/// can't make; those of reading layers; [`Error::Io`].
pub fn write(from: &Snapshot, to: &Snapshot, root: &Path, owning: Owning<'_>, limits: Limits) -> Result<()> {
    let plan = Plan::new(from.tree(), to.tree())?;
    limits.check(&plan)?;
    let place = Place::open(root)?;
    let (how, table) = owning.into_parts();
    carry_out(&plan, &place, how, table)
}

/// Does what was planned.
pub(super) fn carry_out(plan: &Plan, place: &Place, how: How, table: &mut Owners) -> Result<()> {
    let mut maker = Maker::new(place, how);
    for path in &plan.removed {
        remove::below(place, path)?;
    }
    for directory in plan.directories.iter().filter(|directory| directory.new) {
        maker.directory(&directory.path)?;
    }
    for records in parallel::map(&plan.batches, |batch| batch.write(Maker::new(place, how))) {
        record(table, records?);
    }
    for (path, leaf) in &plan.specials {
        maker.special(path, leaf)?;
    }
    for (path, earlier) in &plan.links {
        maker.link(path, earlier)?;
    }
    // What is in a directory changes its time, so the deepest come first.
    for directory in plan.directories.iter().rev() {
        let stale: Vec<_> = directory.stale.iter().map(Vec::as_slice).collect();
        maker.finish_directory(&directory.path, &directory.attributes, &stale)?;
    }
    record(table, maker.into_records());
    Ok(())
}

impl Limits {
    /// Fails with [`Error::Invalid`] where a plan is beyond them.
    pub(super) fn check(self, plan: &Plan) -> Result<()> {
        if plan.entries > self.entries {
            return Err(Error::Invalid(format!(
                "the file system has {} entries to write, more than the limit of {}",
                plan.entries, self.entries
            )));
        }
        match self.bytes {
            Some(limit) if plan.bytes > limit => Err(Error::Invalid(format!(
                "the file system has {} bytes to write, more than the limit of {limit}",
                plan.bytes
            ))),
            _ => Ok(()),
        }
    }
}

impl Batch {
    fn write(&self, mut maker: Maker<'_>) -> Result<Vec<Record>> {
        let mut buffer = vec![0; BUFFER];
        let stream = self.tar.as_ref().map(|tar| tar.stream()).transpose()?.flatten();
        let Some(input) = stream else {
            self.files.iter().try_for_each(|file| at_random(&mut maker, file, &mut buffer))?;
            return Ok(maker.into_records());
        };
        let mut stream = Stream { input, position: 0 };
        let mut passed = Vec::new();
        for file in &self.files {
            match &file.content {
                Content::Extent { offset, map, .. } if *offset >= stream.position => {
                    stream.skip_to(*offset, &mut buffer).map_err(broken)?;
                    maker.regular(&file.path, &file.leaf.attributes, |to| {
                        fill(to, &mut stream, file.size, map.as_deref(), &mut buffer)
                    })?;
                }
                // Content that two files share, or that lies in another's.
                _ => passed.push(file),
            }
        }
        passed.into_iter().try_for_each(|file| at_random(&mut maker, file, &mut buffer))?;
        Ok(maker.into_records())
    }
}

/// Writes a file whose content can be read where it lies.
fn at_random(maker: &mut Maker<'_>, file: &RegularFile, buffer: &mut [u8]) -> Result<()> {
    let (map, content) = match &file.content {
        Content::Extent { origin, offset, map: Some(map) } => {
            let stored = Content::Extent { origin: origin.clone(), offset: *offset, map: None };
            (Some(map.clone()), stored)
        }
        other => (None, other.clone()),
    };
    maker.regular(&file.path, &file.leaf.attributes, |to| {
        let mut reader = content.open(file.stored())?;
        fill(to, &mut reader, file.size, map.as_deref(), buffer)?;
        reader.finish()
    })
}

/// Writes content: of a sparse file, the parts that are there.
fn fill(to: &File, from: &mut dyn Read, size: u64, map: Option<&[Segment]>, buffer: &mut [u8]) -> Result<()> {
    let Some(map) = map else {
        let mut to = to;
        return copy(from, size, buffer, |_, bytes| to.write_all(bytes)).map_err(broken);
    };
    for segment in map {
        copy(from, segment.length, buffer, |at, bytes| to.write_all_at(bytes, segment.at + at)).map_err(broken)?;
    }
    to.set_len(size).map_err(broken)
}

fn copy(
    from: &mut dyn Read,
    size: u64,
    buffer: &mut [u8],
    mut put: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < size {
        let wanted = usize::try_from(size - done).map_or(buffer.len(), |left| left.min(buffer.len()));
        match from.read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                put(done, &buffer[..count])?;
                done += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn broken(error: io::Error) -> Error {
    Error::io("write", "a file of the image")(error)
}

/// A tar that is read once, forwards.
struct Stream {
    input: Box<dyn Read>,
    position: u64,
}

impl Stream {
    fn skip_to(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let count = offset - self.position;
        copy(self, count, buffer, |_, _| Ok(()))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}
