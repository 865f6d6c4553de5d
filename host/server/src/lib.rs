//! A small OCI registry: [distribution-spec 1.1](https://github.com/opencontainers/distribution-spec) over HTTP/1.1, with
//! storage on disk. It serves the demo, users without a registry at hand, and tests. It asks nobody for a password, so
//! bind it to loopback.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use steprun_server::{Config, Server};
//! let server = Server::bind(Config { address: ([127, 0, 0, 1], 0).into(), root: None })?;
//! println!("{}", server.address());
//! server.run(std::future::pending()).await
//! # }
//! ```
//!
//! Data flow one way: [`routes`] turns a request into an operation on names that are already checked; `blobs`, `manifests`,
//! `uploads` and `listings` carry it out on the [`storage`]; `responses` and `error` word the answer.

mod blobs;
mod document;
mod error;
mod listings;
mod manifests;
mod names;
mod responses;
mod routes;
mod server;
mod storage;
mod uploads;
mod writer;

pub use server::{Config, Server};
