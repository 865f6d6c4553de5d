//! The command's system call filter.

use super::proc::PATH_FIRST;
use crate::network::reach::Reach;
use crate::rung::filter::{common, errno, flag, no_flag, own_limits, sockets, value};
use crate::rung::legacy::{CHANGES, LOOKS, OLD_CHANGES, OLD_LOOKS};
use crate::rung::times;
use crate::sys::bpf::{Action, Filter};
use crate::sys::landlock::Support;

/// What reaches into other processes. Landlock leaves a command its own children; without it nothing tells them apart.
const TRACING: [libc::c_long; 5] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
];

/// What the kernel does, refuses, or leaves to us.
pub(super) fn filter(reach: &Reach, support: Support) -> Filter {
    let filter = own_limits(common());
    let filter = if support.files() { filter } else { filter.on(&TRACING, errno(libc::EPERM)) };
    sockets(changes(looks(filter)), reach)
}

/// Calls that may look at something in `/proc`, which the supervisor serves. What is relative to a descriptor, or is that itself, is none.
fn looks(filter: Filter) -> Filter {
    let filter = filter
        .on_argument(libc::SYS_newfstatat, flag(3, libc::AT_EMPTY_PATH), Action::Allow)
        .on_argument(libc::SYS_statx, flag(2, libc::AT_EMPTY_PATH), Action::Allow)
        .on(OLD_LOOKS, Action::Notify)
        .on(PATH_FIRST, Action::Notify);
    here(filter, LOOKS)
}

/// Calls that may change what a name in `/proc` leads to. Most of those that installers make mean a symlink itself where there is one, and so never
/// come to a descriptor; they cost nothing.
fn changes(filter: Filter) -> Filter {
    let filter = filter
        .on_argument(libc::SYS_fchmodat2, flag(3, libc::AT_SYMLINK_NOFOLLOW), Action::Allow)
        .on_argument(libc::SYS_fchownat, flag(4, libc::AT_SYMLINK_NOFOLLOW), Action::Allow)
        .on_argument(libc::SYS_utimensat, flag(3, libc::AT_SYMLINK_NOFOLLOW), Action::Allow)
        .on_argument(libc::SYS_linkat, no_flag(4, libc::AT_SYMLINK_FOLLOW), Action::Allow)
        .on(OLD_CHANGES, Action::Notify)
        .on(times::PATH_FIRST, Action::Notify);
    here(here(here(filter, CHANGES), times::DIRECTORY_FIRST), &[libc::SYS_linkat])
}

/// Calls with a directory's descriptor first, where that is the working directory.
fn here(filter: Filter, calls: &[libc::c_long]) -> Filter {
    let here = value(0, libc::AT_FDCWD);
    calls.iter().fold(filter, |filter, number| filter.on_argument(*number, here, Action::Notify))
}
