//! Files that the command needs and nobody keeps: `/dev`, the listing of `/proc`, directories in memory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use steprun_snapshot::disk::Owners;

use super::{devices, view};

/// A directory beside the root, removed at the end.
#[derive(Debug)]
pub(super) struct Scratch {
    at: PathBuf,
    names: AtomicU64,
}

impl Scratch {
    /// Makes it, with `/dev` and the listing of `/proc`.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let beside = root.parent().unwrap_or(root);
        let scratch = Self { at: beside.join(format!("scratch-{}", std::process::id())), names: AtomicU64::new(0) };
        fs::create_dir(&scratch.at)?;
        let dev = scratch.dev();
        directory(&dev, 0o755)?;
        for (name, ..) in devices::all() {
            fs::write(dev.join(name), "")?;
        }
        for (name, target) in devices::LINKS {
            symlink(target, dev.join(name))?;
        }
        directory(&dev.join("shm"), 0o1777)?;
        directory(&scratch.proc(), 0o755)?;
        view::make_listing(&scratch.proc())?;
        Ok(scratch)
    }

    /// Where `/dev` lies.
    pub(super) fn dev(&self) -> PathBuf {
        self.at.join("dev")
    }

    /// Where the listing of `/proc` lies.
    pub(super) fn proc(&self) -> PathBuf {
        self.at.join("proc")
    }

    /// A new directory that anybody may write.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) fn directory(&self) -> io::Result<PathBuf> {
        let at = self.at.join(self.name());
        directory(&at, 0o1777)?;
        Ok(at)
    }

    /// A symlink to a directory of the host, with a short name.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) fn link_to(&self, directory: &OsStr) -> io::Result<PathBuf> {
        let at = self.at.join(self.name());
        symlink(directory, &at)?;
        Ok(at)
    }

    fn name(&self) -> String {
        self.names.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Removes all, and what the table says of it: the inode numbers may come again.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) fn remove(&self, owners: &mut Owners) -> io::Result<()> {
        let mut gone = HashSet::new();
        collect(&self.at, &mut gone)?;
        owners.retain(|key, _| !gone.contains(key));
        fs::remove_dir_all(&self.at)
    }
}

fn directory(at: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir(at)?;
    fs::set_permissions(at, fs::Permissions::from_mode(mode))
}

fn collect(directory: &Path, keys: &mut HashSet<(u64, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        keys.insert((metadata.dev(), metadata.ino()));
        if metadata.is_dir() {
            collect(&entry.path(), keys)?;
        }
    }
    Ok(())
}
