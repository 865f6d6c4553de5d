//! What can go wrong with a request, and how the distribution-spec words it.

use std::io;

use http::StatusCode;

use crate::names::{Digest, Repository};

/// A refused or failed request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no such address; this registry serves /v2/ only")]
    AddressUnknown,
    #[error("the address does not take this method; it takes {0}")]
    MethodNotAllowed(&'static str),
    #[error(
        "repository name {0:?} breaks the grammar [a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*, parted by `/`, at most 255 bytes"
    )]
    NameInvalid(String),
    #[error("repository {0} is not known to this registry")]
    NameUnknown(Repository),
    #[error("tag {0:?} breaks the grammar [a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}")]
    TagInvalid(String),
    #[error("{0}")]
    DigestInvalid(String),
    #[error("blob {0} is not in this repository")]
    BlobUnknown(Digest),
    #[error("range {range:?} lies outside the blob of {size} bytes")]
    RangeInvalid { range: String, size: u64 },
    #[error("upload {0:?} is not under way in this repository")]
    UploadUnknown(String),
    #[error("{0}")]
    UploadInvalid(String),
    #[error("the chunk starts at byte {start}, the upload goes on at byte {offset}")]
    UploadOutOfOrder { start: u64, offset: u64, location: String },
    #[error("{0}")]
    SizeInvalid(String),
    #[error("the manifest is larger than {0} bytes")]
    ManifestTooLarge(usize),
    #[error("{0}")]
    ManifestInvalid(String),
    #[error("manifest {0} is not in this repository")]
    ManifestUnknown(String),
    #[error("the manifest refers to what is not in this repository: {}", list(.0))]
    ManifestBlobUnknown(Vec<Digest>),
    #[error("n={0:?} is not a number of entries")]
    PageInvalid(String),
    #[error("the registry's storage failed: {0}")]
    Storage(#[from] io::Error),
    #[error("the registry failed inside")]
    Internal,
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::AddressUnknown
            | Self::NameUnknown(_)
            | Self::BlobUnknown(_)
            | Self::UploadUnknown(_)
            | Self::ManifestUnknown(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::RangeInvalid { .. } | Self::UploadOutOfOrder { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::ManifestTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NameInvalid(_)
            | Self::TagInvalid(_)
            | Self::DigestInvalid(_)
            | Self::UploadInvalid(_)
            | Self::SizeInvalid(_)
            | Self::ManifestInvalid(_)
            | Self::ManifestBlobUnknown(_)
            | Self::PageInvalid(_) => StatusCode::BAD_REQUEST,
            Self::Storage(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code of the distribution-spec ("Error Codes"); the spec has none for a failed server, Docker's registry says `UNKNOWN`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::AddressUnknown | Self::MethodNotAllowed(_) | Self::PageInvalid(_) => "UNSUPPORTED",
            Self::NameInvalid(_) => "NAME_INVALID",
            Self::NameUnknown(_) => "NAME_UNKNOWN",
            Self::DigestInvalid(_) => "DIGEST_INVALID",
            Self::BlobUnknown(_) => "BLOB_UNKNOWN",
            Self::UploadUnknown(_) => "BLOB_UPLOAD_UNKNOWN",
            Self::UploadInvalid(_) | Self::UploadOutOfOrder { .. } => "BLOB_UPLOAD_INVALID",
            Self::RangeInvalid { .. } | Self::SizeInvalid(_) | Self::ManifestTooLarge(_) => "SIZE_INVALID",
            Self::TagInvalid(_) | Self::ManifestInvalid(_) => "MANIFEST_INVALID",
            Self::ManifestUnknown(_) => "MANIFEST_UNKNOWN",
            Self::ManifestBlobUnknown(_) => "MANIFEST_BLOB_UNKNOWN",
            Self::Storage(_) | Self::Internal => "UNKNOWN",
        }
    }
}
