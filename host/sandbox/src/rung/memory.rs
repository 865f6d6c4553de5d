//! Memory of the command's processes.

use std::io;

use rustix::io::Errno;

/// Longest path, with its NUL (PATH_MAX of linux/limits.h).
const LONGEST_PATH: usize = 4096;
/// What is read at once: never across a page's border, as the next page may not be there.
const STRIDE: usize = 256;

/// The memory of a thread's process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    thread: i32,
}

impl Memory {
    /// Of this thread, which waits for us.
    pub(super) fn of(thread: i32) -> Self {
        Self { thread }
    }

    /// Fills the buffer.
    ///
    /// # Errors
    /// EFAULT where there is less.
    pub(super) fn read(self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        if self.read_some(address, buffer)? == buffer.len() { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// Numbers, as they lie in an array.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn read_words<const N: usize>(self, address: u64) -> Result<[u64; N], Errno> {
        let mut words = [[0; 8]; N];
        self.read(address, words.as_flattened_mut())?;
        Ok(words.map(u64::from_ne_bytes))
    }

    /// A string without its NUL.
    ///
    /// # Errors
    /// EFAULT, ENAMETOOLONG.
    pub(super) fn read_string(self, address: u64) -> Result<Vec<u8>, Errno> {
        string_at(address, |address, buffer| self.read_some(address, buffer))
    }

    /// The first bytes of what may be a string: as many as there are up to the next border of pages.
    ///
    /// # Errors
    /// EFAULT; EPERM where this process may not look into that one.
    pub(super) fn read_start(self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let length = buffer.len().min(STRIDE - address as usize % STRIDE);
        self.read_some(address, &mut buffer[..length])
    }

    /// Writes where the process could.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let remote = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
        // SAFETY: reads from a live slice; the other address is in another process, whose memory the kernel checks.
        let written = unsafe { libc::process_vm_writev(self.thread, &raw const local, 1, &raw const remote, 1, 0) };
        if written == bytes.len() as isize { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// Writes below the stack pointer, where the stack may have to grow first: process_vm_writev(2) doesn't make it.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn write_stack(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::OpenOptions::new().write(true).open(format!("/proc/{}/mem", self.thread));
        memory.and_then(|memory| memory.write_all_at(bytes, address)).map_err(|_| Errno::FAULT)
    }

    fn read_some(self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let remote = libc::iovec { iov_base: address as *mut _, iov_len: buffer.len() };
        // SAFETY: writes to a live slice; the other address is in another process, whose memory the kernel checks.
        let read = unsafe { libc::process_vm_readv(self.thread, &raw const local, 1, &raw const remote, 1, 0) };
        match read {
            0 => Err(Errno::FAULT),
            ..0 => Err(last_error()),
            read => Ok(read as usize),
        }
    }
}

/// A string without its NUL, by what reads up to a number of bytes at an address.
///
/// # Errors
/// ENAMETOOLONG, and those of the reader.
pub(super) fn string_at(
    mut address: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<usize, Errno>,
) -> Result<Vec<u8>, Errno> {
    let mut string = Vec::with_capacity(STRIDE);
    while string.len() < LONGEST_PATH {
        let mut stride = [0; STRIDE];
        let length = STRIDE - address as usize % STRIDE;
        let length = read(address, &mut stride[..length])?;
        if let Some(end) = stride[..length].iter().position(|byte| *byte == 0) {
            string.extend_from_slice(&stride[..end]);
            return Ok(string);
        }
        string.extend_from_slice(&stride[..length]);
        address += length as u64;
    }
    Err(Errno::NAMETOOLONG)
}

/// The bytes of a plain structure of the kernel.
pub(super) fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: callers pass the kernel's own structures, which it fills in wholly, padding included, or which start out as zeros.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The error number of a failed call of the C library.
pub(super) fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::of(std::process::id() as i32)
    }

    #[test]
    fn strings_end_at_their_nul() {
        for length in [0, 1, 255, 256, 257, 4000] {
            let mut text = vec![b'x'; length];
            text.push(0);
            assert_eq!(own().read_string(text.as_ptr() as u64).as_deref(), Ok(&text[..length]));
        }
        let endless = vec![b'x'; 3 * LONGEST_PATH];
        assert_eq!(own().read_string(endless.as_ptr() as u64), Err(Errno::NAMETOOLONG));
        assert_eq!(own().read_string(8), Err(Errno::FAULT));
    }

    #[test]
    fn words_and_bytes_cross() {
        let words = [1_u64, u64::MAX, 3];
        assert_eq!(own().read_words::<3>(words.as_ptr() as u64), Ok(words));
        let target = [0_u8; 4];
        own().write(target.as_ptr() as u64, b"abcd").expect("own memory");
        assert_eq!(std::hint::black_box(&target), b"abcd");
        assert_eq!(own().write(8, b"x"), Err(Errno::FAULT));
    }
}
