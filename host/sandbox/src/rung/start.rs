//! The last steps before a command, which are the same on the rungs that leave path look-up to the kernel.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::request::{Command, User};
use crate::sys::check;

/// Statuses of shells for what could not be started (POSIX, 2.8.2).
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

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
    // SAFETY: ends the process without running what the parent registered.
    unsafe { libc::_exit(if worst == libc::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE }) }
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
