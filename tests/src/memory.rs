//! How much memory a process took.

use std::io;
use std::process::Command;

/// The end of a measured process.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// The most memory that was resident at once, in bytes.
    pub max_rss: u64,
    /// Exit status; none if a signal ended it.
    pub status: Option<i32>,
}

/// Runs a command and measures the peak of its resident memory.
///
/// The kernel counts the memory of the caller too, as it was when the process was made: keep that small.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
pub fn max_rss(mut command: Command) -> Measured {
    let child = command.spawn().unwrap();
    let id = libc::pid_t::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables; nobody else waits for this child, so that the id is still its own.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, id, "{}", io::Error::last_os_error());
    let status = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    // Linux counts in KiB.
    Measured { max_rss: u64::try_from(usage.ru_maxrss).unwrap() * 1024, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_touched_counts() {
        let mut command = Command::new("sh");
        // dd reads into a buffer of this size.
        command.args(["-c", "exec dd if=/dev/zero of=/dev/null bs=64M count=1 status=none"]);
        let measured = max_rss(command);
        assert_eq!(measured.status, Some(0));
        assert!((64 << 20..128 << 20).contains(&measured.max_rss), "{measured:?}");
    }

    #[test]
    fn status_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]);
        assert_eq!(max_rss(command).status, Some(7));
    }
}
