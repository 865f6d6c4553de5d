//! The components that come with the host, compiled from source by this crate's build script.

/// `build`.
pub static BUILD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/build.wasm"));
/// `promote`.
pub static PROMOTE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/promote.wasm"));
