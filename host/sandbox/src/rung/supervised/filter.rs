//! The command's system call filter: who does which call.

use super::{calls, legacy, times};
use crate::network::reach::Reach;
use crate::rung::filter::{common, errno, flag, own_limits, sockets, value};
use crate::sys::bpf::{Action, Filter};

/// Done by the supervisor: calls with paths, and those that tell of owners.
pub(super) const SERVED: &[libc::c_long] = &[
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
    libc::SYS_fchown,
    libc::SYS_truncate,
    libc::SYS_chroot,
    libc::SYS_umask,
];

/// Changed by the tracer and then done by the kernel: what the calling thread alone can do. That another thread changes what they point to in
/// between is bounded by Landlock (but for local sockets, see [`super`]), and a working directory outside is of no use, as every path goes through
/// the supervisor.
pub(super) const TRACED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_chdir,
    libc::SYS_inotify_add_watch,
    libc::SYS_connect,
    libc::SYS_bind,
];

/// Refused besides, as in a container of Docker's.
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
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
];

/// Young calls with paths that programs can do without: openat2, setxattrat to removexattrat, file_getattr and file_setattr, open_tree_attr (numbers
/// are the same on all architectures).
const UNKNOWN: &[libc::c_long] = &[libc::SYS_openat2, 463, 464, 465, 466, 467, 468, 469];

/// The filter for a command that reaches this.
pub(super) fn filter(reach: &Reach) -> Filter {
    let mut filter = own_limits(common())
        .on(SERVED, Action::Notify)
        .on(legacy::CALLS, Action::Notify)
        .on(legacy::OLD_LOOKS, Action::Notify)
        .on(legacy::CHANGES, Action::Notify)
        .on(legacy::OLD_CHANGES, Action::Notify)
        .on(times::PATH_FIRST, Action::Notify)
        .on(times::DIRECTORY_FIRST, Action::Notify)
        .on(calls::XATTRS, Action::Notify)
        .on(calls::IDS, Action::Notify)
        .on(TRACED, Action::Trace)
        .on(REFUSED, errno(libc::EPERM))
        .on(UNKNOWN, errno(libc::ENOSYS));
    for namespace in [libc::CLONE_NEWNS, libc::CLONE_NEWPID, libc::CLONE_NEWNET] {
        filter = filter.on_argument(libc::SYS_clone, flag(0, namespace), errno(libc::EPERM));
    }
    // Root may do these; here they would fail, or keep us from looking into the process.
    for option in [libc::PR_SET_DUMPABLE, libc::PR_CAPBSET_DROP, libc::PR_SET_SECUREBITS, libc::PR_CAP_AMBIENT] {
        filter = filter.on_argument(libc::SYS_prctl, value(0, option), Action::Errno(0));
    }
    sockets(filter, reach)
}
