//! The engine's settings, shared by the build script that compiles the built-in components and the host that loads them: code
//! compiled ahead of time is only accepted by an engine with the same settings.

pub use wasmtime;

use std::sync::Arc;

use rustix::mm::{MprotectFlags, mprotect};
use wasmtime::{Config, CustomCodeMemory, Engine, Result};

/// How often the host's clock advances the epoch, in milliseconds; guests yield at each advance.
pub const EPOCH_MILLISECONDS: u64 = 10;

/// The settings of the engine that steps run on.
///
/// Epoch interruption makes guests yield, so that a time limit can end one that spins; fuel would be exact, but costs more and
/// nothing here needs exactness. What only debuggers and backtraces ask for is left out: people are told of a trap, not of addresses.
pub fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).epoch_interruption(true);
    config.wasm_backtrace_max_frames(None).generate_address_map(false).native_unwind_info(false);
    config.with_custom_code_memory(Some(Arc::new(Protection)));
    config
}

/// Makes code executable where it lies, be that memory of the engine's own or the host's binary: the code of built-in components is part of that,
/// and is run from there without being copied, page by page as it is needed.
struct Protection;

impl CustomCodeMemory for Protection {
    fn required_alignment(&self) -> usize {
        rustix::param::page_size()
    }

    fn publish_executable(&self, begin: *const u8, length: usize) -> Result<()> {
        // SAFETY: the engine says that its code lies there, in pages of its own; nobody writes to code any more.
        Ok(unsafe { mprotect(begin.cast_mut().cast(), length, MprotectFlags::READ | MprotectFlags::EXEC) }?)
    }

    /// Nothing: memory of the engine's own is given back next, and the binary's may be the code of another component that is the same.
    fn unpublish_executable(&self, _: *const u8, _: usize) -> Result<()> {
        Ok(())
    }
}

/// An engine with [`config`].
///
/// # Errors
/// If the machine can't run compiled wasm at all.
pub fn engine() -> Result<Engine> {
    Engine::new(&config())
}
