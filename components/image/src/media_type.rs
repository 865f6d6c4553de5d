//! Media types of the OCI image-spec and of Docker's image manifest v2, schema 2.

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, plain.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI layer that may not be distributed, plain.
pub const OCI_FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
/// OCI layer that may not be distributed, gzip.
pub const OCI_FOREIGN_LAYER_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
/// Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, plain.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer that may not be distributed, plain.
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// Docker layer that may not be distributed, gzip.
pub const DOCKER_FOREIGN_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// Docker's types with their OCI equals: the bytes behind them have the same form.
const EQUALS: [(&str, &str); 7] = [
    (DOCKER_INDEX, OCI_INDEX),
    (DOCKER_MANIFEST, OCI_MANIFEST),
    (DOCKER_CONFIG, OCI_CONFIG),
    (DOCKER_LAYER, OCI_LAYER),
    (DOCKER_LAYER_GZIP, OCI_LAYER_GZIP),
    (DOCKER_FOREIGN_LAYER, OCI_FOREIGN_LAYER),
    (DOCKER_FOREIGN_LAYER_GZIP, OCI_FOREIGN_LAYER_GZIP),
];

/// Whether it is an index: an OCI index or a Docker manifest list.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// Whether it is the manifest of one image.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether it is the config of a container image, and not that of another artifact. Docker's first registries left it out.
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG | "")
}

/// Whether it is a layer of a file system.
pub fn is_layer(media_type: &str) -> bool {
    let plain = matches!(media_type, OCI_LAYER | OCI_LAYER_GZIP | OCI_LAYER_ZSTD | DOCKER_LAYER | DOCKER_LAYER_GZIP);
    plain || is_foreign(media_type)
}

/// Whether it is a layer that is fetched from its URLs and not pushed to registries.
pub fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

/// Whether it belongs to Docker's schema.
pub fn is_docker(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.")
}

/// The OCI equal of a Docker type; any other type as it is.
pub fn to_oci(media_type: &str) -> &str {
    EQUALS.iter().find(|(docker, _)| *docker == media_type).map_or(media_type, |(_, oci)| oci)
}

/// The Docker equal of an OCI type; none where Docker has none, as for zstd.
pub fn to_docker(media_type: &str) -> Option<&str> {
    if is_docker(media_type) {
        return Some(media_type);
    }
    EQUALS.iter().find(|(_, oci)| *oci == media_type).map(|(docker, _)| *docker)
}
