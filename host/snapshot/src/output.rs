//! Images in files and directories.
use crate::{Descriptor, Error, Result};
use std::io::{Read, Write};
use std::path::Path;

/// The contract's `outputs.archive-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// `docker load` reads it.
    Docker,
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
    /// `registry/repository:tag`.
    pub names: Vec<String>,
}

/// A blob that can be read, wherever it lies. The bytes are verified while they are written.
pub trait Blob {
    /// What it should be.
    fn descriptor(&self) -> &Descriptor;
    /// Begins to read it.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
}

/// Adds an image to the OCI layout in a directory.
pub fn write_layout(_directory: &Path, _image: &Image, _blobs: &[&dyn Blob]) -> Result<()> {
    Err(Error::Unsupported("not in this commit".into()))
}

/// Writes an image as an archive to a file, which appears whole or not at all.
pub fn write_archive(_file: &Path, _format: ArchiveFormat, _image: &Image, _blobs: &[&dyn Blob]) -> Result<()> {
    Err(Error::Unsupported("not in this commit".into()))
}

/// Writes an image as an archive to a stream.
pub fn stream_archive(_to: &mut dyn Write, _format: ArchiveFormat, _image: &Image, _blobs: &[&dyn Blob]) -> Result<()> {
    Err(Error::Unsupported("not in this commit".into()))
}

/// Writes a file whole: what was there is replaced when all is written.
pub fn write_file(_file: &Path, _write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    Err(Error::Unsupported("not in this commit".into()))
}
