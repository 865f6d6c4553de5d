//! The system call filter of a command. What namespaces and capabilities decide isn't here.

use std::io;

use crate::sys::bpf::{Action, Argument, Filter};

/// Answered with success and not done: a crash of the machine loses the build anyway, and installing packages takes a third less.
const SYNC: [libc::c_long; 5] =
    [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range];

/// What no namespace keeps apart, or what is a rich source of kernel bugs and is refused by Docker's default profile too: a build that works
/// there works here, and finds the same things missing.
const REFUSED: [libc::c_long; 11] = [
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_setns,
];

/// Puts the filter in force. Needs CAP_SYS_ADMIN, so that no_new_privs can stay unset: `su` and `sudo` work.
pub(super) fn install() -> io::Result<()> {
    filter().install()
}

fn filter() -> Filter {
    let new_user = |index| Argument { index, mask: libc::CLONE_NEWUSER as u32, value: libc::CLONE_NEWUSER as u32 };
    let errno = |number: i32| Action::Errno(number as u16);
    // Sockets of the hypervisor don't know network namespaces.
    let vsock = Argument { index: 0, mask: u32::MAX, value: libc::AF_VSOCK as u32 };
    // Foreign calls have other numbers, and would pass by all of this.
    Filter::new(errno(libc::ENOSYS))
        .on(&SYNC, Action::Errno(0))
        .on(&REFUSED, errno(libc::EPERM))
        .on_argument(libc::SYS_unshare, new_user(0), errno(libc::EPERM))
        .on_argument(libc::SYS_clone, new_user(0), errno(libc::EPERM))
        // Its flags lie in memory, which a filter can't read. C libraries fall back to clone.
        .on(&[libc::SYS_clone3], errno(libc::ENOSYS))
        .on_argument(libc::SYS_socket, vsock, errno(libc::EAFNOSUPPORT))
}
