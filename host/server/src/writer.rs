//! Receives content: a body is hashed and written by a thread of the blocking pool while the network goes on. Memory is bounded
//! by the queue between the two.

use std::io::{self, Write};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame};
use sha2::{Digest as _, Sha256, Sha512};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::names::{Algorithm, Digest};
use crate::storage::Store;

/// Frames between the network and the disk.
const QUEUE: usize = 4;

/// A client that sends nothing for so long has gone.
const IDLE: Duration = Duration::from_secs(60);

/// Content that is being received. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Writer {
    file: NamedTempFile,
    sha256: Sha256,
    length: u64,
}

/// What came of a body: the writer, unless the disk failed, which leaves it useless.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) writer: Option<Writer>,
    pub(crate) result: Result<(), Error>,
}

impl Writer {
    /// Starts empty.
    pub(crate) fn new(store: &Store) -> io::Result<Self> {
        Ok(Self { file: store.new_file()?, sha256: Sha256::new(), length: 0 })
    }

    /// Bytes received.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends a body. What arrived before a broken connection stays, so that the client can resume. A body that is not `expected`
    /// bytes long, where that is given, is taken back.
    pub(crate) async fn append<B>(self, body: B, expected: Option<u64>) -> Appended
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let start = self.length;
        let before = expected.map(|_| self.sha256.clone());
        let (sender, receiver) = mpsc::channel(QUEUE);
        let disk = tokio::task::spawn_blocking(move || self.write_all(receiver));
        let network = forward(body, sender).await;
        let (mut writer, written) = match disk.await {
            Ok(outcome) => outcome,
            Err(_panicked) => {
                return Appended { writer: None, result: Err(Error::Internal) };
            }
        };
        if let Err(error) = written {
            return Appended { writer: None, result: Err(error.into()) };
        }
        let length = writer.length - start;
        let result = match expected {
            Some(expected) if network.is_ok() && expected != length => {
                if let Err(error) = writer.take_back(start, before.unwrap_or_default()) {
                    return Appended { writer: None, result: Err(error.into()) };
                }
                Err(Error::SizeInvalid(format!("the range is {expected} bytes long, the body {length}")))
            }
            _ => network,
        };
        Appended { writer: Some(writer), result }
    }

    /// The file, if its content has this digest. Reads it again for any algorithm but SHA-256.
    pub(crate) fn verify(self, digest: &Digest) -> Result<NamedTempFile, Error> {
        let actual = match digest.algorithm() {
            Algorithm::Sha256 => Digest::of_bytes(Algorithm::Sha256, &self.sha256.finalize()),
            Algorithm::Sha512 => sha512_of(&self.file)?,
        };
        if actual == *digest {
            Ok(self.file)
        } else {
            Err(Error::DigestInvalid(format!("the content has the digest {actual}, not {digest}")))
        }
    }

    fn write_all(mut self, mut chunks: mpsc::Receiver<Bytes>) -> (Self, io::Result<()>) {
        while let Some(chunk) = chunks.blocking_recv() {
            self.sha256.update(&chunk);
            if let Err(error) = self.file.write_all(&chunk) {
                return (self, Err(error));
            }
            self.length += chunk.len() as u64;
        }
        (self, Ok(()))
    }

    fn take_back(&mut self, length: u64, sha256: Sha256) -> io::Result<()> {
        use std::io::Seek;
        self.file.as_file().set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length))?;
        self.sha256 = sha256;
        self.length = length;
        Ok(())
    }
}

/// Hands a body's data on until it ends, breaks, or the receiver has gone.
async fn forward<B>(mut body: B, sender: mpsc::Sender<Bytes>) -> Result<(), Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    loop {
        let frame = match tokio::time::timeout(IDLE, body.frame()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(Error::UploadInvalid(format!("the body broke off: {error}")));
            }
            Err(_elapsed) => {
                return Err(Error::UploadInvalid(format!("no data for {} seconds", IDLE.as_secs())));
            }
        };
        // Trailers carry nothing for us; a closed channel means that the disk failed, which the other end reports.
        if let Ok(data) = Frame::into_data(frame)
            && sender.send(data).await.is_err()
        {
            return Ok(());
        }
    }
}

fn sha512_of(file: &NamedTempFile) -> io::Result<Digest> {
    let mut hasher = Sha512::new();
    let mut reader = file.reopen()?;
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let read = io::Read::read(&mut reader, &mut chunk)?;
        if read == 0 {
            return Ok(Digest::of_bytes(Algorithm::Sha512, &hasher.finalize()));
        }
        hasher.update(&chunk[..read]);
    }
}
