//! What touches every byte of an image: digests, and layers as they are packed (tar, digest of it, deflate, digest of that).
//!
//! Files are in memory, so that no reading is measured; blobs are written to a store in the temporary directory.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

use steprun_snapshot::{Change, ChangeEntry, Compression, Snapshot, Store, Timestamp, sha256};

const MIB: usize = 1 << 20;

fn main() {
    divan::main();
}

#[divan::bench(args = [4 << 10, MIB, 64 * MIB])]
fn digest(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = noise(size);
    bencher.counter(BytesCount::new(size)).bench(|| sha256(black_box(&bytes)));
}

/// Headers count: files of 1 KiB, a tar without deflate.
#[divan::bench(args = [100, 1_000, 10_000])]
fn tar(bencher: Bencher<'_, '_>, files: usize) {
    let content = noise(1 << 10);
    let snapshot = snapshot((0..files).map(|_| content.clone()));
    let bencher = bencher.counter(ItemsCount::new(files)).counter(BytesCount::new(files << 10));
    packed(bencher, &snapshot, Compression::None);
}

/// Text, by as many threads as there are cores.
#[divan::bench(args = [MIB, 16 * MIB])]
fn deflate_text(bencher: Bencher<'_, '_>, size: usize) {
    let words: Vec<String> = noise(600).chunks(4).map(|word| format!("{word:02x?} ")).collect();
    let choices = noise(size / 8);
    let text: String = choices.iter().map(|choice| words[usize::from(*choice) % words.len()].as_str()).collect();
    let snapshot = snapshot([text.into_bytes()[..size].to_vec()]);
    packed(bencher.counter(BytesCount::new(size)), &snapshot, Compression::Gzip);
}

/// What doesn't compress is stored, once that is seen.
#[divan::bench(args = [MIB, 16 * MIB])]
fn deflate_noise(bencher: Bencher<'_, '_>, size: usize) {
    packed(bencher.counter(BytesCount::new(size)), &snapshot([noise(size)]), Compression::Gzip);
}

fn packed(bencher: Bencher<'_, '_>, snapshot: &Snapshot, compression: Compression) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = Store::open(directory.path()).expect("a store can be made");
    bencher.bench_local(|| snapshot.pack(&store, compression).expect("it can be packed"));
}

fn snapshot(files: impl IntoIterator<Item = Vec<u8>>) -> Snapshot {
    let entry = |(number, content)| ChangeEntry {
        path: format!("f{number}"),
        change: Change::Inline(content),
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: Timestamp::default(),
    };
    Snapshot::scratch().extend(&[], files.into_iter().enumerate().map(entry).collect()).expect("files are no conflict")
}

/// Bytes that do not compress, the same on each run (xorshift).
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(size.div_ceil(8)).flatten().take(size).collect()
}
