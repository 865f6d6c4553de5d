//! The step `promote`: copies, tags, inspects and extends images, with the commands, flags and standard output of crane.
//!
//! Manifests that are passed on keep their bytes. Blobs never pass through the step: it tells the host which blob belongs where.
//! Standard output carries results only: commands that make something print `registry/repository@digest`, queries print the value,
//! `copy`, `tag` and `delete` print nothing.

mod append;
mod arguments;
mod copy;
mod describe;
mod edit;
mod export;
mod fetch;
mod query;
#[cfg(test)]
mod tests;
mod transfer;

pub use describe::describe;

use steprun_ports::{Failure, Host};

/// Runs the command that was called.
///
/// # Errors
/// Whatever ends the command; nothing is printed then.
pub async fn run(host: &impl Host) -> Result<(), Failure> {
    match host.command().as_str() {
        "append" => append::append(host).await,
        "config" => query::config(host).await,
        "copy" => copy::copy(host).await,
        "delete" => edit::delete(host).await,
        "digest" => query::digest(host).await,
        "export" => export::export(host).await,
        "ls" => query::list(host).await,
        "manifest" => query::manifest(host).await,
        "tag" => edit::tag(host).await,
        other => Err(Failure::usage(format!("there is no command `{other}`"))),
    }
}

steprun_guest::export_step!(describe, run);
