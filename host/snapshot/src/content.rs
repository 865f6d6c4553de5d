//! Where the content of a regular file lies, and how it is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::directory::{Identity, identify};
use crate::layer::TarOrigin;
use crate::tar::sparse::Segment;
use crate::{Directory, Error, Result};

/// The content of a regular file. Comparing two says whether they are surely the same, not whether the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Inline(Arc<[u8]>),
    /// A part of something bigger, or all of it. Of a sparse file, `map` says which parts of it are there, one after the other.
    Extent {
        origin: Origin,
        offset: u64,
        map: Option<Arc<[Segment]>>,
    },
}

/// What content is read from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    File(Arc<FileOrigin>),
    Tar(Arc<TarOrigin>),
}

/// A file of the caller, as it was when it was listed.
#[derive(Debug)]
pub(crate) struct FileOrigin {
    pub(crate) directory: Directory,
    pub(crate) path: Vec<u8>,
    pub(crate) identity: Identity,
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => Arc::ptr_eq(a, b) || (a.identity == b.identity && a.full() == b.full()),
            (Self::Tar(a), Self::Tar(b)) => Arc::ptr_eq(a, b) || a.diff_id() == b.diff_id(),
            _ => false,
        }
    }
}

impl Eq for Origin {}

impl FileOrigin {
    fn full(&self) -> PathBuf {
        self.directory.full(&self.path)
    }

    fn open(&self) -> Result<File> {
        let (file, identity) = self.directory.open_literal(&self.path)?;
        self.check(identity)?;
        Ok(file)
    }

    /// Fails if it has changed since it was listed.
    pub(crate) fn verify(&self) -> Result<()> {
        self.open().map(drop)
    }

    fn check(&self, identity: Identity) -> Result<()> {
        if identity == self.identity {
            return Ok(());
        }
        Err(Error::io("read", self.full())(io::Error::other("the file has changed since it was listed")))
    }
}

impl Content {
    /// All of a file of the caller.
    pub(crate) fn of_file(origin: FileOrigin) -> Self {
        Self::Extent { origin: Origin::File(Arc::new(origin)), offset: 0, map: None }
    }

    /// Begins to read the content, of which there are `size` bytes.
    pub(crate) fn open(&self, size: u64) -> Result<Reader> {
        let (bytes, segments, remaining) = match self {
            Self::Inline(bytes) => (Bytes::Inline(bytes.clone()), None, size),
            Self::Extent { origin, offset, map } => {
                let bytes = match origin {
                    Origin::File(origin) => {
                        Bytes::File { file: origin.open()?, origin: origin.clone(), offset: *offset }
                    }
                    Origin::Tar(tar) => Bytes::Tar { file: tar.open()?, offset: *offset },
                };
                (bytes, map.clone(), size)
            }
        };
        Ok(Reader { bytes, segments, next: 0, stored: 0, position: 0, size: remaining })
    }
}

enum Bytes {
    Inline(Arc<[u8]>),
    File { file: File, origin: Arc<FileOrigin>, offset: u64 },
    Tar { file: Arc<File>, offset: u64 },
}

/// Content being read. It ends after as many bytes as were announced, or fails.
pub(crate) struct Reader {
    bytes: Bytes,
    segments: Option<Arc<[Segment]>>,
    /// The segment that is being read or comes next, and the stored bytes before it.
    next: usize,
    stored: u64,
    position: u64,
    size: u64,
}

impl Reader {
    /// Checks, at the end, that a file of the caller is still what it was.
    pub(crate) fn finish(self) -> Result<()> {
        match self.bytes {
            Bytes::File { file, origin, .. } => {
                let (_, identity) = identify(&file).map_err(Error::io("stat", origin.full()))?;
                origin.check(identity)
            }
            Bytes::Inline(_) | Bytes::Tar { .. } => Ok(()),
        }
    }

    /// Where the bytes at the current position are stored (none: in a hole), and how many follow there.
    fn extent(&mut self) -> (Option<u64>, u64) {
        let Some(segments) = &self.segments else { return (Some(self.position), self.size - self.position) };
        while let Some(segment) = segments.get(self.next) {
            if self.position < segment.at {
                return (None, segment.at - self.position);
            }
            let inside = self.position - segment.at;
            if inside < segment.length {
                return (Some(self.stored + inside), segment.length - inside);
            }
            self.stored += segment.length;
            self.next += 1;
        }
        (None, self.size - self.position)
    }

    fn read_stored(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match &self.bytes {
            Bytes::Inline(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Bytes::File { file, offset, .. } => file.read_at(buffer, offset + at),
            Bytes::Tar { file, offset } => file.read_at(buffer, offset + at),
        }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.size || buffer.is_empty() {
            return Ok(0);
        }
        let (at, available) = self.extent();
        let count = buffer.len().min(usize::try_from(available).unwrap_or(usize::MAX));
        let read = match at {
            Some(at) => self.read_stored(&mut buffer[..count], at)?,
            None => {
                buffer[..count].fill(0);
                count
            }
        };
        if read == 0 {
            let what = match &self.bytes {
                Bytes::File { origin, .. } => {
                    return Err(Error::io("read", origin.full())(io::Error::other(
                        "the file has changed since it was listed",
                    ))
                    .into_io());
                }
                Bytes::Inline(_) => "content",
                Bytes::Tar { .. } => "a layer in the store",
            };
            return Err(Error::Corrupt(format!("{what} ends too early")).into_io());
        }
        self.position += read as u64;
        Ok(read)
    }
}

/// Reads a shared file onwards from a position of its own.
pub(crate) struct ReadAt {
    pub(crate) file: Arc<File>,
    pub(crate) position: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
