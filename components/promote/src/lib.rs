//! The step `promote`: copies, tags, inspects and changes images, with the commands, flags and standard output of crane.
//!
//! Manifests that are passed on keep their bytes. Blobs don't pass through the step, but for configs and the files that `diff` compares: it tells
//! the host which blob belongs where. Images in files and directories are reached as those of registries are.
//! Standard output carries results only: commands that make something print `registry/repository@digest`, queries print the value,
//! `copy`, `pull`, `tag` and `delete` print nothing.

mod annotation;
mod append;
mod apply;
mod arguments;
mod blob;
mod bundle;
mod catalog;
mod copy;
mod describe;
mod diff;
mod digest_tags;
mod draft;
mod edit;
mod fetch;
mod filesystem;
mod flatten;
mod index;
mod layout;
mod list;
mod local;
mod mutate;
mod naming;
mod pattern;
mod plan;
mod preview;
mod pull;
mod push;
mod query;
mod rebase;
mod recompress;
mod referrers;
mod retention;
mod rewrite;
mod select;
mod semver;
mod size;
mod sync;
mod tag_filter;
mod target;
#[cfg(test)]
mod tests;
mod transfer;
mod validate;
mod walk;

pub use describe::describe;

use steprun_ports::{Failure, Host};

/// Runs the command that was called.
///
/// # Errors
/// Whatever ends the command. Only `validate` and `diff --exit-code` may have printed something by then.
pub async fn run(host: &impl Host) -> Result<(), Failure> {
    match host.command().as_str() {
        "append" => append::append(host).await,
        "apply" => apply::apply(host).await,
        "blob" => blob::blob(host).await,
        "cat" => filesystem::cat(host).await,
        "catalog" => catalog::catalog(host).await,
        "config" => query::config(host).await,
        "copy" => copy::copy(host).await,
        "delete" => naming::delete(host).await,
        "diff" => diff::diff(host).await,
        "digest" => query::digest(host).await,
        "edit-config" => edit::config(host).await,
        "edit-fs" => edit::file(host).await,
        "edit-manifest" => edit::manifest(host).await,
        "export" => filesystem::export(host).await,
        "files" => filesystem::files(host).await,
        "flatten" => flatten::flatten(host).await,
        "index-append" => index::append(host).await,
        "index-filter" => index::filter(host).await,
        "index-list" => index::list(host).await,
        "layout-gc" => layout::collect_garbage(host).await,
        "ls" => query::list(host).await,
        "manifest" => query::manifest(host).await,
        "move" => naming::r#move(host).await,
        "mutate" => mutate::mutate(host).await,
        "pull" => pull::pull(host).await,
        "push" => push::push(host).await,
        "rebase" => rebase::rebase(host).await,
        "referrers" => referrers::list(host).await,
        "retention" => retention::retention(host).await,
        "size" => size::size(host).await,
        "sync" => sync::sync(host).await,
        "tag" => naming::tag(host).await,
        "tree" => referrers::tree(host).await,
        "validate" => validate::validate(host).await,
        "version" => query::version(host).await,
        other => Err(Failure::usage(format!("there is no command `{other}`"))),
    }
}

steprun_guest::export_step!(describe, run);
