//! Build contexts, exact in all that a layer records.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lsetxattr, utimensat};
use tempfile::TempDir;

/// The modification time, in seconds since 1970, of whatever is given no other.
pub const MTIME: i64 = 1_700_000_000;

/// A directory that is being filled, and is removed when it is dropped. Files get the mode 644, directories 755, whatever the umask
/// says; both belong to root.
#[derive(Debug)]
pub struct Context {
    directory: TempDir,
    times: BTreeMap<PathBuf, i64>,
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// An empty directory.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        Self { directory, times: BTreeMap::new() }
    }

    /// A directory with this Dockerfile.
    pub fn with_dockerfile(text: &str) -> Self {
        Self::new().file("Dockerfile", text)
    }

    /// The directory, with all times set.
    pub fn path(&self) -> &Path {
        let mut pending = vec![self.directory.path().to_owned()];
        while let Some(path) = pending.pop() {
            if path.symlink_metadata().unwrap().is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let seconds = self.times.get(&path).copied().unwrap_or(MTIME);
            let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        self.directory.path()
    }

    /// Adds a file; directories that it needs are made.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let full = self.place(path);
        fs::write(&full, content).unwrap();
        fs::set_permissions(&full, Permissions::from_mode(0o644)).unwrap();
        self
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        let full = self.place(path);
        make_directories(&full);
        self
    }

    /// Adds a symlink.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        symlink(target, self.place(path)).unwrap();
        self
    }

    /// Adds another name of a file.
    #[must_use]
    pub fn hard_link(self, path: &str, existing: &str) -> Self {
        fs::hard_link(self.directory.path().join(existing), self.place(path)).unwrap();
        self
    }

    /// Adds a fifo.
    #[must_use]
    pub fn fifo(self, path: &str) -> Self {
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(CWD, self.place(path), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        self
    }

    /// Sets permission bits.
    #[must_use]
    pub fn mode(self, path: &str, mode: u32) -> Self {
        fs::set_permissions(self.directory.path().join(path), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Sets the owner. Clears setuid and setgid, so set the mode afterwards.
    #[must_use]
    pub fn owner(self, path: &str, uid: u32, gid: u32) -> Self {
        lchown(self.directory.path().join(path), Some(uid), Some(gid)).unwrap();
        self
    }

    /// Sets the modification time, in seconds since 1970.
    #[must_use]
    pub fn modified(mut self, path: &str, seconds: i64) -> Self {
        self.times.insert(self.directory.path().join(path), seconds);
        self
    }

    /// Sets an extended attribute.
    #[must_use]
    pub fn xattr(self, path: &str, name: &str, value: &[u8]) -> Self {
        let full = self.directory.path().join(path);
        lsetxattr(&full, name, value, XattrFlags::empty())
            .unwrap_or_else(|error| panic!("can't set {name} of {}: {error}", full.display()));
        self
    }

    fn place(&self, path: &str) -> PathBuf {
        let full = self.directory.path().join(path);
        make_directories(full.parent().unwrap());
        full
    }
}

fn make_directories(path: &Path) {
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for directory in missing.into_iter().rev() {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    }
}
