//! Processes of a run whose supervisor was killed before it could kill them.

use std::fs;
use std::io;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kills all whose root directory this is, until there is none, and waits until they are gone.
///
/// # Errors
/// The kernel's. Processes whose root can't be read are none of ours, or of users that only CAP_SYS_PTRACE looks into.
pub(super) fn kill(root: &Path) -> io::Result<()> {
    let root = match root.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        root => root?,
    };
    loop {
        let mut any = false;
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
            else {
                continue;
            };
            let is_ours = || fs::read_link(entry.path().join("root")).is_ok_and(|its| its == root);
            if !is_ours() {
                continue;
            }
            // The number may have become another's meanwhile: what counts is whose it is once it is held.
            let process = match pidfd_open(pid, PidfdFlags::empty()) {
                Err(Errno::SRCH) => continue,
                process => process?,
            };
            if is_ours() && pidfd_send_signal(&process, Signal::KILL).is_ok() {
                any = true;
                while poll(&mut [PollFd::new(&process, PollFlags::IN)], None) == Err(Errno::INTR) {}
            }
        }
        if !any {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    #[test]
    fn only_those_with_the_root_are_killed() {
        let root = tempfile::tempdir().expect("a directory");
        if fs::copy("/bin/busybox", root.path().join("sleep")).is_err() {
            return eprintln!("skipped: this takes the package busybox-static");
        }
        let path = root.path().to_owned();
        let mut command = Command::new("/sleep");
        // SAFETY: the call is async-signal-safe, and allocates nothing for a path that fits on the stack.
        unsafe { command.arg("60").pre_exec(move || Ok(rustix::process::chroot(&path)?)) };
        // Comes back after execve, so its root is changed.
        let mut inside = match command.spawn() {
            Ok(inside) => inside,
            Err(error) => return eprintln!("skipped: this takes root: {error}"),
        };
        let mut other = Command::new("sleep").arg("60").spawn().expect("sleep");
        kill(root.path()).expect("killed");
        assert!(other.try_wait().expect("our child").is_none());
        other.kill().expect("our child");
        other.wait().expect("our child");
        assert_eq!(inside.wait().expect("our child").signal(), Some(libc::SIGKILL));
        kill(&root.path().join("none")).expect("nothing to do");
    }
}
