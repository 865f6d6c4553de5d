//! The same layer, compressed in another way.

use std::io::{self, Write};

use oci_spec::image::Digest;

use crate::codec::{Codec, probe};
use crate::{Descriptor, Error, Result, Store, gzip};

/// How a layer is to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recompression {
    /// As layers of ours are.
    Gzip,
    /// At zstd's default level.
    Zstd,
}

impl Recompression {
    fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// Compresses a layer of the store (plain, gzip or zstd, told by its bytes) in another way. Equal layers give equal bytes.
/// Fails with [`Error::NotFound`] if the store lacks it, and with [`Error::Invalid`] if it can't be decompressed.
pub fn recompress(store: &Store, layer: &Digest, to: Recompression) -> Result<Descriptor> {
    let reading = |error: io::Error| match error.raw_os_error() {
        None => Error::Invalid(format!("the layer {layer} can't be decompressed: {error}")),
        Some(_) => Error::io("read", layer.as_ref())(error),
    };
    let (start, whole) = probe(store.open_blob(layer)?).map_err(reading)?;
    let mut plain = Codec::detect(&start).decode(whole)?;
    let copy = |sink: &mut dyn Write| io::copy(&mut plain, sink).map(drop).map_err(reading);
    let (digest, size) = match to {
        Recompression::Gzip => gzip::write_blob(store, copy).map(|(digest, size, _)| (digest, size))?,
        Recompression::Zstd => write_zstd(store, copy)?,
    };
    Ok(Descriptor { media_type: to.media_type().to_owned(), digest, size })
}

fn write_zstd(store: &Store, produce: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<(Digest, u64)> {
    let blob = store.writer()?;
    let shown = blob.path().to_owned();
    let writing = |error| Error::io("write", &shown)(error);
    let mut encoder = zstd::stream::write::Encoder::new(blob, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(writing)?;
    produce(&mut encoder)?;
    encoder.finish().map_err(writing)?.finish(None)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_layer_keeps_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let content = b"a layer, ".repeat(10_000);
        let plain = store.put_bytes(&content).unwrap();
        let zstd = recompress(&store, &plain, Recompression::Zstd).unwrap();
        let gzip = recompress(&store, &zstd.digest, Recompression::Gzip).unwrap();
        assert_eq!(recompress(&store, &gzip.digest, Recompression::Zstd).unwrap(), zstd, "equal bytes again");
        assert_eq!(recompress(&store, &plain, Recompression::Gzip).unwrap(), gzip);
        for (descriptor, codec) in [(zstd, Codec::Zstd), (gzip, Codec::Gzip)] {
            assert!(descriptor.size < 2000 && Some(descriptor.size) == store.contains(&descriptor.digest));
            let (start, whole) = probe(store.open_blob(&descriptor.digest).unwrap()).unwrap();
            assert_eq!(Codec::detect(&start), codec);
            let mut decoded = Vec::new();
            codec.decode(whole).unwrap().read_to_end(&mut decoded).unwrap();
            assert_eq!(decoded, content);
        }
        let broken = store.put_bytes(&[0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]).unwrap();
        assert!(matches!(recompress(&store, &broken, Recompression::Gzip), Err(Error::Invalid(_))));
    }
}
