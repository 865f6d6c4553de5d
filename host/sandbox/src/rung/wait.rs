//! Waiting for a command, with an eye on the clock and on the host.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::request::{Exit, Limits};
use crate::sys::process::reap;

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The process ended and is reaped.
    Ended(Exit),
    /// The time is over; the process still runs.
    TimedOut,
    /// The host closed its end; the process still runs.
    Stopped,
}

/// Waits for a child of this process, at most until the limit's deadline (counted from `since`) or until `stop` is readable.
pub(crate) fn wait(child: Pid, limits: Limits, since: Instant, stop: BorrowedFd<'_>) -> io::Result<Waited> {
    let pidfd = pidfd_open(child, PidfdFlags::empty())?;
    let deadline = limits.time.map(|seconds| since + Duration::from_secs(seconds));
    loop {
        let mut watched = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left
            .map(|left| rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        match poll(&mut watched, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(Waited::TimedOut),
            Ok(_) if !watched[0].revents().is_empty() => break,
            Ok(_) => return Ok(Waited::Stopped),
        }
    }
    Ok(Waited::Ended(exit(reap(child)?)))
}

/// How a reaped process ended.
pub(crate) fn exit(status: rustix::process::WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (_, Some(signal)) => Exit::Signal(signal as u8),
        (Some(status), None) => Exit::Status(status as u8),
        (None, None) => Exit::Status(u8::MAX),
    }
}
