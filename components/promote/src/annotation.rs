//! Annotations that say what an image is based on (OCI image-spec, "Pre-Defined Annotation Keys").

use std::collections::BTreeMap;

/// Name of the base: what may have a newer image some day.
pub(crate) const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// Digest of the base as it was.
pub(crate) const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Names the base. One without a tag has no name: a digest is none that could lead to a newer base.
pub(crate) fn set_base(annotations: &mut BTreeMap<String, String>, name: Option<&str>, digest: &str) {
    annotations.insert(BASE_DIGEST.into(), digest.into());
    match name {
        Some(name) => annotations.insert(BASE_NAME.into(), name.into()),
        None => annotations.remove(BASE_NAME),
    };
}
