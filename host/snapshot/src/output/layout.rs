//! OCI image layouts in directories.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Blob, Image, Manifest, by_place, copy, index, place, temporary_beside, write_file};
use crate::{Error, Result, store};

/// Adds an image to the OCI layout in a directory, which is made where there is none. Blobs come first and the index last, so that a reader
/// sees a whole layout at any time; several writers take turns. An image of the same name is replaced. A call that fails leaves nothing behind.
/// Fails with [`Error::Corrupt`] if a blob is not what it should be, and [`Error::Invalid`] if something else is in the directory's place.
pub fn write_layout(directory: &Path, image: &Image, blobs: &[&dyn Blob]) -> Result<()> {
    let manifests = [Manifest::of(image)];
    let places = by_place(&manifests, blobs)?;
    let mut made = Made::default();
    made.directory(directory)?;
    // Held to the end: what a failing call takes away, nobody else may have counted on.
    let _marker = lock_marker(&directory.join("oci-layout"), &mut made)?;
    // Bound after the marker, so that it is dropped before the lock is.
    let mut made = made;
    for (place, blob) in places {
        put_blob(&directory.join(place), blob, &mut made)?;
    }
    enter(directory, image, &manifests[0])?;
    made.paths.clear();
    Ok(())
}

/// Gives an image its entry in the index.
fn enter(directory: &Path, image: &Image, manifest: &Manifest<'_>) -> Result<()> {
    let path = directory.join("index.json");
    let document = match fs::read(&path) {
        Ok(existing) => index::merged(&existing, &path, image, &manifest.descriptor)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => index::new([(image, &manifest.descriptor)]),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    write_file(&path, |out| out.write_all(&document).map_err(Error::io("write", &path)))
}

/// Adds a blob to the OCI layout in a directory, which is made where there is none; no image leads to it yet. A manifest of an index is such a
/// blob too. Fails with [`Error::Corrupt`] if it is not what it should be.
pub fn add_blob(directory: &Path, blob: &dyn Blob) -> Result<()> {
    let mut made = Made::default();
    made.directory(directory)?;
    open_marker(&directory.join("oci-layout"), &mut made)?;
    put_blob(&directory.join(place(&blob.descriptor().digest)), blob, &mut made)?;
    made.paths.clear();
    Ok(())
}

/// Adds an image whose blobs are in the OCI layout already. An image of the same name is replaced. Fails with [`Error::Invalid`] if a blob is missing.
pub fn add_image(directory: &Path, image: &Image) -> Result<()> {
    let manifest = Manifest::of(image);
    add_blob(directory, &manifest)?;
    let marker = File::open(directory.join("oci-layout")).map_err(Error::io("open", directory))?;
    marker.lock().map_err(Error::io("lock", directory))?;
    for digest in index::references(manifest.content)? {
        if !directory.join(place(&digest)).is_file() {
            return Err(manifest.lacks(&digest));
        }
    }
    enter(directory, image, &manifest)
}

/// Takes the entries of a name or digest out of the index of an OCI layout; the blobs stay until [`super::collect_garbage`]. Fails with
/// [`Error::NotFound`] if there is none.
pub fn remove_image(directory: &Path, reference: &str) -> Result<()> {
    let marker = File::open(directory.join("oci-layout")).map_err(Error::io("open", directory))?;
    marker.lock().map_err(Error::io("lock", directory))?;
    let path = directory.join("index.json");
    let existing = fs::read(&path).map_err(Error::io("read", &path))?;
    let none = || Error::NotFound(format!("`{}` has no image `{reference}`", directory.display()));
    let document = index::without(&existing, &path, reference)?.ok_or_else(none)?;
    write_file(&path, |out| out.write_all(&document).map_err(Error::io("write", &path)))
}

/// Files and directories that a call has made, in order; what is still listed when it ends goes away again.
#[derive(Default)]
struct Made {
    paths: Vec<PathBuf>,
}

impl Made {
    fn directory(&mut self, path: &Path) -> Result<()> {
        let missing: Vec<PathBuf> = path.ancestors().take_while(|part| !part.exists()).map(Path::to_owned).collect();
        fs::create_dir_all(path).map_err(Error::io("create the directory", path))?;
        self.paths.extend(missing.into_iter().filter(|part| !part.as_os_str().is_empty()).rev());
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // A directory that somebody else has put something into stays.
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

/// The file that makes a directory a layout; it is made if it isn't there.
fn open_marker(path: &Path, made: &mut Made) -> Result<File> {
    loop {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map_err(Error::io("open", path)),
        }
        let mut file = temporary_beside(path)?;
        file.write_all(index::LAYOUT).map_err(Error::io("write", path))?;
        // Never in another one's place, which may be locked.
        match file.persist_noclobber(path) {
            Ok(file) => {
                made.paths.push(path.to_owned());
                drop(file);
            }
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(failed) => return Err(Error::io("rename a finished file to", path)(failed.error)),
        }
    }
}

/// The same, locked. Whoever held the lock may have taken its new layout away: then there is another file to lock.
fn lock_marker(path: &Path, made: &mut Made) -> Result<File> {
    loop {
        let marker = open_marker(path, made)?;
        marker.lock().map_err(Error::io("lock", path))?;
        let held = marker.metadata().map_err(Error::io("look at", path))?;
        if fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(marker);
        }
    }
}

fn put_blob(path: &Path, blob: &dyn Blob, made: &mut Made) -> Result<()> {
    let there = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == blob.descriptor().size);
    if there {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        made.directory(parent)?;
    }
    let mut file = temporary_beside(path)?;
    copy(blob, &mut file, path)?;
    store::persist(file, path)?;
    made.paths.push(path.to_owned());
    Ok(())
}
