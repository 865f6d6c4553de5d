//! The ports in memory, for native tests of a step's logic.
//!
//! A test makes a [`MemoryHost`], fills its registries and files, gives it arguments, runs the step with [`block_on`] and looks at
//! what came out. It keeps the rules that a step must obey: access is checked against the grant, a manifest can be put only when
//! what it refers to is there, digests are verified. Every clone of a host is the same host.

mod arguments;
mod files;
mod host;
mod process;
mod reference;
mod registry;
mod run;
mod snapshot;
mod sources;
#[cfg(test)]
mod tests;
mod tree;

pub use files::{MemoryDirectory, MemoryInputFile, MemoryOutputDirectory, MemoryOutputFile, Written};
pub use host::{LogLine, MemoryCatalog, MemoryHost, MemoryTask, TaskEnd};
pub use process::{MemoryAgent, MemoryOutcome, MemoryProcess, MemorySecret};
pub use registry::{MemoryBlob, MemoryRepository, RegistryEvent};
pub use run::block_on;
pub use snapshot::MemorySnapshot;
pub use sources::Checkout;
pub use tree::{FileTree, Node, NodeKind};

use sha2::{Digest as _, Sha256};

/// The digest of bytes: `sha256:hex`.
pub fn digest(content: &[u8]) -> crate::Digest {
    let hash = Sha256::digest(content);
    hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
