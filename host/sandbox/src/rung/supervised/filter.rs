//! The command's system call filter: who does which call.

use super::{calls, legacy};
use crate::request::Network;
use crate::sys::bpf::{Action, Argument, Filter};

/// Answered with success and not done: a crash of the machine loses the build anyway, and installing packages takes a third less.
const SYNC: &[libc::c_long] =
    &[libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range];

/// Done by the supervisor: calls with paths, and those that tell of owners.
const SERVED: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_statfs,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_utimensat,
    libc::SYS_chroot,
    libc::SYS_umask,
];

/// Changed by the tracer and then done by the kernel: what the calling thread alone can do. That another thread changes what they point to in
/// between is bounded by Landlock (but for local sockets, see [`super`]), and a working directory outside is of no use, as every path goes through
/// the supervisor.
const TRACED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_chdir,
    libc::SYS_inotify_add_watch,
    libc::SYS_connect,
    libc::SYS_bind,
];

/// Refused, as in a container of Docker's.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
];

/// Young calls with paths, or with flags in memory, that programs can do without: clone3, openat2, setxattrat to removexattrat, file_getattr and
/// file_setattr, open_tree_attr (numbers are the same on all architectures).
const UNKNOWN: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_openat2, 463, 464, 465, 466, 467, 468, 469];

/// The filter for a command with this network.
pub(super) fn filter(network: &Network) -> Filter {
    // Calls of i386 and x32 have other numbers, and would pass by all of this.
    let mut filter = Filter::new(errno(libc::ENOSYS))
        .on(SYNC, Action::Errno(0))
        .on(SERVED, Action::Notify)
        .on(legacy::CALLS, Action::Notify)
        .on(calls::XATTRS, Action::Notify)
        .on(calls::IDS, Action::Notify)
        .on(TRACED, Action::Trace)
        .on(REFUSED, errno(libc::EPERM))
        .on(UNKNOWN, errno(libc::ENOSYS));
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWPID, libc::CLONE_NEWNET] {
        let set = Argument { index: 0, mask: flag as u32, value: flag as u32 };
        filter = filter.on_argument(libc::SYS_clone, set, errno(libc::EPERM));
    }
    // Limits of another process of the same user could be set: of this build's host, say.
    let own = Argument { index: 0, mask: u32::MAX, value: 0 };
    filter = filter.on_argument(libc::SYS_prlimit64, own, Action::Allow).on(&[libc::SYS_prlimit64], errno(libc::EPERM));
    // Root may do these; here they would fail, or keep us from looking into the process.
    for option in [libc::PR_SET_DUMPABLE, libc::PR_CAPBSET_DROP, libc::PR_SET_SECUREBITS, libc::PR_CAP_AMBIENT] {
        let option = Argument { index: 0, mask: u32::MAX, value: option as u32 };
        filter = filter.on_argument(libc::SYS_prctl, option, Action::Errno(0));
    }
    sockets(filter, network)
}

fn sockets(filter: Filter, network: &Network) -> Filter {
    let domain = |value: i32| Argument { index: 0, mask: u32::MAX, value: value as u32 };
    let local = |filter: Filter| {
        let filter = filter.on_argument(libc::SYS_socket, domain(libc::AF_UNIX), Action::Allow);
        filter.on_argument(libc::SYS_socket, domain(libc::AF_NETLINK), Action::Allow)
    };
    match network {
        // Sockets of the hypervisor are no network.
        Network::Host => filter.on_argument(libc::SYS_socket, domain(libc::AF_VSOCK), errno(libc::EAFNOSUPPORT)),
        Network::None => local(filter).on(&[libc::SYS_socket], errno(libc::ENETUNREACH)),
        Network::Hosts(_) => {
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
