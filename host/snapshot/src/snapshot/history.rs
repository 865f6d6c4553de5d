//! How a snapshot came about: the layers that another process makes the same tree of.

use std::io::BufWriter;
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::image::Digest;

use super::Snapshot;
use crate::export::write_entries;
use crate::layer::{self, TarOrigin};
use crate::meta::Descriptor;
use crate::tree::Tree;
use crate::{Error, NoFetch, Result, Store, diff, parallel};

/// A layer of a snapshot, for who shares the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The blob in the store; none where the store has the layer's tar only.
    pub layer: Option<Descriptor>,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// What a snapshot was made of.
#[derive(Debug)]
pub(super) enum History {
    /// Archives laid over each other, base first; none for the empty file system.
    Layers(Vec<Arc<TarOrigin>>),
    /// Changes in memory of what was before, if anything was.
    Changed {
        before: Option<Snapshot>,
        /// The tar of the changes (none if nothing changed), once it was asked for.
        written: Mutex<Option<Option<Digest>>>,
    },
    /// An archive laid over what was before.
    Laid { before: Snapshot, tar: Arc<TarOrigin> },
}

impl History {
    /// Changes in memory.
    pub(super) fn changed(before: Option<Snapshot>) -> Self {
        Self::Changed { before, written: Mutex::default() }
    }

    fn before(&self) -> Option<&Snapshot> {
        match self {
            Self::Layers(_) => None,
            Self::Changed { before, .. } => before.as_ref(),
            Self::Laid { before, .. } => Some(before),
        }
    }
}

impl Snapshot {
    /// The layers that make up this file system, base first: those of [`Snapshot::from_layers`], then one for each change since. A change that has no
    /// tar in the store yet is written there, once; a change of nothing has no link. Each link's blob or tar is in the store
    /// afterwards. The links of a snapshot are the first ones of every snapshot that is made from it.
    ///
    /// # Errors
    /// Those of fetching a blob that the store lacks, and of [`Snapshot::pack`].
    pub fn links(&self, store: &Store) -> Result<Vec<Link>> {
        let mut chain = vec![self];
        while let Some(before) = chain.last().and_then(|snapshot| snapshot.0.history.before()) {
            chain.push(before);
        }
        let mut links = Vec::new();
        for snapshot in chain.into_iter().rev() {
            match &snapshot.0.history {
                History::Layers(tars) => {
                    parallel::map(tars, |tar| tar.provide()).into_iter().collect::<Result<()>>()?;
                    links.extend(tars.iter().map(link));
                }
                History::Changed { before, written } => {
                    let base = before.as_ref().map_or_else(Tree::empty, |before| before.tree().clone());
                    let diff_id = written_once(store, written, &base, snapshot.tree())?;
                    links.extend(diff_id.map(|diff_id| Link { layer: None, diff_id }));
                }
                History::Laid { tar, .. } => links.push(link(tar)),
            }
        }
        Ok(links)
    }

    /// The file system that [`Snapshot::links`] described, from the same store.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the store has lost a layer, [`Error::Corrupt`] if one has another diff ID, [`Error::Invalid`] on what is no layer.
    pub fn from_links(store: &Store, links: &[Link]) -> Result<Self> {
        let tar = |link: &Link| match &link.layer {
            Some(descriptor) => {
                let layer = crate::Layer { descriptor: descriptor.clone(), diff_id: link.diff_id.clone() };
                TarOrigin::of_layer(store, layer, Arc::new(NoFetch))
            }
            None => TarOrigin::of_store(store, link.diff_id.clone()),
        };
        Self::of_tars(links.iter().map(|link| Arc::new(tar(link))).collect())
    }

    /// This file system with an archive of the store laid over it: what a run changed. [`Snapshot::pack`] gives that very archive as
    /// a layer, and files' content stays in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the store has no such archive, [`Error::Invalid`] if it is none.
    pub fn after_run(&self, store: &Store, diff_id: &Digest) -> Result<Self> {
        let tar = Arc::new(TarOrigin::of_store(store, diff_id.clone()));
        let mut tree = self.tree().clone();
        super::lay(&mut tree, &tar, tar.contents()?)?;
        Ok(Self::new(tree, History::Laid { before: self.clone(), tar }))
    }
}

fn link(tar: &Arc<TarOrigin>) -> Link {
    Link { layer: tar.descriptor().cloned(), diff_id: tar.diff_id().clone() }
}

/// The tar of the changes from one tree to another. Who asks at the same time waits for who asked first.
fn written_once(
    store: &Store,
    written: &Mutex<Option<Option<Digest>>>,
    base: &Tree,
    tree: &Tree,
) -> Result<Option<Digest>> {
    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(diff_id) = &*written {
        return Ok(diff_id.clone());
    }
    let diff_id = write_changes(store, base, tree)?;
    *written = Some(diff_id.clone());
    Ok(diff_id)
}

/// Writes what makes one tree into another as a tar into the store; none if they are equal. Fails as [`Snapshot::pack`] does.
pub(crate) fn write_changes(store: &Store, base: &Tree, tree: &Tree) -> Result<Option<Digest>> {
    let differences = diff::diff(base, tree)?;
    if differences.is_empty() {
        return Ok(None);
    }
    let diff_id = layer::write_tar_with(store, |sink| {
        let mut sink = BufWriter::with_capacity(256 * 1024, sink);
        write_entries(differences, &mut sink)?;
        std::io::Write::flush(&mut sink).map_err(Error::io("write", "an archive"))
    })?;
    Ok(Some(diff_id))
}
