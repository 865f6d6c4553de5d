//! A call on a path in `/proc`: what it asks for, and who does it.

use rustix::fs::{OFlags, readlinkat};

use super::caller::{Caller, Memory};
use super::follow::Last;
use super::listing::Entries;
use super::{PATH_FIRST, Proc, Result};
use crate::rung::path::wants_directory;
use crate::rung::serve::Outcome;
use crate::rung::times;
use crate::sys::notify::Answer;

/// A call on a path in `/proc`.
pub(super) struct Asked<'a> {
    pub(super) proc: &'a Proc,
    pub(super) caller: Caller,
    pub(super) memory: Memory,
    pub(super) number: libc::c_long,
    pub(super) arguments: [u64; 6],
    /// As it is written.
    pub(super) path: Vec<u8>,
}

/// What comes of a call that is ours.
pub(super) enum Done {
    Outcome(Outcome),
    /// A directory of `/proc` is opened: its path there, what it holds, and the flags.
    Lists(Vec<u8>, Entries, OFlags),
    /// A directory of `/proc` becomes the working directory: the kernel does that, once it is there.
    Enters(Vec<u8>, Entries),
}

impl Asked<'_> {
    pub(super) fn dispatch(&self, path: &[u8], last: Last) -> Result<Done> {
        let place = self.proc.follow(self.caller.asker, path, last)?;
        let value = match self.number {
            libc::SYS_openat | libc::SYS_openat2 => return self.open(place, last),
            libc::SYS_newfstatat => self.stat(&place, last),
            libc::SYS_statx => self.statx(&place, last),
            libc::SYS_readlinkat => self.readlink(&place),
            libc::SYS_chdir => return self.enter(&place),
            libc::SYS_faccessat2 => self.access(&place, last),
            libc::SYS_fchmodat2 => self.set_mode(&place),
            libc::SYS_fchownat => self.set_owner(&place),
            libc::SYS_truncate => self.truncate(&place),
            libc::SYS_linkat => self.link(&place),
            libc::SYS_getxattr | libc::SYS_lgetxattr => self.get_xattr(&place, last),
            libc::SYS_listxattr | libc::SYS_llistxattr => self.list_xattrs(&place, last),
            libc::SYS_setxattr => self.set_xattr(&place, last),
            libc::SYS_removexattr => self.remove_xattr(&place, last),
            _ => self.set_times(&place),
        };
        value.map(|value| Done::Outcome(Outcome::Now(Answer::Value(value))))
    }

    /// What the call does with a symlink at the end. None for calls that are not done here.
    pub(super) fn last(&self) -> Option<Last> {
        let keeps = match self.number {
            libc::SYS_openat => self.int(2) & libc::O_NOFOLLOW != 0,
            libc::SYS_openat2 => {
                let [flags, _, resolve] = self.memory.read_words(self.word(2)).ok()?;
                // Whoever restricts look-ups wants the kernel to see to it.
                if resolve != 0 {
                    return None;
                }
                flags & libc::O_NOFOLLOW as u64 != 0
            }
            libc::SYS_newfstatat | libc::SYS_faccessat2 => self.int(3) & libc::AT_SYMLINK_NOFOLLOW != 0,
            libc::SYS_statx => self.int(2) & libc::AT_SYMLINK_NOFOLLOW != 0,
            libc::SYS_readlinkat | libc::SYS_lgetxattr | libc::SYS_llistxattr => true,
            // Of what is in `/proc` itself nothing can be changed.
            libc::SYS_fchmodat2 | libc::SYS_utimensat if self.int(3) & libc::AT_SYMLINK_NOFOLLOW != 0 => return None,
            libc::SYS_fchownat if self.int(4) & libc::AT_SYMLINK_NOFOLLOW != 0 => return None,
            libc::SYS_linkat if self.int(4) & libc::AT_SYMLINK_FOLLOW == 0 => return None,
            libc::SYS_fchmodat2 | libc::SYS_fchownat | libc::SYS_linkat => false,
            number if times::sets(number) || PATH_FIRST.contains(&number) => false,
            _ => return None,
        };
        Some(if keeps && !wants_directory(&self.path) { Last::Keep } else { Last::Follow })
    }

    /// An argument that the kernel takes as `int`.
    pub(super) fn int(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    /// An argument as it is: an address, a length.
    pub(super) fn word(&self, index: usize) -> u64 {
        self.arguments[index]
    }

    /// A link's text, as the command may read it.
    pub(super) fn target(&self, link: &[u8]) -> Result<Vec<u8>> {
        let target = readlinkat(&self.proc.tree.proc, link, Vec::new())?.into_bytes();
        let harmless = target.starts_with(b"/dev/");
        Ok(self.proc.tree.seen_as(&target).unwrap_or_else(|| if harmless { target } else { b"(unreachable)".to_vec() }))
    }
}
