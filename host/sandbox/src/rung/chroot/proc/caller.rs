//! Who asks for something in `/proc`: its memory, and what its user may do.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use rustix::process::getegid;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::rung::memory::string_at;
use crate::rung::procfs::Asker;

/// A thread of the command's, which waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Its numbers.
    pub(super) asker: Asker,
    /// Bits that new files don't have.
    pub(super) mask: u32,
    /// What files are accessed as.
    user: u32,
    group: u32,
    groups: Vec<u32>,
    /// The effective ones.
    capabilities: CapabilitySet,
}

impl Caller {
    /// Reads what the kernel says of a thread. None where it is gone.
    pub(super) fn of(thread: i32) -> Option<Self> {
        Self::parse(thread, &fs::read_to_string(format!("/proc/{thread}/status")).ok()?)
    }

    /// The text is of proc_pid_status(5).
    fn parse(thread: i32, status: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_ascii_whitespace())
        };
        // Real, effective, saved, file system.
        let for_files = |name| value(name)?.nth(3)?.parse().ok();
        Some(Self {
            asker: Asker { process: value("Tgid")?.next()?.parse().ok()?, thread },
            mask: value("Umask").and_then(|mut mask| u32::from_str_radix(mask.next()?, 8).ok()).unwrap_or(0o022),
            user: for_files("Uid")?,
            group: for_files("Gid")?,
            groups: value("Groups")?.filter_map(|group| group.parse().ok()).collect(),
            capabilities: CapabilitySet::from_bits_retain(u64::from_str_radix(value("CapEff")?.next()?, 16).ok()?),
        })
    }

    /// Lets the kernel treat this thread as the caller: when it opens or changes files, and when it looks into processes, which without
    /// CAP_SYS_PTRACE only their own user may, with no fewer capabilities than they have (ptrace(2), "PTRACE_MODE_FSCREDS").
    ///
    /// # Errors
    /// EPERM where root isn't allowed to.
    pub(super) fn disguise(&self) -> Result<Disguise, Errno> {
        let own = capabilities(None)?;
        let disguise = Disguise { own };
        set_for_files(self.user, self.group, &self.groups)?;
        // Comes last, as a change of the user changes them too.
        set_capabilities(None, CapabilitySets { effective: own.permitted.intersection(self.capabilities), ..own })?;
        Ok(disguise)
    }
}

/// A thread as another user. It ends with the value.
#[derive(Debug)]
#[must_use]
pub(super) struct Disguise {
    own: CapabilitySets,
}

impl Drop for Disguise {
    fn drop(&mut self) {
        // Back to root, which can't fail: that root may change users was needed to come here. A thread that stayed another user would do less, not more.
        let _ = set_capabilities(None, self.own);
        let _ = set_for_files(0, getegid().as_raw(), &[]);
    }
}

/// Of this thread alone: the C library's setgroups would change all.
fn set_for_files(user: u32, group: u32, groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the pointer and length are those of a live slice; the other calls take numbers. Those of no user at all change nothing, and give
    // what is set.
    let set = unsafe {
        let grouped = libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0;
        libc::setfsgid(group);
        libc::setfsuid(user);
        grouped && libc::setfsgid(u32::MAX) as u32 == group && libc::setfsuid(u32::MAX) as u32 == user
    };
    if set { Ok(()) } else { Err(Errno::PERM) }
}

/// The memory of a process, whatever its number stands for later.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    /// Of a thread. This one is in its disguise.
    ///
    /// # Errors
    /// EACCES where it can't be read: it has become another user and executes no program since, or one that sets its user.
    pub(super) fn of(thread: i32) -> Result<Self, Errno> {
        let file = OpenOptions::new().read(true).write(true).open(format!("/proc/{thread}/mem"));
        file.map(Self).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::ACCESS))
    }

    /// A string without its NUL.
    ///
    /// # Errors
    /// EFAULT, ENAMETOOLONG.
    pub(super) fn read_string(&self, address: u64) -> Result<Vec<u8>, Errno> {
        string_at(address, |address, buffer| match self.0.read_at(buffer, address) {
            Ok(length @ 1..) => Ok(length),
            _ => Err(Errno::FAULT),
        })
    }

    /// Fills the buffer.
    ///
    /// # Errors
    /// EFAULT where there is less.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        self.0.read_exact_at(buffer, address).map_err(|_| Errno::FAULT)
    }

    /// Numbers, as they lie in an array.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn read_words<const N: usize>(&self, address: u64) -> Result<[u64; N], Errno> {
        let mut words = [[0; 8]; N];
        self.read(address, words.as_flattened_mut())?;
        Ok(words.map(u64::from_ne_bytes))
    }

    /// Writes where the process could.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.0.write_all_at(bytes, address).map_err(|_| Errno::FAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_as_the_kernel_says() {
        let status = "Name:\tsh\nUmask:\t0077\nTgid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t0000000000000003\n";
        let capabilities = CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE;
        let asker = Asker { process: 7, thread: 8 };
        let expected = Caller { asker, mask: 0o077, user: 4, group: 8, groups: vec![9, 10], capabilities };
        assert_eq!(Caller::parse(8, status), Some(expected));
        assert_eq!(Caller::parse(8, "Tgid:\t7\n"), None);
    }

    #[test]
    fn a_disguise_is_one_threads_and_ends() {
        let of_files = || fs::read_to_string("/proc/thread-self/status").expect("a status");
        let before = of_files();
        if !before.contains("Uid:\t0\t0\t0\t0\n") {
            return eprintln!("skipped: this takes root");
        }
        let asker = Asker { process: 1, thread: 1 };
        let capabilities = CapabilitySet::NET_BIND_SERVICE | CapabilitySet::FOWNER;
        let caller = Caller { asker, mask: 0, user: 4321, group: 4322, groups: vec![4323], capabilities };
        let effective = |status: &str| status.lines().find(|line| line.starts_with("CapEff")).map(str::to_owned);
        std::thread::spawn(move || {
            let own = effective(&of_files());
            let disguise = caller.disguise().expect("root");
            let status = of_files();
            assert!(status.contains("Uid:\t0\t0\t0\t4321\n") && status.contains("Groups:\t4323"), "{status}");
            assert_eq!(effective(&status).as_deref(), Some("CapEff:\t0000000000000408"));
            drop(disguise);
            let status = of_files();
            assert!(status.contains("Uid:\t0\t0\t0\t0\n") && effective(&status) == own, "{status}");
        })
        .join()
        .expect("no panic");
        assert_eq!(
            of_files().lines().find(|line| line.starts_with("Groups")),
            before.lines().find(|line| line.starts_with("Groups"))
        );
    }

    #[test]
    fn memory_is_read_and_written() {
        let memory = Memory::of(std::process::id() as i32).expect("own");
        let text = b"text\0".to_vec();
        assert_eq!(memory.read_string(text.as_ptr() as u64).as_deref(), Ok(&b"text"[..]));
        memory.write(text.as_ptr() as u64, b"T").expect("own");
        assert_eq!(std::hint::black_box(&text), b"Text\0");
        assert_eq!(memory.read_words::<1>(8), Err(Errno::FAULT));
    }
}
