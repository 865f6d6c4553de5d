//! What the system call filters of all rungs share.

use crate::network::reach::Reach;
use crate::sys::bpf::{Action, Argument, Filter};

/// Answered with success and not done: a crash of the machine loses the build anyway, and installing packages takes a third less.
const SYNC: [libc::c_long; 5] =
    [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range];

/// What Docker's default profile refuses too, and no namespace, capability or Landlock rule does for us: keys and BPF maps of the place are
/// shared with its other processes, the others are rich sources of kernel bugs or ways around a filter (io_uring). A build that works with
/// Docker works here, and finds the same things missing.
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

/// The rules of every rung.
pub(super) fn common() -> Filter {
    // Calls of i386 and x32 have other numbers, and would pass by all of this.
    let filter = Filter::new(errno(libc::ENOSYS))
        .on(&SYNC, Action::Errno(0))
        .on(&REFUSED, errno(libc::EPERM))
        .on_argument(libc::SYS_unshare, flag(0, libc::CLONE_NEWUSER), errno(libc::EPERM));
    // A user namespace is full of capabilities. The flags of clone3 lie in memory, which a filter can't read; C libraries fall back to clone.
    filter
        .on_argument(libc::SYS_clone, flag(0, libc::CLONE_NEWUSER), errno(libc::EPERM))
        .on(&[libc::SYS_clone3], errno(libc::ENOSYS))
}

/// Lets a process change its own limits only: those of another one of the same user could be set, of this build's host, say.
pub(super) fn own_limits(filter: Filter) -> Filter {
    filter.on_argument(libc::SYS_prlimit64, value(0, 0), Action::Allow).on(&[libc::SYS_prlimit64], errno(libc::EPERM))
}

/// Refuses sockets of the hypervisor, which know no network namespaces and are no network.
pub(super) fn no_hypervisor(filter: Filter) -> Filter {
    filter.on_argument(libc::SYS_socket, value(0, libc::AF_VSOCK), errno(libc::EAFNOSUPPORT))
}

/// Lets through, refuses or serves sockets, where there is no network namespace.
pub(super) fn sockets(filter: Filter, reach: &Reach) -> Filter {
    let local = |filter: Filter| {
        filter.on_argument(libc::SYS_socket, value(0, libc::AF_UNIX), Action::Allow).on_argument(
            libc::SYS_socket,
            value(0, libc::AF_NETLINK),
            Action::Allow,
        )
    };
    match reach {
        Reach::All => no_hypervisor(filter),
        Reach::Nothing => local(filter).on(&[libc::SYS_socket], errno(libc::ENETUNREACH)),
        // Sending connects too, with TCP Fast Open, and Landlock looks at connect only.
        Reach::Proxy { .. } => local(filter)
            .on(&[libc::SYS_socket], Action::Notify)
            .on_argument(libc::SYS_sendto, flag(3, libc::MSG_FASTOPEN), errno(libc::EOPNOTSUPP))
            .on_argument(libc::SYS_sendmsg, flag(2, libc::MSG_FASTOPEN), errno(libc::EOPNOTSUPP))
            .on_argument(libc::SYS_sendmmsg, flag(3, libc::MSG_FASTOPEN), errno(libc::EOPNOTSUPP)),
    }
}

/// Holds where an argument has this value.
pub(super) fn value(index: u8, value: i32) -> Argument {
    Argument { index, mask: u32::MAX, value: value as u32 }
}

/// Holds where an argument has this flag.
pub(super) fn flag(index: u8, flag: i32) -> Argument {
    Argument { index, mask: flag as u32, value: flag as u32 }
}

/// Holds where an argument doesn't have this flag.
pub(super) fn no_flag(index: u8, flag: i32) -> Argument {
    Argument { index, mask: flag as u32, value: 0 }
}

/// The call gives this error.
pub(super) fn errno(number: i32) -> Action {
    Action::Errno(number as u16)
}
