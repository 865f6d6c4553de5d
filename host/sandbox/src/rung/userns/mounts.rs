//! Mounts by descriptors (the calls of Linux 5.2, mount_setattr(2) of 5.12), so that a path is looked up once, inside of the root it belongs to, and
//! no option needs escaping.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
pub(super) use rustix::mount::MountAttrFlags as Attributes;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};

use crate::sys::check;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct Change {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// An option of a file system.
pub(super) enum Setting<'a> {
    /// A word.
    Flag(&'a str),
    /// A word and its value.
    Value(&'a str, &'a str),
}

/// A mount that is attached nowhere yet.
pub(super) struct Detached(OwnedFd);

impl Detached {
    /// Another mount of a file or directory, without mounts below it. A symlink isn't followed at the end of the path.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        Self::open(CWD, path, OpenTreeFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// The same for what is open, with all mounts below it.
    pub(super) fn bind_all(file: BorrowedFd<'_>) -> io::Result<Self> {
        Self::open(file, Path::new(""), OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE)
    }

    fn open(directory: BorrowedFd<'_>, path: &Path, flags: OpenTreeFlags) -> io::Result<Self> {
        let flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(Self(open_tree(directory, path, flags)?))
    }

    /// A new file system.
    pub(super) fn filesystem(kind: &str, settings: &[Setting<'_>], attributes: Attributes) -> io::Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for setting in settings {
            match setting {
                Setting::Flag(name) => fsconfig_set_flag(&context, *name)?,
                Setting::Value(name, value) => fsconfig_set_string(&context, *name, *value)?,
            }
        }
        fsconfig_create(&context)?;
        Ok(Self(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// An empty directory that stays empty.
    pub(super) fn nothing() -> io::Result<Self> {
        let settings = [Setting::Value("mode", "0555"), Setting::Value("nr_inodes", "1")];
        Self::filesystem("tmpfs", &settings, locked_down() | Attributes::MOUNT_ATTR_RDONLY)
    }

    /// Adds attributes, also to all mounts below.
    pub(super) fn restrict(self, attributes: Attributes) -> io::Result<Self> {
        let change = Change { set: attributes.bits().into(), clear: 0, propagation: 0, user_namespace: 0 };
        let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
        // SAFETY: the path is an empty NUL-terminated string, and the structure is read with the size that is given.
        check(unsafe {
            let (raw, size) = (self.0.as_raw_fd(), size_of::<Change>());
            libc::syscall(libc::SYS_mount_setattr, raw, c"".as_ptr(), flags, &raw const change, size)
        })?;
        Ok(self)
    }

    /// Puts it at a place.
    pub(super) fn attach(self, place: BorrowedFd<'_>) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(self.0.as_fd(), "", place, "", flags)?)
    }
}

/// What no file needs that is no program: neither setuid bits, nor device nodes, nor programs.
pub(super) fn locked_down() -> Attributes {
    Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV | Attributes::MOUNT_ATTR_NOEXEC
}

/// Looks up a path as a process would for which `root` is `/`: an image's symlinks lead nowhere else.
pub(super) fn resolve(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how)
}
