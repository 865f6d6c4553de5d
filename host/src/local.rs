//! Images in files and directories that arguments named, served as a repository is: the other half of the capability `registry`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use steprun_snapshot::images::{self, Document, Form, Images};
use steprun_snapshot::output::{self, ArchiveFormat};
use steprun_snapshot::{Descriptor, Store};

use crate::bindings::{registry, types};
use crate::error::{CallError, CallResult};
use crate::outputs::{StoredBlob, references};
use crate::store::parse_digest;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Images in a file or directory.
#[derive(Debug)]
pub struct LocalImages {
    form: Option<Form>,
    path: PathBuf,
    /// The name of the image that was typed.
    name: Option<String>,
    /// Read when it is asked for.
    opened: Mutex<Option<Arc<Images>>>,
    /// What an archive that is to be written will hold.
    pending: Mutex<Pending>,
}

/// An archive on its way.
#[derive(Debug, Default)]
struct Pending {
    blobs: Vec<StoredBlob>,
    documents: Vec<Document>,
    /// Images with their names.
    images: Vec<output::Image>,
    /// Whether the image itself is there.
    is_whole: bool,
}

impl LocalImages {
    /// Reads `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`, `dir:DIR` and `-`, an archive on standard input; none for the name of an image in a registry.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed == STANDARD_INPUT {
            return Some(Self::detected(typed.into()));
        }
        let forms = [
            ("oci:", Form::Layout),
            ("oci-archive:", Form::OciArchive),
            ("docker-archive:", Form::DockerArchive),
            ("dir:", Form::Directory),
        ];
        let (form, rest) = forms.into_iter().find_map(|(word, form)| Some((form, typed.strip_prefix(word)?)))?;
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) if form != Form::Directory => (path, Some(name)),
            _ => (rest, None),
        };
        let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Self { name, ..Self::at(path.into(), Some(form)) })
    }

    /// The images in a file or directory, whatever their form is: an OCI layout, an archive of one or of `docker save`.
    pub fn detected(path: PathBuf) -> Self {
        Self::at(path, None)
    }

    fn at(path: PathBuf, form: Option<Form>) -> Self {
        Self { form, path, name: None, opened: Mutex::default(), pending: Mutex::default() }
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the image that was typed, or `latest`.
    pub fn tag(&self) -> String {
        self.name.clone().unwrap_or_else(|| "latest".to_owned())
    }

    /// Whether they are read from standard input.
    pub fn is_standard_input(&self) -> bool {
        self.path == Path::new(STANDARD_INPUT)
    }

    fn is_archive(&self) -> bool {
        matches!(self.form, Some(Form::OciArchive | Form::DockerArchive))
    }

    /// Opens them, once; fails where there are none.
    pub fn open(&self, store: &Store) -> CallResult<Arc<Images>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(images) = &*opened {
            return Ok(Arc::clone(images));
        }
        let images = match self.form {
            Some(form) => Images::open(store, form, &self.path)?,
            None if self.is_standard_input() => Images::of_stream(store, std::io::stdin(), "standard input")?,
            None => Images::detect(store, &self.path)?,
        };
        Ok(Arc::clone(opened.insert(Arc::new(images))))
    }

    /// What a name or digest stands for; none where nothing is there yet. Of an archive that is to be written (`writable`), only what has been put in this run
    /// counts: what was there goes.
    pub fn head(&self, store: &Store, reference: &str, writable: bool) -> CallResult<Option<types::Descriptor>> {
        if let Some(document) = self.put_so_far(reference) {
            return Ok(Some((&document.descriptor).into()));
        }
        let nothing = !self.path.exists() && !self.is_standard_input();
        if nothing || writable && (self.is_archive() || !self.is_begun()) {
            return Ok(None);
        }
        let found = self.open(store)?.document(reference)?;
        Ok(found.map(|document| (&document.descriptor).into()))
    }

    /// Whether there is an image in the directory: one that is to be filled may be empty.
    fn is_begun(&self) -> bool {
        let document = if self.form == Some(Form::Directory) { "manifest.json" } else { "index.json" };
        self.path.join(document).exists()
    }

    fn put_so_far(&self, reference: &str) -> Option<Document> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.documents.iter().find(|document| document.descriptor.digest.as_ref() == reference).cloned()
    }

    /// A manifest by name or digest.
    pub fn manifest(&self, store: &Store, reference: &str) -> CallResult<registry::Manifest> {
        let found = match self.put_so_far(reference) {
            Some(document) => Some(document),
            None => self.open(store)?.document(reference)?,
        };
        let found = found.ok_or_else(|| self.not_found(reference))?;
        Ok(registry::Manifest { descriptor: (&found.descriptor).into(), content: found.content })
    }

    fn not_found(&self, reference: &str) -> CallError {
        CallError::Error(types::Error::NotFound(format!("{self} has no image `{reference}`")))
    }

    /// The manifests with this subject.
    pub fn referrers(&self, store: &Store, digest: &str) -> CallResult<Vec<registry::Referrer>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        Ok(self.open(store)?.referrers(&parse_digest(digest)?)?.iter().map(referrer).collect())
    }

    /// Adds a blob that lies in the store.
    pub fn add_blob(&self, blob: StoredBlob) -> CallResult<()> {
        match self.form {
            Some(Form::Layout) => output::add_blob(&self.path, &blob)?,
            Some(Form::Directory) => images::add_blob_to_directory(&self.path, &blob)?,
            Some(Form::OciArchive | Form::DockerArchive) | None => {
                self.pending.lock().unwrap_or_else(PoisonError::into_inner).blobs.push(blob);
            }
        }
        Ok(())
    }

    /// Adds a manifest: under a name as an image, by its digest as a part of one. An archive is written when an image is added.
    pub fn put_manifest(
        &self,
        store: &Store,
        reference: &str,
        media_type: String,
        content: Vec<u8>,
    ) -> CallResult<String> {
        let digest = steprun_snapshot::sha256(&content);
        let by_digest = reference.contains(':') && reference.starts_with("sha");
        if by_digest && digest.as_ref() != reference {
            return Err(CallError::invalid(format_args!("the manifest has the digest {digest}, not {reference}")));
        }
        let names = match &self.name {
            // An archive of Docker's names no image that nobody has named.
            None if self.is_archive() => Vec::new(),
            _ if by_digest => Vec::new(),
            _ => vec![reference.to_owned()],
        };
        let descriptor = Descriptor { media_type: media_type.clone(), digest, size: content.len() as u64 };
        let document = Document { descriptor, content };
        let image = output::Image { media_type, manifest: document.content.clone(), names };
        match self.form {
            Some(Form::Layout) => self.put_into_layout(document.clone(), &image, by_digest)?,
            Some(Form::Directory) => {
                images::add_manifest_to_directory(
                    &self.path,
                    &document.descriptor.digest,
                    &document.content,
                    !by_digest,
                )?;
            }
            Some(form) => self.put_into_archive(store, form, document.clone(), image, by_digest)?,
            None => return Err(CallError::Error(types::Error::Unsupported(format!("{self} can't be written to")))),
        }
        // What was read is no longer all that is there.
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(document.descriptor.digest.to_string())
    }

    /// A part of an image is a blob like others; one with a subject is found by its own entry.
    fn put_into_layout(&self, document: Document, image: &output::Image, by_digest: bool) -> CallResult<()> {
        if by_digest && subject(&document.content).is_none() {
            return Ok(output::add_blob(&self.path, &Held(document))?);
        }
        Ok(output::add_image(&self.path, image)?)
    }

    fn put_into_archive(
        &self,
        store: &Store,
        form: Form,
        document: Document,
        image: output::Image,
        by_digest: bool,
    ) -> CallResult<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let content = document.content.clone();
        pending.documents.push(document);
        if by_digest && subject(&content).is_none() {
            return Ok(());
        }
        pending.images.push(image);
        pending.is_whole |= !by_digest;
        // What refers to an image may come before it or after.
        if !pending.is_whole {
            return Ok(());
        }
        let mut blobs = Vec::new();
        for document in &pending.documents {
            store.put_bytes(&document.content)?;
            let path = store.blob_path(&document.descriptor.digest)?;
            blobs.push(StoredBlob { descriptor: document.descriptor.clone(), path });
        }
        let all: Vec<&dyn output::Blob> = references(&pending.blobs).into_iter().chain(references(&blobs)).collect();
        let format = if form == Form::DockerArchive { ArchiveFormat::Docker } else { ArchiveFormat::Oci };
        Ok(output::write_archive(&self.path, format, &pending.images, &all)?)
    }

    /// Takes a name or digest out of a layout.
    pub fn delete(&self, reference: &str) -> CallResult<()> {
        if self.form != Some(Form::Layout) {
            return Err(CallError::Error(types::Error::Unsupported(format!("images can't be deleted from {self}"))));
        }
        output::remove_image(&self.path, reference)?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

impl fmt::Display for LocalImages {
    /// As typed, without the name of an image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.form {
            Some(Form::Layout) => "oci:",
            Some(Form::OciArchive) => "oci-archive:",
            Some(Form::DockerArchive) => "docker-archive:",
            Some(Form::Directory) => "dir:",
            None => "",
        };
        write!(f, "{word}{}", self.path.display())
    }
}

/// A document as a blob.
struct Held(Document);

impl output::Blob for Held {
    fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    fn open(&self) -> steprun_snapshot::Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(self.0.content.as_slice()))
    }
}

fn subject(manifest: &[u8]) -> Option<String> {
    let parsed: serde_json::Value = serde_json::from_slice(manifest).ok()?;
    Some(parsed.get("subject")?.get("digest")?.as_str()?.to_owned())
}

/// The entry that the referrers API would have for a manifest (distribution-spec, "Listing Referrers").
fn referrer(document: &Document) -> registry::Referrer {
    let parsed: serde_json::Value = serde_json::from_slice(&document.content).unwrap_or_default();
    let text = |value: Option<&serde_json::Value>| value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let annotations = parsed.get("annotations").and_then(serde_json::Value::as_object);
    registry::Referrer {
        descriptor: (&document.descriptor).into(),
        artifact_type: text(parsed.get("artifactType")).or_else(|| text(parsed.pointer("/config/mediaType"))),
        annotations: annotations
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_names() {
        for (typed, shown, tag) in [
            ("oci:dir", Some("oci:dir"), "latest"),
            ("oci:/a/dir:v1", Some("oci:/a/dir"), "v1"),
            ("oci-archive:a.tar:", Some("oci-archive:a.tar"), "latest"),
            ("docker-archive:a.tar:r.example:5000/app:1", Some("docker-archive:a.tar"), "r.example:5000/app:1"),
            ("dir:a:b", Some("dir:a:b"), "latest"),
            ("r.example/oci:dir", None, ""),
            ("debian", None, ""),
        ] {
            let found = LocalImages::parse(typed);
            assert_eq!(found.as_ref().map(ToString::to_string).as_deref(), shown, "{typed}");
            assert_eq!(found.map(|found| found.tag()).unwrap_or_default(), tag, "{typed}");
        }
    }
}
