//! A snapshot's last change as a layer in the store.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use oci_spec::image::Digest;

use crate::content::ReadAt;
use crate::diff::{self, Differences};
use crate::export::write_entries;
use crate::gzip;
use crate::meta::{Descriptor, Layer};
use crate::{Error, Result, Snapshot, Store};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// Gzip. The bytes don't depend on the machine.
    Gzip,
}

impl Compression {
    /// The media type of a layer (OCI image-spec, layer.md).
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

impl Snapshot {
    /// Writes what the last [`Snapshot::extend`] changed (or [`Snapshot::after_run`] laid over it) as a layer into the store; none if it
    /// changed nothing. One pass reads, hashes and compresses; what a run changed lies in the store as a plain layer already.
    /// Fails with [`Error::Io`] if a source's file has changed since it was listed, and [`Error::Invalid`] on a `.wh.` name.
    pub fn pack(&self, store: &Store, compression: Compression) -> Result<Option<Layer>> {
        let Some(entries) = self.last_change()? else { return Ok(None) };
        let (digest, size, diff_id) = match (compression, entries) {
            (Compression::Gzip, entries) => gzip::write_blob(store, |sink| entries.write(sink))?,
            (Compression::None, Entries::Archive { diff_id, file }) => {
                let size = file.metadata().map_err(Error::io("stat", "an archive of the store"))?.len();
                (diff_id.clone(), size, diff_id)
            }
            (Compression::None, entries) => {
                let blob = store.writer()?;
                let shown = blob.path().to_owned();
                let mut blob = Background::new(blob);
                entries.write(&mut blob)?;
                let (digest, size) = blob.finish().map_err(Error::io("write", shown))?.finish(None)?;
                (digest.clone(), size, digest)
            }
        };
        let descriptor = Descriptor { media_type: compression.media_type().into(), digest, size };
        Ok(Some(Layer { descriptor, diff_id }))
    }

    fn last_change(&self) -> Result<Option<Entries>> {
        if let Some(tar) = self.laid() {
            return Ok(Some(Entries::Archive { diff_id: tar.diff_id().clone(), file: tar.open()? }));
        }
        let differences = diff::diff(self.base(), self.tree())?;
        Ok((!differences.is_empty()).then_some(Entries::Listed(differences)))
    }
}

/// Where a layer's entries come from.
enum Entries {
    /// An archive that the store has.
    Archive {
        diff_id: Digest,
        file: Arc<File>,
    },
    Listed(Differences),
}

impl Entries {
    fn write(self, to: &mut dyn Write) -> Result<()> {
        match self {
            Self::Archive { file, .. } => {
                let mut archive = ReadAt { file, position: 0 };
                io::copy(&mut archive, to).map(drop).map_err(Error::io("copy", "an archive of the store"))
            }
            Self::Listed(differences) => write_entries(differences, to),
        }
    }
}

/// Blocks waiting for a background writer.
const WAITING: usize = 4;
const BLOCK: usize = 512 * 1024;

/// Hands what is written to a writer on a thread of its own, in blocks: here it hashes and writes while the next files are read.
struct Background<W> {
    block: Vec<u8>,
    blocks: Option<std::sync::mpsc::SyncSender<Vec<u8>>>,
    empty: std::sync::mpsc::Receiver<Vec<u8>>,
    writer: Option<std::thread::JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Background<W> {
    fn new(mut to: W) -> Self {
        let (blocks, incoming) = std::sync::mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (done, empty) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for mut block in incoming {
                to.write_all(&block)?;
                block.clear();
                // Nobody takes blocks back at the end.
                let _ = done.send(block);
            }
            Ok(to)
        });
        Self { block: Vec::with_capacity(BLOCK), blocks: Some(blocks), empty, writer: Some(writer) }
    }

    fn send(&mut self) -> io::Result<()> {
        let fresh = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK));
        let block = std::mem::replace(&mut self.block, fresh);
        match &self.blocks {
            Some(blocks) if blocks.send(block).is_ok() => Ok(()),
            _ => Err(self.join().err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn join(&mut self) -> io::Result<W> {
        self.blocks = None;
        let Some(writer) = self.writer.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn finish(mut self) -> io::Result<W> {
        self.send()?;
        self.join()
    }
}

/// What failed leaves nothing behind: the writer, and with it its file, is gone when this is.
impl<W> Drop for Background<W> {
    fn drop(&mut self) {
        self.blocks = None;
        // Its own failure was told, or nobody cares any more.
        let _ = self.writer.take().map(std::thread::JoinHandle::join);
    }
}

impl<W: Write + Send + 'static> Write for Background<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
