//! What steps remember: small files in the store, each with the blobs that it is about.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::store::name_of;
use crate::{Descriptor, Error, Result, Store, Timestamp};

/// A record larger than this is none of ours.
const LIMIT: u64 = 64 << 20;

/// Something that was remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Words of whoever put it.
    pub content: Vec<u8>,
    /// What it is about; all of them are in the store.
    pub blobs: Vec<Descriptor>,
    /// When it was put.
    pub stored: Timestamp,
}

/// The first line of a record's file.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Seconds and nanoseconds since 1970.
    stored: (i64, u32),
    /// Media type, digest and size.
    blobs: Vec<(String, String, u64)>,
}

impl Store {
    /// What was put under a key of a name space. None where there is nothing, where it can't be understood, and where one of its blobs is gone.
    pub fn record(&self, space: &str, key: &str) -> Result<Option<Record>> {
        let path = self.record_path(space, key);
        let found = self.read_record(&path)?;
        if let Some(record) = &found {
            let blobs = record.blobs.iter().filter_map(|blob| self.blob_path(&blob.digest).ok());
            blobs.chain([path]).for_each(|path| touch(&path));
        }
        Ok(found)
    }

    /// Whether a file is a record whose blobs are all there.
    pub(crate) fn is_usable(&self, path: &Path) -> bool {
        self.read_record(path).is_ok_and(|found| found.is_some())
    }

    fn read_record(&self, path: &Path) -> Result<Option<Record>> {
        let mut content = Vec::new();
        match fs::File::open(path) {
            Ok(file) => file.take(LIMIT).read_to_end(&mut content).map_err(Error::io("read", path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let Some(end) = content.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let Ok(Header { stored, blobs }) = serde_json::from_slice(&content[..end]) else { return Ok(None) };
        content.drain(..=end);
        let mut descriptors = Vec::with_capacity(blobs.len());
        for (media_type, digest, size) in blobs {
            let Ok(digest) = digest.parse() else { return Ok(None) };
            if self.contains(&digest) != Some(size) {
                return Ok(None);
            }
            descriptors.push(Descriptor { media_type, digest, size });
        }
        let stored = Timestamp { seconds: stored.0, nanoseconds: stored.1 };
        Ok(Some(Record { content, blobs: descriptors, stored }))
    }

    /// Puts something in the place of what the key had.
    pub fn put_record(&self, space: &str, key: &str, content: &[u8], blobs: &[Descriptor]) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let blobs = blobs.iter().map(|blob| (blob.media_type.clone(), blob.digest.to_string(), blob.size)).collect();
        let stored = (i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos());
        let path = self.record_path(space, key);
        let header = serde_json::to_vec(&Header { stored, blobs }).map_err(io::Error::from);
        self.replace(&path, &[&header.map_err(Error::io("write", &path))?, b"\n", content])
    }

    /// Names of spaces and keys are any texts, so that files are named by their digests.
    fn record_path(&self, space: &str, key: &str) -> std::path::PathBuf {
        self.root().join("records").join(name_of(space.as_bytes())).join(name_of(key.as_bytes()))
    }
}

/// Says that a file was used, for those who remove what nobody uses. One that can't be told is removed a little early.
fn touch(path: &Path) {
    let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_there_as_long_as_its_blobs_are() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let digest = store.put_bytes(b"layer").unwrap();
        let blob = Descriptor { media_type: "text/plain".into(), digest: digest.clone(), size: 5 };
        assert_eq!(store.record("build", "../k").unwrap(), None);
        store.put_record("build", "../k", b"one\ntwo", std::slice::from_ref(&blob)).unwrap();
        store.put_record("build", "empty", b"", &[]).unwrap();
        let found = store.record("build", "../k").unwrap().unwrap();
        assert_eq!((found.content.as_slice(), found.blobs), (&b"one\ntwo"[..], vec![blob]));
        assert!(found.stored.seconds > 1_600_000_000);
        assert_eq!(store.record("other", "../k").unwrap(), None);
        fs::remove_file(store.blob_path(&digest).unwrap()).unwrap();
        assert_eq!(store.record("build", "../k").unwrap(), None);
        assert_eq!(store.record("build", "empty").unwrap().unwrap().content, b"");
    }

    #[test]
    fn what_is_no_record_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        store.put_record("s", "k", b"x", &[]).unwrap();
        for content in ["", "x", "{}\n", "{\"stored\":[1,2],\"blobs\":[[\"a\",\"b\",1]]}\n"] {
            fs::write(store.record_path("s", "k"), content).unwrap();
            assert_eq!(store.record("s", "k").unwrap(), None, "{content}");
        }
    }
}
