//! Reading on a thread of its own, ahead of who wants the bytes: one core decompresses while another one hashes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Blocks that wait to be read.
const WAITING: usize = 4;
const BLOCK: usize = 256 * 1024;

/// What another thread reads. Dropped before its end, it lets that thread end at its next block.
pub(crate) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    block: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Ahead {
    /// Reads what `open` gives, from now on. Where it fails, so does the first read.
    pub(crate) fn new<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Self {
        let (blocks, incoming) = sync_channel(WAITING);
        let (done, empty) = channel();
        thread::spawn(move || {
            if let Err(error) = open().and_then(|reader| pass_on(reader, &blocks, &empty)) {
                // Who is gone needs no error.
                let _ = blocks.send(Err(error));
            }
        });
        Self { blocks: incoming, empty: done, block: Vec::new(), position: 0, ended: false }
    }

    /// The next block; an empty one is the last.
    fn advance(&mut self) -> io::Result<()> {
        self.position = 0;
        // Nobody takes blocks back at the end.
        let _ = self.empty.send(std::mem::take(&mut self.block));
        // A thread that is gone without an end has panicked.
        self.block = self.blocks.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        self.ended = self.block.is_empty();
        Ok(())
    }
}

/// Sends all bytes and the empty block behind them, as long as somebody takes them.
fn pass_on(
    mut reader: impl Read,
    blocks: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    loop {
        let mut block = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK));
        block.clear();
        reader.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        let last = block.is_empty();
        if blocks.send(Ok(block)).is_err() || last {
            return Ok(());
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() && !self.ended {
            self.advance()?;
        }
        let count = (&self.block[self.position..]).read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut reader: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn what_is_read_comes_in_order() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 12 * BLOCK] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 251) as u8).collect();
            let given = bytes.clone();
            let mut ahead = Ahead::new(move || Ok(io::Cursor::new(given)));
            assert_eq!(all(&mut ahead).unwrap(), bytes, "{size}");
            assert_eq!(ahead.read(&mut [0; 9]).unwrap(), 0, "the end stays");
        }
    }

    #[test]
    fn errors_come_after_what_was_read() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut ahead = Ahead::new(|| Ok(io::repeat(7).take(BLOCK as u64).chain(Broken)));
        let mut whole = vec![0; BLOCK];
        ahead.read_exact(&mut whole).unwrap();
        assert_eq!(all(&mut ahead).unwrap_err().to_string(), "broken");
        assert!(ahead.read(&mut whole).is_err(), "there is no way on");
        assert_eq!(all(Ahead::new(|| Err::<io::Empty, _>(io::Error::other("no")))).unwrap_err().to_string(), "no");
    }

    #[test]
    fn a_panic_is_no_end() {
        struct Panicking;
        impl Read for Panicking {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("as the test wants it")
            }
        }
        assert_eq!(all(Ahead::new(|| Ok(Panicking))).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn who_has_enough_stops_the_thread() {
        struct Endless {
            _alive: SyncSender<()>,
        }
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(1);
                Ok(buffer.len())
            }
        }
        let (alive, ended) = sync_channel(0);
        let mut ahead = Ahead::new(move || Ok(Endless { _alive: alive }));
        ahead.read_exact(&mut [0; 10]).unwrap();
        drop(ahead);
        // The other end is dropped with the reader.
        assert!(ended.recv().is_err());
    }
}
