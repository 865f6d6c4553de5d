//! Manifests of images, and indexes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::document::{Fields, Writer, bytes};
use crate::media_type::{self, OCI_INDEX, OCI_MANIFEST};
use crate::{Descriptor, Error, Platform, Result};

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Images for several platforms.
    Index(Box<Index>),
    /// One image.
    Manifest(Box<Manifest>),
}

impl Document {
    /// Reads an index or manifest, told apart by the media type that the registry gave.
    ///
    /// # Errors
    /// If it is another media type, or a field of the wrong type.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Self> {
        if media_type::is_index(media_type) {
            Ok(Self::Index(Box::new(Index::parse(media_type, bytes)?)))
        } else if media_type::is_manifest(media_type) {
            Ok(Self::Manifest(Box::new(Manifest::parse(media_type, bytes)?)))
        } else {
            Err(Error::MediaType(media_type.into()))
        }
    }
}

/// The manifest of one image (OCI image-spec, "Image Manifest").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its own media type.
    pub media_type: String,
    /// The config.
    pub config: Descriptor,
    /// Base first.
    pub layers: Vec<Descriptor>,
    /// By name.
    pub annotations: BTreeMap<String, String>,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
    rest: Map<String, Value>,
}

impl Manifest {
    /// An OCI manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            media_type: OCI_MANIFEST.into(),
            config,
            layers,
            annotations: BTreeMap::new(),
            artifact_type: None,
            subject: None,
            rest: Map::new(),
        }
    }

    /// Reads a manifest. `media_type` counts where the manifest does not name its own, as OCI's need not.
    ///
    /// # Errors
    /// If it is no JSON object or a field is of the wrong type.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse("manifest", bytes)?;
        fields.take("schemaVersion");
        Ok(Self {
            media_type: fields.text("mediaType")?.unwrap_or_else(|| media_type.into()),
            artifact_type: fields.text("artifactType")?,
            config: Descriptor::read(fields.take("config").unwrap_or_default())?,
            layers: descriptors(&mut fields, "layers")?,
            subject: fields.take("subject").map(Descriptor::read).transpose()?,
            annotations: fields.text_map("annotations")?,
            rest: fields.rest(),
        })
    }

    /// The bytes in the fixed order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let layers: Vec<Value> = self.layers.iter().map(Descriptor::write).collect();
        let value = Writer::default()
            .always("schemaVersion", 2)
            .always("mediaType", self.media_type.as_str())
            .some("artifactType", self.artifact_type.as_deref())
            .always("config", self.config.write())
            .always("layers", layers)
            .some("subject", self.subject.as_ref().map(Descriptor::write))
            .text_map("annotations", &self.annotations)
            .rest(&self.rest);
        bytes(&value)
    }

    /// The config and the layers, each digest once: what must be in a repository before the manifest can be put.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut blobs: Vec<&Descriptor> = Vec::with_capacity(1 + self.layers.len());
        for blob in std::iter::once(&self.config).chain(&self.layers) {
            if !blobs.iter().any(|known| known.digest == blob.digest) {
                blobs.push(blob);
            }
        }
        blobs
    }

    /// Whether it is a container image: other artifacts have manifests too, and configs of their own.
    pub fn is_image(&self) -> bool {
        self.artifact_type.is_none() && media_type::is_image_config(&self.config.media_type)
    }

    /// The same image under OCI's media types. Docker's layers and configs have the same bytes as their OCI equals, so only the
    /// names change; BuildKit does the same when a Docker image is the base of an OCI one.
    #[must_use]
    pub fn into_oci(self) -> Self {
        let translate = |descriptor: Descriptor| {
            let media_type = media_type::to_oci(&descriptor.media_type).to_owned();
            descriptor.with_media_type(&media_type)
        };
        Self {
            media_type: media_type::to_oci(&self.media_type).into(),
            config: translate(self.config),
            layers: self.layers.into_iter().map(translate).collect(),
            ..self
        }
    }
}

/// An index of images (OCI image-spec, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its own media type.
    pub media_type: String,
    /// The images, and other indexes.
    pub manifests: Vec<Descriptor>,
    /// By name.
    pub annotations: BTreeMap<String, String>,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
    rest: Map<String, Value>,
}

impl Index {
    /// An OCI index.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            media_type: OCI_INDEX.into(),
            manifests,
            annotations: BTreeMap::new(),
            artifact_type: None,
            subject: None,
            rest: Map::new(),
        }
    }

    /// Reads an index. `media_type` counts where the index does not name its own.
    ///
    /// # Errors
    /// If it is no JSON object or a field is of the wrong type.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse("index", bytes)?;
        fields.take("schemaVersion");
        Ok(Self {
            media_type: fields.text("mediaType")?.unwrap_or_else(|| media_type.into()),
            artifact_type: fields.text("artifactType")?,
            manifests: descriptors(&mut fields, "manifests")?,
            subject: fields.take("subject").map(Descriptor::read).transpose()?,
            annotations: fields.text_map("annotations")?,
            rest: fields.rest(),
        })
    }

    /// The bytes in the fixed order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let manifests: Vec<Value> = self.manifests.iter().map(Descriptor::write).collect();
        let value = Writer::default()
            .always("schemaVersion", 2)
            .always("mediaType", self.media_type.as_str())
            .some("artifactType", self.artifact_type.as_deref())
            .always("manifests", manifests)
            .some("subject", self.subject.as_ref().map(Descriptor::write))
            .text_map("annotations", &self.annotations)
            .rest(&self.rest);
        bytes(&value)
    }

    /// The index with those of its images alone that are for one of these platforms, and with the attestations of those images.
    /// Whatever else it names goes.
    ///
    /// # Errors
    /// If there is no image for one of them, with the platforms that there are.
    pub fn narrowed(self, wanted: &[Platform]) -> Result<Self> {
        wanted.iter().try_for_each(|platform| self.image_for(platform).map(drop))?;
        // An image that fits less exactly is taken where nothing else does.
        let chosen: Vec<&str> =
            wanted.iter().filter_map(|platform| Some(self.image_for(platform).ok()?.digest.as_str())).collect();
        let fits = |offered: &Platform| wanted.iter().any(|platform| platform.matches(offered));
        let stays =
            |image: &&Descriptor| image.platform.as_ref().is_some_and(fits) || chosen.contains(&image.digest.as_str());
        let images: Vec<String> = self.manifests.iter().filter(stays).map(|image| image.digest.clone()).collect();
        let manifests = self.manifests.into_iter().filter(|entry| {
            images.contains(&entry.digest)
                || entry.attested().is_some_and(|image| images.iter().any(|one| one == image))
        });
        Ok(Self { manifests: manifests.collect(), ..self })
    }

    /// The first image for a platform. Attestations (`unknown/unknown`) are no images unless they are asked for. Where no image is for
    /// the very variant and none was asked for, the first of the architecture is taken. An entry that does not say its platform counts as
    /// linux/amd64 where no other is (go-containerregistry, `childByPlatform`).
    ///
    /// # Errors
    /// If there is none, with the platforms that there are.
    pub fn image_for<'a>(&'a self, wanted: &Platform) -> Result<&'a Descriptor> {
        let images = || {
            let with_platform = |image: &'a Descriptor| image.platform.as_ref().map(|platform| (image, platform));
            let eligible = |platform: &Platform| wanted.is_unknown() || !platform.is_unknown();
            self.manifests.iter().filter_map(with_platform).filter(move |(_, platform)| eligible(platform))
        };
        let exact = images().find(|(_, platform)| wanted.matches(platform));
        let near = || {
            let same = |offered: &Platform| Platform::new(&offered.os, &offered.architecture, None);
            images().filter(|_| wanted.variant.is_none()).find(|(_, platform)| wanted.matches(&same(platform)))
        };
        let older = || {
            let versions = images().filter_map(|found| Some((wanted.older_version(found.1)?, found)));
            versions.max_by_key(|(version, _)| *version).map(|(_, found)| found)
        };
        let unlabelled = || {
            let is_document = |image: &&Descriptor| {
                media_type::is_index(&image.media_type) || media_type::is_manifest(&image.media_type)
            };
            let usual = wanted.matches(&Platform::new("linux", "amd64", None));
            self.manifests.iter().filter(|image| usual && image.platform.is_none()).find(is_document)
        };
        let named = exact.or_else(near).or_else(older).map(|(image, _)| image);
        named.or_else(unlabelled).ok_or_else(|| {
            let available: Vec<String> = images().map(|(_, platform)| platform.to_string()).collect();
            Error::NoPlatform { wanted: wanted.to_string(), available: available.join(", ") }
        })
    }
}

fn descriptors(fields: &mut Fields, field: &str) -> Result<Vec<Descriptor>> {
    fields.list(field)?.into_iter().map(Descriptor::read).collect()
}
