//! Archives of the caller: as file systems, and as layers.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use oci_spec::image::Digest;

use crate::apply::{self, Extents, Whiteouts};
use crate::codec::{Codec, PROBE, probe};
use crate::content::{Content, FileOrigin, Origin, ReadAt};
use crate::gzip;
use crate::layer::{TarOrigin, Toc, write_nameless_tar, write_tar};
use crate::meta::{Descriptor, Layer};
use crate::snapshot::regular;
use crate::tar::read::is_header;
use crate::tar::{Body, Item};
use crate::tree::Tree;
use crate::{Compression, Error, Result, Snapshot, Source, Store, name};

impl Snapshot {
    /// The content of a tar archive in a source (plain, gzip, bzip2, xz or zstd, told by its bytes), or none if the file is no such
    /// archive. The path is resolved as the source resolves it. A compressed archive is decompressed into the store, once.
    /// Fails with [`Error::NotFound`], [`Error::Denied`], and [`Error::Invalid`] if it begins as an archive and doesn't go on as one.
    pub fn from_archive(store: &Store, source: &Source, path: &str) -> Result<Option<Self>> {
        let (content, size) = find(source, path)?;
        let (start, whole) = probe(content.open(size)?).map_err(Error::io("read", path))?;
        let codec = Codec::detect(&start);
        if codec == Codec::Plain {
            return if is_archive(&start) { plain(&content, Toc::read(whole)?.items).map(Some) } else { Ok(None) };
        }
        let mut start = Vec::with_capacity(PROBE);
        let mut decoded = codec.decode(whole)?;
        // What can't be decompressed is no archive: its first bytes are like one's by chance.
        if decoded.by_ref().take(PROBE as u64).read_to_end(&mut start).is_err() || !is_archive(&start) {
            return Ok(None);
        }
        let diff_id =
            write_tar(store, io::Cursor::new(start).chain(decoded)).map_err(|error| not_whole(path, error))?;
        let origin = Arc::new(TarOrigin::of_store(store, diff_id));
        let tar = BufReader::with_capacity(128 * 1024, ReadAt { file: origin.open()?, position: 0 });
        let items = Toc::read(tar)?.items;
        tree(items, &Extents::Of { origin: &Origin::Tar(origin), begin: 0 }).map(Some)
    }
}

/// What [`read_archive`] found.
pub enum Opened<R> {
    /// An archive's content.
    Archive(Snapshot),
    /// Something else, from its first byte on.
    Other(R),
}

/// The content of a tar archive that can be read only once (plain, gzip, bzip2, xz or zstd, told by its bytes). Its uncompressed bytes lie in a file of
/// the store that has no name: it is gone with the last snapshot that was made of it.
/// Fails with [`Error::Invalid`] if it begins as an archive and doesn't go on as one.
pub fn read_archive(store: &Store, input: impl Read, shown: &str) -> Result<Opened<impl Read>> {
    let (start, whole) = probe(input).map_err(Error::io("read", shown))?;
    let codec = Codec::detect(&start);
    if codec == Codec::Plain && !is_archive(&start) {
        return Ok(Opened::Other(whole));
    }
    let (diff_id, file) = write_nameless_tar(store, codec.decode(whole)?).map_err(|error| not_whole(shown, error))?;
    let origin = Arc::new(TarOrigin::of_file(store, diff_id, file));
    let tar = BufReader::with_capacity(128 * 1024, ReadAt { file: origin.open()?, position: 0 });
    let items = Toc::read(tar)?.items;
    tree(items, &Extents::Of { origin: &Origin::Tar(origin), begin: 0 }).map(Opened::Archive)
}

/// A tar archive of the caller (plain, gzip or zstd, told by its bytes) as a layer. A plain one is compressed by gzip, as crane does;
/// the bytes of a compressed one are kept.
/// Fails with [`Error::Invalid`] if it is no such archive.
pub fn import_layer(store: &Store, archive: impl Read) -> Result<Layer> {
    let (start, mut whole) = probe(archive).map_err(Error::io("read", "an archive"))?;
    let gzip = Compression::Gzip.media_type();
    let (media_type, digest, size) = match Codec::detect(&start) {
        Codec::Plain => {
            let copy =
                |sink: &mut dyn Write| io::copy(&mut whole, sink).map(drop).map_err(Error::io("read", "an archive"));
            let (digest, size, _) = gzip::write_blob(store, copy)?;
            (gzip, digest, size)
        }
        Codec::Gzip => kept(store, whole, gzip)?,
        Codec::Zstd => kept(store, whole, "application/vnd.oci.image.layer.v1.tar+zstd")?,
        codec => return Err(Error::Invalid(format!("a layer may be plain, gzip or zstd, and this is {codec:?}"))),
    };
    let (start, whole) = probe(store.open_blob(&digest)?).map_err(Error::io("read", "an archive"))?;
    let toc = Toc::read(Codec::detect(&start).decode(whole)?)?;
    let layer =
        Layer { descriptor: Descriptor { media_type: media_type.into(), digest, size }, diff_id: toc.diff_id.clone() };
    toc.keep(store, &layer.descriptor.digest)?;
    Ok(layer)
}

/// Bytes as they are in the store, with their media type, digest and size.
fn kept<'m>(store: &Store, mut archive: impl Read, media_type: &'m str) -> Result<(&'m str, Digest, u64)> {
    let mut blob = store.writer()?;
    let shown = blob.path().to_owned();
    io::copy(&mut archive, &mut blob).map_err(Error::io("write", shown))?;
    let (digest, size) = blob.finish(None)?;
    Ok((media_type, digest, size))
}

/// The file, and what is known of its content.
pub(crate) fn find(source: &Source, path: &str) -> Result<(Content, u64)> {
    match source {
        Source::Directory(directory) => {
            let literal = name::decode(&directory.real_path(path)?)?;
            let (_, identity) = directory.open_literal(&literal)?;
            Ok((Content::of_file(FileOrigin { directory: directory.clone(), path: literal, identity }), identity.size))
        }
        Source::Snapshot(snapshot) => {
            let resolved = snapshot.tree().resolve(&name::decode(path)?, true)?;
            let node = resolved.node.ok_or_else(|| Error::NotFound(format!("there is no `{path}`")))?;
            let (content, size) =
                regular(node).ok_or_else(|| Error::Invalid(format!("`{path}` is no regular file")))?;
            Ok((content.clone(), size))
        }
    }
}

/// Whether it begins with a header.
fn is_archive(start: &[u8]) -> bool {
    let block: Result<&[u8; 512], _> = start.try_into();
    block.is_ok_and(is_header)
}

/// An archive whose files are read where it lies.
fn plain(content: &Content, items: Vec<Item>) -> Result<Snapshot> {
    match content {
        Content::Inline(bytes) => tree(items, &Extents::Inline(bytes)),
        Content::Extent { origin, offset, map: None } => tree(items, &Extents::Of { origin, begin: *offset }),
        Content::Extent { map: Some(_), .. } => {
            Err(Error::Unsupported("an archive that is itself a sparse file in a layer is not supported".into()))
        }
    }
}

fn tree(items: Vec<Item>, extents: &Extents<'_>) -> Result<Snapshot> {
    let mut tree = Tree::empty();
    // `.` says how the archive's own directory was, which is nobody's business where it is unpacked.
    let items = items.into_iter().filter(|item| !(item.path.is_empty() && item.body == Body::Directory)).collect();
    apply::apply(&mut tree, items, extents, Whiteouts::Keep)?;
    Ok(Snapshot::of_archive(tree))
}

fn not_whole(path: &str, error: Error) -> Error {
    match error {
        Error::Io { source, .. } if source.raw_os_error().is_none() => {
            Error::Invalid(format!("the archive `{path}` can't be decompressed: {source}"))
        }
        error => error,
    }
}
