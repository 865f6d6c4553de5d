//! Extended attributes (xattr(7)), as calls hand them over.

use rustix::io::Errno;

/// Longest value and longest list, in bytes (XATTR_SIZE_MAX, XATTR_LIST_MAX of linux/limits.h).
pub(super) const LONGEST: usize = 65536;

/// Writes a value or a list to the caller, or tells its length where no room is given for it.
///
/// # Errors
/// ERANGE where the room is too small; those of the writer.
pub(super) fn give(bytes: &[u8], room: u64, write: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<i64, Errno> {
    if room != 0 {
        if bytes.len() as u64 > room {
            return Err(Errno::RANGE);
        }
        if !bytes.is_empty() {
            write(bytes)?;
        }
    }
    Ok(bytes.len() as i64)
}

/// A value of this length that a call sets. `read` fills a buffer with it.
///
/// # Errors
/// E2BIG; those of the reader.
pub(super) fn value(length: u64, read: impl FnOnce(&mut [u8]) -> Result<(), Errno>) -> Result<Vec<u8>, Errno> {
    let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or(Errno::TOOBIG)?;
    let mut value = vec![0; length];
    read(&mut value)?;
    Ok(value)
}
