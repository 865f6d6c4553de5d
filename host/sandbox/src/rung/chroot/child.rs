//! The process that becomes the command: from the fork to execve.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode, memfd_create};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, chdir, chroot, getpid, getppid, set_parent_process_death_signal, setrlimit, setsid,
    umask,
};

use crate::request::Command;
use crate::rung::start::{become_user, exec};
use crate::sys::bpf::Filter;
use crate::sys::capabilities::{CHROOT, allow_confinement, keep_only};
use crate::sys::check;
use crate::sys::landlock::Ruleset;

/// The longest reason that is told.
const LONGEST: usize = 4096;

/// What keeps the command in.
pub(super) struct Confinement<'a> {
    pub(super) root: &'a Path,
    /// None where the kernel has no Landlock.
    pub(super) rules: Option<Ruleset>,
    /// Leaves calls to the supervisor.
    pub(super) filter: Filter,
}

/// A command that was started.
pub(super) struct Child {
    pub(super) pid: Pid,
    /// Where its filter's calls arrive.
    pub(super) calls: OwnedFd,
}

/// Starts a command. The calling process has one thread.
///
/// # Errors
/// What was being done, and why it failed. A program that can't be executed is no error: the command says so itself, see [`exec`].
pub(super) fn start(command: &Command, confinement: Confinement<'_>) -> io::Result<Child> {
    let input = standard_input(&command.input)?;
    // Closed by execve, so that its end says: started.
    let (here, there) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let parent = getpid();
    // SAFETY: one thread, so no lock is held by another and all of memory is consistent in the child.
    let Some(pid) = Pid::from_raw(check(unsafe { libc::fork() }.into())? as i32) else {
        let Err(error) = become_it(command, confinement, &input, &there, parent);
        let reason = error.to_string();
        let reason = &reason.as_bytes()[..reason.len().min(LONGEST)];
        let _ = sendmsg(&there, &[IoSlice::new(reason)], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL);
        // SAFETY: ends the process without running what the parent registered.
        unsafe { libc::_exit(1) }
    };
    drop(there);
    let calls = told(&here)?.ok_or_else(|| io::Error::other("the command was killed before it was started"))?;
    Ok(Child { pid, calls })
}

/// Becomes the command, or comes back with what kept it from that.
fn become_it(
    command: &Command,
    confinement: Confinement<'_>,
    input: &OwnedFd,
    supervisor: &OwnedFd,
    parent: Pid,
) -> io::Result<std::convert::Infallible> {
    let Confinement { root, rules, filter } = confinement;
    detach(input)?;
    step("changing the root directory", chroot(root))?;
    // As root, as runc does it: a directory that only root may search can still be the working directory.
    let directory = OsStr::from_bytes(&command.directory);
    step(&format!("changing to the working directory {}", directory.display()), chdir(directory))?;
    if let Some(rules) = rules {
        step("applying Landlock rules", rules.restrict_self())?;
    }
    step("asking for no new privileges", allow_confinement())?;
    let calls = step("installing the system call filter", filter.install_with_listener())?;
    step("handing over the filter's listener", hand_over(supervisor, calls.as_fd()))?;
    step("dropping capabilities (which takes CAP_SETPCAP)", keep_only(CHROOT))?;
    let user = &command.user;
    step(&format!("becoming user {}:{}", user.uid, user.gid), become_user(user))?;
    // Changes of credentials reset it, so it comes last; and the parent may be gone already.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    exec(command)
}

/// Leaves what would come from the supervisor: session, signals, input, descriptors, limits, mask.
pub(in crate::rung) fn detach(input: &OwnedFd) -> io::Result<()> {
    reset_signals();
    setsid()?;
    rustix::stdio::dup2_stdin(input)?;
    // SAFETY: marks descriptors, and closes none before execve.
    let marked = check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) });
    step("closing descriptors (which takes Linux 5.11)", marked)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Rust's runtime ignores SIGPIPE, and the supervisor blocks SIGCHLD: a program inherits both.
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: sets no handler. SIGKILL, SIGSTOP and the C library's own signals fail, as they should.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is read; the old one isn't wanted.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// A file in memory with the command's input: nobody has to feed it.
pub(in crate::rung) fn standard_input(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

pub(in crate::rung) fn hand_over(to: &OwnedFd, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    beside.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(to, &[IoSlice::new(&[0])], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What the child tells until execve: a descriptor, or why it fails.
fn told(from: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut descriptor = None;
    loop {
        let mut bytes = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let length = match recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            received => received?.bytes,
        };
        let handed = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        match (length, handed) {
            (0, _) => return Ok(descriptor),
            (_, Some(handed)) => descriptor = Some(handed),
            (_, None) => return Err(io::Error::other(String::from_utf8_lossy(&bytes[..length]).into_owned())),
        }
    }
}

/// Puts what was being done before an error.
pub(in crate::rung) fn step<T>(doing: &str, result: Result<T, impl Into<io::Error>>) -> io::Result<T> {
    result.map_err(|error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{doing}: {error}"))
    })
}
