//! The last steps before a command, from the fork to execve, as far as several rungs take them.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Gid, MemfdFlags, Mode, Uid, fchown, fstat, memfd_create};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, setsid, umask,
};

use crate::error::During;
use crate::request::{Command, User};
use crate::sys::check;
use crate::sys::packet::Packets;
use crate::sys::process::{leave, reset_signals};

/// Statuses of shells for what could not be started (POSIX, 2.8.2).
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// The longest reason that a child tells, in bytes.
const LONGEST: usize = 4096;

/// A file in memory with the command's input: nobody has to feed it.
pub(crate) fn standard_input(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(content).during(|| "writing the standard input")?;
    file.rewind()?;
    Ok(file.into())
}

/// Leaves what would come from the supervisor: session, signals, input, descriptors, limits, mask.
pub(crate) fn detach(input: &OwnedFd) -> io::Result<()> {
    reset_signals();
    setsid()?;
    rustix::stdio::dup2_stdin(input)?;
    // SAFETY: marks descriptors, and closes none before execve.
    let marked = check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) });
    marked.during(|| "closing descriptors (which takes Linux 5.11)")?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Makes the command's user the owner of pipes that are its output, as runc does: else `echo > /dev/stderr` fails for others than root. Where it can't
/// be done, only that is lost.
pub(crate) fn give_streams(user: &User) {
    for stream in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let is_pipe = fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if is_pipe {
            let _ = fchown(stream, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
        }
    }
}

/// Dies with its parent from now on; [`io::ErrorKind::Interrupted`] where that one is gone already. A change of credentials undoes it.
pub(crate) fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
}

/// Tells the parent why this process doesn't become the command, and ends.
pub(crate) fn give_up(parent: &Packets, error: &io::Error) -> ! {
    let reason = error.to_string();
    // Nobody is left to hear of a failure to tell.
    let _ = parent.send(&reason.as_bytes()[..reason.len().min(LONGEST)], None);
    leave(1)
}

/// The descriptor that a child hands over; none where it has become the command, or was killed.
///
/// # Errors
/// Why it gave up.
pub(crate) fn handed_over(child: &Packets) -> io::Result<Option<OwnedFd>> {
    match child.receive(LONGEST)? {
        Some((reason, None)) => Err(io::Error::other(String::from_utf8_lossy(&reason).into_owned())),
        Some((_, handed)) => Ok(handed),
        None => Ok(None),
    }
}

/// Takes on a user: groups first, then group, then user, which drops the right to change them.
pub(crate) fn become_user(user: &User) -> io::Result<()> {
    // SAFETY: the pointer and length are those of a live vector; the other calls take numbers.
    unsafe {
        check(libc::setgroups(user.groups.len(), user.groups.as_ptr()).into())?;
        check(libc::setresgid(user.gid, user.gid, user.gid).into())?;
        check(libc::setresuid(user.uid, user.uid, user.uid).into())?;
    }
    Ok(())
}

/// Replaces this process by the command; comes back never. What keeps it from that is said on standard error, in the command's own output, and
/// is its exit status, as a shell would have it. For the last process of a fork: allocates nothing that anybody would miss.
pub(crate) fn exec(command: &Command) -> ! {
    let strings = |items: &mut dyn Iterator<Item = &[u8]>| {
        // An argument with a NUL byte can't be passed by execve; the component refuses it before.
        items.filter_map(|item| CString::new(item).ok()).collect::<Vec<_>>()
    };
    let arguments = strings(&mut command.arguments.iter().map(Vec::as_slice));
    let environment = strings(&mut command.environment.iter().map(|variable| variable.0.as_slice()));
    let pointers = |strings: &[CString]| {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (argv, envp) = (pointers(&arguments), pointers(&environment));
    let mut worst = libc::ENOENT;
    for program in candidates(command) {
        let Ok(program) = CString::new(program) else { continue };
        // SAFETY: all three are NUL-terminated, and outlive the call.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(other) => worst = other,
            None => {}
        }
    }
    let name = command.arguments.first().map(|name| OsStr::from_bytes(name).to_string_lossy());
    eprintln!("{}: {}", name.unwrap_or_default(), describe(worst));
    leave(if worst == libc::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE })
}

fn describe(errno: i32) -> String {
    match errno {
        libc::ENOENT => "not found".to_owned(),
        libc::ENOEXEC => {
            "not an executable of this machine's kind (a script without `#!`, or another architecture)".to_owned()
        }
        _ => io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// Where the program may be: as it is written if it has a slash, else in each directory of PATH.
pub(crate) fn candidates(command: &Command) -> Vec<Vec<u8>> {
    let Some(program) = command.arguments.first() else { return Vec::new() };
    if program.contains(&b'/') {
        return vec![program.clone()];
    }
    let path = command.environment.iter().rev().find_map(|variable| variable.0.strip_prefix(b"PATH="));
    let path = path.unwrap_or(b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    path.split(|byte| *byte == b':')
        .map(|directory| if directory.is_empty() { &b"."[..] } else { directory })
        .map(|directory| [directory, b"/", program].concat())
        .collect()
}
