//! Thin wrappers around what no crate of ours wraps. Each unsafe block stands here or says why not.

pub(crate) mod bpf;
pub(crate) mod capabilities;
pub(crate) mod landlock;
pub(crate) mod notify;
pub(crate) mod packet;
pub(crate) mod process;
pub(crate) mod tree;

use std::io;

/// The result of a system call that gives -1 on failure.
pub(crate) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
