//! What a call to a registry can fail with.

use std::io;

/// The result of a call to a registry.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Each message is a sentence for people that names the repository, manifest or blob; none holds a
/// secret. Cloneable, so that callers that waited for the same token can all be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry has no such repository, manifest, tag or blob (404).
    #[error("{subject}: not found{}", suffix(.reason))]
    NotFound {
        /// `registry/repository:tag` or `registry/repository@digest`.
        subject: String,
        /// The registry's own words; may be empty.
        reason: String,
    },
    /// The registry wants credentials, or refuses the ones it got (401).
    #[error("{subject}: the registry refuses access: {reason}; {credentials}, asked for `{scope}`; {remedy}")]
    Unauthorized {
        /// `registry/repository:tag` or `registry/repository@digest`.
        subject: String,
        /// The registry's or token server's own words.
        reason: String,
        /// `credentials from SOURCE (user NAME)` or `no credentials found for HOST`.
        credentials: String,
        /// The scope that was asked for, such as `repository:team/app:pull,push`.
        scope: String,
        /// How to log in.
        remedy: String,
    },
    /// The registry knows the caller and forbids the call (403).
    #[error("{subject}: forbidden by the registry{}; {credentials}", suffix(.reason))]
    Denied {
        /// `registry/repository:tag` or `registry/repository@digest`.
        subject: String,
        /// The registry's own words; may be empty.
        reason: String,
        /// `credentials from SOURCE (user NAME)` or `no credentials found for HOST`.
        credentials: String,
    },
    /// The registry refuses the call for another reason: a malformed manifest, an immutable tag, an unsupported method.
    #[error("{subject}: refused by the registry with status {status}{}", suffix(.reason))]
    Refused {
        /// `registry/repository:tag` or `registry/repository@digest`.
        subject: String,
        /// The HTTP status.
        status: u16,
        /// The first error code of the distribution-spec's table, such as `MANIFEST_INVALID` or `TAG_IMMUTABLE`.
        code: Option<String>,
        /// The registry's own words; may be empty.
        reason: String,
    },
    /// A server that is no registry refuses to give a file.
    #[error("{subject}: the server answers {status}")]
    Status {
        /// The file's URL.
        subject: String,
        /// The HTTP status with its usual words.
        status: String,
    },
    /// The registry could not be reached, or went on failing.
    #[error("{subject}: {reason}{}", after_tries(.tries))]
    Unavailable {
        /// `registry/repository:tag` or `registry/repository@digest`.
        subject: String,
        /// How many times it was tried.
        tries: u32,
        /// The last failure.
        reason: String,
    },
    /// Bytes do not have the digest or size that they were announced with.
    #[error("{subject}: {reason}")]
    Corrupt {
        /// `registry/repository:tag` or `registry/repository@digest`.
        subject: String,
        /// What was announced and what came.
        reason: String,
    },
    /// A malformed argument, or an answer that does not follow the distribution-spec.
    #[error("{subject}: {reason}")]
    Invalid {
        /// What was malformed.
        subject: String,
        /// Why.
        reason: String,
    },
    /// Reading or writing on this side failed.
    #[error("{subject}: {reason}")]
    Io {
        /// The file or blob.
        subject: String,
        /// The kind of the original error.
        kind: io::ErrorKind,
        /// The original error's message.
        reason: String,
    },
}

/// `: reason`, or nothing.
fn suffix(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// `, after N tries`, or nothing where there was only one.
fn after_tries(tries: &u32) -> String {
    if *tries > 1 { format!(", after {tries} tries") } else { String::new() }
}

impl Error {
    /// An [`Error::Io`] about `subject`.
    pub(crate) fn io(subject: impl Into<String>, error: &io::Error) -> Self {
        Error::Io { subject: subject.into(), kind: error.kind(), reason: error.to_string() }
    }
}
