//! Which files of the root the command looks at, for a cache that wants to know what a result depends on.
//!
//! Each call that names a path comes by here before it is done ([`World::find`], [`World::slot`]), and what is noted is where the path leads just then: the
//! literal path at its end, each symlink on the way, and what `..` leaves. A name alone would not do, as the command may have made a symlink on the
//! way itself. What counts of those paths is decided by whoever compares, on the file system as it was before the command; see
//! [`steprun_snapshot::Reads`]. Calls by a descriptor add nothing to the call that opened it, but that a directory may be listed by one.
//!
//! What lies in other areas than the root is not the file system's.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;
use steprun_snapshot::{Looks, Reach};

use super::area::{ROOT, Server};
use super::file::open_at;
use super::path::{clean, goes_up, relative, wants_directory};
use super::world::{Caller, Last, World};

/// A command that names more than this many bytes of paths has no record: it would cost more than it is worth.
const MOST: usize = 64 << 20;

/// What was noted.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    looks: Looks,
    /// Paths as they were named, with what was noted of them: most are named again and again.
    known: HashMap<(Vec<u8>, Last), Reach>,
    /// How often a name may have come to lead elsewhere.
    turns: u64,
    bytes: usize,
}

impl Witness {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A symlink came, or a name was moved or linked: what is known of other names may hold no longer. What goes away needs no word: what was seen
    /// there is noted, and what comes there instead is the command's own.
    pub(super) fn names_change(&self) {
        let mut notes = self.lock();
        notes.known.clear();
        notes.turns += 1;
    }

    /// All that was noted; none where that was too much.
    pub(super) fn take(&self) -> Option<Looks> {
        let notes = std::mem::take(&mut *self.lock());
        (notes.bytes <= MOST).then_some(notes.looks)
    }
}

impl Notes {
    fn add(&mut self, path: &[u8], reach: Reach) {
        self.bytes += path.len();
        if self.bytes <= MOST {
            self.looks.add(path.strip_prefix(b"/").unwrap_or(path).to_vec(), reach);
        }
    }
}

/// Literal paths in the root that a path leads through.
struct Places {
    passed: Vec<Vec<u8>>,
    /// None where it ends in another area.
    end: Option<Vec<u8>>,
    /// Whether it leads there for all processes: `/proc/self` does not.
    is_everybodys: bool,
}

impl World {
    /// Notes that a call is about an absolute path.
    pub(super) fn note(&self, caller: &Caller, path: &[u8], last: Last, reach: Reach) {
        let Some(witness) = &self.witness else { return };
        let last = if wants_directory(path) { Last::Follow } else { last };
        let named = (clean(path), last);
        let turns = {
            let notes = witness.lock();
            if notes.bytes > MOST || notes.known.get(&named).is_some_and(|known| *known >= reach) {
                return;
            }
            notes.turns
        };
        let Places { passed, end, is_everybodys } = self.places(caller, &named.0, last);
        let mut notes = witness.lock();
        passed.iter().for_each(|place| notes.add(place, Reach::Itself));
        end.iter().for_each(|place| notes.add(place, reach));
        if is_everybodys && notes.turns == turns {
            notes.bytes += named.0.len();
            notes.known.insert(named, reach);
        }
    }

    /// A name may lead elsewhere from now on.
    pub(super) fn names_change(&self) {
        if let Some(witness) = &self.witness {
            witness.names_change();
        }
    }

    /// Where a clean path leads.
    fn places(&self, caller: &Caller, path: &[u8], last: Last) -> Places {
        if let Some(in_root) = self.is_literal(path, last) {
            return Places { passed: Vec::new(), end: in_root.then(|| path.to_vec()), is_everybodys: true };
        }
        let mut passed = Vec::new();
        // Where links don't end, those that were passed say so.
        let end = self.trail(caller, path, last, &mut |at| passed.push(at.to_vec())).ok();
        let of_processes = |place: &Vec<u8>| self.areas.get(self.areas.locate(place).0).server == Server::Processes;
        let is_everybodys = !passed.iter().chain(&end).any(of_processes);
        let in_root = |place: &Vec<u8>| self.areas.locate(place).0 == ROOT;
        passed.retain(in_root);
        Places { passed, end: end.filter(in_root), is_everybodys }
    }

    /// Whether a path lies in the root, where nothing on it is a symlink. None where something may be.
    fn is_literal(&self, path: &[u8], last: Last) -> Option<bool> {
        if goes_up(path) {
            return None;
        }
        let (area, rest) = self.areas.locate(path);
        let found = self.areas.get(area);
        if found.server == Server::Processes {
            return None;
        }
        let keep = if last == Last::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match open_at(found.file.as_fd(), relative(rest), OFlags::PATH | keep, resolve) {
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Some(area == ROOT),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{calls, filter, legacy, times};

    /// Calls that look nothing up, or by a descriptor only, which was noted when it was opened. What a directory's descriptor lists is noted then, too.
    const WITHOUT_PATH: &[libc::c_long] = &[
        libc::SYS_fstat,
        libc::SYS_getcwd,
        libc::SYS_fchmod,
        libc::SYS_fchown,
        libc::SYS_umask,
        libc::SYS_fsetxattr,
        libc::SYS_fgetxattr,
        libc::SYS_flistxattr,
        libc::SYS_fremovexattr,
    ];

    /// Calls that come to `World::find` or `World::slot` with each path that they name.
    const WITH_PATH: &[libc::c_long] = &[
        libc::SYS_openat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_statfs,
        libc::SYS_mkdirat,
        libc::SYS_mknodat,
        libc::SYS_symlinkat,
        libc::SYS_linkat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_truncate,
        libc::SYS_chroot,
        libc::SYS_fchmodat2,
        libc::SYS_fchownat,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_chdir,
        libc::SYS_inotify_add_watch,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_getxattr,
        libc::SYS_lgetxattr,
        libc::SYS_listxattr,
        libc::SYS_llistxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
    ];

    /// Who adds a call to the filter has to say here how its paths are noted.
    #[test]
    fn all_calls_are_thought_of() {
        let served = filter::SERVED.iter().chain(filter::TRACED).chain(legacy::CALLS).chain(legacy::OLD_LOOKS);
        let served = served.chain(legacy::CHANGES).chain(legacy::OLD_CHANGES).chain(calls::XATTRS);
        let known: HashSet<_> = WITH_PATH.iter().chain(WITHOUT_PATH).chain(calls::IDS).copied().collect();
        for call in served.copied() {
            let (modern, _) = legacy::modern(call, [0; 6]);
            // What sets times finds its file by path, but for futimens, which has none.
            assert!(known.contains(&modern) || times::sets(modern) || calls::IDS.contains(&modern), "{call} {modern}");
        }
        assert!(times::PATH_FIRST.iter().chain(times::DIRECTORY_FIRST).all(|call| times::sets(*call)));
    }
}
