//! A blob's bytes on their way to two readers: the store, and who wants to look at them before all are there.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use steprun_snapshot::Error;

use crate::error::CallResult;

/// Pieces that wait to be read. A transfer goes no faster than its reader.
const WAITING: usize = 64;

enum Arrival {
    Bytes(Vec<u8>),
    /// The end of the transfer. It is known now whether these were the blob's bytes, and where the store has them.
    End(CallResult<PathBuf>),
}

/// Where a transfer leaves what comes.
#[derive(Clone)]
pub struct Giver(SyncSender<Arrival>);

/// What comes, as a reader. Its end is that of a transfer that succeeded; it fails as the transfer does.
pub struct Arriving {
    incoming: Receiver<Arrival>,
    source: Source,
}

enum Source {
    /// Nothing has come yet.
    New,
    Bytes(Cursor<Vec<u8>>),
    /// It was in the store already.
    Stored(File),
    Ended,
}

/// Both ends. A reader that is gone doesn't hold the transfer up.
pub fn channel() -> (Giver, Arriving) {
    let (giver, incoming) = sync_channel(WAITING);
    (Giver(giver), Arriving { incoming, source: Source::New })
}

impl Giver {
    /// Leaves bytes; waits while the reader is behind.
    pub fn give(&self, bytes: &[u8]) {
        // Who reads no more needs none.
        let _ = self.0.send(Arrival::Bytes(bytes.to_vec()));
    }

    /// Ends it.
    pub fn end(self, outcome: CallResult<PathBuf>) {
        let _ = self.0.send(Arrival::End(outcome));
    }
}

impl Arriving {
    fn advance(&mut self) -> io::Result<()> {
        self.source = match (self.incoming.recv(), &self.source) {
            (Ok(Arrival::Bytes(bytes)), _) => Source::Bytes(Cursor::new(bytes)),
            (Ok(Arrival::End(Ok(path))), Source::New) => Source::Stored(File::open(path)?),
            (Ok(Arrival::End(Ok(_))), _) => Source::Ended,
            (Ok(Arrival::End(Err(error))), _) => return Err(io::Error::other(Error::External(Box::new(error)))),
            // A transfer that is gone without an end has panicked.
            (Err(_), _) => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        Ok(())
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.source {
                Source::Bytes(bytes) => match bytes.read(buffer)? {
                    0 if !buffer.is_empty() => {}
                    count => return Ok(count),
                },
                Source::Stored(file) => return file.read(buffer),
                Source::Ended => return Ok(0),
                Source::New => {}
            }
            self.advance()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CallError;

    fn all(mut arriving: Arriving) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        arriving.read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn the_end_is_that_of_the_transfer() {
        let (giver, arriving) = channel();
        for piece in ["one ", "", "two"] {
            giver.give(piece.as_bytes());
        }
        giver.end(Ok("/nowhere".into()));
        assert_eq!(all(arriving).unwrap(), b"one two");
    }

    #[test]
    fn what_was_there_is_read_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "stored").unwrap();
        let (giver, arriving) = channel();
        giver.end(Ok(file.path().into()));
        assert_eq!(all(arriving).unwrap(), b"stored");
    }

    #[test]
    fn without_success_there_is_no_end() {
        let (giver, arriving) = channel();
        giver.give(b"bytes");
        giver.end(Err(CallError::invalid("why")));
        let error = Error::io("read", "x")(all(arriving).unwrap_err());
        assert!(matches!(error, Error::External(why) if why.to_string().contains("why")));
        let (giver, arriving) = channel();
        giver.give(b"bytes");
        drop(giver);
        assert_eq!(all(arriving).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn who_reads_no_more_holds_nothing_up() {
        let (giver, arriving) = channel();
        drop(arriving);
        (0..2 * WAITING).for_each(|_| giver.give(b"bytes"));
    }
}
