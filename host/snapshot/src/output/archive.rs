//! Images in a single file.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::{ArchiveFormat, Blob, Image, Manifest, by_place, copy, index, legacy, place, write_file};
use crate::meta::Attributes;
use crate::tar::write::{END, Shape, padding, push_header};
use crate::{Error, Result};

/// Writes images as an archive to a file, which appears whole or not at all. Fails as [`stream_archive`] does.
pub fn write_archive(file: &Path, format: ArchiveFormat, images: &[Image], blobs: &[&dyn Blob]) -> Result<()> {
    write_file(file, |out| stream_archive(out, format, images, blobs))
}

/// Writes images as an archive to a stream; equal images give equal bytes. All formats but the legacy one hold an OCI layout; Docker's has its own `manifest.json` beside it.
/// Fails with [`Error::Corrupt`] if a blob is not what it should be, [`Error::Invalid`] if one is missing, and [`Error::Unsupported`] if a format of Docker is asked for an index.
pub fn stream_archive(to: &mut dyn Write, format: ArchiveFormat, images: &[Image], blobs: &[&dyn Blob]) -> Result<()> {
    let manifests: Vec<Manifest<'_>> = images.iter().map(Manifest::of).collect();
    let places = by_place(&manifests, blobs)?;
    let mut archive = Archive { to };
    let docker = match format {
        ArchiveFormat::Legacy => {
            legacy::write(&mut archive, images, &places)?;
            return archive.finish();
        }
        ArchiveFormat::Docker => Some(docker_manifest(images)?),
        ArchiveFormat::Oci => None,
    };
    archive.directory("blobs")?;
    let mut last = String::new();
    for (place, blob) in places {
        let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent != last {
            archive.directory(parent)?;
            last = parent.to_owned();
        }
        archive.blob(&place, blob)?;
    }
    archive
        .file("index.json", &index::new(images.iter().zip(manifests.iter().map(|manifest| &manifest.descriptor))))?;
    if let Some(docker) = docker {
        archive.file("manifest.json", &docker)?;
    }
    archive.file("oci-layout", index::LAYOUT)?;
    archive.finish()
}

/// Docker's `manifest.json` (image-spec v1.2).
fn docker_manifest(images: &[Image]) -> Result<Vec<u8>> {
    let entry = |image: &Image| {
        let (config, layers) = index::config_and_layers(&image.manifest)?;
        let tags: Vec<_> = image.names.iter().map(|name| tagged(name)).collect();
        let layers: Vec<_> = layers.iter().map(place).collect();
        Ok(json!({ "Config": place(&config), "RepoTags": tags, "Layers": layers }))
    };
    Ok(index::written(&images.iter().map(entry).collect::<Result<_>>()?))
}

/// A name with its tag.
pub(super) fn tagged(name: &str) -> String {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => name.to_owned(),
        _ => format!("{name}:{}", index::tag(name)),
    }
}

/// An archive that is being written.
pub(super) struct Archive<'a> {
    to: &'a mut dyn Write,
}

impl Archive<'_> {
    fn directory(&mut self, path: &str) -> Result<()> {
        self.header(path, 0o755, Shape::Directory)
    }

    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.begin(path, content.len() as u64)?;
        self.bytes(content)?;
        self.end(content.len() as u64)
    }

    pub(super) fn blob(&mut self, path: &str, blob: &dyn Blob) -> Result<()> {
        let size = blob.descriptor().size;
        self.begin(path, size)?;
        copy(blob, self.to, Path::new("the archive"))?;
        self.end(size)
    }

    /// Begins a file of this size: its content is written next, and then its [`Archive::end`].
    pub(super) fn begin(&mut self, path: &str, size: u64) -> Result<()> {
        self.header(path, 0o644, Shape::Regular { size })
    }

    pub(super) fn end(&mut self, size: u64) -> Result<()> {
        self.bytes(&END[..padding(size)])
    }

    fn finish(&mut self) -> Result<()> {
        self.bytes(&END)
    }

    fn header(&mut self, path: &str, mode: u32, shape: Shape<'_>) -> Result<()> {
        let mut header = Vec::new();
        push_header(&mut header, path.as_bytes(), &Attributes { mode, ..Attributes::default() }, shape);
        self.bytes(&header)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(Error::io("write", "the archive"))
    }
}

impl Write for Archive<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
