//! The storage: content by digest, once for all repositories, and small link files that say which repository has what.
//!
//! ```text
//! lock                                        held while a server runs
//! uploads/                                    files that are being written; emptied at start
//! blobs/ALGORITHM/HEX                         content, of blobs and manifests
//! repositories/NAME/_blobs/ALGORITHM/HEX      empty: the repository has this blob
//! repositories/NAME/_manifests/ALGORITHM/HEX  media type of the manifest
//! repositories/NAME/_tags/TAG                 digest
//! repositories/NAME/_referrers/ALGORITHM/HEX-OF-SUBJECT/ALGORITHM-HEX   descriptor of the referrer, JSON
//! ```
//!
//! No component of a repository name starts with `_`, so links and nested repositories never collide. A file appears whole, by
//! rename, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::names::{Algorithm, Digest, Repository, Tag};

/// A manifest as it was put.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    pub(crate) media_type: String,
    pub(crate) content: Vec<u8>,
}

/// The directory of a registry. All methods block on the file system.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    /// Whether content must survive a crash of the machine.
    durable: bool,
    _lock: File,
    /// Removed with the store.
    _temporary: Option<TempDir>,
}

impl Store {
    /// Opens the storage in `root`, which is made where there is none, or in a private temporary directory.
    ///
    /// # Errors
    /// Fails if the directory can't be written, or if another server has it.
    pub(crate) fn open(root: Option<PathBuf>) -> io::Result<Self> {
        let (root, durable, temporary) = match root {
            Some(root) => (root, true, None),
            None => {
                let directory = tempfile::Builder::new().prefix("steprun-registry-").tempdir()?;
                (directory.path().to_owned(), false, Some(directory))
            }
        };
        for directory in ["blobs", "uploads", "repositories"] {
            fs::create_dir_all(root.join(directory)).map_err(|error| at(&root, &error))?;
        }
        let lock = lock(&root)?;
        for leftover in fs::read_dir(root.join("uploads"))? {
            fs::remove_file(leftover?.path())?;
        }
        Ok(Self { root, durable, _lock: lock, _temporary: temporary })
    }

    /// A new file that vanishes unless it is kept.
    pub(crate) fn new_file(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix("").rand_bytes(32).tempfile_in(self.root.join("uploads"))
    }

    /// Gives a written file its name as content.
    pub(crate) fn keep_content(&self, file: NamedTempFile, digest: &Digest) -> io::Result<()> {
        let path = self.content_path(digest);
        if path.exists() { Ok(()) } else { self.keep(file, &path) }
    }

    /// Opens content, whichever repository has it.
    pub(crate) fn open_content(&self, digest: &Digest) -> io::Result<File> {
        File::open(self.content_path(digest))
    }

    /// Makes content visible in a repository.
    pub(crate) fn link_blob(&self, repository: &Repository, digest: &Digest) -> io::Result<()> {
        self.write(&self.link(repository, "_blobs", digest), b"")
    }

    /// The size of a blob of a repository in bytes.
    pub(crate) fn blob_size(&self, repository: &Repository, digest: &Digest) -> io::Result<Option<u64>> {
        if !self.link(repository, "_blobs", digest).exists() {
            return Ok(None);
        }
        absent(fs::metadata(self.content_path(digest)).map(|metadata| metadata.len()))
    }

    /// Takes a blob out of a repository; false if it was not there.
    pub(crate) fn unlink_blob(&self, repository: &Repository, digest: &Digest) -> io::Result<bool> {
        remove(&self.link(repository, "_blobs", digest))
    }

    /// Stores a manifest, whose bytes have this digest.
    pub(crate) fn put_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        media_type: &str,
        content: &[u8],
    ) -> io::Result<()> {
        let path = self.content_path(digest);
        if !path.exists() {
            self.write(&path, content)?;
        }
        self.write(&self.link(repository, "_manifests", digest), media_type.as_bytes())
    }

    /// Whether a repository has a manifest.
    pub(crate) fn has_manifest(&self, repository: &Repository, digest: &Digest) -> bool {
        self.link(repository, "_manifests", digest).exists()
    }

    /// A manifest of a repository.
    pub(crate) fn manifest(&self, repository: &Repository, digest: &Digest) -> io::Result<Option<StoredManifest>> {
        let Some(media_type) = absent(fs::read_to_string(self.link(repository, "_manifests", digest)))? else {
            return Ok(None);
        };
        let content = absent(fs::read(self.content_path(digest)))?;
        Ok(content.map(|content| StoredManifest { media_type, content }))
    }

    /// Takes a manifest out of a repository, with the tags that point to it; false if it was not there.
    pub(crate) fn remove_manifest(&self, repository: &Repository, digest: &Digest) -> io::Result<bool> {
        if !remove(&self.link(repository, "_manifests", digest))? {
            return Ok(false);
        }
        for tag in self.tags(repository)?.unwrap_or_default() {
            if self.tag(repository, &tag)?.as_ref() == Some(digest) {
                self.remove_tag(repository, &tag)?;
            }
        }
        Ok(true)
    }

    /// Points a tag to a manifest.
    pub(crate) fn set_tag(&self, repository: &Repository, tag: &Tag, digest: &Digest) -> io::Result<()> {
        self.write(&self.tag_path(repository, tag), digest.to_string().as_bytes())
    }

    /// What a tag points to.
    pub(crate) fn tag(&self, repository: &Repository, tag: &Tag) -> io::Result<Option<Digest>> {
        let text = absent(fs::read_to_string(self.tag_path(repository, tag)))?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Removes a tag; false if it was not there.
    pub(crate) fn remove_tag(&self, repository: &Repository, tag: &Tag) -> io::Result<bool> {
        remove(&self.tag_path(repository, tag))
    }

    /// All tags of a repository in no order, or none if nothing was ever put there.
    pub(crate) fn tags(&self, repository: &Repository) -> io::Result<Option<Vec<Tag>>> {
        let directory = self.repository(repository);
        if !directory.join("_manifests").exists() {
            return Ok(None);
        }
        let names = entries(&directory.join("_tags"))?;
        Ok(Some(names.iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// Records that the manifest `digest` refers to `subject`.
    pub(crate) fn add_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        digest: &Digest,
        descriptor: &serde_json::Value,
    ) -> io::Result<()> {
        self.write(&self.referrer_path(repository, subject, digest), descriptor.to_string().as_bytes())
    }

    /// Undoes `add_referrer`.
    pub(crate) fn remove_referrer(&self, repository: &Repository, subject: &Digest, digest: &Digest) -> io::Result<()> {
        remove(&self.referrer_path(repository, subject, digest)).map(drop)
    }

    /// The descriptors of a subject's referrers, in the order of their digests.
    pub(crate) fn referrers(&self, repository: &Repository, subject: &Digest) -> io::Result<Vec<serde_json::Value>> {
        let directory = self.link(repository, "_referrers", subject);
        let mut names = entries(&directory)?;
        names.sort_unstable();
        let mut descriptors = Vec::new();
        for name in names {
            // A referrer that was deleted meanwhile is no error.
            if let Some(content) = absent(fs::read(directory.join(name)))? {
                descriptors.push(serde_json::from_slice(&content).map_err(io::Error::other)?);
            }
        }
        Ok(descriptors)
    }

    /// The names of all repositories with a manifest or the trace of one, sorted.
    pub(crate) fn repositories(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut pending = vec![String::new()];
        while let Some(name) = pending.pop() {
            for entry in entries(&self.root.join("repositories").join(&name))? {
                if entry == "_manifests" {
                    found.push(name.clone());
                } else if !entry.starts_with('_') {
                    pending.push(if name.is_empty() { entry } else { format!("{name}/{entry}") });
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn content_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
    }

    fn repository(&self, repository: &Repository) -> PathBuf {
        self.root.join("repositories").join(repository.as_str())
    }

    fn link(&self, repository: &Repository, kind: &str, digest: &Digest) -> PathBuf {
        self.repository(repository).join(kind).join(digest.algorithm().as_str()).join(digest.hex())
    }

    fn tag_path(&self, repository: &Repository, tag: &Tag) -> PathBuf {
        self.repository(repository).join("_tags").join(tag.as_str())
    }

    fn referrer_path(&self, repository: &Repository, subject: &Digest, digest: &Digest) -> PathBuf {
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        self.link(repository, "_referrers", subject).join(name)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.new_file()?;
        file.write_all(content)?;
        self.keep(file, path)
    }

    fn keep(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        if self.durable {
            file.as_file().sync_data()?;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        file.persist(path).map(drop).map_err(|failed| failed.error)
    }
}

/// The digest of bytes in memory.
pub(crate) fn digest_of(algorithm: Algorithm, content: &[u8]) -> Digest {
    use sha2::Digest as _;
    match algorithm {
        Algorithm::Sha256 => Digest::of_bytes(algorithm, &sha2::Sha256::digest(content)),
        Algorithm::Sha512 => Digest::of_bytes(algorithm, &sha2::Sha512::digest(content)),
    }
}

/// Two servers in one directory would empty each other's `uploads`.
fn lock(root: &Path) -> io::Result<File> {
    let path = root.join("lock");
    let file = File::create(&path).map_err(|error| at(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let message = format!("{}: another registry serves this directory", root.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
        }
        Err(fs::TryLockError::Error(error)) => Err(at(&path, &error)),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Turns "not found" into none.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<bool> {
    Ok(absent(fs::remove_file(path))?.is_some())
}

/// The names in a directory; none if it does not exist. Names that are no UTF-8 are not ours.
fn entries(directory: &Path) -> io::Result<Vec<String>> {
    let Some(listing) = absent(fs::read_dir(directory))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let first = Store::open(Some(root.path().to_owned())).unwrap();
        let second = Store::open(Some(root.path().to_owned())).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        Store::open(Some(root.path().to_owned())).unwrap();
    }

    #[test]
    fn leftovers_of_a_crash_go_at_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        drop(Store::open(Some(root.path().to_owned())).unwrap());
        let leftover = root.path().join("uploads/half");
        fs::write(&leftover, "half").unwrap();
        Store::open(Some(root.path().to_owned())).unwrap();
        assert!(!leftover.exists());
    }

    #[test]
    fn private_directory_goes_with_the_store() {
        let store = Store::open(None).unwrap();
        let root = store.root.clone();
        assert!(root.exists());
        drop(store);
        assert!(!root.exists());
    }

    #[test]
    fn catalog_knows_nested_names() {
        let store = Store::open(None).unwrap();
        let digest = digest_of(Algorithm::Sha256, b"{}");
        for name in ["a/b", "a", "a-b", "c/d/e"] {
            store.put_manifest(&name.parse().unwrap(), &digest, "x", b"{}").unwrap();
        }
        store.link_blob(&"only/blobs".parse().unwrap(), &digest).unwrap();
        assert_eq!(store.repositories().unwrap(), ["a", "a-b", "a/b", "c/d/e"]);
    }
}
