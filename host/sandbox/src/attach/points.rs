//! Mount points: made where the file system has none, taken away afterwards unless the command put something there (BuildKit, `executor/stubs.go`).

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::is_directory;
use crate::request::{Attachment, AttachmentSource};

/// Mount points of one run. Paths have no symlinks in them: they were resolved in the snapshot that the root holds, which only this process changes.
pub(crate) struct Points {
    root: PathBuf,
    /// Made by us, parents first, with what the directory above was before.
    made: Vec<(PathBuf, Timestamps)>,
}

impl Points {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), made: Vec::new() }
    }

    /// Makes a directory that stays, with those above it. Their time (seconds since 1970) is given, since it becomes part of the layer.
    pub(crate) fn keep(&self, path: &[u8], time: i64) -> io::Result<()> {
        let at = Timespec { tv_sec: time, tv_nsec: 0 };
        let mut here = self.root.clone();
        let mut made = Vec::new();
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            here.push(OsStr::from_bytes(part));
            match DirBuilder::new().mode(0o755).create(&here) {
                Ok(()) => made.push(here.clone()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        // What is made in a directory changes its time.
        let times = Timestamps { last_access: at, last_modification: at };
        made.iter().rev().try_for_each(|path| Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Makes a mount point of the kind that its source needs. It may lie in what is mounted before it.
    pub(crate) fn make(&mut self, target: &[u8], source: &AttachmentSource, before: &[Attachment]) -> io::Result<()> {
        let (below, rest) = self.place(target, before);
        let Some(below) = below else { return Ok(()) };
        let mut path = below;
        let parts: Vec<&[u8]> = rest.split(|byte| *byte == b'/').collect();
        for (at, part) in parts.iter().enumerate() {
            path.push(OsStr::from_bytes(part));
            let directory = at + 1 < parts.len() || is_directory(source);
            match fs::symlink_metadata(&path) {
                Ok(there) if there.is_dir() == directory => {}
                Ok(_) => return Err(wrong_kind(target, directory)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.add(&path, directory)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The host directory that a target is made in, and the rest of the path: the last attachment above it, else the root. None where that is memory
    /// of a rung's own, which makes mount points itself.
    fn place<'t>(&self, target: &'t [u8], before: &[Attachment]) -> (Option<PathBuf>, &'t [u8]) {
        let above = before.iter().rev().find_map(|attachment| {
            let rest = target.strip_prefix(&attachment.target[1..])?.strip_prefix(b"/")?;
            Some((attachment, rest))
        });
        match above {
            None if target.starts_with(b"dev/") => (None, target),
            None => (Some(self.root.clone()), target),
            Some((Attachment { source: AttachmentSource::Path { path, .. }, .. }, rest)) => (Some(path.clone()), rest),
            Some((_, rest)) => (None, rest),
        }
    }

    fn add(&mut self, path: &Path, directory: bool) -> io::Result<()> {
        let parent = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
        let before = Timestamps {
            last_access: Timespec { tv_sec: parent.atime(), tv_nsec: parent.atime_nsec() },
            last_modification: Timespec { tv_sec: parent.mtime(), tv_nsec: parent.mtime_nsec() },
        };
        if directory {
            DirBuilder::new().mode(0o755).create(path)?;
        } else {
            File::create_new(path)?;
        }
        self.made.push((path.to_owned(), before));
        Ok(())
    }

    /// Takes away what was made and is still empty, and gives the directories above the times that they had.
    pub(crate) fn remove(self) -> io::Result<()> {
        for (path, before) in self.made.into_iter().rev() {
            let Ok(there) = fs::symlink_metadata(&path) else { continue };
            if there.is_dir() {
                match fs::remove_dir(&path) {
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => continue,
                    outcome => outcome?,
                }
            } else if there.is_file() && there.len() == 0 {
                fs::remove_file(&path)?;
            } else {
                continue;
            }
            utimensat(CWD, path.parent().unwrap_or(Path::new("/")), &before, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }
}

fn wrong_kind(target: &[u8], directory: bool) -> io::Error {
    let (is, wanted) = if directory { ("a file", "a directory") } else { ("a directory", "a file") };
    let target = String::from_utf8_lossy(target);
    io::Error::other(format!("`/{target}` is {is} in the image, and {wanted} shall be mounted there"))
}
