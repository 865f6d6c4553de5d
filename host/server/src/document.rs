//! What the registry reads in a manifest or index: the parts it must check and list. The bytes are stored as they came.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::names::Digest;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The fields of manifests and indexes together (image-spec 1.1). Others pass unread.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Map<String, Value>>,
}

/// A reference to content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

/// What a manifest needs to be in the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) digest: Digest,
    /// In bytes, as the manifest says.
    pub(crate) size: u64,
}

/// A manifest or index whose form is right.
#[derive(Debug)]
pub(crate) struct Document {
    /// The type it is served with.
    pub(crate) media_type: String,
    /// Config and layers; not those that are to be fetched elsewhere.
    pub(crate) blobs: Vec<Reference>,
    /// Entries of an index.
    pub(crate) children: Vec<Reference>,
    /// What it is attached to.
    pub(crate) subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: Option<Map<String, Value>>,
}

impl Document {
    /// Parses a manifest or index that comes with this `Content-Type`.
    pub(crate) fn parse(content_type: Option<&str>, content: &[u8]) -> Result<Self, Error> {
        let invalid =
            |error: &dyn std::fmt::Display| Error::ManifestInvalid(format!("the manifest does not parse: {error}"));
        let fields: Fields = serde_json::from_slice(content).map_err(|error| invalid(&error))?;
        if fields.schema_version != 2 {
            return Err(invalid(&format_args!("schemaVersion is {}, not 2", fields.schema_version)));
        }
        let media_type = media_type(content_type, fields.media_type.as_deref())?;
        fields.has_the_parts_of(&media_type)?;
        let config_type = fields.config.as_ref().map(|config| config.media_type.clone());
        let subject = fields.subject.as_ref().map(|subject| subject.digest.parse()).transpose()?;
        let blobs = fields.config.iter().chain(fields.layers.iter().flatten()).filter(|blob| !blob.is_foreign());
        Ok(Self {
            blobs: blobs.map(Descriptor::reference).collect::<Result<_, _>>()?,
            children: fields.manifests.iter().flatten().map(Descriptor::reference).collect::<Result<_, _>>()?,
            subject,
            // image-spec, "Guidelines for Artifact Usage": the config's type stands in for a missing artifactType.
            artifact_type: fields.artifact_type.filter(|kind| !kind.is_empty()).or(config_type),
            annotations: fields.annotations,
            media_type,
        })
    }

    /// The descriptor under which the referrers of its subject are listed (distribution-spec, "Listing Referrers").
    pub(crate) fn referrer(&self, digest: &Digest, size: usize) -> Value {
        let mut descriptor = json!({ "mediaType": self.media_type, "digest": digest.to_string(), "size": size });
        if let Some(kind) = &self.artifact_type {
            descriptor["artifactType"] = json!(kind);
        }
        if let Some(annotations) = &self.annotations {
            descriptor["annotations"] = json!(annotations);
        }
        descriptor
    }
}

impl Fields {
    fn has_the_parts_of(&self, media_type: &str) -> Result<(), Error> {
        let missing = match media_type {
            OCI_MANIFEST | DOCKER_MANIFEST if self.config.is_none() => "config",
            OCI_MANIFEST | DOCKER_MANIFEST if self.layers.is_none() => "layers",
            OCI_INDEX | DOCKER_LIST if self.manifests.is_none() => "manifests",
            _ => return Ok(()),
        };
        Err(Error::ManifestInvalid(format!("a {media_type} must have {missing:?}")))
    }
}

impl Descriptor {
    /// A layer with `urls` is fetched there ("foreign", "non-distributable") and need not be in the registry.
    fn is_foreign(&self) -> bool {
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }

    fn reference(&self) -> Result<Reference, Error> {
        Ok(Reference { digest: self.digest.parse()?, size: self.size })
    }
}

/// The header's type, or the document's own. The two must not differ, and a manifest is JSON by its name.
fn media_type(header: Option<&str>, own: Option<&str>) -> Result<String, Error> {
    // Parameters such as `charset` are no part of the type.
    let header =
        header.map(|value| value.split(';').next().unwrap_or_default().trim()).filter(|value| !value.is_empty());
    let chosen = match (header, own) {
        (Some(header), Some(own)) if header != own => {
            return Err(Error::ManifestInvalid(format!("Content-Type is {header:?}, mediaType {own:?}")));
        }
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => {
            return Err(Error::ManifestInvalid(
                "neither Content-Type nor mediaType says what the manifest is".to_owned(),
            ));
        }
    };
    if chosen.ends_with("+json") {
        Ok(chosen.to_owned())
    } else {
        Err(Error::ManifestInvalid(format!("{chosen:?} is not the type of a manifest")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(content_type: Option<&str>, value: &Value) -> Result<Document, Error> {
        Document::parse(content_type, value.to_string().as_bytes())
    }

    fn descriptor(kind: &str) -> Value {
        json!({ "mediaType": kind, "digest": DIGEST, "size": 0 })
    }

    fn image() -> Value {
        json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor("application/c"), "layers": [descriptor("application/l")] })
    }

    #[test]
    fn image_needs_config_and_layers() {
        let document = parse(Some(OCI_MANIFEST), &image()).unwrap();
        assert_eq!(document.blobs.len(), 2);
        assert!(document.children.is_empty());
        for part in ["config", "layers"] {
            let mut broken = image();
            broken.as_object_mut().unwrap().remove(part);
            assert!(matches!(parse(Some(OCI_MANIFEST), &broken), Err(Error::ManifestInvalid(_))), "{part}");
        }
    }

    #[test]
    fn index_lists_children() {
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST)] });
        let document = parse(Some(OCI_INDEX), &index).unwrap();
        assert_eq!((document.blobs.len(), document.children.len()), (0, 1));
    }

    #[test]
    fn foreign_layers_need_not_be_here() {
        let mut value = image();
        value["layers"][0]["urls"] = json!(["https://elsewhere.invalid/x"]);
        assert_eq!(parse(None, &value).unwrap().blobs.len(), 1);
    }

    #[test]
    fn type_comes_from_header_or_document() {
        let mut value = image();
        assert_eq!(parse(None, &value).unwrap().media_type, OCI_MANIFEST);
        assert_eq!(parse(Some(&format!("{OCI_MANIFEST}; charset=utf-8")), &value).unwrap().media_type, OCI_MANIFEST);
        assert!(parse(Some(DOCKER_MANIFEST), &value).is_err());
        value.as_object_mut().unwrap().remove("mediaType");
        assert_eq!(parse(Some(DOCKER_MANIFEST), &value).unwrap().media_type, DOCKER_MANIFEST);
        assert!(parse(None, &value).is_err());
        assert!(parse(Some("text/plain"), &value).is_err());
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for content in [
            "",
            "[]",
            "null",
            "{}",
            "{\"schemaVersion\":1}",
            "{\"schemaVersion\":2,\"config\":[]}",
            "{\"schemaVersion\":2} x",
        ] {
            assert!(Document::parse(Some(OCI_MANIFEST), content.as_bytes()).is_err(), "{content:?}");
        }
    }

    #[test]
    fn referrer_says_its_type() {
        let mut value = image();
        value["subject"] = descriptor(OCI_MANIFEST);
        value["annotations"] = json!({ "a": "b" });
        let document = parse(None, &value).unwrap();
        let digest: Digest = DIGEST.parse().unwrap();
        assert_eq!(document.subject.as_ref(), Some(&digest));
        let descriptor = document.referrer(&digest, 7);
        let expected = json!({
            "mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 7, "artifactType": "application/c", "annotations": { "a": "b" }
        });
        assert_eq!(descriptor, expected);
        value["artifactType"] = json!("application/sbom");
        assert_eq!(parse(None, &value).unwrap().referrer(&digest, 7)["artifactType"], "application/sbom");
    }
}
