//! `/proc` for the command, where none can be mounted: calls that look at a path in it are answered by the supervisor (seccomp_unotify(2)).
//!
//! All other paths are left to the kernel, after a look at how they begin. Another thread of the command may change a path between that look and
//! the kernel's: then the kernel does with it what chroot and Landlock allow anyway, and finds an empty `/proc`. Paths relative to a
//! descriptor are the kernel's as well, and so is what executes a program.
//!
//! The supervisor does a call as its caller: with that one's user, groups and capabilities ([`caller`]), so that the kernel permits and refuses what it would
//! permit and refuse to the caller. One that has become another user and executed nothing since can't be looked into, nor
//! one that a program with the set-user-ID bit runs in, nor one that has laid down some of its capabilities for a while: to these `/proc` is empty.
//! What a process forbids itself by rules of Landlock of its own doesn't hold for what is served.

mod asked;
mod caller;
mod change;
mod follow;
mod listing;
mod look;
mod open;
mod tree;
mod xattr;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use rustix::process::getpid;

use self::asked::{Asked, Done};
use self::caller::{Caller, Memory};
use self::follow::{Last, START, may_be_served, means_a_link};
use self::listing::Listing;
use self::tree::Tree;
use crate::network::reach;
use crate::rung::legacy::modern;
use crate::rung::memory;
use crate::rung::path::{below, components};
use crate::rung::procfs::Tree as _;
use crate::rung::serve::{Outcome, Server};
use crate::rung::times;
use crate::sys::notify::{Answer, Call, Listener};

type Result<T> = std::result::Result<T, Errno>;

/// What serves `/proc`, and makes sockets.
#[derive(Debug)]
pub(super) struct Proc {
    root: OwnedFd,
    tree: Tree,
    listing: Listing,
    /// Whether the command was ever given a directory of the listing, so that it may be a working directory.
    listed: AtomicBool,
}

/// Calls that are looked at besides [`LOOKS`](crate::rung::legacy::LOOKS) and [`CHANGES`](crate::rung::legacy::CHANGES), and have the path first; so have the older ones
/// that set [`times`].
pub(super) const PATH_FIRST: &[libc::c_long] = &[
    libc::SYS_chdir,
    libc::SYS_truncate,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_setxattr,
    libc::SYS_removexattr,
];

impl Proc {
    /// For a command in this root directory; `listing` is the directory that it has at `/proc`.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn new(root: &Path, listing: OwnedFd) -> io::Result<Self> {
        let path = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let tree = Tree {
            supervisor: getpid().as_raw_nonzero().get(),
            proc: path(Path::new("/proc"))?,
            root: root.canonicalize()?.into_os_string().into_vec(),
        };
        Ok(Self { root: path(root)?, tree, listing: Listing::new(listing), listed: AtomicBool::new(false) })
    }

    /// None where it is the kernel's.
    fn look(&self, listener: &Listener, call: &Call) -> Option<Result<Outcome>> {
        let (number, arguments) = modern(call.number, call.arguments);
        let is_first = PATH_FIRST.contains(&number) || times::PATH_FIRST.contains(&number);
        let address = arguments[usize::from(!is_first)];
        let by_link = means_a_link(number, arguments);
        if self.is_the_kernels(call.thread, address, by_link) {
            return None;
        }
        let caller = Caller::of(call.thread)?;
        let disguise = caller.disguise().ok()?;
        let memory = Memory::of(call.thread).ok()?;
        // From here on it is the caller's memory that is open, not that of another with its number.
        if !listener.is_waiting(call) {
            return None;
        }
        let mut path = memory.read_string(address).ok()?;
        if self.is_relative(call.thread, &path) {
            let directory = self.tree.directory(call.thread)?;
            path = [&directory, &b"/"[..], &path].concat();
        }
        if !may_be_served(&path) && !by_link {
            return None;
        }
        let asked = Asked { proc: self, caller, memory, number, arguments, path };
        let last = asked.last()?;
        let served = self.served(&asked.path, last)?;
        let done = asked.dispatch(&served, last);
        // Listings are root's.
        drop(disguise);
        Some(done.and_then(|done| match done {
            Done::Outcome(outcome) => Ok(outcome),
            Done::Lists(path, entries, flags) => Ok(open::give(self.list(&path, entries)?, flags)),
            Done::Enters(path, entries) => self.list(&path, entries).map(|_| Outcome::Now(Answer::Continue)),
        }))
    }

    /// Whether a look at how a path begins, or at the link that it may be, says that it doesn't lead to `/proc`.
    fn is_the_kernels(&self, thread: i32, address: u64, by_link: bool) -> bool {
        let memory = memory::Memory::of(thread);
        let mut start = [0; START];
        match memory.read_start(address, &mut start) {
            Ok(START) if may_be_served(&start) || self.is_relative(thread, &start) => false,
            Ok(START) if by_link && start[0] == b'/' => {
                memory.read_string(address).is_ok_and(|path| self.served(&path, Last::Follow).is_none())
            }
            Ok(START) => true,
            // What ends at a border of pages is looked at as a whole, as is another user's memory.
            Ok(_) | Err(Errno::PERM) => false,
            Err(_) => true,
        }
    }

    fn list(&self, path: &[u8], entries: listing::Entries) -> Result<OwnedFd> {
        self.listed.store(true, Ordering::Relaxed);
        self.listing.open(path, entries)
    }

    /// Whether a path is one relative to a working directory in `/proc`.
    fn is_relative(&self, thread: i32, path: &[u8]) -> bool {
        self.listed.load(Ordering::Relaxed)
            && !matches!(path.first(), None | Some(0 | b'/'))
            && self.tree.directory(thread).is_some_and(|directory| below(&directory, b"/proc").is_some())
    }

    /// Opens what is at a path of the host's `/proc` with O_PATH.
    fn entry(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let name = if path.is_empty() { &b"."[..] } else { path };
        let file = openat(&self.tree.proc, name, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())?;
        // The number may have become another process's before it was opened, but not afterwards.
        match self.process_at(path) {
            Some(None) => Err(Errno::NOENT),
            Some(Some(_)) | None => Ok(file),
        }
    }

    /// The process in whose directory a path of the host's `/proc` lies, if any does, and it is the command's.
    fn process_at(&self, path: &[u8]) -> Option<Option<i32>> {
        let number = std::str::from_utf8(components(path).next()?).ok()?.parse().ok()?;
        Some(self.tree.process_of(number))
    }
}

impl Server for Proc {
    fn answer(&self, listener: &Listener, call: &Call) -> Outcome {
        if call.number == libc::SYS_socket {
            return Outcome::Now(reach::made(call.arguments).unwrap_or_else(Answer::Error));
        }
        match self.look(listener, call) {
            None => Outcome::Now(Answer::Continue),
            Some(done) => done.unwrap_or_else(|error| Outcome::Now(Answer::Error(error))),
        }
    }
}
