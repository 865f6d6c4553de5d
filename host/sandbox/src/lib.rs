//! Native commands with a snapshot as their root file system, in the strongest sandbox that the place allows.
//!
//! The host never forks itself: it starts its own binary again as a *supervisor* ([`supervisor::main`]) with an empty environment, hands
//! it a [`Request`] over a pipe, and reads a [`Reply`]. The supervisor makes the root file system ready, lets a [`Rung`] run the command in
//! it, finds what changed, and writes that as a tar into the store. All that touches an unpacked tree happens in that process,
//! in whatever namespaces the rung needs; the host sees immutable blobs only. Data flows one way:
//! [`Request`] -> supervisor (`workspace` -> `rung` -> `workspace`) -> [`Reply`].

mod attach;
mod base;
mod error;
mod frame;
pub mod launch;
mod network;
pub mod probe;
pub mod request;
pub mod rung;
pub mod session;
mod stack;
pub mod supervisor;
mod sys;
#[doc(hidden)]
pub mod trial;
mod workspace;

pub use error::Error;
pub use request::{Reply, Request};
pub use rung::Rung;
