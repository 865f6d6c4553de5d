//! Versions in tags, and ranges of them (Semantic Versioning 2.0.0; ranges as npm and Cargo write them).

mod range;
#[cfg(test)]
mod tests;
mod version;

pub(crate) use range::Range;
pub(crate) use version::Version;
