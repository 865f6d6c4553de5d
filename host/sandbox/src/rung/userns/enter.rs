//! Going into a user and a mount namespace.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, Signal, getpid, getppid, set_dumpable_behavior};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::maps;
use crate::error::During;
use crate::probe::Missing;
use crate::request::User;
use crate::rung::start::become_user;
use crate::sys::process::{Side, contained, die_with_parent_and_hide, fork, leave, reap};

/// Runs `job` as root of a new user namespace with ids from 0 to 65535, and of a new mount namespace from which nothing goes back to the old
/// one. `job` runs in a child, which ends with its result as the exit status, and dies with this process. The calling process has one
/// thread, and waits.
///
/// The child has all of this process' descriptors but for what is used here: the caller opens what the child must not have with care.
///
/// # Errors
/// A [`Missing`] inside of the error, where the place doesn't allow it.
pub(crate) fn enter(job: impl FnOnce() -> i32) -> io::Result<i32> {
    let (from_child, to_parent) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_parent, to_child) = pipe_with(PipeFlags::CLOEXEC)?;
    let parent = getpid();
    match fork()? {
        Side::Child => {
            drop((from_child, to_child));
            if inside(parent, to_parent, from_parent) {
                std::process::exit(contained(job));
            }
            leave(1)
        }
        Side::Parent(child) => {
            drop((to_parent, from_parent));
            let mapped = let_in(child, from_child, to_child);
            let status = reap(child)?;
            mapped?;
            match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => Ok(status),
                (None, signal) => Err(io::Error::other(format!(
                    "the supervisor was killed by signal {}; if that is 9, memory may have run out",
                    signal.unwrap_or_default()
                ))),
            }
        }
    }
}

/// The child's way in. Sends the error number of each of two steps, 0 for success; between them the parent writes the id map.
fn inside(parent: Pid, to_parent: OwnedFd, from_parent: OwnedFd) -> bool {
    let (mut to_parent, mut from_parent) = (std::fs::File::from(to_parent), std::fs::File::from(from_parent));
    let mut tell = |result: io::Result<()>| {
        let number = result.as_ref().err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        to_parent.write_all(&number.to_ne_bytes()).is_ok() && result.is_ok()
    };
    if !tell(unshare(parent)) {
        return false;
    }
    let mut mapped = [0];
    from_parent.read_exact(&mut mapped).is_ok() && tell(take_over(parent))
}

fn unshare(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // newuidmap(1) wants /proc/PID to be owned by its caller, which holds for a dumpable process only.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    // SAFETY: CLONE_FILES, the only flag that takes care, isn't among them.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }?;
    Ok(())
}

fn take_over(parent: Pid) -> io::Result<()> {
    become_user(&User::default())?;
    die_with_parent_and_hide()?;
    if getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

/// The parent's part: follows the child's steps and writes its id map between them. When it returns, the child either runs the job or is about to
/// end.
fn let_in(child: Pid, from_child: OwnedFd, to_child: OwnedFd) -> io::Result<()> {
    let (mut from_child, mut to_child) = (std::fs::File::from(from_child), std::fs::File::from(to_child));
    let mut step = || -> io::Result<()> {
        let mut number = [0; 4];
        from_child.read_exact(&mut number).during(|| "the process for the new user namespace ended")?;
        match i32::from_ne_bytes(number) {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    };
    step().map_err(|error| Missing::user_namespace(&error))?;
    maps::write(child)?;
    to_child.write_all(&[1])?;
    step().map_err(|error| Missing::rights_inside(&error))?;
    Ok(())
}
