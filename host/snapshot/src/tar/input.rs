//! What archives are read from.

use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::hash::Hashing;

/// Bytes that can be gone over.
pub(crate) trait Input: Read + Sized {
    /// Goes over bytes that nobody wants to see; gives how many there were.
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        io::copy(&mut self.by_ref().take(count), &mut io::sink())
    }
}

/// All of it is hashed.
impl<R: Read> Input for Hashing<R> {}

impl Input for &[u8] {}

/// A file of which no more is read than is wanted.
pub(crate) struct Seeking {
    file: BufReader<File>,
    left: u64,
}

impl Seeking {
    /// From where the file stands, its beginning.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let left = file.metadata()?.len();
        Ok(Self { file: BufReader::new(file), left })
    }
}

impl Read for Seeking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

impl Input for Seeking {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let count = count.min(self.left);
        self.file.seek_relative(i64::try_from(count).map_err(io::Error::other)?)?;
        self.left -= count;
        Ok(count)
    }
}
