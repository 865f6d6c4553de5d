//! What the store remembers of files that were fetched: a file that has not changed need not come again (RFC 9110, section 13.1).

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use steprun_client::{Digest, Url};
use steprun_snapshot::{Store, sha256};
use tempfile::NamedTempFile;

use super::file::{Fetched, fetched_blob};

/// A file that was fetched before, and how its server tells whether it has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// `ETag` or `Last-Modified`.
    pub(super) validator: String,
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

impl Known {
    /// What is known of the file behind a URL, if its content is in the store.
    pub(super) fn read(store: &Store, url: &Url) -> Option<Self> {
        let known: Self = serde_json::from_slice(&fs::read(path(store, url)).ok()?).ok()?;
        (store.contains(&known.digest) == Some(known.size)).then_some(known)
    }

    /// Remembers it. What can't be written costs the next run a transfer, nothing else.
    pub(super) fn write(&self, store: &Store, url: &Url) {
        let write = || -> std::io::Result<()> {
            let path = path(store, url);
            let folder = store.root().join("fetched");
            fs::create_dir_all(&folder)?;
            let mut file = NamedTempFile::new_in(&folder)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.persist(path)?;
            Ok(())
        };
        let _ = write();
    }

    /// The same as what a transfer gives.
    pub(super) fn fetched(self) -> Fetched {
        fetched_blob(self.digest, self.size, self.modified)
    }
}

/// By the digest of the URL: a URL may hold a signature, and be longer than a name can be.
fn path(store: &Store, url: &Url) -> PathBuf {
    store.root().join("fetched").join(sha256(url.as_str().as_bytes()).digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_while_its_content_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let url: Url = "https://files.test/a?signature=secret".parse().unwrap();
        assert_eq!(Known::read(&store, &url), None);
        let digest = store.put_bytes(b"content").unwrap();
        let modified = Some(SystemTime::UNIX_EPOCH);
        let known = Known { validator: "\"one\"".into(), digest: digest.clone(), size: 7, modified };
        known.write(&store, &url);
        assert_eq!(Known::read(&store, &url), Some(known));
        assert_eq!(Known::read(&store, &"https://files.test/b".parse().unwrap()), None);
        fs::remove_file(store.blob_path(&digest).unwrap()).unwrap();
        assert_eq!(Known::read(&store, &url), None);
    }
}
