//! Descriptors.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use steprun_ports as ports;

use crate::document::{Fields, Writer};
use crate::{Platform, Result};

/// A descriptor with all its properties (OCI image-spec, "Descriptors").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// `algorithm:hex`.
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// Of an image in an index.
    pub platform: Option<Platform>,
    /// By name.
    pub annotations: BTreeMap<String, String>,
    urls: Vec<String>,
    data: Option<String>,
    artifact_type: Option<String>,
    rest: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor with nothing but what every one has.
    pub fn new(media_type: &str, digest: &str, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest: digest.into(),
            size,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            data: None,
            artifact_type: None,
            rest: Map::new(),
        }
    }

    /// The same blob under another media type.
    #[must_use]
    pub fn with_media_type(self, media_type: &str) -> Self {
        Self { media_type: media_type.into(), ..self }
    }

    /// Its place for other content: platform, annotations and unknown fields stay; `urls` and `data`, which hold or lead to the old
    /// content, go.
    #[must_use]
    pub fn replaced_by(self, new: &ports::Descriptor) -> Self {
        let ports::Descriptor { media_type, digest, size } = new.clone();
        Self { media_type, digest, size, urls: Vec::new(), data: None, ..self }
    }

    /// The digest of the image that this manifest of an index attests something of (BuildKit, `docs/attestations/attestation-storage.md`).
    pub fn attested(&self) -> Option<&str> {
        self.annotations.get("vnd.docker.reference.digest").map(String::as_str)
    }

    /// What the host wants to know of it.
    pub fn port(&self) -> ports::Descriptor {
        ports::Descriptor { media_type: self.media_type.clone(), digest: self.digest.clone(), size: self.size }
    }

    pub(crate) fn read(value: Value) -> Result<Self> {
        let mut fields = Fields::of("descriptor", value)?;
        Ok(Self {
            // Docker's first registries left it out of configs.
            media_type: fields.text("mediaType")?.unwrap_or_default(),
            digest: fields.required_text("digest")?,
            size: fields.size("size")?,
            urls: fields.texts("urls")?,
            annotations: fields.text_map("annotations")?,
            data: fields.text("data")?,
            platform: fields.take("platform").map(Platform::read).transpose()?,
            artifact_type: fields.text("artifactType")?,
            rest: fields.rest(),
        })
    }

    pub(crate) fn write(&self) -> Value {
        Writer::default()
            .always("mediaType", self.media_type.as_str())
            .always("digest", self.digest.as_str())
            .always("size", self.size)
            .list("urls", &self.urls)
            .text_map("annotations", &self.annotations)
            .some("data", self.data.as_deref())
            .some("platform", self.platform.as_ref().map(Platform::write))
            .some("artifactType", self.artifact_type.as_deref())
            .rest(&self.rest)
    }
}

impl From<ports::Descriptor> for Descriptor {
    fn from(ports::Descriptor { media_type, digest, size }: ports::Descriptor) -> Self {
        Self::new(&media_type, &digest, size)
    }
}
