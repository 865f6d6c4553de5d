//! A content-addressed store in a directory.
//!
//! `blobs/<algorithm>/<hex>` holds blobs, uncompressed layers among them, `toc/` tables of contents, `records/` what steps remember, `digests/` those of
//! the files of contexts, `tmp/` what is being written.
//! Files appear by rename, whole and verified, so any number of processes can share a store without locks.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oci_spec::image::Digest;
use rustix::fs::{FlockOperation, flock};
use tempfile::{NamedTempFile, TempDir};

use crate::hash::{Hasher, Hashing, sha256};
use crate::{Error, Result};

/// How long a temporary file may be without its lock after it was made.
const UNLOCKED: Duration = Duration::from_secs(5);

/// A store. Clones are handles to the same directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<Path>,
    /// Held shared by those who use the store: see [`crate::maintain`].
    _lock: Arc<File>,
}

/// The file that is locked by those who use a store.
pub(crate) const LOCK: &str = "lock";

impl Store {
    /// Opens a store, which is made (for its user only, mode 0700) where there is none.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for part in ["blobs/sha256", "blobs/sha512", "toc", "tmp"] {
            let path = root.join(part);
            builder.create(&path).map_err(Error::io("create the directory", &path))?;
        }
        let lock = lock(&root.join(LOCK))?;
        remove_abandoned(&root.join("tmp"));
        Ok(Self { root: root.into(), _lock: Arc::new(lock) })
    }

    /// A store that is locked already.
    pub(crate) fn locked(root: &Path, lock: File) -> Self {
        Self { root: root.into(), _lock: Arc::new(lock) }
    }

    /// Where the store lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The size in bytes of a blob that is here.
    pub fn contains(&self, digest: &Digest) -> Option<u64> {
        let metadata = fs::metadata(self.blob_path(digest).ok()?).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Opens a blob for reading. Fails with [`Error::NotFound`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest)?;
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound(format!("the store has no blob {digest}")),
            _ => Error::io("open", &path)(error),
        })
    }

    /// Reads a blob whole and verifies it. Fails with [`Error::NotFound`], [`Error::Invalid`] where it is larger than `limit` bytes, and [`Error::Corrupt`].
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let path = self.blob_path(digest)?;
        let mut content = Vec::new();
        let file = self.open_blob(digest)?;
        file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(Error::io("read", &path))?;
        if content.len() as u64 > limit {
            return Err(Error::Invalid(format!("the blob {digest} is larger than {limit} bytes")));
        }
        let mut hasher = Hasher::of(digest)?;
        hasher.update(&content);
        match hasher.finish() {
            found if found == *digest => Ok(content),
            found => Err(Error::Corrupt(format!(
                "the stored blob {digest} has the digest {found}; remove `{}`, and it will be fetched again",
                path.display()
            ))),
        }
    }

    /// Begins a blob with a SHA-256 digest.
    pub fn writer(&self) -> Result<BlobWriter> {
        self.begin(Hasher::sha256())
    }

    /// Begins a blob with a digest of the same algorithm as `expected`. Fails with [`Error::Unsupported`] if that is none of ours.
    pub fn writer_for(&self, expected: &Digest) -> Result<BlobWriter> {
        self.begin(Hasher::of(expected)?)
    }

    /// Begins a blob whose bytes are verified by who gives them: [`BlobWriter::finish`] checks no more than their count. Fails with
    /// [`Error::Unsupported`] as [`Store::writer_for`] does.
    pub fn writer_of_verified(&self, digest: &Digest) -> Result<BlobWriter> {
        Hasher::of(digest)?;
        self.begin(Hasher::Verified(digest.clone()))
    }

    /// Stores bytes; gives their SHA-256 digest.
    pub fn put_bytes(&self, content: &[u8]) -> Result<Digest> {
        let mut writer = self.writer()?;
        let path = writer.path().to_owned();
        writer.write_all(content).map_err(Error::io("write", path))?;
        writer.finish(None).map(|(digest, _)| digest)
    }

    fn begin(&self, hasher: Hasher) -> Result<BlobWriter> {
        Ok(BlobWriter { store: self.clone(), file: Hashing::new(self.temporary()?, hasher) })
    }

    /// A file in `tmp/` that is gone when dropped.
    pub(crate) fn temporary(&self) -> Result<NamedTempFile> {
        let directory = self.root.join("tmp");
        let file = NamedTempFile::new_in(&directory).map_err(Error::io("create a file in", &directory))?;
        flock(file.as_file(), FlockOperation::LockShared).map_err(Error::io("lock", file.path()))?;
        Ok(file)
    }

    /// Writes a small file of the store, whose directory is made where it is missing; it appears whole.
    pub(crate) fn replace(&self, path: &Path, parts: &[&[u8]]) -> Result<()> {
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(Error::io("create the directory", parent))?;
        let mut file = self.temporary()?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        written.map_err(Error::io("write", file.path()))?;
        persist(file, path).map(drop)
    }

    /// A directory in `tmp/` for files under way, which only its user can enter.
    pub fn private_directory(&self) -> Result<PrivateDirectory> {
        let parent = self.root.join("tmp");
        let private = fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().permissions(private).tempdir_in(&parent);
        let directory = made.map_err(Error::io("create a directory in", &parent))?;
        let lock = File::open(directory.path()).map_err(Error::io("open", directory.path()))?;
        flock(&lock, FlockOperation::LockShared).map_err(Error::io("lock", directory.path()))?;
        Ok(PrivateDirectory { directory, _lock: lock })
    }

    /// Where a blob lies. Fails with [`Error::Unsupported`] on foreign algorithms.
    pub fn blob_path(&self, digest: &Digest) -> Result<PathBuf> {
        self.file_of("blobs", digest)
    }

    /// Where a layer's table of contents lies, by the blob's digest.
    pub(crate) fn toc_path(&self, blob: &Digest) -> Result<PathBuf> {
        Ok(self.root.join("toc").join(flat_name(blob)?))
    }

    fn file_of(&self, part: &str, digest: &Digest) -> Result<PathBuf> {
        Hasher::of(digest)?;
        Ok(self.root.join(part).join(digest.algorithm().as_ref()).join(digest.digest()))
    }
}

/// A directory that is removed with all that is in it when it is dropped, or when a later process opens the store.
#[derive(Debug)]
pub struct PrivateDirectory {
    directory: TempDir,
    /// Tells other processes that it is in use.
    _lock: File,
}

impl PrivateDirectory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Waits while somebody keeps the store in order.
fn lock(path: &Path) -> Result<File> {
    let opened = File::options().create(true).append(true).mode(0o600).open(path);
    let lock = opened.map_err(Error::io("open", path))?;
    flock(&lock, FlockOperation::LockShared).map_err(Error::io("lock", path))?;
    Ok(lock)
}

/// Removes what a killed process left behind: those that nobody holds a lock on. What can't be removed stays.
fn remove_abandoned(directory: &Path) {
    // One without a lock may be about to get it.
    let settled = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > UNLOCKED))
    };
    let free =
        |path: &Path| File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(settled) {
        let path = entry.path();
        if free(&path) {
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ = if directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

fn flat_name(digest: &Digest) -> Result<String> {
    Hasher::of(digest)?;
    Ok(format!("{}-{}", digest.algorithm(), digest.digest()))
}

/// The name of the file for something that can have any name.
pub(crate) fn name_of(text: &[u8]) -> String {
    let digest = sha256(text);
    format!("{}-{}", digest.algorithm(), digest.digest())
}

/// Renames a finished temporary file to where it belongs; an equal file that is there already is replaced.
pub(crate) fn persist(file: NamedTempFile, path: &Path) -> Result<File> {
    file.persist(path).map_err(|error| Error::io("rename a finished file to", path)(error.error))
}

/// A blob being written. Dropped without [`BlobWriter::finish`], it leaves nothing.
pub struct BlobWriter {
    store: Store,
    file: Hashing<NamedTempFile>,
}

impl BlobWriter {
    /// The file that is written, for messages.
    pub fn path(&self) -> &Path {
        self.file.inner.path()
    }

    /// Puts the blob into the store; gives its digest and size in bytes. Fails with [`Error::Corrupt`] if they are not the expected ones.
    pub fn finish(self, expected: Option<(&Digest, u64)>) -> Result<(Digest, u64)> {
        let Hashing { inner, hasher, count } = self.file;
        let digest = hasher.finish();
        if let Some((announced, size)) = expected {
            if count != size {
                return Err(Error::Corrupt(format!("the blob {announced} should have {size} bytes and has {count}")));
            }
            if digest != *announced {
                return Err(Error::Corrupt(format!("the blob {announced} has the digest {digest}")));
            }
        }
        persist(inner, &self.store.blob_path(&digest)?)?;
        Ok((digest, count))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("a/store")).unwrap();
        (directory, store)
    }

    #[test]
    fn what_a_killed_process_left_goes_away() {
        let (_directory, store) = store();
        let aged = |file: &File| file.set_modified(std::time::SystemTime::now() - 2 * UNLOCKED).unwrap();
        let at_work = store.temporary().unwrap();
        aged(at_work.as_file());
        let [old, young] = ["old", "young"].map(|name| store.root().join("tmp").join(name));
        aged(&File::create(&old).unwrap());
        File::create(&young).unwrap();
        let mine = store.private_directory().unwrap();
        let lost = mine.path().with_file_name("lost");
        fs::create_dir_all(lost.join("below")).unwrap();
        [mine.path(), &lost].iter().for_each(|path| aged(&File::open(path).unwrap()));
        Store::open(store.root()).unwrap();
        assert!(!old.exists() && !lost.exists() && mine.path().exists());
        assert!(young.exists() && at_work.path().exists());
    }

    #[test]
    fn a_private_directory_goes_with_its_content() {
        let (_directory, store) = store();
        let private = store.private_directory().unwrap();
        fs::write(private.path().join("file"), "x").unwrap();
        assert_eq!(fs::metadata(private.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(private);
        assert_eq!(files_in(&store.root().join("tmp")), 0);
    }

    fn files_in(path: &Path) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn only_its_user_can_enter() {
        let (_directory, store) = store();
        assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn what_is_put_can_be_read() {
        let (_directory, store) = store();
        let digest = store.put_bytes(b"hello").unwrap();
        assert_eq!(digest, sha256(b"hello"));
        assert_eq!(store.contains(&digest), Some(5));
        assert_eq!(store.read_blob(&digest, 5).unwrap(), b"hello");
        assert!(matches!(store.read_blob(&digest, 4), Err(Error::Invalid(_))));
        assert!(matches!(store.open_blob(&sha256(b"x")), Err(Error::NotFound(_))));
        assert_eq!(store.contains(&sha256(b"x")), None);
    }

    #[test]
    fn wrong_bytes_leave_nothing() {
        let (_directory, store) = store();
        let expected = sha256(b"expected");
        for (digest, size) in [(&expected, 3), (&sha256(b"abc"), 4)] {
            let mut writer = store.writer_for(digest).unwrap();
            writer.write_all(b"abc").unwrap();
            assert!(matches!(writer.finish(Some((digest, size))), Err(Error::Corrupt(_))));
        }
        let mut dropped = store.writer().unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(files_in(&store.root().join("tmp")), 0);
        assert_eq!(files_in(&store.root().join("blobs/sha256")), 0);
    }

    #[test]
    fn a_blob_that_was_changed_on_disk_is_corrupt() {
        let (_directory, store) = store();
        let digest = store.put_bytes(b"hello").unwrap();
        fs::write(store.blob_path(&digest).unwrap(), b"hellO").unwrap();
        let error = store.read_blob(&digest, 5).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)));
        assert!(error.to_string().contains(store.blob_path(&digest).unwrap().to_str().unwrap()), "{error}");
    }

    #[test]
    fn sha512_blobs_have_their_own_place() {
        let (_directory, store) = store();
        let mut hasher = Hasher::of(&Digest::try_from(format!("sha512:{}", "0".repeat(128))).unwrap()).unwrap();
        hasher.update(b"x");
        let digest = hasher.finish();
        let mut writer = store.writer_for(&digest).unwrap();
        writer.write_all(b"x").unwrap();
        writer.finish(Some((&digest, 1))).unwrap();
        assert_eq!(store.read_blob(&digest, 1).unwrap(), b"x");
        let foreign = Digest::try_from("blake3:00".to_owned()).unwrap();
        assert!(matches!(store.open_blob(&foreign), Err(Error::Unsupported(_))));
        assert_eq!(store.contains(&foreign), None);
    }

    #[test]
    fn many_writers_of_one_blob() {
        let (_directory, store) = store();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.put_bytes(&[7; 100_000]).unwrap());
            }
        });
        assert_eq!(files_in(&store.root().join("blobs/sha256")), 1);
        assert_eq!(files_in(&store.root().join("tmp")), 0);
    }
}
