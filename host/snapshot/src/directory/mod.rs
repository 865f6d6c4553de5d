//! A directory of the caller, read-only.

mod digests;
mod walk;

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags, Statx};
use rustix::io::Errno;

pub(crate) use self::digests::with_xattrs;
use crate::meta::Xattrs;
use crate::{Entry, Error, Kind, Result, Stat, Timestamp, name, parallel};
use walk::{Link, Stop};

/// How often `openat2` is asked again while somebody renames directories under it.
const RACE_RETRIES: usize = 32;

/// A granted directory. Paths are resolved inside it as if it were the root of a file system. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    path: PathBuf,
    root: OwnedFd,
    device: (u32, u32),
    /// The kernel, or a filter before it, has no `openat2`.
    walk_only: AtomicBool,
    /// What is known of its files, once somebody has asked.
    digests: Mutex<Option<digests::Table>>,
}

/// What tells that a file is still the one that was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    pub(crate) inode: u64,
}

/// Which symlinks of a path are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    All,
    AllButLast,
    None,
}

impl Directory {
    /// Opens a directory; `name` is how its caller typed it. Fails with [`Error::NotFound`], and with [`Error::Invalid`] if it is no directory.
    pub fn open(path: &Path, name: impl Into<String>) -> Result<Self> {
        let root = walk::open_root(path).map_err(|errno| match errno {
            Errno::NOENT => Error::NotFound(format!("there is no directory `{}`", path.display())),
            Errno::NOTDIR => Error::Invalid(format!("`{}` is no directory", path.display())),
            _ => Error::io("open", path)(errno),
        })?;
        Self::at(root, path, name.into())
    }

    /// A directory in this one, symlinks in `path` resolved, as one of its own. Fails as [`Directory::list`] does.
    pub fn below(&self, path: &str) -> Result<Self> {
        let bytes = name::decode(path)?;
        if self.stat(path, true)?.kind != Kind::Directory {
            return Err(Error::Invalid(format!("`{path}` in the context `{}` is no directory", self.0.name)));
        }
        let root = self.open_inside(&bytes, OFlags::RDONLY | OFlags::DIRECTORY, Links::All)?;
        Self::at(root, &self.full(&bytes), format!("{}/{path}", self.0.name.trim_end_matches('/')))
    }

    fn at(root: OwnedFd, path: &Path, name: String) -> Result<Self> {
        let stat = walk::stat(&root).map_err(Error::io("stat", path))?;
        let device = (stat.stx_dev_major, stat.stx_dev_minor);
        let walk_only = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { name, path: path.into(), root, device, walk_only, digests: Mutex::default() })))
    }

    /// As typed.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Metadata of a path; `follow` says whether a symlink in the last component is resolved.
    /// Fails with [`Error::NotFound`], [`Error::Denied`], and [`Error::Invalid`] on a loop of links.
    pub fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        let bytes = name::decode(path)?;
        let links = if follow { Links::All } else { Links::AllButLast };
        let fd = self.open_inside(&bytes, OFlags::PATH, links)?;
        let found = walk::stat(&fd).map_err(Error::io("stat", self.full(&bytes)))?;
        self.describe(&found, &fd, c"").map_err(Error::io("read the link", self.full(&bytes)))
    }

    /// The entries of a directory, sorted by the bytes of their names; symlinks in `path` are resolved.
    /// Fails as [`Directory::stat`] does, and with [`Error::Invalid`] if it is no directory.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let bytes = name::decode(path)?;
        let fd = match self.open_inside(&bytes, OFlags::RDONLY | OFlags::DIRECTORY, Links::All) {
            Err(Error::NotFound(_)) if self.stat(path, true).is_ok() => {
                return Err(Error::Invalid(format!("`{path}` in the context `{}` is no directory", self.0.name)));
            }
            opened => opened?,
        };
        let mut entries = self.entries(&fd).map_err(Error::io("list", self.full(&bytes)))?;
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(entries.into_iter().map(|(file, stat)| Entry { name: name::encode(&file), stat }).collect())
    }

    /// The entries of several directories, read side by side. Fails as [`Directory::list`] does.
    pub fn lists(&self, paths: &[String]) -> Result<Vec<Vec<Entry>>> {
        parallel::map(paths, |path| self.list(path)).into_iter().collect()
    }

    /// A small file, symlinks resolved. Fails as [`Directory::stat`] does, and with [`Error::Invalid`] if it is no regular file or
    /// larger than `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let bytes = name::decode(path)?;
        let (file, identity) = self.open_regular(&bytes, Links::All)?;
        let too_large =
            || Error::Invalid(format!("`{path}` in the context `{}` is larger than {limit} bytes", self.0.name));
        if identity.size > limit {
            return Err(too_large());
        }
        let mut content = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut content);
        read.map_err(Error::io("read", self.full(&bytes)))?;
        if content.len() as u64 > limit { Err(too_large()) } else { Ok(content) }
    }

    /// The path with all symlinks resolved, without leading `/`; empty for the root. Fails as [`Directory::stat`] does.
    pub fn real_path(&self, path: &str) -> Result<String> {
        let bytes = name::decode(path)?;
        match walk::walk(self.0.root.as_fd(), &bytes, true, true) {
            Ok(place) => Ok(name::encode(&place.path())),
            Err(stop) => Err(self.error(&bytes, stop)),
        }
    }

    /// Opens a regular file by its literal path: no symlink is followed.
    pub(crate) fn open_literal(&self, path: &[u8]) -> Result<(File, Identity)> {
        self.open_regular(path, Links::None)
    }

    /// Where a path lies on the host, for messages.
    pub(crate) fn full(&self, path: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        name::components(path).fold(self.0.path.clone(), |full, part| full.join(std::ffi::OsStr::from_bytes(part)))
    }

    fn open_regular(&self, path: &[u8], links: Links) -> Result<(File, Identity)> {
        // Not blocking: a fifo or device that took the file's place must not hang us.
        let fd = self.open_inside(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, links)?;
        let file = File::from(fd);
        let (kind, identity) = identify(&file).map_err(Error::io("stat", self.full(path)))?;
        match kind {
            Kind::Regular => Ok((file, identity)),
            _ => Err(Error::Invalid(format!(
                "`{}` in the context `{}` is no regular file",
                name::encode(path),
                self.0.name
            ))),
        }
    }

    fn open_inside(&self, path: &[u8], flags: OFlags, links: Links) -> Result<OwnedFd> {
        match self.open_by_kernel(path, flags, links) {
            Ok(fd) => Ok(fd),
            // The walk names the link that led out.
            Err(Errno::NOENT) if links != Links::None => self.open_by_walk(path, flags, links),
            Err(Errno::NOSYS | Errno::PERM) => {
                self.0.walk_only.store(true, Ordering::Relaxed);
                self.open_by_walk(path, flags, links)
            }
            Err(errno) => Err(self.error(path, errno.into())),
        }
    }

    fn open_by_kernel(&self, path: &[u8], flags: OFlags, links: Links) -> Result<OwnedFd, Errno> {
        if self.0.walk_only.load(Ordering::Relaxed) {
            return Err(Errno::NOSYS);
        }
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut flags = flags | OFlags::CLOEXEC;
        if links != Links::All {
            flags |= OFlags::NOFOLLOW;
        }
        if links == Links::None {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        // Like the walk, and like a snapshot, the kernel shall not see what a slash at the end would mean.
        let path = name::components(path).collect::<Vec<_>>().join(&b'/');
        let path = if path.is_empty() { b"." } else { path.as_slice() };
        let mut result = Err(Errno::AGAIN);
        for _ in 0..RACE_RETRIES {
            result = rustix::fs::openat2(&self.0.root, path, flags, Mode::empty(), resolve);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result
    }

    fn open_by_walk(&self, path: &[u8], flags: OFlags, links: Links) -> Result<OwnedFd> {
        let place = walk::walk(self.0.root.as_fd(), path, links == Links::All, links != Links::None);
        place.and_then(|place| place.open(flags).map_err(Stop::System)).map_err(|stop| self.error(path, stop))
    }

    fn error(&self, path: &[u8], stop: Stop) -> Error {
        let (shown, context) = (name::encode(path), &self.0.name);
        match stop {
            Stop::LedOut(Link { path, target, .. }) => {
                Error::Denied { context: context.clone(), link: name::encode(&path), target: name::encode(&target) }
            }
            Stop::System(Errno::NOENT | Errno::NOTDIR) => {
                Error::NotFound(format!("there is no `{shown}` in the context `{context}`"))
            }
            Stop::System(Errno::LOOP) => {
                Error::Invalid(format!("the symlinks of `{shown}` in the context `{context}` don't end"))
            }
            Stop::System(Errno::NXIO) => {
                Error::Invalid(format!("`{shown}` in the context `{context}` is no regular file"))
            }
            Stop::System(errno) => Error::io("open", self.full(path))(errno),
        }
    }

    fn entries(&self, fd: &OwnedFd) -> Result<Vec<(Vec<u8>, Stat)>, Errno> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 32 * 1024];
        let mut raw = RawDir::new(fd, &mut buffer);
        let mut entries = Vec::new();
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let file = entry.file_name();
            if matches!(file.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = walk::statx_at(fd, file).and_then(|found| self.describe(&found, fd, file));
            match stat {
                Ok(stat) => entries.push((file.to_bytes().to_vec(), stat)),
                // Removed since the directory was read: it is not an entry any more.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(entries)
    }

    /// Metadata of `file` in the directory `fd` (or of `fd` itself, with an empty name).
    fn describe(&self, found: &Statx, fd: &OwnedFd, file: &std::ffi::CStr) -> Result<Stat, Errno> {
        let kind = kind(found);
        let target = match kind {
            Kind::Symlink => Some(name::encode(rustix::fs::readlinkat(fd, file, Vec::new())?.as_bytes())),
            _ => None,
        };
        let linked = found.stx_nlink > 1
            && kind != Kind::Directory
            && (found.stx_dev_major, found.stx_dev_minor) == self.0.device;
        Ok(Stat {
            kind,
            mode: u32::from(found.stx_mode) & 0o7777,
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: if kind == Kind::Regular { found.stx_size } else { 0 },
            modified: modified(found),
            target,
            // Numbers of another file system, mounted below, could be the same by chance.
            link_group: linked.then_some(found.stx_ino),
        })
    }
}

/// What an open file is, and which.
pub(crate) fn identify(file: &File) -> Result<(Kind, Identity), Errno> {
    let found = walk::stat(file)?;
    Ok((kind(&found), Identity { size: found.stx_size, modified: modified(&found), inode: found.stx_ino }))
}

/// The extended attributes of a file of the caller that belong into an image: `security.capability` and `user.*`.
pub(crate) fn xattrs(file: &File) -> Result<Xattrs, Errno> {
    xattrs_where(file, |attribute| attribute == b"security.capability" || attribute.starts_with(b"user."))
}

/// The extended attributes of an open file or directory whose names `keep` accepts; none where the file system has no such thing.
pub(crate) fn xattrs_where(file: impl AsFd, keep: impl Fn(&[u8]) -> bool) -> Result<Xattrs, Errno> {
    let file = file.as_fd();
    let mut names = vec![0; 256];
    let length = loop {
        match rustix::fs::flistxattr(file, names.as_mut_slice()) {
            Err(Errno::RANGE) => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
            other => break other?,
        }
    };
    let mut xattrs = Xattrs::new();
    for attribute in names[..length].split(|byte| *byte == 0) {
        if !attribute.is_empty() && keep(attribute) {
            let mut value = vec![0; rustix::fs::fgetxattr_query(file, attribute)?];
            let length = rustix::fs::fgetxattr(file, attribute, value.as_mut_slice())?;
            value.truncate(length);
            xattrs.insert(attribute.to_vec(), value);
        }
    }
    Ok(xattrs)
}

fn kind(found: &Statx) -> Kind {
    match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharacterDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        _ => Kind::Regular,
    }
}

fn modified(found: &Statx) -> Timestamp {
    Timestamp { seconds: found.stx_mtime.tv_sec, nanoseconds: found.stx_mtime.tv_nsec }
}

#[cfg(test)]
mod tests;
