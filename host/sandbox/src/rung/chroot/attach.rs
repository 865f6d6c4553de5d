//! What the command sees besides its image, where nothing can be mounted: it is moved to its target, and back afterwards.
//!
//! What was at the target waits in a directory beside the root, `<workspace>/attached/<n>`. The command may do with the target what it
//! can't do with a mount point: move it, remove it, or put something else in its place, even a link that leads out of the root. So nothing is
//! looked up by path afterwards: directories and what was attached are known by descriptors.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, chownat,
    fstat, futimens, mkdirat, open, openat2, renameat_with, statat,
};
use rustix::io::Errno;

use super::devices;
use super::record::Record;
use crate::request::{Attachment, AttachmentSource};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// All that is attached to a root file system.
#[derive(Debug)]
pub(super) struct Attached {
    root: OwnedFd,
    /// Holds what waits and what is thrown away; removed with the workspace.
    beside: PathBuf,
    places: Vec<Place>,
}

/// Something at its target.
#[derive(Debug)]
struct Place {
    /// Holds the target, wherever the command moves it.
    parent: OwnedFd,
    name: OsString,
    /// What is attached, wherever the command moves it.
    file: OwnedFd,
    found: Stat,
    home: Home,
    /// What was at the target before, if there was anything.
    kept: PathBuf,
}

/// Where something belongs when it is not attached.
#[derive(Debug)]
enum Home {
    /// There; a directory is made anew if the command has removed it.
    At(PathBuf),
    /// Nowhere: it was made for this run.
    Scrap(PathBuf),
}

impl Home {
    fn path(&self) -> &Path {
        let (Self::At(path) | Self::Scrap(path)) = self;
        path
    }
}

impl Attached {
    /// Nothing yet. `root` is the workspace's, whose parent is the workspace.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let above = root.parent().ok_or(io::ErrorKind::InvalidInput)?.join(super::record::DIRECTORY);
        fs::DirBuilder::new().recursive(true).create(&above)?;
        let root = open(root, DIRECTORY, Mode::empty())?;
        for number in 0_u32.. {
            let beside = above.join(number.to_string());
            match devices::make_directory(&beside, 0o700) {
                Ok(()) => return Ok(Self { root, beside, places: Vec::new() }),
                // An earlier run in this workspace.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    /// Gives the command its /dev.
    pub(super) fn devices(&mut self) -> io::Result<()> {
        let made = self.beside.join("dev");
        devices::make(&made)?;
        self.put(b"/dev", Home::Scrap(made))
    }

    /// Gives the command an empty /proc, and the caller that directory.
    pub(super) fn processes(&mut self) -> io::Result<OwnedFd> {
        let made = self.beside.join("proc");
        devices::make_directory(&made, 0o555)?;
        let directory = open(&made, DIRECTORY, Mode::empty())?;
        self.put(b"/proc", Home::Scrap(made))?;
        Ok(directory)
    }

    /// Attaches all, in their order. On failure some are attached.
    pub(super) fn all(&mut self, attachments: &[Attachment]) -> io::Result<()> {
        for Attachment { target, source } in attachments {
            let home = match source {
                AttachmentSource::Path { path, .. } => Home::At(path.clone()),
                AttachmentSource::Tmpfs(_) => {
                    let made = self.beside.join(format!("{}.tmpfs", self.places.len()));
                    devices::make_directory(&made, 0o1777)?;
                    Home::Scrap(made)
                }
            };
            let path = home.path().to_owned();
            self.put(target, home).map_err(|error| explain(error, &path, target))?;
        }
        Ok(())
    }

    fn put(&mut self, target: &[u8], home: Home) -> io::Result<()> {
        let (above, name) = split(target)?;
        let parent = directory(&self.root, above)?;
        let file = open(home.path(), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let found = fstat(&file)?;
        let number = self.places.len();
        let place = Place { parent, name, file, found, home, kept: self.beside.join(format!("{number}.kept")) };
        if let Home::At(home) = &place.home {
            Record::new(home, target, &found).write(&self.beside.join(format!("{number}.record")))?;
        }
        place.arrive()?;
        self.places.push(place);
        Ok(())
    }

    /// Puts everything back, the last first; goes on after a failure. No process of the command is alive.
    ///
    /// # Errors
    /// The first failure.
    pub(super) fn restore(mut self) -> io::Result<()> {
        let mut result = Ok(());
        while let Some(place) = self.places.pop() {
            let number = self.places.len();
            let returned = place.leave(&self.beside.join(format!("{number}.replaced"))).map_err(|error| {
                let name = place.name.display();
                let reason =
                    format!("taking `{name}` out of the root, back to `{}`: {error}", place.home.path().display());
                io::Error::new(error.kind(), reason)
            });
            // A record of what is home is harmless, but there is nothing to look for any more.
            if returned.is_ok() {
                let _ = fs::remove_file(self.beside.join(format!("{number}.record")));
            }
            result = result.and(returned);
        }
        result
    }
}

impl Place {
    /// Moves what is to be attached to the target, or changes nothing.
    fn arrive(&self) -> io::Result<()> {
        let times = fstat(&self.parent)?;
        let kept = move_from(&self.parent, &self.name, &self.kept)?;
        let arrived = renameat_with(CWD, self.home.path(), &self.parent, &self.name, RenameFlags::NOREPLACE);
        if arrived.is_err() && kept {
            renameat_with(CWD, &self.kept, &self.parent, &self.name, RenameFlags::NOREPLACE)?;
        }
        set_time(&self.parent, &times)?;
        Ok(arrived?)
    }

    /// Moves it home, and what was there before back to the target. What the command put in its place goes to `replaced`.
    fn leave(&self, replaced: &Path) -> io::Result<()> {
        let times = fstat(&self.parent)?;
        if self.is_at(statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)) {
            renameat_with(&self.parent, &self.name, CWD, self.home.path(), RenameFlags::NOREPLACE)?;
        } else {
            move_from(&self.parent, &self.name, replaced)?;
            self.bring_home()?;
        }
        match renameat_with(CWD, &self.kept, &self.parent, &self.name, RenameFlags::NOREPLACE) {
            // There was nothing, or the directory it was in is removed.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        set_time(&self.parent, &times)
    }

    /// Finds what the command has moved elsewhere. It can be anywhere in the root; the kernel knows where.
    fn bring_home(&self) -> io::Result<()> {
        let now = fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        if self.is_at(statat(CWD, &now, AtFlags::SYMLINK_NOFOLLOW)) {
            return Ok(renameat_with(CWD, &now, CWD, self.home.path(), RenameFlags::NOREPLACE)?);
        }
        let Home::At(home) = &self.home else { return Ok(()) };
        let mode = self.found.st_mode;
        if rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Directory {
            devices::make_directory(home, mode & 0o7777)?;
            let (user, group) = (Uid::from_raw(self.found.st_uid), Gid::from_raw(self.found.st_gid));
            chownat(CWD, home, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn is_at(&self, found: Result<Stat, Errno>) -> bool {
        found.is_ok_and(|found| (found.st_dev, found.st_ino) == (self.found.st_dev, self.found.st_ino))
    }
}

/// Moves an entry of a directory away. Whether there was one; none is in a directory that is removed.
fn move_from(parent: &OwnedFd, name: &OsStr, to: &Path) -> io::Result<bool> {
    match renameat_with(parent, name, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives a directory the modification time that it had: our moves are no changes of the command's.
fn set_time(directory: &OwnedFd, found: &Stat) -> io::Result<()> {
    let modified = Timespec { tv_sec: found.st_mtime, tv_nsec: found.st_mtime_nsec as _ };
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Ok(futimens(directory, &Timestamps { last_access: omit, last_modification: modified })?)
}

/// The directory's part of an absolute path without its leading slash, and the last name.
pub(super) fn split(target: &[u8]) -> io::Result<(&OsStr, OsString)> {
    let inside = target.strip_prefix(b"/").filter(|inside| !inside.is_empty());
    let inside =
        inside.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "nothing can be attached at the root"))?;
    let at = inside.iter().rposition(|byte| *byte == b'/');
    let (above, name) = at.map_or((&b"."[..], inside), |at| (&inside[..at], &inside[at + 1..]));
    Ok((OsStr::from_bytes(above), OsStr::from_bytes(name).to_owned()))
}

/// Opens a directory below `root`, which is the root of links too. What is missing is made: it can be missing only in our own /dev.
pub(super) fn directory(root: &OwnedFd, path: &OsStr) -> io::Result<OwnedFd> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(root.as_fd(), path, DIRECTORY, Mode::empty(), inside) {
        Err(Errno::NOENT) => {
            let (above, name) =
                split(&[b"/", path.as_bytes()].concat()).map(|(above, name)| (above.to_owned(), name))?;
            let above = directory(root, &above)?;
            mkdirat(&above, &name, Mode::from_raw_mode(0o755))?;
            Ok(openat2(&above, &name, DIRECTORY, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?)
        }
        opened => Ok(opened?),
    }
}

fn explain(error: io::Error, path: &Path, target: &[u8]) -> io::Error {
    let (path, target) = (path.display(), String::from_utf8_lossy(target));
    let reason = match error.raw_os_error() {
        Some(libc::EXDEV) => format!(
            "`{path}` can't be moved to `{target}` in the root file system, since they lie on different file systems; the rung `chroot` can't mount, \
             so all of the store must lie on one"
        ),
        _ => format!("attaching `{path}` at `{target}`: {error}"),
    };
    io::Error::new(error.kind(), reason)
}
