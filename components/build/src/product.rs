//! What a build publishes: an image, or an index of the images for several platforms.

use std::collections::BTreeSet;
use std::slice;

use steprun_image::media_type::OCI_INDEX;
use steprun_image::{Descriptor, Index};
use steprun_ports::{self as ports, Blob, Failure, Host};

use crate::annotations::Annotations;
use crate::assemble::Image;

/// What tags name.
pub(crate) enum Product<H: Host> {
    /// The image for the only platform.
    Image(Box<Image<H>>),
    /// The images for several platforms, in the order of the index.
    Index {
        images: Vec<Image<H>>,
        /// The bytes of the index.
        content: Vec<u8>,
        /// The same as bytes of the store.
        document: H::Blob,
    },
}

impl<H: Host> Product<H> {
    /// The image itself where there is one, else an index of all.
    ///
    /// # Errors
    /// If the store can't keep the index.
    pub(crate) async fn new(host: &H, images: Vec<Image<H>>, annotations: &Annotations) -> Result<Self, Failure> {
        let images = match <[Image<H>; 1]>::try_from(images) {
            Ok([image]) => return Ok(Self::Image(Box::new(image))),
            Err(images) => images,
        };
        let entry = |image: &Image<H>| {
            let mut entry = Descriptor::from(image.document.descriptor());
            entry.platform = Some(image.platform.clone());
            entry.annotations = annotations.of_descriptor(&image.platform);
            entry
        };
        let mut index = Index::new(images.iter().map(entry).collect());
        index.annotations = annotations.of_index();
        let content = index.to_bytes();
        let document = host.put(OCI_INDEX, &content).await;
        let document = document.map_err(|error| Failure::because("could not keep the index of the images", error))?;
        Ok(Self::Index { images, content, document })
    }

    /// Of what tags name.
    pub(crate) fn descriptor(&self) -> ports::Descriptor {
        match self {
            Self::Image(image) => image.document.descriptor(),
            Self::Index { document, .. } => document.descriptor(),
        }
    }

    /// The bytes of what tags name.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Image(image) => image.manifest.to_bytes(),
            Self::Index { content, .. } => content.clone(),
        }
    }

    /// The images that must be there under their digests before tags can name the index.
    pub(crate) fn children(&self) -> &[Image<H>] {
        match self {
            Self::Image(_) => &[],
            Self::Index { images, .. } => images,
        }
    }

    pub(crate) fn images(&self) -> &[Image<H>] {
        match self {
            Self::Image(image) => slice::from_ref(image),
            Self::Index { images, .. } => images,
        }
    }

    /// All that what tags name refers to, each blob once.
    pub(crate) fn blobs(&self) -> Vec<H::Blob> {
        let mut seen = BTreeSet::new();
        let children = self.children().iter().map(|child| child.document.clone());
        let all = self.images().iter().flat_map(Image::blobs).chain(children);
        all.filter(|blob| seen.insert(blob.descriptor().digest)).collect()
    }
}
