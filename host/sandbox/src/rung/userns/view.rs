//! What the command sees as its file system.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, open, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, fchdir, pivot_root};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::mounts::{Attributes, Detached, Setting, locked_down, resolve};
use crate::error::During;
use crate::probe::Missing;
use crate::request::{Attachment, AttachmentSource};
use crate::rung::devices;
use crate::sys::process::in_child;

/// Hidden, as in Docker (moby, daemon/pkg/oci/defaults.go): they tell of the machine, or are no business of a build.
const HIDDEN: [&str; 12] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Read-only, as in Docker. Where root of the namespace is root of the machine, the kernel lets it write some of them without any capability.
const READ_ONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Makes `root` the root directory of this process, with /proc, /dev, /sys and the attachments in it, and leaves the old one. The process is alone in
/// its mount namespace, as process 1 of its PID namespace. `own_network` says that its network namespace is a new one.
pub(super) fn enter(root: &Path, attachments: &[Attachment], own_network: bool) -> io::Result<()> {
    let plain = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .during(|| format!("opening {}", root.display()))?;
    // pivot_root(2) takes mount points only. All of it, as an overlay may be mounted there already.
    Detached::bind_all(plain.as_fd())?.attach(plain.as_fd()).during(|| "mounting the root directory")?;
    let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let root = root.as_fd();
    process_files()?.attach(place(root, "proc")?.as_fd()).during(|| "mounting /proc")?;
    make_devices(root).during(|| "making /dev")?;
    system_files(root, own_network).during(|| "mounting /sys")?;
    for path in HIDDEN {
        hide(root, path).during(|| format!("hiding /{path}"))?;
    }
    for path in READ_ONLY {
        protect(root, path).during(|| format!("making /{path} read-only"))?;
    }
    for attachment in attachments {
        attach(root, attachment).during(|| format!("mounting at {}", String::from_utf8_lossy(&attachment.target)))?;
    }
    change_root(root).during(|| "changing the root directory")
}

/// A /proc of this process' PID namespace.
///
/// # Errors
/// A [`Missing`] where parts of the place's own /proc are covered: the kernel then refuses another one, which would uncover them. The one of the place
/// is no substitute: it shows the arguments and environments' owners of all processes outside.
pub(super) fn process_files() -> io::Result<Detached> {
    Detached::filesystem("proc", &[], locked_down()).map_err(|error| Missing::process_files(&error).into())
}

/// Where something is mounted that the contract says is there.
fn place(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    resolve(root, path.as_bytes()).during(|| format!("looking up the mount point /{path}"))
}

fn make_devices(root: BorrowedFd<'_>) -> io::Result<()> {
    let settings = [Setting::Value("mode", "0755"), Setting::Value("size", "65536k")];
    let safe = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC;
    Detached::filesystem("tmpfs", &settings, safe)?.attach(place(root, "dev")?.as_fd())?;
    let dev = place(root, "dev")?;
    for (name, ..) in devices::all() {
        let outside = Path::new("/dev").join(name);
        let node = match Detached::bind(&outside) {
            // A command can do without.
            Err(_) if name == devices::TERMINAL.0 => continue,
            node => node.during(|| format!("using {}", outside.display()))?,
        };
        node.attach(empty_file(dev.as_fd(), name.as_bytes())?.as_fd())?;
    }
    for (name, target) in devices::LINKS.into_iter().chain([("ptmx", "pts/ptmx")]) {
        symlinkat(target, &dev, name)?;
    }
    let terminals = [
        Setting::Flag("newinstance"),
        Setting::Value("ptmxmode", "0666"),
        Setting::Value("mode", "0620"),
        Setting::Value("gid", "5"),
    ];
    let terminals = Detached::filesystem("devpts", &terminals, safe)?;
    let shared = [Setting::Value("mode", "1777"), Setting::Value("size", "65536k")];
    let shared = Detached::filesystem("tmpfs", &shared, locked_down())?;
    for (name, mount) in [("pts", terminals), ("shm", shared)] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755))?;
        mount.attach(resolve(dev.as_fd(), name.as_bytes())?.as_fd())?;
    }
    Ok(())
}

/// A new file, for something to be mounted on it.
fn empty_file(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(directory, name, flags, Mode::from_raw_mode(0o755))?)
}

/// Mounts a read-only /sys. The machine's own one would show what is mounted below it, such as debugfs; so it is a new one, which belongs to a network
/// namespace and is allowed to that one's owner only: a command on the host's network sees that of an empty network.
fn system_files(root: BorrowedFd<'_>, own_network: bool) -> io::Result<()> {
    let at = place(root, "sys")?;
    if own_network {
        return new_system_files(at.as_fd());
    }
    let status = in_child(|| {
        // SAFETY: CLONE_FILES, the only flag that takes care, isn't among them.
        let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNET) };
        let mounted = unshared.map_err(io::Error::from).and_then(|()| new_system_files(at.as_fd()));
        mounted.map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0)
    })?;
    match status.exit_status() {
        Some(0) => Ok(()),
        number => Err(io::Error::from_raw_os_error(number.unwrap_or(libc::EIO))),
    }
}

/// Where parts of the place's /sys are covered, it is empty, see [`process_files`]; few programs look there.
fn new_system_files(at: BorrowedFd<'_>) -> io::Result<()> {
    match Detached::filesystem("sysfs", &[], locked_down() | Attributes::MOUNT_ATTR_RDONLY) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Detached::nothing()?,
        other => other?,
    }
    .attach(at)
}

/// Covers a file by /dev/null, a directory by an empty one. What isn't there needs no cover.
fn hide(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let at = match resolve(root, path.as_bytes()) {
        Err(Errno::NOENT) => return Ok(()),
        at => at?,
    };
    let is_directory = FileType::from_raw_mode(fstat(&at)?.st_mode) == FileType::Directory;
    if is_directory { Detached::nothing() } else { Detached::bind(Path::new("/dev/null")) }?.attach(at.as_fd())
}

/// Mounts a file or directory on itself, read-only.
fn protect(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let at = match resolve(root, path.as_bytes()) {
        Err(Errno::NOENT) => return Ok(()),
        at => at?,
    };
    let read_only = locked_down() | Attributes::MOUNT_ATTR_RDONLY;
    Detached::bind_all(at.as_fd())?.restrict(read_only)?.attach(at.as_fd())
}

/// Puts an attachment at its target. One that lies in /dev or in another attachment may be missing there, and is made.
fn attach(root: BorrowedFd<'_>, attachment: &Attachment) -> io::Result<()> {
    let safe = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV;
    let mount = match &attachment.source {
        AttachmentSource::Path { path, writable } => {
            let attributes = if *writable { safe } else { safe | Attributes::MOUNT_ATTR_RDONLY };
            Detached::bind(path).during(|| format!("using {}", path.display()))?.restrict(attributes)?
        }
        AttachmentSource::Tmpfs(limit) => {
            let size = limit.map(|bytes| bytes.to_string());
            let mut settings = vec![Setting::Value("mode", "1777")];
            settings.extend(size.as_deref().map(|size| Setting::Value("size", size)));
            Detached::filesystem("tmpfs", &settings, safe)?
        }
    };
    let is_directory = match &attachment.source {
        AttachmentSource::Path { path, .. } => rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?,
        AttachmentSource::Tmpfs(_) => true,
    };
    mount.attach(target(root, &attachment.target, is_directory)?.as_fd())
}

/// The mount point at a path, made with its parents where it is missing.
fn target(root: BorrowedFd<'_>, path: &[u8], directory: bool) -> io::Result<OwnedFd> {
    let missing = match resolve(root, path) {
        Err(Errno::NOENT) => Path::new(std::ffi::OsStr::from_bytes(path)),
        found => return Ok(found?),
    };
    let (Some(parent), Some(name)) = (missing.parent(), missing.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = target(root, parent.as_os_str().as_bytes(), true)?;
    if directory {
        mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
    } else {
        empty_file(parent.as_fd(), name.as_bytes())?;
    }
    Ok(resolve(root, path)?)
}

/// Makes a mount point the root, and lets go of the old one. With `.` twice the old one comes to lie on the new one, from where it is taken off: no
/// directory is needed for it (pivot_root(2)).
fn change_root(root: BorrowedFd<'_>) -> io::Result<()> {
    fchdir(root)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}
