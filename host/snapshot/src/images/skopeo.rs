//! skopeo's `dir:` (containers-image, `containers-transports(5)`): `manifest.json`, `HEX.manifest.json` for the images of an index, `HEX` for each
//! other blob, `version`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::image::Digest;

use super::{Document, Entry, Images, document};
use crate::output::{self, Blob};
use crate::{Error, Result, Source};

const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// Reads the image in such a directory.
pub(super) fn read(shown: String, source: Source) -> Result<Images> {
    let none = || Error::Invalid(format!("`{shown}` is no image directory: it has no manifest.json"));
    let root = Document::untyped(document(&source, "manifest.json")?.ok_or_else(none)?);
    let Source::Directory(directory) = &source else { return Err(none()) };
    let mut files = BTreeMap::new();
    for entry in directory.list("")? {
        let hex = entry.name.strip_suffix(".manifest.json").unwrap_or(&entry.name);
        if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            files.insert(format!("sha256:{hex}"), entry.name);
        }
    }
    let digest = root.descriptor.digest.clone();
    let documents = BTreeMap::from([(digest.to_string(), root)]);
    let entries = vec![Entry { names: Vec::new(), digest }];
    Ok(Images { shown, source, entries, index: None, documents, files: Some(files) })
}

/// Writes a blob into such a directory, which is made where there is none. Fails with [`Error::Corrupt`] if it is not what it should be.
pub fn add_blob(directory: &Path, blob: &dyn Blob) -> Result<()> {
    begin(directory)?;
    let path = file(directory, &blob.descriptor().digest, "")?;
    output::write_file(&path, |out| output::copy(blob, out, &path))
}

/// Writes a manifest: the image's own, or that of one in an index.
pub fn add_manifest(directory: &Path, digest: &Digest, content: &[u8], root: bool) -> Result<()> {
    begin(directory)?;
    let path = if root { directory.join("manifest.json") } else { file(directory, digest, ".manifest.json")? };
    output::write_file(&path, |out| out.write_all(content).map_err(Error::io("write", &path)))
}

fn begin(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io("create the directory", directory))?;
    let version = directory.join("version");
    if version.exists() {
        return Ok(());
    }
    // Whatever else is in a directory was not put there to be an image. Another blob of it may be on its way: its first file is the version.
    let begun = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".tmp");
    let mut entries = fs::read_dir(directory).map_err(Error::io("list", directory))?.flatten();
    let occupied = entries.any(|entry| !begun(&entry));
    if occupied && !version.exists() && !directory.join("manifest.json").exists() {
        return Err(Error::Invalid(format!("`{}` holds other files and no image", directory.display())));
    }
    output::write_file(&version, |out| out.write_all(VERSION).map_err(Error::io("write", &version)))
}

fn file(directory: &Path, digest: &Digest, suffix: &str) -> Result<PathBuf> {
    match digest.as_ref().strip_prefix("sha256:") {
        Some(hex) => Ok(directory.join(format!("{hex}{suffix}"))),
        None => Err(Error::Unsupported(format!("an image directory names files by SHA-256, and this is {digest}"))),
    }
}
