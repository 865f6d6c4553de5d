//! The engine's settings, shared by the build script that compiles the built-in components and the host that loads them: code
//! compiled ahead of time is only accepted by an engine with the same settings.

pub use wasmtime;

use wasmtime::{Config, Engine, Result};

/// How often the host's clock advances the epoch, in milliseconds; guests yield at each advance.
pub const EPOCH_MILLISECONDS: u64 = 10;

/// The settings of the engine that steps run on.
///
/// Epoch interruption makes guests yield, so that a time limit can end one that spins; fuel would be exact, but costs more and
/// nothing here needs exactness.
pub fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).epoch_interruption(true);
    config
}

/// An engine with [`config`].
///
/// # Errors
/// If the machine can't run compiled wasm at all.
pub fn engine() -> Result<Engine> {
    Engine::new(&config())
}
