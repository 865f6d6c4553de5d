//! Landlock: a process gives up access to files, ports and other processes, for itself and all that descends from it (landlock(7)).
//!
//! Bits and structures are those of linux/landlock.h. The kernel takes a larger structure than it knows as long as what it doesn't know
//! is zero, so one size serves all versions.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::{capabilities, check};

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// All that version 1 knows of files: up to MAKE_SYM.
const FILES_1: u64 = (1 << 13) - 1;
/// Renames and links between directories (version 2). A ruleset that doesn't handle it denies them all (EXDEV), so version 1 is of no use.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEVICE: u64 = 1 << 15;
/// Rights that a rule for anything but a directory can hold.
const OF_A_FILE: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE;

const BIND_TCP: u64 = 1 << 0;
const CONNECT_TCP: u64 = 1 << 1;

const ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
const SIGNAL: u64 = 1 << 1;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;
const RULE_NET_PORT: u32 = 2;

/// What this kernel can confine: the version of its interface, 0 where it has none or the place forbids it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Support(u32);

impl Support {
    /// Asks the kernel.
    pub(crate) fn of_kernel() -> Self {
        // SAFETY: without attributes and with this flag the call reads no memory and gives a number.
        let version = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Attributes>(), 0, CREATE_RULESET_VERSION)
        };
        Self(u32::try_from(version).unwrap_or(0))
    }

    /// The version of the interface, for people.
    pub(crate) fn version(self) -> u32 {
        self.0
    }

    /// Whether files can be confined without breaking renames: Linux 5.19.
    pub(crate) fn files(self) -> bool {
        self.0 >= 2
    }

    /// Whether TCP ports can: Linux 6.7.
    pub(crate) fn ports(self) -> bool {
        self.0 >= 4
    }

    /// Whether signals and abstract sockets can: Linux 6.12.
    pub(crate) fn scopes(self) -> bool {
        self.0 >= 6
    }

    fn file_rights(self) -> u64 {
        let later = [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEVICE)];
        later.iter().filter(|(version, _)| self.0 >= *version).fold(FILES_1, |rights, (_, right)| rights | right)
    }
}

/// What may be done with a file, or with a directory and all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read, list, execute.
    Read,
    /// All that modes and owners allow.
    Full,
}

/// Which TCP ports may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    /// All; any may be bound as well.
    Any,
    /// This one, on whatever address; none may be bound.
    Only(u16),
}

/// A set of rules. Signals and abstract sockets of processes outside are closed too, where the kernel can.
#[derive(Debug)]
pub(crate) struct Ruleset {
    descriptor: OwnedFd,
    support: Support,
}

#[repr(C)]
struct Attributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

#[repr(C)]
struct NetPort {
    allowed_access: u64,
    port: u64,
}

impl Ruleset {
    /// Rules that allow no file, and these ports.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the kernel can't confine files, or ports where they are to be confined.
    pub(crate) fn new(support: Support, ports: Ports) -> io::Result<Self> {
        if !support.files() || ports != Ports::Any && !support.ports() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "this kernel's Landlock can't confine that: its version is {}, files take 2 (Linux 5.19), ports 4 (Linux 6.7)",
                    support.version()
                ),
            ));
        }
        let attributes = Attributes {
            handled_access_fs: support.file_rights(),
            handled_access_net: if ports == Ports::Any { 0 } else { BIND_TCP | CONNECT_TCP },
            scoped: if support.scopes() { ABSTRACT_UNIX_SOCKET | SIGNAL } else { 0 },
        };
        // SAFETY: the kernel reads the structure, whose size is given.
        let descriptor = check(unsafe {
            let size = size_of::<Attributes>();
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0)
        })?;
        // SAFETY: the kernel has made this descriptor for us just now.
        let ruleset = Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor as i32) }, support };
        if let Ports::Only(port) = ports {
            let rule = NetPort { allowed_access: CONNECT_TCP, port: port.into() };
            ruleset.add(RULE_NET_PORT, (&raw const rule).cast())?;
        }
        Ok(ruleset)
    }

    /// Allows access to a file, or to a directory and all below it. It is the file that counts, not its name: it may be moved later.
    ///
    /// # Errors
    /// What open(2) gives for the path.
    pub(crate) fn allow(&self, path: &Path, access: Access) -> io::Result<()> {
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        self.allow_file(&file, access)
    }

    /// [`allow`](Self::allow), for a file that is open, with O_PATH or without.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn allow_file(&self, file: impl AsFd, access: Access) -> io::Result<()> {
        let full = self.support.file_rights();
        let rights = match access {
            Access::Full => full,
            Access::Read => EXECUTE | READ_FILE | READ_DIR,
        };
        let directory = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Directory;
        let allowed_access = if directory { rights } else { rights & OF_A_FILE };
        let rule = PathBeneath { allowed_access, parent_fd: file.as_fd().as_raw_fd() };
        self.add(RULE_PATH_BENEATH, (&raw const rule).cast())
    }

    fn add(&self, kind: u32, rule: *const libc::c_void) -> io::Result<()> {
        // SAFETY: both callers pass a live structure of the kind that they name.
        check(unsafe { libc::syscall(libc::SYS_landlock_add_rule, self.descriptor.as_raw_fd(), kind, rule, 0) })?;
        Ok(())
    }

    /// Puts the rules in force for the calling thread and what descends from it, for good. Processes outside can no longer be traced, nor
    /// their memory be read. Does [`capabilities::allow_confinement`] first.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn restrict_self(self) -> io::Result<()> {
        capabilities::allow_confinement()?;
        // SAFETY: takes numbers.
        check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.descriptor.as_raw_fd(), 0) })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Runs `job` in a thread, since rules hold for threads.
    fn confined<T: Send>(rules: Ruleset, job: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rules.restrict_self().expect("rules");
                job()
            });
            thread.join().expect("no panic")
        })
    }

    fn support() -> Option<Support> {
        let support = Support::of_kernel();
        if !support.scopes() {
            eprintln!("skipped: Landlock has version {} here", support.version());
        }
        support.scopes().then_some(support)
    }

    #[test]
    fn versions_have_their_rights() {
        let rights = |version| Support(version).file_rights();
        assert_eq!([rights(1), rights(2), rights(3), rights(5)], [0x1fff, 0x3fff, 0x7fff, 0xffff]);
        assert!(!Support(1).files() && Support(2).files() && !Support(3).ports() && !Support(5).scopes());
        assert!(Ruleset::new(Support(0), Ports::Any).is_err() && Ruleset::new(Support(3), Ports::Only(1)).is_err());
    }

    #[test]
    fn files_outside_are_closed() {
        let Some(support) = support() else { return };
        let (inside, outside) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (inside, outside) = (inside.path(), outside.path());
        fs::create_dir(inside.join("to")).expect("a directory");
        fs::write(outside.join("secret"), "").expect("a file");
        fs::write(outside.join("granted"), "").expect("a file");
        let rules = Ruleset::new(support, Ports::Any).expect("rules");
        rules.allow(inside, Access::Full).expect("a rule");
        rules.allow(&outside.join("granted"), Access::Read).expect("a rule for a file");
        confined(rules, || {
            fs::write(inside.join("a"), "x").expect("write inside");
            fs::rename(inside.join("a"), inside.join("to/b")).expect("rename between directories");
            fs::read(outside.join("granted")).expect("the file that is granted");
            let denied = |result: io::Result<()>| assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EACCES));
            denied(fs::read(outside.join("secret")).map(drop));
            denied(fs::write(outside.join("granted"), ""));
            denied(fs::write(outside.join("new"), ""));
        });
    }

    #[test]
    fn only_one_port_is_open() {
        let Some(support) = support() else { return };
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [open, closed] = listeners.each_ref().map(|listener| listener.local_addr().expect("bound"));
        let rules = Ruleset::new(support, Ports::Only(open.port())).expect("rules");
        confined(rules, || {
            TcpStream::connect(open).expect("the open port");
            assert_eq!(TcpStream::connect(closed).unwrap_err().raw_os_error(), Some(libc::EACCES));
            assert!(TcpListener::bind("127.0.0.1:0").is_err());
        });
    }

    #[test]
    fn processes_outside_get_no_signal() {
        let Some(support) = support() else { return };
        let mut outside = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = outside.id() as i32;
        let rules = Ruleset::new(support, Ports::Any).expect("rules");
        let error = confined(rules, || {
            // SAFETY: signal 0 asks only whether one may be sent.
            check(unsafe { libc::kill(pid, 0) }.into()).unwrap_err().raw_os_error()
        });
        outside.kill().expect("our child");
        outside.wait().expect("our child");
        assert_eq!(error, Some(libc::EPERM));
    }
}
