//! Compressions that archives and layers come in, told by their first bytes.

use std::io::{BufRead, BufReader, Read};

use crate::{Error, Result};

/// Bytes that [`Codec::detect`] wants to see: a tar header.
pub(crate) const PROBE: usize = 512;

/// An xz stream may ask its decoder for up to 4 GiB; `xz -9` asks for 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 * 1024;

/// A compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    /// By the magic numbers of RFC 1952, bzip2, xz (section 2.1.1.1) and RFC 8878; zstd may begin with a skippable frame.
    pub(crate) fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The bytes behind the compression. All members or frames of a file count.
    pub(crate) fn decode<'r>(self, input: impl BufRead + 'r) -> Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Plain => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB)),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(input);
                Box::new(decoder.map_err(|error| Error::Unsupported(format!("zstd can't be decoded: {error}")))?)
            }
        })
    }
}

/// A reader's first bytes (up to [`PROBE`]), and a reader of all its bytes.
pub(crate) fn probe<R: Read>(mut input: R) -> std::io::Result<(Vec<u8>, BufReader<impl Read>)> {
    let mut start = Vec::with_capacity(PROBE);
    input.by_ref().take(PROBE as u64).read_to_end(&mut start)?;
    let whole = std::io::Cursor::new(start.clone()).chain(input);
    Ok((start, BufReader::with_capacity(128 * 1024, whole)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn filter(command: &str, input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(command).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn each_compression_is_told_and_undone() {
        for (command, codec) in [("gzip", Codec::Gzip), ("bzip2", Codec::Bzip2), ("xz", Codec::Xz)] {
            let mut bytes = filter(command, b"one ");
            bytes.extend(filter(command, b"two"));
            assert_eq!(decode_all(&bytes, codec), b"one two", "{command}");
        }
        let zstd = [zstd::encode_all(&b"one "[..], 1).unwrap(), zstd::encode_all(&b"two"[..], 1).unwrap()].concat();
        assert_eq!(decode_all(&zstd, Codec::Zstd), b"one two");
        assert_eq!(decode_all(b"as it is", Codec::Plain), b"as it is");
        assert_eq!(decode_all(b"", Codec::Plain), b"");
    }

    fn decode_all(bytes: &[u8], expected: Codec) -> Vec<u8> {
        let (start, whole) = probe(bytes).unwrap();
        assert_eq!(Codec::detect(&start), expected);
        let mut decoded = Vec::new();
        expected.decode(whole).unwrap().read_to_end(&mut decoded).unwrap();
        decoded
    }
}
