//! Making processes by fork, as the supervisor can: it has one thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, set_dumpable_behavior, waitpid};

use super::check;

/// Which of the two a process is after it was doubled.
pub(crate) enum Side {
    /// The one that goes on, with the other's number.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Doubles this process, which has one thread, by fork(2): with the C library's knowledge.
pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: one thread, so no lock is held by another and all of memory is consistent in the child.
    side(check(unsafe { libc::fork() }.into())?)
}

/// Doubles this process, which has one thread, into new namespaces (CLONE_NEW*). unshare(2) can't be used here: after CLONE_NEWPID the caller
/// could start neither threads nor, once that child is dead, processes (pid_namespaces(7)).
pub(crate) fn clone_into(namespaces: libc::c_int) -> io::Result<Side> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: as for `fork`; no stack is given, so that the child has a copy of ours. The C library isn't asked: it would only note the
    // child's thread id, which nothing here uses.
    side(check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?)
}

fn side(number: libc::c_long) -> io::Result<Side> {
    Ok(Pid::from_raw(number as i32).map_or(Side::Child, Side::Parent))
}

/// The exit status of a Rust program that panics.
const PANICKED: i32 = 101;

/// Runs a job whose panic must not unwind into the code of the process that was doubled: 101 then.
pub(crate) fn contained(job: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or(PANICKED)
}

/// Runs a job in a child, and waits for it. Its result, 0 to 255, is the child's exit status.
pub(crate) fn in_child(job: impl FnOnce() -> i32) -> io::Result<WaitStatus> {
    match fork()? {
        Side::Child => leave(contained(job)),
        Side::Parent(child) => reap(child),
    }
}

/// Waits for a child to end.
pub(crate) fn reap(child: Pid) -> io::Result<WaitStatus> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends this process at once, without running what its parent registered for its own end.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Lets this process die with the thread that made it, and keeps others out of its memory and /proc files. To be called after the last change of
/// credentials, which undoes both (prctl(2)). The caller checks afterwards whether the parent was dead already.
pub(crate) fn die_with_parent_and_hide() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Sets all signals to their default action and unblocks them. Rust's runtime ignores SIGPIPE, which a program would inherit; and what a process 1
/// has a handler for, its descendants can send to it.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: sets no handler. SIGKILL, SIGSTOP and the C library's own signals fail, which is as it should be.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is read; a null pointer says that the old one isn't wanted.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}
