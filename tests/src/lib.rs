//! The harness of the whole-system tests: they run the real binary as a user would, against real registries, and let other
//! tools judge what came out.
//!
//! A tool that is missing fails the test with the name of its package: a test that is skipped tests nothing.
//!
//! Everything here panics on trouble, since only tests call it.

mod base;
pub mod components;
mod context;
pub mod differential;
pub mod fake;
mod git;
mod judges;
mod memory;
mod places;
mod registry;
pub mod rootfs;
mod running;
mod tools;
mod tree;
mod user;

pub use base::{Base, Layer, push_index};
pub use context::{Context, MTIME};
pub use git::{COMMITTED, Repositories, Repository};
pub use judges::{crane, inspect, layers, layout_of, raw_manifest, skopeo_copy, unpack};
pub use memory::{Measured, max_rss};
pub use places::{Call, Inside, Place};
pub use registry::{PASSWORD, Registry, USER};
pub use running::Running;
pub use tools::tool;
pub use tree::{Entry, scan};
pub use user::{Outcome, Steprun, User, binary};

/// The folder with the workspace's `Cargo.toml`.
pub fn workspace() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The SHA-256 of bytes, as `sha256:HEX`.
pub fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    let digits: String = sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Checks all cases of a table, so that one that fails does not hide the others.
///
/// # Panics
/// If any case fails.
#[track_caller]
pub fn each<T>(cases: impl IntoIterator<Item = T>, check: impl Fn(T)) {
    let attempt = |case| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case)));
    let failed = cases.into_iter().map(attempt).filter(Result::is_err).count();
    assert_eq!(failed, 0, "cases failed, see above");
}
