//! System calls, done for the command.

mod change;
mod ids;
mod look;
mod names;
mod open;
mod xattr;

pub(super) use ids::CALLS as IDS;
pub(super) use xattr::CALLS as XATTRS;

use rustix::io::Errno;

use super::memory::Memory;
use super::owners::{Looks, PERMISSIONS};
use super::serve::{Outcome, Server};
use super::world::{Caller, Found, Last, World};
use super::{legacy, times};
use crate::network::reach;
use crate::sys::notify::{Answer, Call, Listener};

/// A call as its handler sees it.
pub(super) struct Asked<'a> {
    pub(super) world: &'a World,
    pub(super) caller: Caller,
    pub(super) memory: Memory,
    pub(super) number: libc::c_long,
    arguments: [u64; 6],
}

type Result<T> = std::result::Result<T, Errno>;

impl Server for World {
    fn answer(&self, _: &Listener, call: &Call) -> Outcome {
        let Some(process) = self.processes.of(call.thread) else {
            return Outcome::Now(Answer::Error(Errno::SRCH));
        };
        let caller = Caller { thread: call.thread, process };
        let (number, arguments) = legacy::modern(call.number, call.arguments);
        let asked = Asked { world: self, caller, memory: Memory::of(call.thread), number, arguments };
        asked.dispatch().unwrap_or_else(|error| Outcome::Now(Answer::Error(error)))
    }
}

impl Asked<'_> {
    fn dispatch(&self) -> Result<Outcome> {
        let value = match self.number {
            libc::SYS_openat => return self.openat(),
            libc::SYS_newfstatat => self.fstatat(),
            libc::SYS_fstat => self.fstat(),
            libc::SYS_statx => self.statx(),
            libc::SYS_faccessat2 => self.faccessat(),
            libc::SYS_readlinkat => self.readlinkat(),
            libc::SYS_getcwd => self.getcwd(),
            libc::SYS_statfs => self.statfs(),
            libc::SYS_mkdirat => self.mkdirat(),
            libc::SYS_mknodat => self.mknodat(),
            libc::SYS_symlinkat => self.symlinkat(),
            libc::SYS_linkat => self.linkat(),
            libc::SYS_unlinkat => self.unlinkat(),
            libc::SYS_renameat2 => self.renameat(),
            libc::SYS_fchmod | libc::SYS_fchmodat2 => self.chmod(),
            libc::SYS_fchown | libc::SYS_fchownat => self.chown(),
            libc::SYS_truncate => self.truncate(),
            libc::SYS_chroot => self.chroot(),
            libc::SYS_socket => return reach::made(self.arguments).map(Outcome::Now),
            number if times::sets(number) => return self.set_times().map(Outcome::Now),
            // The mask is in a register: nothing can change between our look at it and the kernel's.
            libc::SYS_umask => {
                self.caller.process.set_mask(self.word(0) as u32);
                return Ok(Outcome::Now(Answer::Continue));
            }
            number if xattr::CALLS.contains(&number) => self.xattr(),
            _ => self.ids_call(),
        };
        value.map(|value| Outcome::Now(Answer::Value(value)))
    }

    /// An argument that the kernel takes as `int`.
    fn int(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    /// An argument as it is: an address, a length.
    fn word(&self, index: usize) -> u64 {
        self.arguments[index]
    }

    /// A path argument, as it is written.
    fn string(&self, index: usize) -> Result<Vec<u8>> {
        self.memory.read_string(self.arguments[index])
    }

    /// A path argument relative to a descriptor argument, as an absolute path.
    fn path(&self, directory: i32, index: usize) -> Result<Vec<u8>> {
        let path = self.string(index)?;
        self.world.absolute(&self.caller, directory, &path)
    }

    /// The file that a pair of arguments names, by the AT_ flags of the call.
    fn file(&self, directory: i32, index: usize, flags: i32) -> Result<Found> {
        if self.is_descriptor(index, flags)? {
            return self.opened(directory);
        }
        let last = if flags & libc::AT_SYMLINK_NOFOLLOW == 0 { Last::Follow } else { Last::Keep };
        let path = self.path(directory, index)?;
        self.world.find(&self.caller, &path, last)
    }

    /// Whether the descriptor itself is meant (AT_EMPTY_PATH).
    fn is_descriptor(&self, index: usize, flags: i32) -> Result<bool> {
        Ok(flags & libc::AT_EMPTY_PATH != 0 && (self.word(index) == 0 || self.string(index)?.is_empty()))
    }

    /// The file behind a descriptor, which may be the working directory's.
    fn opened(&self, descriptor: i32) -> Result<Found> {
        let mut found = self.world.descriptor(&self.caller, descriptor)?;
        found.area = self.world.area_of_descriptor(&self.caller, descriptor);
        Ok(found)
    }

    fn looks(&self, found: &Found) -> Looks {
        self.world.looks(found)
    }

    /// The permissions of a new file.
    fn masked(&self, mode: u32) -> u32 {
        mode & PERMISSIONS & !self.caller.process.mask()
    }
}
