//! Sparse files of GNU tar: which parts of a file an archive holds.

use serde::{Deserialize, Serialize};

use super::pax;
use crate::{Error, Result};

/// Parts of a file, and so memory, that one entry may take.
pub(crate) const MAX_SEGMENTS: usize = 1_000_000;

/// A part of a file whose bytes are in the archive; what lies between parts is zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Where in the file.
    pub(crate) at: u64,
    pub(crate) length: u64,
}

/// Checks a map: in order, without overlap, inside the file, and with as many bytes as the archive holds.
pub(crate) fn check(map: Vec<Segment>, size: u64, stored: u64) -> Result<Vec<Segment>> {
    let malformed = || Error::Invalid("the archive has a malformed map of a sparse file".into());
    let (mut end, mut sum) = (0u64, 0u64);
    for segment in &map {
        if segment.at < end {
            return Err(malformed());
        }
        end = segment.at.checked_add(segment.length).ok_or_else(malformed)?;
        // Can't overflow: the parts don't overlap and end below 2^64.
        sum += segment.length;
    }
    if end > size || sum != stored || map.len() > MAX_SEGMENTS {
        return Err(malformed());
    }
    Ok(map.into_iter().filter(|segment| segment.length > 0).collect())
}

/// The map of an old GNU sparse entry, from its header and those after it.
pub(crate) fn from_header(segments: &[::tar::GnuSparseHeader], map: &mut Vec<Segment>) -> Result<()> {
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        let read = || Some(Segment { at: segment.offset().ok()?, length: segment.length().ok()? });
        map.push(read().ok_or_else(|| Error::Invalid("the archive has a malformed map of a sparse file".into()))?);
    }
    Ok(())
}

/// The map of format 0.1: `offset,length,offset,length`.
pub(crate) fn from_list(list: &[u8]) -> Option<Vec<Segment>> {
    let numbers: Vec<u64> = list.split(|byte| *byte == b',').map(pax::number).collect::<Option<_>>()?;
    pairs(&numbers)
}

/// The map of format 1.0: decimal lines before the content. None if there is no whole map in `data` yet.
pub(crate) fn from_lines(data: &[u8]) -> Option<Result<Vec<Segment>>> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let malformed = || Error::Invalid("the archive has a malformed map of a sparse file".into());
    let whole_lines = data.iter().filter(|byte| **byte == b'\n').count();
    if whole_lines == 0 {
        return None;
    }
    let Some(count) = lines.next().and_then(pax::number::<usize>).filter(|count| *count <= MAX_SEGMENTS) else {
        return Some(Err(malformed()));
    };
    if whole_lines < 1 + 2 * count {
        return None;
    }
    let numbers: Option<Vec<u64>> = lines.take(2 * count).map(pax::number).collect();
    Some(numbers.and_then(|numbers| pairs(&numbers)).ok_or_else(malformed))
}

fn pairs(numbers: &[u64]) -> Option<Vec<Segment>> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[at, length]| Segment { at: *at, length: *length }).collect())
}
