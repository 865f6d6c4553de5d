//! Calls about users, groups and capabilities.

use rustix::io::Errno;

use super::super::ids::{Identity, MOST_GROUPS};
use super::super::memory::bytes_of;
use super::{Asked, Result};

/// All of them.
pub(in super::super) const CALLS: &[libc::c_long] = &[
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capget,
    libc::SYS_capset,
];

/// What root has in a container of Docker's.
const CAPABILITIES: u64 = 0xa804_25fb;
/// The interface with two halves (`_LINUX_CAPABILITY_VERSION_3`).
const VERSION: u32 = 0x2008_0522;
/// The one with a single half.
const FIRST_VERSION: u32 = 0x1998_0330;

impl Asked<'_> {
    pub(super) fn ids_call(&self) -> Result<i64> {
        let (user, group) = {
            let ids = self.caller.process.ids();
            (ids.user, ids.group)
        };
        match self.number {
            libc::SYS_getuid => Ok(user.real.into()),
            libc::SYS_geteuid => Ok(user.effective.into()),
            libc::SYS_getgid => Ok(group.real.into()),
            libc::SYS_getegid => Ok(group.effective.into()),
            libc::SYS_getresuid => self.give_identity(user),
            libc::SYS_getresgid => self.give_identity(group),
            libc::SYS_getgroups => self.getgroups(),
            libc::SYS_setgroups => self.setgroups(),
            libc::SYS_capget => self.capget(),
            libc::SYS_capset => self.capset(),
            _ => self.set_identity(),
        }
    }

    fn give_identity(&self, identity: Identity) -> Result<i64> {
        for (index, id) in [identity.real, identity.effective, identity.saved].into_iter().enumerate() {
            self.memory.write(self.word(index), &id.to_ne_bytes())?;
        }
        Ok(0)
    }

    fn set_identity(&self) -> Result<i64> {
        let [first, second, third] = [0, 1, 2].map(|index| self.word(index) as u32);
        let mut ids = self.caller.process.ids();
        let privileged = ids.privileged();
        let of_group =
            [libc::SYS_setgid, libc::SYS_setregid, libc::SYS_setresgid, libc::SYS_setfsgid].contains(&self.number);
        let identity = if of_group { &mut ids.group } else { &mut ids.user };
        match self.number {
            libc::SYS_setuid | libc::SYS_setgid => identity.set(first, privileged)?,
            libc::SYS_setreuid | libc::SYS_setregid => identity.set_two(first, second, privileged)?,
            libc::SYS_setresuid | libc::SYS_setresgid => identity.set_three([first, second, third], privileged)?,
            libc::SYS_setfsuid | libc::SYS_setfsgid => return Ok(identity.set_files(first, privileged).into()),
            _ => return Err(Errno::NOSYS),
        }
        Ok(0)
    }

    fn getgroups(&self) -> Result<i64> {
        let groups = self.caller.process.ids().groups.clone();
        let room = usize::try_from(self.int(0)).map_err(|_| Errno::INVAL)?;
        if room != 0 {
            if groups.len() > room {
                return Err(Errno::INVAL);
            }
            let bytes: Vec<_> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            if !bytes.is_empty() {
                self.memory.write(self.word(1), &bytes)?;
            }
        }
        Ok(groups.len() as i64)
    }

    fn setgroups(&self) -> Result<i64> {
        if !self.caller.process.ids().privileged() {
            return Err(Errno::PERM);
        }
        let count = self.word(0) as u32 as usize;
        if count > MOST_GROUPS {
            return Err(Errno::INVAL);
        }
        let mut bytes = vec![0; count * 4];
        self.memory.read(self.word(1), &mut bytes)?;
        let groups = bytes.as_chunks::<4>().0.iter().map(|group| u32::from_ne_bytes(*group)).collect();
        self.caller.process.ids().groups = groups;
        Ok(0)
    }

    /// capget(2): root has a container's capabilities, others none.
    fn capget(&self) -> Result<i64> {
        let mut version = [0; 4];
        self.memory.read(self.word(0), &mut version)?;
        let version = u32::from_ne_bytes(version);
        if version != VERSION && version != FIRST_VERSION {
            self.memory.write(self.word(0), &VERSION.to_ne_bytes())?;
            return if self.word(1) == 0 { Ok(0) } else { Err(Errno::INVAL) };
        }
        if self.word(1) == 0 {
            return Ok(0);
        }
        let set = if self.caller.process.ids().privileged() { CAPABILITIES } else { 0 };
        let (low, high) = (set as u32, (set >> 32) as u32);
        // Effective, permitted, inheritable: low halves, then high ones.
        let halves = [low, low, 0, high, high, 0];
        let count = if version == VERSION { 6 } else { 3 };
        self.memory.write(self.word(1), &bytes_of(&halves)[..4 * count])?;
        Ok(0)
    }

    /// capset(2): programs drop what they don't need; that root could still do it hurts nobody but itself.
    fn capset(&self) -> Result<i64> {
        Ok(0)
    }
}
