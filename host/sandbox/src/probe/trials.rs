//! The trials. Each is made in a child, which may lose its rights by it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, chown, makedev, mknodat, open, openat2, stat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Gid, Pid, Signal, Uid, WaitOptions, chroot, getpid, kill_process, set_dumpable_behavior, waitpid,
};
use rustix::thread::{UnshareFlags, set_no_new_privs, unshare_unsafe};

use super::Missing;
use crate::request::User;
use crate::rung::{self, Rung, enter, start::become_user, try_namespaces};
use crate::sys::bpf::{Action, Filter};
use crate::sys::check;
use crate::sys::notify::{Answer, Listener};
use crate::sys::process::{Side, fork, in_child, leave, reap};

/// What came of a trial: more to say of it, or what lacks.
pub(super) type Outcome = Result<Option<String>, Missing>;

/// A trial.
pub(super) struct Trial {
    /// What is tried, for people.
    pub(super) name: &'static str,
    /// Rungs that can't do without.
    pub(super) needed_by: &'static [Rung],
    /// Tries it, in a directory of the store.
    pub(super) run: fn(&Path) -> Outcome,
}

/// All of them; those that explain a later one come first.
pub(super) const ALL: &[Trial] = &[
    Trial { name: "user namespace", needed_by: &[Rung::Userns], run: user_namespace },
    Trial { name: "full id map", needed_by: &[Rung::Userns], run: |_| inside(|| Ok(())) },
    Trial { name: "mounts in a user namespace", needed_by: &[Rung::Userns], run: mounts },
    Trial { name: "new /proc", needed_by: &[Rung::Userns], run: |_| inside(try_namespaces) },
    // Without it each run copies its base.
    Trial { name: "overlay in the store", needed_by: &[], run: overlay },
    Trial { name: "chroot", needed_by: &[Rung::Chroot], run: change_root },
    Trial { name: "device nodes", needed_by: &[Rung::Chroot], run: device_nodes },
    Trial { name: "files of other users", needed_by: &[Rung::Chroot], run: owners },
    Trial { name: "becoming other users", needed_by: &[Rung::Chroot], run: users },
    Trial { name: "user notification of seccomp", needed_by: &[Rung::Chroot, Rung::Supervised], run: notification },
    Trial { name: "ptrace of children", needed_by: &[Rung::Supervised], run: |_| apart(trace_a_child) },
    Trial { name: "openat2", needed_by: &[Rung::Supervised], run: look_up_in_root },
    Trial { name: "Landlock", needed_by: &[], run: landlock },
];

/// Runs a trial in a child.
fn apart(trial: impl FnOnce() -> Result<(), Missing>) -> Outcome {
    answer(|to| {
        in_child(|| send(to, &trial()))?;
        Ok(())
    })
}

/// Runs a trial as root of a new user namespace.
fn inside(trial: impl FnOnce() -> io::Result<()>) -> Outcome {
    answer(|to| {
        enter(|| send(to, &trial().map_err(Missing::from)))?;
        Ok(())
    })
}

/// Reads what a child sends that `start` has run.
fn answer(start: impl FnOnce(&OwnedFd) -> io::Result<()>) -> Outcome {
    let receive = || -> io::Result<Result<(), Missing>> {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
        start(&to)?;
        drop(to);
        let mut bytes = Vec::new();
        fs::File::from(from).read_to_end(&mut bytes)?;
        // Nothing was sent by a child that was killed: a filter may do that instead of giving an error.
        postcard::from_bytes(&bytes).map_err(|_| io::Error::other("the trial was killed"))
    };
    receive().map_err(Missing::from)?.map(|()| None)
}

fn send(to: &OwnedFd, result: &Result<(), Missing>) -> i32 {
    let sent = postcard::to_allocvec(result).map_err(io::Error::other).and_then(|bytes| {
        let copy = to.try_clone()?;
        fs::File::from(copy).write_all(&bytes)
    });
    i32::from(sent.is_err())
}

/// A new directory for one trial, and how it is got rid of: by the process that made it, which may be root of a namespace.
struct Scratch(PathBuf);

impl Scratch {
    fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!("probe-{}", getpid().as_raw_nonzero()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is a directory of this name, in a place for things that are thrown away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn user_namespace(_: &Path) -> Outcome {
    apart(|| {
        // SAFETY: CLONE_FILES, the only flag that takes care, isn't among them.
        let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWUSER) };
        unshared.map_err(|error| Missing::user_namespace(&error.into()))
    })
}

fn mounts(directory: &Path) -> Outcome {
    inside(|| {
        let scratch = Scratch::new(directory)?;
        mount("tmpfs", &scratch.0, "tmpfs", MountFlags::empty(), None)?;
        unmount(&scratch.0, UnmountFlags::DETACH)?;
        Ok(())
    })
}

fn overlay(directory: &Path) -> Outcome {
    inside(|| {
        let scratch = Scratch::new(directory)?;
        let [lower, upper, work, at] = ["lower", "upper", "work", "at"].map(|name| scratch.0.join(name));
        for path in [&lower, &upper, &work, &at] {
            fs::create_dir(path)?;
        }
        fs::write(lower.join("file"), "")?;
        rung::overlay(&[&lower], &upper, &work, &at)?;
        let removed = fs::remove_file(at.join("file"));
        unmount(&at, UnmountFlags::DETACH)?;
        removed
    })
    .map_err(|missing| Missing { help: missing.help.or(Some(OVERLAY.to_owned())), ..missing })
}

const OVERLAY: &str = "put the store (`--store`) on a volume or disk of the machine: a container's own file system is an overlay, \
    which can't hold the changes of another one";

fn change_root(directory: &Path) -> Outcome {
    apart(|| chroot(directory).map_err(|error| Missing::root("chroot failed", "SYS_CHROOT", &error.into())))
}

fn device_nodes(directory: &Path) -> Outcome {
    as_root(directory, "a device node can't be made or used", "MKNOD", |scratch| {
        let null = scratch.join("null");
        mknodat(CWD, &null, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3))?;
        fs::write(&null, "nothing")
    })
}

fn owners(directory: &Path) -> Outcome {
    as_root(directory, "a file can't be given to another user", "CHOWN", |scratch| {
        let file = scratch.join("file");
        fs::write(&file, "")?;
        chown(&file, Some(Uid::from_raw(1)), Some(Gid::from_raw(1)))?;
        let found = stat(&file)?;
        if (found.st_uid, found.st_gid) == (1, 1) { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    })
}

fn users(directory: &Path) -> Outcome {
    as_root(directory, "a process can't become another user", "SETUID", |_| {
        // In a child of its own, so that the directory can still be removed.
        let other = User { uid: 1, gid: 1, groups: vec![2] };
        let became = || become_user(&other).map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
        match in_child(became)?.exit_status() {
            Some(0) => Ok(()),
            number => Err(io::Error::from_raw_os_error(number.unwrap_or(libc::EIO))),
        }
    })
}

fn as_root(directory: &Path, doing: &str, capability: &str, trial: impl FnOnce(&Path) -> io::Result<()>) -> Outcome {
    apart(|| {
        let scratch = Scratch::new(directory)?;
        trial(&scratch.0).map_err(|error| Missing::root(doing, capability, &error))
    })
}

/// A call of a child is answered with a descriptor, as every open on the rung is.
fn notification(_: &Path) -> Outcome {
    let trial = || -> io::Result<()> {
        set_no_new_privs(true)?;
        let listener = Filter::new(Action::Allow).on(&[libc::SYS_getppid], Action::Notify).install_with_listener()?;
        let listener = Listener::new(listener)?;
        match fork()? {
            Side::Child => {
                drop(listener);
                // SAFETY: takes nothing. The answer is a descriptor of ours, above the standard ones.
                leave(i32::from(unsafe { libc::syscall(libc::SYS_getppid) } < 3))
            }
            Side::Parent(child) => {
                let answered = answer_once(&listener);
                // A child without an answer would wait for ever.
                drop(listener);
                match reap(child)?.exit_status() {
                    Some(0) => answered,
                    _ => answered.and(Err(io::ErrorKind::Unsupported.into())),
                }
            }
        }
    };
    apart(|| trial().map_err(|error| Missing::call("system calls can't be handed to a supervisor", "5.14", &error)))
}

fn answer_once(listener: &Listener) -> io::Result<()> {
    // The kernel hands on no descriptor that was opened with O_PATH.
    let file = open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if let Some(call) = listener.receive(&mut listener.buffer())? {
        listener.answer(&call, Answer::Descriptor { file, cloexec: true });
    }
    Ok(())
}

/// A child stops for this process, which reads its memory.
fn trace_a_child() -> Result<(), Missing> {
    let trial = || -> io::Result<()> {
        let (secret, mut copy) = (*b"memory", [0; 6]);
        match fork()? {
            Side::Child => {
                // As any program is that was started by execve.
                let dumpable = set_dumpable_behavior(DumpableBehavior::Dumpable).is_ok();
                // SAFETY: PTRACE_TRACEME reads no argument.
                let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
                let stopped = dumpable && traced == 0 && kill_process(getpid(), Signal::STOP).is_ok();
                leave(i32::from(!stopped))
            }
            Side::Parent(child) => {
                let stopped = waitpid(Some(child), WaitOptions::UNTRACED)?.is_some_and(|(_, status)| status.stopped());
                if !stopped {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                let read = read_memory(child, &secret, &mut copy);
                kill_process(child, Signal::KILL)?;
                reap(child)?;
                read?;
                if copy == secret { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
            }
        }
    };
    trial().map_err(|error| {
        let missing = Missing::call("a child can't be traced", "4.8", &error);
        let help = missing.help.or(Some("sysctl kernel.yama.ptrace_scope must be 0 or 1".to_owned()));
        Missing { help, ..missing }
    })
}

/// Copies what lies in a child's memory at the place where `original` lies in ours.
fn read_memory(child: Pid, original: &[u8], copy: &mut [u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: copy.len() };
    let remote = libc::iovec { iov_base: original.as_ptr().cast_mut().cast(), iov_len: copy.len() };
    // SAFETY: the kernel writes to `copy` at most its length, and reads of the child's memory only.
    check(unsafe { libc::process_vm_readv(child.as_raw_nonzero().get(), &local, 1, &remote, 1, 0) } as libc::c_long)?;
    Ok(())
}

fn look_up_in_root(directory: &Path) -> Outcome {
    apart(|| {
        let trial = || -> io::Result<()> {
            let root = open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            openat2(root.as_fd(), "/..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)?;
            Ok(())
        };
        trial().map_err(|error| Missing::call("openat2 failed", "5.6", &error))
    })
}

/// The version of its interface, which says what it can confine (landlock(7)).
fn landlock(_: &Path) -> Outcome {
    const ASK_VERSION: u32 = 1;
    // SAFETY: a null pointer and this flag ask for the version.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, ASK_VERSION) };
    match check(version) {
        Ok(version) => Ok(Some(format!("version {version}"))),
        Err(error) => Err(Missing::call("Landlock is not in the kernel, or not switched on", "5.19", &error)),
    }
}
