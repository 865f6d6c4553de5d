//! Layers: their table of contents, and reading files out of them.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};

use crate::ahead::Ahead;
use crate::codec::{Codec, probe};
use crate::hash::{Hasher, Hashing};
use crate::tar::Item;
use crate::tar::input::Seeking;
use crate::tar::read::TarReader;
use crate::{Descriptor, Error, Layer, Result, Store};

/// First bytes of a cached table of contents. The number changes with the form of [`Item`].
const MAGIC: &[u8] = b"steprun table of contents 1\n";

/// Brings a layer's blob into the store when its bytes are needed for the first time.
pub trait Fetch: Send + Sync {
    /// Makes `store` contain the blob. Called from any thread, and only if the store lacks it.
    fn fetch(&self, store: &Store) -> Result<()>;

    /// The same, and gives the blob's bytes while they come. Its end is reached, without an error, only when `store` contains the blob; who
    /// stops before has read what may be anything. None if the bytes are best read in the store, which contains them now.
    fn stream(&self, store: &Store) -> Result<Option<Box<dyn Read + Send>>> {
        self.fetch(store).map(|()| None)
    }
}

/// A [`Fetch`] for layers that are in the store: it fails with [`Error::NotFound`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFetch;

impl Fetch for NoFetch {
    fn fetch(&self, store: &Store) -> Result<()> {
        Err(Error::NotFound(format!("a layer is not in the store `{}`", store.root().display())))
    }
}

/// What an archive holds, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toc {
    pub(crate) diff_id: Digest,
    pub(crate) items: Vec<Item>,
}

impl Toc {
    /// Reads an uncompressed archive to its end.
    pub(crate) fn read(archive: impl Read) -> Result<Self> {
        let mut reader = TarReader::new(Hashing::new(archive, Hasher::sha256()));
        let items = reader.items()?;
        reader.drain()?;
        Ok(Self { diff_id: reader.into_input().hasher.finish(), items })
    }

    /// Keeps that of a tar which was just written into the store, and whose digest is known by that.
    pub(crate) fn keep_written(store: &Store, diff_id: &Digest) -> Result<()> {
        let archive = Seeking::new(store.open_blob(diff_id)?).map_err(Error::io("read", store.blob_path(diff_id)?))?;
        Self { diff_id: diff_id.clone(), items: TarReader::new(archive).items()? }.keep(store, diff_id)
    }

    /// The table of contents of a layer, from the store's cache if it is there. Fails with [`Error::Corrupt`] if the layer has another diff ID.
    fn of_layer(store: &Store, layer: &Layer, fetch: &dyn Fetch) -> Result<Self> {
        let toc = Self::cached(store, &layer.descriptor.digest, || Self::of_blob(store, layer, fetch))?;
        if toc.diff_id != layer.diff_id {
            return Err(Error::Corrupt(format!(
                "the layer {} has the diff ID {}, and the image says {}",
                layer.descriptor.digest, toc.diff_id, layer.diff_id
            )));
        }
        Ok(toc)
    }

    /// The table of contents of a tar of the store, from its cache if it is there.
    fn of_tar(store: &Store, diff_id: &Digest, tar: impl FnOnce() -> Result<File>) -> Result<Self> {
        let toc = Self::cached(store, diff_id, || Self::read(BufReader::with_capacity(128 * 1024, tar()?)))?;
        if toc.diff_id != *diff_id {
            return Err(Error::Corrupt(format!("the stored archive {diff_id} has the digest {}", toc.diff_id)));
        }
        Ok(toc)
    }

    /// Reads a layer; one that the store lacks, while it comes.
    fn of_blob(store: &Store, layer: &Layer, fetch: &dyn Fetch) -> Result<Self> {
        let digest = &layer.descriptor.digest;
        if store.contains(digest).is_none()
            && let Some(arriving) = fetch.stream(store)?
        {
            match decoded(arriving, digest).and_then(Self::read) {
                Ok(toc) if store.contains(digest).is_some() => return Ok(toc),
                Err(error @ Error::External(_)) => return Err(error),
                // Bytes that make no sense may not be the blob's, which is known at their end only.
                _ => fetch.fetch(store)?,
            }
        }
        Self::read(uncompressed(store, layer, fetch)?)
    }

    fn cached(store: &Store, blob: &Digest, make: impl FnOnce() -> Result<Self>) -> Result<Self> {
        let path = store.toc_path(blob)?;
        if let Some(toc) = std::fs::read(&path).ok().and_then(|bytes| decode(&bytes)) {
            return Ok(toc);
        }
        let toc = make()?;
        toc.save(store, &path)?;
        Ok(toc)
    }

    /// Puts it into the store's cache for a blob.
    pub(crate) fn keep(&self, store: &Store, blob: &Digest) -> Result<()> {
        self.save(store, &store.toc_path(blob)?)
    }

    fn save(&self, store: &Store, path: &std::path::Path) -> Result<()> {
        let Ok(body) = postcard::to_stdvec(self) else { return Ok(()) };
        let mut checksum = flate2::Crc::new();
        checksum.update(&body);
        store.replace(path, &[MAGIC, &checksum.sum().to_le_bytes(), &body])
    }
}

/// None for what is no cached table of contents of this version, or a broken one.
fn decode(bytes: &[u8]) -> Option<Toc> {
    let (announced, body) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    let mut checksum = flate2::Crc::new();
    checksum.update(body);
    (checksum.sum() == u32::from_le_bytes(*announced)).then(|| postcard::from_bytes(body).ok())?
}

/// A layer's uncompressed bytes, fetched if need be.
fn uncompressed(store: &Store, layer: &Layer, fetch: &dyn Fetch) -> Result<Box<dyn Read>> {
    let digest = &layer.descriptor.digest;
    if store.contains(digest).is_none() {
        fetch.fetch(store)?;
    }
    decoded(store.open_blob(digest)?, digest)
}

/// A layer's bytes without their compression, which another thread undoes.
fn decoded(blob: impl Read + Send + 'static, digest: &Digest) -> Result<Box<dyn Read>> {
    let (start, whole) = probe(blob).map_err(Error::io("read the layer", digest.to_string()))?;
    match Codec::detect(&start) {
        Codec::Plain => Ok(Box::new(whole)),
        codec @ (Codec::Gzip | Codec::Zstd) => {
            Ok(Box::new(Ahead::new(move || codec.decode(whole).map_err(Error::into_io))))
        }
        codec => Err(Error::Invalid(format!("the layer {digest} is compressed with {codec:?}, which no layer may be"))),
    }
}

/// An uncompressed tar that files are read out of: a layer's, or one that is in the store already.
pub(crate) struct TarOrigin {
    store: Store,
    diff_id: Digest,
    layer: Option<(Layer, Arc<dyn Fetch>)>,
    file: Mutex<Option<Arc<File>>>,
}

impl std::fmt::Debug for TarOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TarOrigin").field(&self.diff_id).finish()
    }
}

impl TarOrigin {
    /// A layer's tar. Nothing is read before it is needed.
    pub(crate) fn of_layer(store: &Store, layer: Layer, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            store: store.clone(),
            diff_id: layer.diff_id.clone(),
            layer: Some((layer, fetch)),
            file: Mutex::default(),
        }
    }

    /// A tar that [`write_tar`] or [`write_tar_with`] made.
    pub(crate) fn of_store(store: &Store, diff_id: Digest) -> Self {
        Self { store: store.clone(), diff_id, layer: None, file: Mutex::default() }
    }

    /// A tar in an open file that may have no name any more.
    pub(crate) fn of_file(store: &Store, diff_id: Digest, file: File) -> Self {
        let file = Mutex::new(Some(Arc::new(file)));
        Self { store: store.clone(), diff_id, layer: None, file }
    }

    /// Digest of the uncompressed tar.
    pub(crate) fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// The blob that it is in; none if only the tar is there.
    pub(crate) fn descriptor(&self) -> Option<&Descriptor> {
        self.layer.as_ref().map(|(layer, _)| &layer.descriptor)
    }

    /// What it holds. Fails with [`Error::Corrupt`] if it has another diff ID.
    pub(crate) fn contents(&self) -> Result<Toc> {
        match &self.layer {
            Some((layer, fetch)) => Toc::of_layer(&self.store, layer, fetch.as_ref()),
            None => Toc::of_tar(&self.store, &self.diff_id, || self.find()),
        }
    }

    /// Sees to it that its blob (or, without one, its tar) is in the store.
    pub(crate) fn provide(&self) -> Result<()> {
        match &self.layer {
            Some((layer, _)) if self.store.contains(&layer.descriptor.digest).is_some() => Ok(()),
            Some((_, fetch)) => fetch.fetch(&self.store),
            None => self.open().map(drop),
        }
    }

    /// Whether its bytes can't be had without decompressing them.
    pub(crate) fn is_packed(&self) -> Result<bool> {
        Ok(match &self.layer {
            Some((layer, _)) => {
                layer.diff_id != layer.descriptor.digest && self.store.contains(&self.diff_id).is_none()
            }
            None => false,
        })
    }

    /// The uncompressed tar from its beginning, where it can only be had in one go: none if [`TarOrigin::open`] gives it without decompressing.
    pub(crate) fn stream(&self) -> Result<Option<Box<dyn Read>>> {
        match &self.layer {
            Some((layer, fetch)) if self.is_packed()? => uncompressed(&self.store, layer, fetch.as_ref()).map(Some),
            _ => Ok(None),
        }
    }

    /// The open tar; a compressed layer is decompressed into the store first, once.
    pub(crate) fn open(&self) -> Result<Arc<File>> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*slot {
            return Ok(file.clone());
        }
        let file = Arc::new(self.find()?);
        *slot = Some(file.clone());
        Ok(file)
    }

    fn find(&self) -> Result<File> {
        let path = self.store.blob_path(&self.diff_id)?;
        match File::open(&path) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("open", &path)(error)),
        }
        let Some((layer, fetch)) = &self.layer else {
            return Err(Error::NotFound(format!("the store has lost the archive {}", self.diff_id)));
        };
        if layer.diff_id == layer.descriptor.digest {
            // Not compressed: the blob is the tar.
            fetch.fetch(&self.store)?;
            return self.store.open_blob(&layer.diff_id);
        }
        let found = write_tar(&self.store, uncompressed(&self.store, layer, fetch.as_ref())?)?;
        if found != self.diff_id {
            return Err(Error::Corrupt(format!(
                "the layer {} has the diff ID {found}, and the image says {}",
                layer.descriptor.digest, self.diff_id
            )));
        }
        File::open(&path).map_err(Error::io("open", &path))
    }
}

/// Writes an uncompressed archive into the store, as the blob that it is; gives its digest.
pub(crate) fn write_tar(store: &Store, archive: impl Read) -> Result<Digest> {
    let mut archive = BufReader::with_capacity(128 * 1024, archive);
    write_tar_with(store, |sink| io::copy(&mut archive, sink).map(drop).map_err(Error::io("write", store.root())))
}

/// The same of an archive that is written by `produce`.
pub(crate) fn write_tar_with(store: &Store, produce: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Digest> {
    let mut writer = store.writer()?;
    produce(&mut writer)?;
    writer.finish(None).map(|(diff_id, _)| diff_id)
}

/// Writes an uncompressed archive into a file that has no name, and so is gone with its last handle; gives its digest, too.
pub(crate) fn write_nameless_tar(store: &Store, mut archive: impl Read) -> Result<(Digest, File)> {
    let mut writer = Hashing::new(store.temporary()?, Hasher::sha256());
    io::copy(&mut archive, &mut writer).map_err(Error::io("write", store.root()))?;
    Ok((writer.hasher.finish(), writer.inner.into_file()))
}
