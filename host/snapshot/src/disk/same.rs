//! Whether two contents are the same bytes.

use std::fs::File;
use std::io::{self, Read};

use crate::content::Content;
use crate::{Error, Result};

const BUFFER: usize = 128 * 1024;

/// Compares what `content` holds with an open file, both of `size` bytes. `path` is for messages.
pub(super) fn same(content: &Content, size: u64, mut file: &File, path: &std::path::Path) -> Result<bool> {
    let mut reader = content.open(size)?;
    let (mut ours, mut theirs) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let count = read_full(&mut reader, &mut ours).map_err(Error::io("read", "a layer in the store"))?;
        let other = read_full(&mut file, &mut theirs).map_err(Error::io("read", path))?;
        if ours[..count] != theirs[..other] {
            return Ok(false);
        }
        if count == 0 {
            return reader.finish().map(|()| true);
        }
    }
}

fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
