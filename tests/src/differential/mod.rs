//! The same Dockerfiles built by steprun and by buildah, and all that differs between the images.

mod archive;
mod bases;
mod builders;
mod case;
mod compare;
mod image;
mod known;
mod layers;
mod section;

pub use bases::push_bases;
pub use builders::{Buildah, Built, Steprun};
pub use case::Case;
pub use compare::{Difference, compare};
pub use image::Image;
pub use known::Known;

/// The folder with the cases and the list of what is known to differ.
pub fn corpus() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}
