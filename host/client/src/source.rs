//! Where the bytes of a blob that is pushed come from.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::io::AsyncSeekExt;
use tokio_util::io::ReaderStream;

/// How many bytes of a file are in memory at once.
const BUFFER: usize = 64 << 10;

/// The bytes of a blob, piece by piece.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What [`BlobSource::open`] returns.
pub type OpenFuture<'a> = Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send + 'a>>;

/// Bytes that can be read more than once: an upload that broke off goes on from where the registry lost it.
pub trait BlobSource: Send + Sync {
    /// The bytes from `offset` (in bytes) to the end. Each call must give the same bytes.
    fn open(&self, offset: u64) -> OpenFuture<'_>;
}

impl BlobSource for Bytes {
    fn open(&self, offset: u64) -> OpenFuture<'_> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest: ByteStream = Box::pin(stream::iter([Ok(self.slice(start..))]));
        Box::pin(std::future::ready(Ok(rest)))
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
            let bytes: ByteStream = Box::pin(ReaderStream::with_capacity(file, BUFFER));
            Ok(bytes)
        })
    }
}
