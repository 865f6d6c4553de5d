//! The native host of steprun: runs components, grants what arguments designate, serves capabilities.
//!
//! One module a capability, named as its WIT interface is: [`context`], [`registry`], [`store`], [`cache`], [`snapshots`], [`sources`],
//! [`inputs`], [`outputs`], [`progress`]. Each has its check at its door. [`grants`] shows all that arguments can grant; ARCHITECTURE.md shows
//! the house.

pub mod arrival;
pub mod auth;
pub mod bindings;
pub mod cache;
pub mod calls;
pub mod cli;
pub mod commands;
pub mod component;
pub mod context;
pub mod doctor;
pub mod error;
pub mod exit;
pub mod grants;
pub mod inputs;
pub mod inspect;
pub mod limits;
pub mod local;
pub mod maintenance;
pub mod outputs;
pub mod policy;
pub mod progress;
pub mod registry;
pub mod run;
pub mod serve;
pub mod session;
pub mod snapshots;
pub mod sources;
pub mod store;
pub mod terminal;
pub mod wasi;
