//! OCI image layouts in directories.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{Blob, Image, Manifest, by_place, copy, index, temporary_beside, write_file};
use crate::{Error, Result, store};

/// Adds an image to the OCI layout in a directory, which is made where there is none. Blobs come first and the index last, so that a reader
/// sees a whole layout at any time; several writers take turns. An image of the same name is replaced.
/// Fails with [`Error::Corrupt`] if a blob is not what it should be, and [`Error::Invalid`] if something else is in the directory's place.
pub fn write_layout(directory: &Path, image: &Image, blobs: &[&dyn Blob]) -> Result<()> {
    let manifest = Manifest::of(image);
    let places = by_place(&manifest, blobs)?;
    make_directory(directory)?;
    let marker = open_marker(&directory.join("oci-layout"))?;
    for (place, blob) in places {
        put_blob(&directory.join(place), blob)?;
    }
    // Held until the index is written: between reading and replacing it, nobody else may.
    marker.lock().map_err(Error::io("lock", directory.join("oci-layout")))?;
    let path = directory.join("index.json");
    let document = match fs::read(&path) {
        Ok(existing) => index::merged(&existing, &path, image, &manifest.descriptor)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => index::new(image, &manifest.descriptor),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    write_file(&path, |out| out.write_all(&document).map_err(Error::io("write", &path)))
}

/// The file that makes a directory a layout; it is made if it isn't there.
fn open_marker(path: &Path) -> Result<File> {
    if !path.exists() {
        write_file(path, |out| out.write_all(index::LAYOUT).map_err(Error::io("write", path)))?;
    }
    File::open(path).map_err(Error::io("open", path))
}

fn put_blob(path: &Path, blob: &dyn Blob) -> Result<()> {
    let there = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == blob.descriptor().size);
    if there {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    let mut file = temporary_beside(path)?;
    copy(blob, &mut file, path)?;
    store::persist(file, path).map(drop)
}

fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create the directory", path))
}
