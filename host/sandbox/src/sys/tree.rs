//! Process trees: the descendants of this process, however they hide, are waited for, found and killed.
//!
//! As a child subreaper this process inherits what loses its parent, so no double fork and no new session leads out of its tree (prctl(2),
//! PR_SET_CHILD_SUBREAPER). Without a PID namespace nothing kills a tree at once; but what is killed can't fork any more, so that
//! killing what is seen, again and again, comes to an end.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, set_child_subreaper, wait,
};

use super::check;
use crate::request::Limits;
use crate::rung::wait::{Waited, exit};

/// After so many looks in a row that find nobody, while there are children, it is no longer a race that hides them.
const MOST_EMPTY_LOOKS: u32 = 1000;

/// The tree below this process. Its SIGCHLD is blocked from here on.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Readable when a child has ended.
    ended: OwnedFd,
}

/// How a look for processes to reap ended.
#[derive(Debug, PartialEq, Eq)]
enum Reaped {
    /// There are children, and none has ended.
    Some,
    /// There is none.
    All,
}

impl Tree {
    /// Makes this process the one that inherits orphans. Called before the first child and the first thread, since threads inherit which
    /// signals are blocked.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where /proc isn't there, or shows other processes than this one's; the kernel's.
    pub(crate) fn new() -> io::Result<Self> {
        let own = fs::read_link("/proc/self").ok();
        if own.as_deref() != Some(Path::new(&getpid().to_string())) {
            let reason = "/proc is not mounted, or is not of this PID namespace: what a command leaves running could not be found";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { ended: child_signals()? })
    }

    /// Waits for a child, at most until the limit's deadline (counted from `since`) or until `stop` is readable. Whatever else ends
    /// meanwhile is reaped, so that orphans don't fill the place's table of processes.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn wait(&self, child: Pid, limits: Limits, since: Instant, stop: BorrowedFd<'_>) -> io::Result<Waited> {
        let deadline = limits.time.and_then(|seconds| since.checked_add(Duration::from_secs(seconds)));
        loop {
            let mut verdict = None;
            reap(|pid, status| verdict = verdict.or((pid == child).then(|| exit(status))))?;
            if let Some(exit) = verdict {
                return Ok(Waited::Ended(exit));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // As long as orphans keep coming, poll never waits; so the deadline is looked at here.
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Waited::TimedOut);
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut watched = [PollFd::new(&self.ended, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
            match poll(&mut watched, left.as_ref()) {
                Ok(0) => return Ok(Waited::TimedOut),
                Ok(_) if !watched[1].revents().is_empty() => return Ok(Waited::Stopped),
                Ok(_) => self.take_signal(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Kills all descendants and reaps them. Afterwards there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] where there is one that can't be seen, as with /proc mounted `hidepid=2`; the kernel's.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let mut empty = 0;
        loop {
            let killed = kill_visible()?;
            if reap(|_, _| {})? == Reaped::All {
                return Ok(());
            }
            if killed {
                empty = 0;
                // One of ours was killed, so one of our children is: whatever was found is below a child that was found before.
                wait_for_signal(self.ended.as_fd())?;
                self.take_signal();
            } else {
                empty += 1;
                if empty > MOST_EMPTY_LOOKS {
                    let reason = "a process that the command left behind can't be seen in /proc, nor be killed";
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
                }
            }
        }
    }

    /// Forgets that a child has ended. Signals of one kind don't queue: there may be more to reap, or nothing.
    fn take_signal(&self) {
        let mut information = [0; size_of::<libc::signalfd_siginfo>()];
        // Non-blocking; nothing to read is as good.
        let _ = rustix::io::read(&self.ended, &mut information);
    }
}

fn wait_for_signal(ended: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Blocks SIGCHLD and gives a descriptor that is readable when there is one.
fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before it is read; the descriptor is made for us just now.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()).into())?;
        let descriptor = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(descriptor as i32))
    }
}

/// Reaps all that has ended. Children that don't send SIGCHLD too (__WALL, wait(2)): a command can make some.
fn reap(mut see: impl FnMut(Pid, WaitStatus)) -> io::Result<Reaped> {
    let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(libc::__WALL as u32);
    loop {
        match wait(options) {
            Ok(Some((pid, status))) => see(pid, status),
            Ok(None) => return Ok(Reaped::Some),
            Err(rustix::io::Errno::CHILD) => return Ok(Reaped::All),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What /proc/PID/stat says (proc_pid_stat(5)).
struct Seen {
    parent: i32,
    group: i32,
    /// Its first thread has.
    ended: bool,
}

/// Kills each descendant the moment it is seen, before it can hop on by another fork, and its group with it: the kernel lets no fork of a group
/// slip through. Whether there was any.
///
/// Numbers ascend, and those of children are higher than those of their parents but for a wrap, which the next look makes good.
fn kill_visible() -> io::Result<bool> {
    let own = getpid().as_raw_nonzero().get();
    // 0 where it began outside of this PID namespace.
    let own_group = look(own).ok_or(io::ErrorKind::NotFound)?.group;
    let mut tree = HashSet::from([own]);
    let mut any = false;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that is gone already is no descendant to kill.
        let Some(seen) = look(pid).filter(|seen| tree.contains(&seen.parent)) else { continue };
        tree.insert(pid);
        // Its first thread may be all that has ended, so it is killed nonetheless; but nothing may come of that to wait for.
        any |= !seen.ended;
        // A child that has not made a group of its own yet is in ours. What can't be killed now is gone, or found again.
        if let Some(group) = Pid::from_raw(seen.group).filter(|_| seen.group != own_group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(any)
}

fn look(pid: i32) -> Option<Seen> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold any byte, parentheses too.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(text.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    Some(Seen { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()?, ended })
}
