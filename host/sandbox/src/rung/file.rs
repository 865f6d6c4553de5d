//! System calls on files that are found already.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, ResolveFlags, memfd_create, open, openat2};
use rustix::io::Errno;

use super::memory::last_error;

/// openat2(2). EAGAIN means that something was renamed meanwhile, so the kernel can't tell whether `..` stayed inside.
pub(super) fn open_at(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    loop {
        match openat2(directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// fstat(2), in the form that the command's own call has.
pub(super) fn stat(file: impl AsFd) -> Result<libc::stat, Errno> {
    stat_entry(file.as_fd(), c"", libc::AT_EMPTY_PATH)
}

/// fstatat(2).
pub(super) fn stat_entry(directory: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<libc::stat, Errno> {
    // SAFETY: all bits zero are a valid value of this plain structure.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the name ends in NUL, the structure is live.
    let result = unsafe { libc::fstatat(directory.as_raw_fd(), name.as_ptr(), &raw mut stat, flags) };
    if result < 0 { Err(last_error()) } else { Ok(stat) }
}

/// statx(2) of an open file.
pub(super) fn statx(file: BorrowedFd<'_>, flags: i32, mask: u32) -> Result<libc::statx, Errno> {
    // SAFETY: all bits zero are a valid value of this plain structure.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the name ends in NUL, the structure is live.
    let result =
        unsafe { libc::statx(file.as_raw_fd(), c"".as_ptr(), flags | libc::AT_EMPTY_PATH, mask, &raw mut stat) };
    if result < 0 { Err(last_error()) } else { Ok(stat) }
}

/// The descriptor's name in `/proc/self/fd`, by which a file that is open with O_PATH takes any call that wants a path. All magic links lead to
/// the file itself, whatever its name is by then.
pub(super) fn magic(file: BorrowedFd<'_>) -> std::ffi::CString {
    let mut name = Vec::with_capacity(24);
    name.extend_from_slice(b"/proc/self/fd/");
    name.extend_from_slice(file.as_raw_fd().to_string().as_bytes());
    // The bytes hold no NUL, so this can't fail.
    std::ffi::CString::new(name).unwrap_or_default()
}

/// A file in memory with this content, open for reading.
pub(super) fn with_text(text: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memfd_create(c"text", MemfdFlags::CLOEXEC)?;
    let mut rest = text;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    open(magic(file.as_fd()), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Whether it is a file of this kind: `S_IFLNK`, ...
pub(super) fn is(stat: &libc::stat, kind: u32) -> bool {
    stat.st_mode & libc::S_IFMT == kind
}
