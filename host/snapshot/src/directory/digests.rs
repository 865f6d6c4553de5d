//! Digests of files, without reading those that are known from before.
//!
//! The store has a table for each directory: what a file was when it was read (device, inode, size, modification and change time), and its digest. Of a
//! file that is the same by all of these nothing is read. A file that changed within [`SETTLED`] before it was read gets no entry: a second change within
//! one tick of the file system's clock would not be seen.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use oci_spec::image::Digest;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, Statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Directory, Links, kind, walk, xattrs};
use crate::hash::Hasher;
use crate::meta::Xattrs;
use crate::store::name_of;
use crate::{Error, Kind, Result, Store, name, parallel};

/// How long a file must have been as it is. The clocks of file systems tick every 10 ms at worst, FAT's every 2 s.
const SETTLED: Duration = Duration::from_secs(2);

/// Files that one thread takes at once.
const CHUNK: usize = 256;

/// A table with this many entries that nobody asked for is made anew.
const FORGOTTEN: usize = 50_000;

/// What tells that a file was not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl State {
    fn of(found: &Statx) -> Self {
        Self {
            size: found.stx_size,
            modified: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
            changed: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
        }
    }

    fn is_settled(&self, now: Duration) -> bool {
        let last = self.modified.max(self.changed);
        u64::try_from(last.0).is_ok_and(|seconds| Duration::new(seconds, last.1) + SETTLED < now)
    }
}

/// Device and inode.
type FileId = (u64, u64);

/// What is known of the files of a directory.
pub(super) type Table = HashMap<FileId, (State, String)>;

/// What came of one file.
struct Digested {
    file: FileId,
    state: State,
    digest: String,
    /// It had to be read, and may be remembered.
    is_new: bool,
}

impl Directory {
    /// A digest for each path, taken literally: of the content, and of the extended attributes that a layer would hold. Files that `store` knows are not
    /// read. Fails with [`Error::NotFound`], and with [`Error::Invalid`] if one is no regular file.
    pub fn digests(&self, store: &Store, paths: &[String]) -> Result<Vec<String>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let place = self.table_place(store);
        let mut table = self.0.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let table = table.get_or_insert_with(|| load(&place));
        let chunks: Vec<&[String]> = paths.chunks(CHUNK).collect();
        let mut all = Vec::with_capacity(paths.len());
        for chunk in parallel::map(&chunks, |chunk| self.digest_chunk(table, chunk)) {
            all.extend(chunk?);
        }
        if all.iter().any(|one| one.is_new) {
            remember(store, &place, table, &all)?;
        }
        Ok(all.into_iter().map(|one| one.digest).collect())
    }

    /// The file of the directory's table.
    fn table_place(&self, store: &Store) -> PathBuf {
        let real = self.0.path.canonicalize().unwrap_or_else(|_| self.0.path.clone());
        store.root().join("digests").join(name_of(real.as_os_str().as_bytes()))
    }

    fn digest_chunk(&self, table: &Table, paths: &[String]) -> Result<Vec<Digested>> {
        let mut parent: Option<(Vec<u8>, OwnedFd)> = None;
        let one = |path: &String| {
            let path = name::decode(path)?;
            let (above, file) = match path.iter().rposition(|byte| *byte == b'/') {
                Some(at) => (&path[..at], &path[at + 1..]),
                None => (&path[..0], &path[..]),
            };
            if parent.as_ref().is_none_or(|(known, _)| known != above) {
                let opened = self.open_inside(above, OFlags::PATH | OFlags::DIRECTORY, Links::None)?;
                parent = Some((above.to_vec(), opened));
            }
            let Some((_, directory)) = &parent else { return Err(self.error(&path, Errno::NOENT.into())) };
            self.digest(table, directory, file, &path)
        };
        paths.iter().map(one).collect()
    }

    fn digest(&self, table: &Table, parent: &OwnedFd, file: &[u8], path: &[u8]) -> Result<Digested> {
        let failed = |errno: Errno| self.error(path, errno.into());
        let c_name = std::ffi::CString::new(file).map_err(|_| failed(Errno::NOENT))?;
        let found = walk::statx_at(parent, &c_name).map_err(failed)?;
        if let Some((known, digest)) = table.get(&identity(&found))
            && kind(&found) == Kind::Regular
            && *known == State::of(&found)
        {
            return Ok(Digested { file: identity(&found), state: *known, digest: digest.clone(), is_new: false });
        }
        let (opened, _) = self.open_literal(path)?;
        self.read_digest(opened, path)
    }

    fn read_digest(&self, mut file: File, path: &[u8]) -> Result<Digested> {
        let io = |errno: Errno| Error::io("stat", self.full(path))(errno);
        let before = walk::stat(&file).map_err(io)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let content = hash(&mut file).map_err(Error::io("read", self.full(path)))?;
        let digest = with_xattrs(content, &xattrs(&file).map_err(io)?).to_string();
        let after = walk::stat(&file).map_err(io)?;
        let state = State::of(&after);
        let is_new = state == State::of(&before) && state.is_settled(now);
        Ok(Digested { file: identity(&after), state, digest, is_new })
    }
}

fn identity(found: &Statx) -> FileId {
    (u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor), found.stx_ino)
}

fn hash(file: &mut impl Read) -> std::io::Result<Digest> {
    let mut hasher = Hasher::sha256();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// A file without extended attributes has the digest of its content.
pub(crate) fn with_xattrs(content: Digest, xattrs: &Xattrs) -> Digest {
    if xattrs.is_empty() {
        return content;
    }
    let mut hasher = Hasher::sha256();
    hasher.update(content.as_ref().as_bytes());
    for (name, value) in xattrs {
        for text in [name, value] {
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
    }
    hasher.finish()
}

/// What an earlier run knew; nothing where it can't be understood.
fn load(place: &Path) -> Table {
    fs::read(place).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default()
}

fn remember(store: &Store, place: &Path, table: &mut Table, all: &[Digested]) -> Result<()> {
    if table.len() > all.len() + FORGOTTEN {
        table.clear();
    }
    let settled = all.iter().filter(|one| one.is_new);
    table.extend(settled.map(|one| (one.file, (one.state, one.digest.clone()))));
    let bytes = postcard::to_stdvec(table).map_err(std::io::Error::other).map_err(Error::io("write", place))?;
    store.replace(place, &[&bytes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256;

    struct Scene {
        work: tempfile::TempDir,
        store: Store,
    }

    impl Scene {
        fn new() -> Self {
            let work = tempfile::tempdir().unwrap();
            fs::create_dir_all(work.path().join("context/sub")).unwrap();
            let store = Store::open(work.path().join("store")).unwrap();
            Self { work, store }
        }

        /// A file that has been as it is for a while.
        fn settled(&self, file: &str, content: &str) -> PathBuf {
            let path = self.work.path().join("context").join(file);
            fs::write(&path, content).unwrap();
            path
        }

        fn context(&self) -> Directory {
            Directory::open(&self.work.path().join("context"), "context").unwrap()
        }

        fn digests(&self, paths: &[&str]) -> Result<Vec<String>> {
            self.context().digests(&self.store, &paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
        }
    }

    #[test]
    fn they_are_of_contents() {
        let scene = Scene::new();
        scene.settled("a", "1");
        scene.settled("sub/b", "1");
        scene.settled("sub/c", "2");
        let digests = scene.digests(&["a", "sub/b", "sub/c"]).unwrap();
        assert_eq!(digests[0], sha256(b"1").to_string());
        assert_eq!(digests[0], digests[1]);
        assert_eq!(digests[2], sha256(b"2").to_string());
        scene.settled("sub/c", "3");
        assert_eq!(scene.digests(&["sub/c"]).unwrap(), [sha256(b"3").to_string()]);
    }

    #[test]
    fn what_is_known_is_not_read() {
        let scene = Scene::new();
        let path = scene.settled("a", "1");
        let found = walk::stat(File::open(&path).unwrap()).unwrap();
        let entry = (State::of(&found), "known".to_owned());
        let place = scene.context().table_place(&scene.store);
        let one = Digested { file: identity(&found), state: entry.0, digest: entry.1, is_new: true };
        remember(&scene.store, &place, &mut Table::new(), &[one]).unwrap();
        assert_eq!(scene.digests(&["a"]).unwrap(), ["known"]);
        // A new file under the old name, with the old size and modification time.
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::remove_file(&path).unwrap();
        scene.settled("a", "2");
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_eq!(scene.digests(&["a"]).unwrap(), [sha256(b"2").to_string()]);
    }

    #[test]
    fn what_has_just_changed_is_not_remembered() {
        let at = |seconds: i64| State { size: 0, modified: (0, 0), changed: (seconds, 0) };
        let now = Duration::from_secs(100);
        assert!(at(97).is_settled(now));
        assert!(!at(98).is_settled(now) && !at(100).is_settled(now) && !at(200).is_settled(now));
        let scene = Scene::new();
        scene.settled("a", "1");
        scene.digests(&["a"]).unwrap();
        assert!(!scene.store.root().join("digests").exists());
    }

    #[test]
    fn what_has_no_digest() {
        let scene = Scene::new();
        std::os::unix::fs::symlink("/etc", scene.work.path().join("context/link")).unwrap();
        for path in ["none", "sub", "link", "link/passwd", "none/a"] {
            assert!(scene.digests(&[path]).is_err(), "{path}");
        }
        assert_eq!(scene.digests(&[]).unwrap(), Vec::<String>::new());
    }
}
