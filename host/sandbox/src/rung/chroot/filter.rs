//! The command's system call filter.

use super::proc::PATH_FIRST;
use super::reach::Reach;
use crate::rung::legacy::{LOOKS, OLD_LOOKS};
use crate::sys::bpf::{Action, Argument, Filter};
use crate::sys::landlock::Support;

/// Answered with success and not done: a crash of the machine loses the build anyway, and installing packages takes a third less.
const SYNC: [libc::c_long; 5] =
    [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range];

/// What Docker's default profile refuses too, and no capability or Landlock rule does for us: keys and BPF maps of the place are shared with
/// its other processes, the others are rich sources of kernel bugs or ways around this filter (io_uring).
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
    let namespaces = |index| Argument { index, mask: libc::CLONE_NEWUSER as u32, value: libc::CLONE_NEWUSER as u32 };
    let own = Argument { index: 0, mask: u32::MAX, value: 0 };
    // Calls of i386 and x32 have other numbers, and would pass by all of this.
    let mut filter = Filter::new(errno(libc::ENOSYS))
        .on(&SYNC, Action::Errno(0))
        .on(&REFUSED, errno(libc::EPERM))
        // A user namespace is full of capabilities.
        .on_argument(libc::SYS_unshare, namespaces(0), errno(libc::EPERM))
        .on_argument(libc::SYS_clone, namespaces(0), errno(libc::EPERM))
        // Its flags lie in memory, which a filter can't read. C libraries fall back to clone.
        .on(&[libc::SYS_clone3], errno(libc::ENOSYS))
        // Limits of another process of the same user could be set: of this build's host, say.
        .on_argument(libc::SYS_prlimit64, own, Action::Allow)
        .on(&[libc::SYS_prlimit64], errno(libc::EPERM));
    if !support.files() {
        filter = filter.on(&TRACING, errno(libc::EPERM));
    }
    sockets(looks(filter), reach)
}

/// Calls that may look at something in `/proc`, which the supervisor serves. What is relative to a descriptor, or is that itself, is none.
fn looks(filter: Filter) -> Filter {
    let itself = |index| Argument { index, mask: libc::AT_EMPTY_PATH as u32, value: libc::AT_EMPTY_PATH as u32 };
    let here = Argument { index: 0, mask: u32::MAX, value: libc::AT_FDCWD as u32 };
    let filter = filter
        .on_argument(libc::SYS_newfstatat, itself(3), Action::Allow)
        .on_argument(libc::SYS_statx, itself(2), Action::Allow)
        .on(OLD_LOOKS, Action::Notify)
        .on(&PATH_FIRST, Action::Notify);
    LOOKS.iter().fold(filter, |filter, number| filter.on_argument(*number, here, Action::Notify))
}

fn sockets(filter: Filter, reach: &Reach) -> Filter {
    let domain = |value: i32| Argument { index: 0, mask: u32::MAX, value: value as u32 };
    let local = |filter: Filter| {
        filter.on_argument(libc::SYS_socket, domain(libc::AF_UNIX), Action::Allow).on_argument(
            libc::SYS_socket,
            domain(libc::AF_NETLINK),
            Action::Allow,
        )
    };
    match reach {
        // Sockets of the hypervisor are no network.
        Reach::All => filter.on_argument(libc::SYS_socket, domain(libc::AF_VSOCK), errno(libc::EAFNOSUPPORT)),
        Reach::Nothing => local(filter).on(&[libc::SYS_socket], errno(libc::ENETUNREACH)),
        Reach::Proxy { .. } => {
            // Sending connects too, with TCP Fast Open, and Landlock looks at connect only.
            let fast = |index| Argument { index, mask: libc::MSG_FASTOPEN as u32, value: libc::MSG_FASTOPEN as u32 };
            local(filter)
                .on(&[libc::SYS_socket], Action::Notify)
                .on_argument(libc::SYS_sendto, fast(3), errno(libc::EOPNOTSUPP))
                .on_argument(libc::SYS_sendmsg, fast(2), errno(libc::EOPNOTSUPP))
                .on_argument(libc::SYS_sendmmsg, fast(3), errno(libc::EOPNOTSUPP))
        }
    }
}

fn errno(number: i32) -> Action {
    Action::Errno(number as u16)
}
