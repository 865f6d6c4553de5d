//! `/proc` for the command, where none can be mounted: calls that look at a path in it are answered by the supervisor (seccomp_unotify(2)).
//!
//! All other paths are left to the kernel, after a look at how they begin. Another thread of the command may change a path between that look and
//! the kernel's: then the kernel does with it what chroot and Landlock allow anyway, and finds an empty `/proc`. Paths relative to a
//! descriptor are the kernel's as well, and so is what executes a program.
//!
//! Processes are looked into with the rights of their users. One that has become another user and executed nothing since can't be looked into, nor
//! one that a program with the set-user-ID bit runs in: to these `/proc` is empty.

mod caller;
mod follow;
mod listing;
mod look;
mod open;
mod tree;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, open, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::getpid;

use self::caller::{Caller, Memory};
use self::follow::{Last, START, may_be_served};
use self::listing::Listing;
use self::tree::Tree;
use super::reach;
use crate::rung::legacy::modern;
use crate::rung::memory;
use crate::rung::path::{below, components, wants_directory};
use crate::rung::procfs::Tree as _;
use crate::rung::serve::{Outcome, Server};
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

/// Calls that are looked at besides [`LOOKS`](crate::rung::legacy::LOOKS), and have the path first. Of attributes is told that there are none.
pub(super) const PATH_FIRST: [libc::c_long; 5] =
    [libc::SYS_chdir, libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_listxattr, libc::SYS_llistxattr];

/// A call on a path in `/proc`.
struct Asked<'a> {
    proc: &'a Proc,
    caller: Caller,
    memory: Memory,
    number: libc::c_long,
    arguments: [u64; 6],
    /// As it is written.
    path: Vec<u8>,
}

/// What comes of a call that is ours.
enum Done {
    Outcome(Outcome),
    /// A directory of `/proc` is opened: its path there, what it holds, and the flags.
    Lists(Vec<u8>, listing::Entries, OFlags),
    /// A directory of `/proc` becomes the working directory: the kernel does that, once it is there.
    Enters(Vec<u8>, listing::Entries),
}

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
        let address = if PATH_FIRST.contains(&number) { arguments[0] } else { arguments[1] };
        let mut start = [0; START];
        match memory::Memory::of(call.thread).read_start(address, &mut start) {
            // What ends at a border of pages is looked at as a whole.
            Ok(START) if !may_be_served(&start) && !self.is_relative(call.thread, &start) => return None,
            // Another user's memory.
            Ok(_) | Err(Errno::PERM) => {}
            Err(_) => return None,
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
        if !may_be_served(&path) {
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

impl Asked<'_> {
    fn dispatch(&self, path: &[u8], last: Last) -> Result<Done> {
        let place = self.proc.follow(self.caller.asker, path, last)?;
        let value = match self.number {
            libc::SYS_openat | libc::SYS_openat2 => return self.open(place, last),
            libc::SYS_newfstatat => self.stat(&place, last),
            libc::SYS_statx => self.statx(&place, last),
            libc::SYS_readlinkat => self.readlink(&place),
            libc::SYS_chdir => return self.enter(&place),
            libc::SYS_getxattr | libc::SYS_lgetxattr => Err(Errno::OPNOTSUPP),
            libc::SYS_listxattr | libc::SYS_llistxattr => Ok(0),
            _ => self.access(&place, last),
        };
        value.map(|value| Done::Outcome(Outcome::Now(Answer::Value(value))))
    }

    /// What the call does with a symlink at the end. None for calls that are not done here.
    fn last(&self) -> Option<Last> {
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
            libc::SYS_chdir | libc::SYS_getxattr | libc::SYS_listxattr => false,
            _ => return None,
        };
        Some(if keeps && !wants_directory(&self.path) { Last::Keep } else { Last::Follow })
    }

    /// An argument that the kernel takes as `int`.
    fn int(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    /// An argument as it is: an address, a length.
    fn word(&self, index: usize) -> u64 {
        self.arguments[index]
    }

    /// A link's text, as the command may read it.
    fn target(&self, link: &[u8]) -> Result<Vec<u8>> {
        let target = readlinkat(&self.proc.tree.proc, link, Vec::new())?.into_bytes();
        let harmless = target.starts_with(b"/dev/");
        Ok(self.proc.tree.seen_as(&target).unwrap_or_else(|| if harmless { target } else { b"(unreachable)".to_vec() }))
    }
}
