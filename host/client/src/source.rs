//! Where the bytes of a blob that is pushed come from.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncSeekExt};

/// A reader over the bytes of a blob.
pub type BoxReader = Box<dyn AsyncRead + Send + Unpin>;

/// What [`BlobSource::open`] returns.
pub type OpenFuture<'a> = Pin<Box<dyn Future<Output = io::Result<BoxReader>> + Send + 'a>>;

/// Bytes that can be read more than once: an upload that broke off goes on from where the registry lost it.
pub trait BlobSource: Send + Sync {
    /// A reader over the bytes from `offset` (in bytes) to the end. Each call must read the same bytes.
    fn open(&self, offset: u64) -> OpenFuture<'_>;
}

impl BlobSource for Bytes {
    fn open(&self, offset: u64) -> OpenFuture<'_> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = self.slice(start..);
        Box::pin(async move { Ok(Box::new(io::Cursor::new(rest)) as BoxReader) })
    }
}

/// A blob that lies in a file.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// The file, which must not change while it is pushed.
    pub path: PathBuf,
}

impl BlobSource for FileSource {
    fn open(&self, offset: u64) -> OpenFuture<'_> {
        Box::pin(async move {
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", self.path.display()));
            let mut file = tokio::fs::File::open(&self.path).await.map_err(named)?;
            file.seek(io::SeekFrom::Start(offset)).await.map_err(named)?;
            Ok(Box::new(file) as BoxReader)
        })
    }
}
