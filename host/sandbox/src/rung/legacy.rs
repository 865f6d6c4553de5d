//! Calls that newer ones include, in terms of those. Machines younger than x86-64 have few of them.

/// Number and arguments of the newer call that does the same; those of the call itself where there is none.
pub(super) fn modern(number: libc::c_long, arguments: [u64; 6]) -> (libc::c_long, [u64; 6]) {
    let [a, b, c, d, ..] = arguments;
    match number {
        libc::SYS_faccessat => (libc::SYS_faccessat2, [a, b, c, 0, 0, 0]),
        libc::SYS_fchmodat => (libc::SYS_fchmodat2, [a, b, c, 0, 0, 0]),
        libc::SYS_renameat => (libc::SYS_renameat2, [a, b, c, d, 0, 0]),
        _ => oldest(number, arguments),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn oldest(number: libc::c_long, arguments: [u64; 6]) -> (libc::c_long, [u64; 6]) {
    (number, arguments)
}

#[cfg(target_arch = "x86_64")]
fn oldest(number: libc::c_long, arguments: [u64; 6]) -> (libc::c_long, [u64; 6]) {
    const HERE: u64 = libc::AT_FDCWD as u64;
    const KEEP: u64 = libc::AT_SYMLINK_NOFOLLOW as u64;
    const CREATE: u64 = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64;
    let [a, b, c, ..] = arguments;
    match number {
        libc::SYS_open => (libc::SYS_openat, [HERE, a, b, c, 0, 0]),
        libc::SYS_creat => (libc::SYS_openat, [HERE, a, CREATE, b, 0, 0]),
        libc::SYS_stat => (libc::SYS_newfstatat, [HERE, a, b, 0, 0, 0]),
        libc::SYS_lstat => (libc::SYS_newfstatat, [HERE, a, b, KEEP, 0, 0]),
        libc::SYS_access => (libc::SYS_faccessat2, [HERE, a, b, 0, 0, 0]),
        libc::SYS_readlink => (libc::SYS_readlinkat, [HERE, a, b, c, 0, 0]),
        libc::SYS_mkdir => (libc::SYS_mkdirat, [HERE, a, b, 0, 0, 0]),
        libc::SYS_mknod => (libc::SYS_mknodat, [HERE, a, b, c, 0, 0]),
        libc::SYS_rmdir => (libc::SYS_unlinkat, [HERE, a, libc::AT_REMOVEDIR as u64, 0, 0, 0]),
        libc::SYS_unlink => (libc::SYS_unlinkat, [HERE, a, 0, 0, 0, 0]),
        libc::SYS_rename => (libc::SYS_renameat2, [HERE, a, HERE, b, 0, 0]),
        libc::SYS_link => (libc::SYS_linkat, [HERE, a, HERE, b, 0, 0]),
        libc::SYS_symlink => (libc::SYS_symlinkat, [a, HERE, b, 0, 0, 0]),
        libc::SYS_chmod => (libc::SYS_fchmodat2, [HERE, a, b, 0, 0, 0]),
        libc::SYS_chown => (libc::SYS_fchownat, [HERE, a, b, c, 0, 0]),
        libc::SYS_lchown => (libc::SYS_fchownat, [HERE, a, b, c, KEEP, 0]),
        _ => (number, arguments),
    }
}

/// Calls that open files or look at what is at a path, first the directory's descriptor; with their older forms, which name none.
pub(super) const LOOKS: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
];

/// See [`LOOKS`].
pub(super) const OLD_LOOKS: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// Calls that change what a path leads to and may follow a symlink at its end, first the directory's descriptor; with their older forms. Those that set times
/// are in [`times`](super::times).
pub(super) const CHANGES: &[libc::c_long] = &[libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchownat];

/// See [`CHANGES`].
pub(super) const OLD_CHANGES: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
];

/// The other calls of paths that [`modern`] knows.
pub(super) const CALLS: &[libc::c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_renameat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];
