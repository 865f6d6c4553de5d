//! Images in files and directories of the caller: OCI layouts, archives of them and of `docker save`, and skopeo's directories. To be
//! read as a registry would be: by name or digest, manifests as bytes, blobs as streams.

mod docker;
mod skopeo;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use oci_spec::image::{Digest, DigestAlgorithm};
use serde_json::Value;

use crate::archive::find;
use crate::output::index::{self, IMAGE_NAME, REF_NAME};
use crate::output::place;
use crate::{Descriptor, Directory, Error, Result, Snapshot, Source, Store, sha256};

pub use skopeo::{add_blob as add_blob_to_directory, add_manifest as add_manifest_to_directory};

/// The largest document that is read, in bytes.
const DOCUMENT_LIMIT: u64 = 16 << 20;

/// How images lie in a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An OCI image layout in a directory.
    Layout,
    /// An OCI image layout in a tar archive.
    OciArchive,
    /// What `docker save` writes.
    DockerArchive,
    /// What skopeo writes for `dir:`: one image, each blob a file beside its manifest.
    Directory,
}

/// A manifest or index with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes.
    pub content: Vec<u8>,
}

impl Document {
    fn new(media_type: impl Into<String>, content: Vec<u8>) -> Self {
        let (digest, size) = (sha256(&content), content.len() as u64);
        Self { descriptor: Descriptor { media_type: media_type.into(), digest, size }, content }
    }

    /// A document that names its own media type, or is told by what is in it (image-spec, "mediaType" of manifests is optional).
    fn untyped(content: Vec<u8>) -> Self {
        let parsed: Value = serde_json::from_slice(&content).unwrap_or_default();
        let guessed = match parsed.get("manifests") {
            Some(_) => "application/vnd.oci.image.index.v1+json",
            None => "application/vnd.oci.image.manifest.v1+json",
        };
        let declared = parsed.get("mediaType").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        Self::new(declared.unwrap_or(guessed), content)
    }
}

/// An image that has an entry of its own.
#[derive(Debug)]
struct Entry {
    names: Vec<String>,
    digest: Digest,
}

/// Images that can be read.
#[derive(Debug)]
pub struct Images {
    /// Where they are, for messages.
    shown: String,
    source: Source,
    entries: Vec<Entry>,
    /// The document that lists all entries, where there is one.
    index: Option<Document>,
    /// Manifests that the place does not hold as such, and those of known media types: by digest.
    documents: BTreeMap<String, Document>,
    /// Files by digest, where they are not in the places of a layout.
    files: Option<BTreeMap<String, String>>,
}

impl Images {
    /// Opens images of a known form. Fails with [`Error::NotFound`], and with [`Error::Invalid`] if something else is there.
    pub fn open(store: &Store, form: Form, path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        match form {
            Form::Layout => Self::layout(shown, directory(path)?),
            Form::Directory => skopeo::read(shown, directory(path)?),
            Form::OciArchive => Self::layout(shown, archive(store, path)?),
            Form::DockerArchive => Self::told(shown, archive(store, path)?),
        }
    }

    /// Opens an OCI layout, an archive of one or one of `docker save`, told by what is there. Fails as [`Images::open`] does.
    pub fn detect(store: &Store, path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        if path.is_dir() { Self::layout(shown, directory(path)?) } else { Self::told(shown, archive(store, path)?) }
    }

    /// As [`Images::detect`], of an archive that comes as a stream; it is kept in the store. `shown` is its name for messages.
    pub fn of_stream(store: &Store, mut stream: impl Read, shown: &str) -> Result<Self> {
        let mut writer = store.writer()?;
        let path = writer.path().to_owned();
        std::io::copy(&mut stream, &mut writer).map_err(Error::io("write", path))?;
        let (digest, _) = writer.finish(None)?;
        Self::told(shown.to_owned(), archive(store, &store.blob_path(&digest)?)?)
    }

    /// A layout comes first where both are: its manifests have their own bytes.
    fn told(shown: String, source: Source) -> Result<Self> {
        if document(&source, "index.json")?.is_some() {
            Self::layout(shown, source)
        } else {
            docker::read(shown, source)
        }
    }

    fn layout(shown: String, source: Source) -> Result<Self> {
        let none = || Error::Invalid(format!("`{shown}` is no OCI layout: it has no index.json"));
        let content = document(&source, "index.json")?.ok_or_else(none)?;
        let invalid = |why: &str| Error::Invalid(format!("`index.json` of `{shown}` {why}"));
        let parsed: Value = serde_json::from_slice(&content).map_err(|_| invalid("is no JSON"))?;
        let listed = parsed.get("manifests").and_then(Value::as_array).ok_or_else(|| invalid("is no index"))?;
        let mut images = Self {
            source,
            entries: Vec::new(),
            index: Some(Document::untyped(content)),
            documents: BTreeMap::new(),
            files: None,
            shown: shown.clone(),
        };
        for entry in listed {
            let digest = index::digest(entry).ok_or_else(|| invalid("has an entry without digest"))?;
            let annotation = |key| Some(entry.get("annotations")?.get(key)?.as_str()?.to_owned());
            images
                .entries
                .push(Entry { names: [REF_NAME, IMAGE_NAME].into_iter().filter_map(annotation).collect(), digest });
        }
        Ok(images)
    }

    /// The name of each image that has one, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.entries.iter().filter_map(|entry| entry.names.first()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// A manifest or index by name or digest. `latest` also is the only image where none has that name, and `*` the index of all.
    /// Fails with [`Error::Corrupt`] if it does not have its digest, and with [`Error::Invalid`] where a name is missing among several.
    pub fn document(&self, reference: &str) -> Result<Option<Document>> {
        if reference == "*" {
            return Ok(self.index.clone());
        }
        // `app:1` is a digest by the grammar of the image specification, of an algorithm that nobody knows.
        let digest = reference.parse::<Digest>().ok();
        if let Some(digest) = digest.filter(|digest| !matches!(digest.algorithm(), DigestAlgorithm::Other(_))) {
            return self.by_digest(&digest);
        }
        let named = |entry: &&Entry| entry.names.iter().any(|name| name == reference);
        match self.entries.iter().rev().find(named) {
            Some(entry) => self.listed(entry).map(Some),
            None if reference == "latest" => self.only(),
            None => Ok(None),
        }
    }

    /// The only image; it may have several names.
    fn only(&self) -> Result<Option<Document>> {
        let Some(first) = self.entries.first() else { return Ok(None) };
        let mut digests: Vec<String> = self.entries.iter().map(|entry| entry.digest.to_string()).collect();
        digests.sort_unstable();
        digests.dedup();
        match digests.len() {
            1 => self.listed(first).map(Some),
            count => Err(Error::Invalid(format!(
                "{} holds {count} images, and one is needed{}",
                self.shown,
                match self.names().as_slice() {
                    [] => String::new(),
                    names => format!("; their names are {}", names.join(", ")),
                }
            ))),
        }
    }

    fn listed(&self, entry: &Entry) -> Result<Document> {
        let missing = || Error::NotFound(format!("{} names {}, which it does not hold", self.shown, entry.digest));
        self.by_digest(&entry.digest)?.ok_or_else(missing)
    }

    fn by_digest(&self, digest: &Digest) -> Result<Option<Document>> {
        if let Some(known) = self.documents.get(digest.as_ref()) {
            return Ok(Some(known.clone()));
        }
        let Some(content) = self.path(digest).map(|path| document(&self.source, &path)).transpose()?.flatten() else {
            return Ok(None);
        };
        let document = Document::untyped(content);
        // Digests of manifests are SHA-256 everywhere; another algorithm is compared by its own.
        let found = crate::hash::digest_like(&document.content, digest)?;
        if found != *digest {
            return Err(Error::Corrupt(format!("{digest} of {} has the digest {found}", self.shown)));
        }
        Ok(Some(Document { descriptor: Descriptor { digest: digest.clone(), ..document.descriptor }, ..document }))
    }

    /// The manifests with an entry whose subject is this one.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Document>> {
        let mut found = Vec::new();
        for entry in &self.entries {
            let document = self.listed(entry)?;
            let parsed: Value = serde_json::from_slice(&document.content).unwrap_or_default();
            if parsed.get("subject").and_then(index::digest).as_ref() == Some(subject) && !found.contains(&document) {
                found.push(document);
            }
        }
        Ok(found)
    }

    /// The size of a blob in bytes; none if it is not here.
    pub fn blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let Some(path) = self.path(digest) else { return Ok(None) };
        match find(&self.source, &path) {
            Ok((_, size)) => Ok(Some(size)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings a blob into the store, verified. Fails with [`Error::NotFound`] and [`Error::Corrupt`].
    pub fn store_blob(&self, store: &Store, descriptor: &Descriptor) -> Result<()> {
        let missing = || Error::NotFound(format!("{} has no blob {}", self.shown, descriptor.digest));
        let path = self.path(&descriptor.digest).ok_or_else(missing)?;
        let (content, size) = match find(&self.source, &path) {
            Err(Error::NotFound(_)) => return Err(missing()),
            found => found?,
        };
        let mut writer = store.writer_for(&descriptor.digest)?;
        let mut reader = content.open(size)?;
        std::io::copy(&mut reader, &mut writer).map_err(Error::io("read", &path))?;
        reader.finish()?;
        writer.finish(Some((&descriptor.digest, descriptor.size))).map(drop)
    }

    /// Where a blob would lie.
    fn path(&self, digest: &Digest) -> Option<String> {
        match &self.files {
            Some(files) => files.get(digest.as_ref()).cloned(),
            None => Some(place(digest)),
        }
    }
}

fn directory(path: &Path) -> Result<Source> {
    Ok(Source::Directory(Directory::open(path, path.display().to_string())?))
}

/// An archive as a file system, read where it lies.
fn archive(store: &Store, path: &Path) -> Result<Source> {
    let real = fs::canonicalize(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound(format!("there is no file `{}`", path.display())),
        _ => Error::io("open", path)(error),
    })?;
    let none = || Error::Invalid(format!("`{}` is no tar archive", path.display()));
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else { return Err(none()) };
    let parent = Source::Directory(Directory::open(parent, parent.display().to_string())?);
    let name = crate::name::encode(std::os::unix::ffi::OsStrExt::as_bytes(name));
    Ok(Source::Snapshot(Snapshot::from_archive(store, &parent, &name)?.ok_or_else(none)?))
}

/// A document; none if there is no such file.
fn document(source: &Source, path: &str) -> Result<Option<Vec<u8>>> {
    let read = match source {
        Source::Directory(directory) => directory.read(path, DOCUMENT_LIMIT),
        Source::Snapshot(snapshot) => snapshot.read(path, DOCUMENT_LIMIT),
    };
    match read {
        Ok(content) => Ok(Some(content)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
