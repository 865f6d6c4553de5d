//! Manifests, indexes and configs of images (OCI image-spec 1.1 and Docker's image manifest v2 schema 2).
//!
//! Digests are over bytes, so what is passed on keeps its bytes and what is changed loses nothing: parsing keeps every field, also
//! those that only Docker knows (`Healthcheck`, `Shell`, `OnBuild`) or nobody. What is written comes in one fixed order: known
//! fields as the Go structs of the image-spec have them, unknown ones behind them in the order they were read, maps sorted by name.

mod config;
mod descriptor;
mod document;
mod error;
mod history;
mod manifest;
pub mod media_type;
mod platform;
#[cfg(test)]
mod tests;
pub mod time;

pub use config::{Config, ContainerConfig, Healthcheck};
pub use descriptor::Descriptor;
pub use error::{Error, Result};
pub use history::History;
pub use manifest::{Document, Index, Manifest};
pub use platform::Platform;
