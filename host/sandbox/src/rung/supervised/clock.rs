//! What ends a command from outside: its time, and the host.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::request::Limits;

/// Who ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Itself.
    None,
    /// Its time was over.
    TimedOut,
    /// The host wants an end.
    Stopped,
}

/// A thread that waits for that.
pub(super) struct Clock {
    thread: JoinHandle<Verdict>,
    done: OwnedFd,
}

impl Clock {
    /// Starts it. It kills the process.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn start(process: Pid, limits: Limits, stop: OwnedFd) -> io::Result<Self> {
        let done = eventfd(0, EventfdFlags::CLOEXEC)?;
        let process = pidfd_open(process, PidfdFlags::empty())?;
        let ended = done.try_clone()?;
        let thread = std::thread::Builder::new().name("clock".into()).spawn(move || {
            let verdict = wait(limits, &stop, &ended);
            if verdict != Verdict::None {
                // It may have ended by itself just now.
                let _ = pidfd_send_signal(&process, Signal::KILL);
            }
            verdict
        })?;
        Ok(Self { thread, done })
    }

    /// Ends it: what it has done.
    pub(super) fn end(self) -> Verdict {
        // Eight bytes into an empty counter can't fail.
        let _ = rustix::io::write(&self.done, &1_u64.to_ne_bytes());
        self.thread.join().unwrap_or(Verdict::None)
    }
}

fn wait(limits: Limits, stop: &OwnedFd, ended: &OwnedFd) -> Verdict {
    let limit = limits.time.and_then(|seconds| std::time::Instant::now().checked_add(Duration::from_secs(seconds)));
    loop {
        let left = limit.map(|limit| limit.saturating_duration_since(std::time::Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut watched = [ended.as_fd(), stop.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut watched, left.as_ref()) {
            Err(Errno::INTR) => {}
            Ok(0) => return Verdict::TimedOut,
            Ok(_) if !watched[0].revents().is_empty() => return Verdict::None,
            Ok(_) | Err(_) => return Verdict::Stopped,
        }
    }
}
