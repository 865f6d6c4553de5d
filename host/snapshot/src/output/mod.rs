//! Images in files and directories of the caller: OCI image layouts, archives that `docker load` and others read, plain files.

mod archive;
mod files;
mod garbage;
pub(crate) mod index;
mod layout;
mod legacy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use oci_spec::image::Digest;
use tempfile::NamedTempFile;

use crate::hash::{Hasher, Hashing};
use crate::{Descriptor, Error, Result, sha256};

pub use archive::{stream_archive, write_archive};
pub use files::write_files;
pub use garbage::collect_garbage;
pub use layout::{add_blob, add_image, remove_image, write_layout};

/// The contract's `outputs.archive-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `docker load` reads it (Docker's image-spec v1.2, with an OCI layout beside it).
    Docker,
    /// What `docker save` wrote before its version 25: a directory for each layer.
    Legacy,
    /// An OCI image layout in a tar archive.
    Oci,
}

/// An image to be written.
#[derive(Debug, Clone)]
pub struct Image {
    /// Media type of the manifest or index.
    pub media_type: String,
    /// Its bytes.
    pub manifest: Vec<u8>,
    /// `registry/repository:tag`, or in layouts a bare tag.
    pub names: Vec<String>,
}

/// A blob that can be read, wherever it lies. The bytes are verified while they are written.
pub trait Blob {
    /// What it should be.
    fn descriptor(&self) -> &Descriptor;
    /// Begins to read it, each time from its start.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
}

/// Writes a file whole: what was there is replaced when all is written, and stays if `write` fails. A device, a pipe or a file
/// descriptor (`/dev/stdout`, `/dev/fd/3`) is written to as it is: replaced by a file, it would be lost for the whole system. A
/// symlink stays; the file that it leads to is written.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    if is_place(path) {
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io("open", path))?;
        let mut buffered = io::BufWriter::with_capacity(256 * 1024, file);
        write(&mut buffered)?;
        return buffered.flush().map_err(Error::io("write", path));
    }
    let real = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let path = real.as_deref().unwrap_or(path);
    let mut buffered = io::BufWriter::with_capacity(256 * 1024, temporary_beside(path)?);
    write(&mut buffered)?;
    let file = buffered.into_inner().map_err(|error| Error::io("write", path)(error.into_error()))?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        // A mounted file, such as Kubernetes' `/dev/termination-log`, can't be replaced, only filled.
        Err(failed) if failed.error.kind() == io::ErrorKind::ResourceBusy => {
            fs::copy(failed.file.path(), path).map(drop).map_err(Error::io("write", path))
        }
        Err(failed) => Err(Error::io("rename a finished file to", path)(failed.error)),
    }
}

/// Whether a path names something that is there to be written to, and not a file to be replaced.
fn is_place(path: &Path) -> bool {
    let Ok(found) = path.metadata() else { return false };
    let descriptor = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|place| path.starts_with(place));
    !found.is_dir() && (descriptor || !found.is_file())
}

/// A temporary file in the same directory, with the permissions that the caller's files get.
fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(directory);
    file.map_err(Error::io("create a file in", directory))
}

/// The manifest as a blob like the others.
struct Manifest<'a> {
    descriptor: Descriptor,
    content: &'a [u8],
}

impl<'a> Manifest<'a> {
    fn of(image: &'a Image) -> Self {
        let size = image.manifest.len() as u64;
        let descriptor = Descriptor { media_type: image.media_type.clone(), digest: sha256(&image.manifest), size };
        Self { descriptor, content: &image.manifest }
    }

    fn lacks(&self, blob: &Digest) -> Error {
        Error::Invalid(format!(
            "the manifest {} refers to the blob {blob}, which was not given",
            self.descriptor.digest
        ))
    }
}

impl Blob for Manifest<'_> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.content))
    }
}

/// All blobs by their place in a layout, each once.
/// Fails with [`Error::Invalid`] if a manifest is none or refers to a blob that is not among them.
fn by_place<'b>(manifests: &'b [Manifest<'_>], blobs: &[&'b dyn Blob]) -> Result<BTreeMap<String, &'b dyn Blob>> {
    let own = manifests.iter().map(|manifest| manifest as &dyn Blob);
    let mut places = BTreeMap::new();
    for blob in blobs.iter().copied().chain(own) {
        let digest = &blob.descriptor().digest;
        Hasher::of(digest)?;
        places.insert(place(digest), blob);
    }
    for manifest in manifests {
        for digest in index::references(manifest.content)? {
            if !places.contains_key(&place(&digest)) {
                return Err(manifest.lacks(&digest));
            }
        }
    }
    Ok(places)
}

/// Where a layout keeps a blob (OCI image-spec, image-layout.md).
pub(crate) fn place(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

/// Copies a blob and verifies it. Fails with [`Error::Corrupt`].
pub(crate) fn copy(blob: &dyn Blob, to: &mut dyn Write, shown: &Path) -> Result<()> {
    let Descriptor { digest, size, .. } = blob.descriptor();
    // Not more than was announced: the header of an archive can't be taken back.
    let mut reader = Hashing::new(blob.open()?.take(size.saturating_add(1)), Hasher::of(digest)?);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read the blob", digest.as_ref())(error)),
        };
        if reader.count > *size {
            return Err(Error::Corrupt(format!("the blob {digest} has more than its {size} bytes")));
        }
        to.write_all(&buffer[..count]).map_err(Error::io("write", shown))?;
    }
    verify(blob, reader)
}

/// Fails with [`Error::Corrupt`] if what was read to its end is not the blob.
fn verify(blob: &dyn Blob, read: Hashing<impl Read>) -> Result<()> {
    let Descriptor { digest, size, .. } = blob.descriptor();
    if read.count != *size {
        return Err(Error::Corrupt(format!("the blob {digest} should have {size} bytes and has {}", read.count)));
    }
    match read.hasher.finish() {
        found if found == *digest => Ok(()),
        found => Err(Error::Corrupt(format!("the blob {digest} has the digest {found}"))),
    }
}
