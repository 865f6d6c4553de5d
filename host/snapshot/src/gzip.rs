//! Gzip by several threads, with the same bytes whatever their number.
//!
//! The stream is cut into blocks of a fixed size. Each is deflated by itself, with the end of the one before as its dictionary, and ended
//! on a byte boundary, so that the blocks in a row are one deflate stream in one gzip member (as `pigz` does). At most
//! `MAX_WORKERS * 2 + 5` blocks are in memory.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Crc, FlushCompress};
use oci_spec::image::Digest;

use crate::hash::Hasher;
use crate::{BlobWriter, Error, Result, Store};

/// Bytes of a block. A constant of the format: another value gives other digests.
const BLOCK: usize = 512 * 1024;
/// Bytes of the block before that are a block's dictionary: deflate's window.
const WINDOW: usize = 32 * 1024;
/// The level. A constant of the format as well. Measured: 3 is a fifth faster than 4 for 1.3 % more bytes.
const LEVEL: u32 = 3;
/// Bytes of a piece of a block, which is stored as it is where its bytes are spread evenly (see [`is_noise`]). Part of the format too.
const PIECE: usize = 64 * 1024;
/// More would only take memory: 16 of them deflate faster than one thread hashes.
const MAX_WORKERS: usize = 16;
/// RFC 1952: deflate, no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

type Block = Arc<Vec<u8>>;

struct Job {
    before: Option<Block>,
    block: Block,
    last: bool,
    done: SyncSender<Deflated>,
}

struct Deflated {
    bytes: io::Result<Vec<u8>>,
    crc: Crc,
}

/// Compresses what `produce` writes into a blob of the store; gives the blob's digest and size, and the digest of the uncompressed bytes.
pub(crate) fn write_blob(
    store: &Store,
    produce: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<(Digest, u64, Digest)> {
    write_blob_with(store, thread::available_parallelism().map_or(1, usize::from), LEVEL, produce)
}

fn write_blob_with(
    store: &Store,
    workers: usize,
    level: u32,
    produce: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<(Digest, u64, Digest)> {
    let blob = store.writer()?;
    let shown = blob.path().to_owned();
    let workers = workers.clamp(1, MAX_WORKERS);
    thread::scope(|scope| {
        let (to_hasher, hashed) = sync_channel::<Block>(2);
        let (to_workers, jobs) = sync_channel::<Job>(workers);
        let (to_writer, in_order) = sync_channel::<Receiver<Deflated>>(workers + 1);
        let jobs = Arc::new(Mutex::new(jobs));
        let hasher = scope.spawn(move || hash(&hashed));
        for _ in 0..workers {
            let jobs = jobs.clone();
            scope.spawn(move || deflate_all(&jobs, level));
        }
        // Only workers hold the queue's end: when all are gone, sending fails instead of waiting.
        drop(jobs);
        let writer = scope.spawn(move || write(blob, &in_order));
        let mut cutter = Cutter { block: Vec::with_capacity(BLOCK), before: None, to_hasher, to_workers, to_writer };
        let produced = produce(&mut cutter).and_then(|()| cutter.send(true).map_err(Error::io("write", &shown)));
        drop(cutter);
        let diff_id = join(hasher);
        // A full disk is the reason of whatever the producer says.
        let blob = join(writer).map_err(Error::io("write", &shown))?;
        produced?;
        let (digest, size) = blob.finish(None)?;
        Ok((digest, size, diff_id))
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Cuts a stream into blocks and hands each to all who need it.
struct Cutter {
    block: Vec<u8>,
    before: Option<Block>,
    to_hasher: SyncSender<Block>,
    to_workers: SyncSender<Job>,
    to_writer: SyncSender<Receiver<Deflated>>,
}

impl Cutter {
    fn send(&mut self, last: bool) -> io::Result<()> {
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let block = Arc::new(std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK)));
        let (done, deflated) = sync_channel(1);
        self.to_writer.send(deflated).map_err(|_| closed(()))?;
        self.to_hasher.send(block.clone()).map_err(|_| closed(()))?;
        let before = self.before.replace(block.clone());
        self.to_workers.send(Job { before, block, last, done }).map_err(|_| closed(()))
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only a full block that more follows is sent: the last one is known as such when it goes.
        if self.block.len() == BLOCK {
            self.send(false)?;
        }
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash(blocks: &Receiver<Block>) -> Digest {
    let mut hasher = Hasher::sha256();
    blocks.iter().for_each(|block| hasher.update(&block));
    hasher.finish()
}

fn deflate_all(jobs: &Mutex<Receiver<Job>>, level: u32) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { before, block, last, done }) = job else { return };
        let mut crc = Crc::new();
        crc.update(&block);
        let bytes = deflate_block(level, before.as_deref().map_or(&[], Vec::as_slice), &block, last);
        // The writer is gone after an error, which it reports itself.
        let _ = done.send(Deflated { bytes, crc });
    }
}

/// Deflates a block; in it, what is noise and what isn't, each by itself.
fn deflate_block(level: u32, before: &[u8], block: &[u8], last: bool) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let (length, noise) = run(&block[start..]);
        let end = start + length;
        let dictionary = if start == 0 { before } else { &block[..start] };
        let (level, dictionary) = if noise { (0, &[][..]) } else { (level, dictionary) };
        deflate(level, dictionary, &block[start..end], last && end == block.len(), &mut out)?;
        start = end;
        if start == block.len() {
            return Ok(out);
        }
    }
}

/// How many of the first bytes are alike: noise, or not.
fn run(bytes: &[u8]) -> (usize, bool) {
    let mut pieces = bytes.chunks(PIECE);
    let Some(first) = pieces.next() else { return (0, false) };
    let noise = is_noise(first);
    let more = pieces.take_while(|piece| is_noise(piece) == noise).map(<[u8]>::len).sum::<usize>();
    (first.len() + more, noise)
}

/// Whether all byte values are about equally frequent, as in what is compressed or encrypted already: deflate would spend most of its
/// time on such a piece and gain nothing. The sum of squared frequencies is within 2 % of its least; text and code are far above, and what is
/// less than a piece can't tell. Whole numbers only, so that every machine decides alike.
fn is_noise(piece: &[u8]) -> bool {
    let mut counts = [0_u64; 256];
    piece.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    let length = piece.len() as u64;
    piece.len() >= PIECE && squares * 256 * 100 <= length * length * 102
}

/// Deflates bytes of a block. Their compressor is new: a reset one finds other matches than a new one, by what is left in its window, and which
/// blocks a thread had before is chance.
fn deflate(level: u32, before: &[u8], bytes: &[u8], last: bool, out: &mut Vec<u8>) -> io::Result<()> {
    let mut compress = Compress::new(flate2::Compression::new(level), false);
    if !before.is_empty() {
        compress.set_dictionary(&before[before.len().saturating_sub(WINDOW)..])?;
    }
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    // Deflate grows what it can't compress by 5 bytes in 16 KiB, and ends with a few.
    out.reserve(bytes.len() + bytes.len() / 1024 + 64);
    let mut consumed = 0;
    loop {
        let before_call = compress.total_in();
        compress.compress_vec(&bytes[consumed..], out, flush)?;
        // At most a block's length.
        consumed += (compress.total_in() - before_call) as usize;
        if out.len() < out.capacity() {
            return Ok(());
        }
        out.reserve(BLOCK / 8);
    }
}

fn write(mut blob: BlobWriter, in_order: &Receiver<Receiver<Deflated>>) -> io::Result<BlobWriter> {
    let mut crc = Crc::new();
    blob.write_all(&HEADER)?;
    for deflated in in_order {
        // A worker that is gone was given up with the whole blob.
        let Ok(deflated) = deflated.recv() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        blob.write_all(&deflated.bytes?)?;
        crc.combine(&deflated.crc);
    }
    blob.write_all(&crc.sum().to_le_bytes())?;
    blob.write_all(&crc.amount().to_le_bytes())?;
    Ok(blob)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn sample(length: usize) -> Vec<u8> {
        // Half text that repeats over the borders of blocks, half noise; each third block is noise alone.
        let mut state = 1u32;
        (0..length)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at / 4096 % 2 == 0 && at / BLOCK % 3 != 1 {
                    b"all work and no play "[at % 21]
                } else {
                    (state >> 24) as u8
                }
            })
            .collect()
    }

    fn packed(length: usize, workers: usize) -> (Vec<u8>, Digest) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let bytes = sample(length);
        let produce = |sink: &mut dyn Write| {
            bytes.chunks(70_001).try_for_each(|part| sink.write_all(part)).map_err(Error::io("write", "x"))
        };
        let (digest, size, diff_id) = write_blob_with(&store, workers, LEVEL, produce).unwrap();
        assert_eq!(diff_id, crate::sha256(&bytes));
        let blob = store.read_blob(&digest, u64::MAX).unwrap();
        assert_eq!(blob.len() as u64, size);
        (blob, diff_id)
    }

    #[test]
    fn any_number_of_threads_gives_the_same_valid_member() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 77] {
            let (one, _) = packed(length, 1);
            assert_eq!(one, packed(length, 7).0, "{length}");
            let mut decoded = Vec::new();
            // A single member, not several.
            flate2::read::GzDecoder::new(one.as_slice()).read_to_end(&mut decoded).unwrap();
            assert_eq!(decoded, sample(length));
        }
    }

    #[test]
    fn only_noise_is_stored_as_it_is() {
        let noise = sample(2 * BLOCK).split_off(BLOCK);
        assert!(is_noise(&noise));
        assert!(!is_noise(&noise[..PIECE - 1]));
        assert!(!is_noise(&sample(BLOCK)));
        assert!(!is_noise(&b"some text\n".repeat(BLOCK / 10)));
        let stored = deflate_block(LEVEL, &[], &noise, false).unwrap();
        assert!((noise.len()..noise.len() + 128).contains(&stored.len()), "{}", stored.len());
        // Beside text too, whose own repetitions are found over the noise.
        let text = b"some text\n".repeat(PIECE / 10 + 1);
        let both = [&text[..PIECE / 2], &noise[..4 * PIECE], &text[..PIECE]].concat();
        assert_eq!(run(&both), (PIECE, false));
        assert_eq!(run(&both[PIECE..]), (3 * PIECE, true));
        let packed = deflate_block(LEVEL, &[], &both, true).unwrap();
        assert!(packed.len() < 5 * PIECE, "{}", packed.len());
        let mut decoded = Vec::new();
        flate2::read::DeflateDecoder::new(packed.as_slice()).read_to_end(&mut decoded).unwrap();
        assert!(decoded == both);
    }

    #[test]
    fn a_block_does_not_depend_on_those_before() {
        // Short records filled up with zeros, as in a tar of small files: a reset compressor packs most blocks of it otherwise.
        let mut state = 7_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        let mut bytes = Vec::new();
        while bytes.len() < 8 * BLOCK {
            for _ in 0..=random(40) {
                bytes.extend_from_slice(format!("{:x} ", random(50) * 7919).as_bytes());
            }
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        let pack = |workers: usize| {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path()).unwrap();
            let produce = |sink: &mut dyn Write| sink.write_all(&bytes).map_err(Error::io("write", "x"));
            write_blob_with(&store, workers, LEVEL, produce).unwrap().0
        };
        let one = pack(1);
        for workers in [2, 3, 16] {
            assert_eq!(pack(workers), one, "{workers}");
        }
    }

    #[test]
    fn gzip_itself_accepts_it() {
        let (blob, _) = packed(3 * BLOCK + 5, 2);
        let file = tempfile::NamedTempFile::with_suffix(".gz").unwrap();
        std::fs::write(file.path(), blob).unwrap();
        assert!(std::process::Command::new("gzip").arg("-t").arg(file.path()).status().unwrap().success());
    }

    #[test]
    fn a_failing_producer_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let result = write_blob(&store, |sink| {
            sink.write_all(&sample(3 * BLOCK)).unwrap();
            Err(Error::Invalid("no".into()))
        });
        assert!(matches!(result, Err(Error::Invalid(_))));
        assert_eq!(std::fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(directory.path().join("blobs/sha256")).unwrap().count(), 0);
    }
}
