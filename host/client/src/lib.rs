//! A client for registries that speak the OCI distribution-spec 1.1.
//!
//! [`Client`] is the door: it moves manifests and blobs, verifies every digest, keeps credentials and tokens to itself,
//! retries what may be retried and resumes what broke off. It never holds a whole blob in memory.
//!
//! Data flows one way: [`Reference`] names a thing, [`Keychain`] finds who may ask for it, [`Config`] says how to reach the
//! registry, and [`Client`] asks.

mod auth;
mod client;
mod error;
mod exchange;
mod keychain;
mod namespace;
mod object;
mod reference;
mod retry;
mod secret;
mod source;
mod transport;
mod verify;

pub use auth::TokenAnswer;
pub use client::{
    Client, Config, Descriptor, Manifest, Mount, OnRequest, OnWarning, Progress, PushOutcome, Referrer, RemoteFile,
    UploadSession,
};
pub use error::{Error, Result};
pub use keychain::{Credential, Environment, Keychain, KeychainError, Logins};
pub use namespace::Namespace;
pub use object::ObjectStore;
pub use oci_spec::image::Digest;
pub use reference::{Reference, ReferenceError, RegistryName, RepositoryName, Selector, Tag};
pub use reqwest::Url;
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use source::{BlobSource, ByteStream, FileSource, OpenFuture};
pub use transport::TlsSettings;
