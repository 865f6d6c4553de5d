//! What a command changed.

use oci_spec::image::Digest;

use crate::layer::Toc;
use crate::snapshot::write_changes;
use crate::tree::Tree;
use crate::{Result, Store};

/// What a directory has become, compared to the snapshot that it held. Files' content still lies there.
#[derive(Debug)]
pub struct Changes {
    pub(super) base: Tree,
    pub(super) tree: Tree,
    pub(super) sockets: Vec<Vec<u8>>,
}

impl Changes {
    /// Unix sockets that were found: no layer can hold one, and nobody listens to it any more. Clean paths, sorted.
    pub fn sockets(&self) -> &[Vec<u8>] {
        &self.sockets
    }

    /// Writes the changes as a layer's tar into the store (entries by path, each with the directories above it), with its table of contents; none if
    /// there are none. [`crate::Snapshot::after_run`] takes the digest.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] on a name that begins with `.wh.`, which no layer can hold; [`crate::Error::Io`] if a file has changed since.
    pub fn write_tar(&self, store: &Store) -> Result<Option<Digest>> {
        let diff_id = write_changes(store, &self.base, &self.tree)?;
        if let Some(diff_id) = &diff_id {
            Toc::keep_written(store, diff_id)?;
        }
        Ok(diff_id)
    }
}
