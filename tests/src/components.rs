//! Components of ours that misbehave; `build.rs` compiles them from source.

use std::path::PathBuf;

/// A step that does what it should not, chosen by its command; see `tests/components/hostile`.
pub fn hostile() -> PathBuf {
    built("steprun-hostile")
}

/// A plain WASI command that tries its limits, see `tests/components/wasi-hello`.
pub fn wasi_hello() -> PathBuf {
    built("steprun-wasi-hello")
}

fn built(package: &str) -> PathBuf {
    PathBuf::from(env!("OUT_DIR")).join(package).with_extension("wasm")
}
