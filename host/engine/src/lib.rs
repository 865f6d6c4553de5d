//! engine
pub use wasmtime;
