//! Submodules: repositories that a repository names, which must be granted like any other.

use std::path::{Path, PathBuf};

use super::git::Git;
use super::reference::{By, GitReference};
use crate::error::{CallError, CallResult};
use crate::session::Session;

/// Submodules of submodules of ... go no deeper.
const DEEPEST: usize = 16;

/// Checks out all submodules of the repository in `work`, and theirs.
///
/// # Errors
/// `denied` for one that lies where nothing may be fetched from, `invalid` where they go too deep, and those of git.
pub(super) async fn update(session: &Session, git: &Git<'_>, work: &Path) -> CallResult<()> {
    let mut pending = vec![(work.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        if !directory.join(".gitmodules").is_file() {
            continue;
        }
        if depth == DEEPEST {
            let remote = &git.reference.remote;
            return Err(CallError::invalid(format_args!(
                "the submodules of {remote} are nested {DEEPEST} times and more"
            )));
        }
        git.must(&directory, &["submodule", "--quiet", "init"]).await?;
        check(session, git, &directory).await?;
        fetch(git, &directory).await?;
        pending.extend(paths(git, &directory).await?.into_iter().map(|path| (directory.join(path), depth + 1)));
    }
    Ok(())
}

/// The door: each URL that git would ask now.
async fn check(session: &Session, git: &Git<'_>, directory: &Path) -> CallResult<()> {
    let Ok(listed) = git.run(directory, &["config", "--null", "--get-regexp", r"^submodule\..*\.url$"]).await else {
        return Ok(());
    };
    for entry in listed.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let entry = String::from_utf8_lossy(entry);
        let (_, url) = entry.split_once('\n').unwrap_or((&entry, ""));
        let found = GitReference::parse(url, By::Input).map_err(|reason| {
            CallError::invalid(format_args!("{} has a submodule that can't be fetched: {reason}", git.reference.remote))
        })?;
        super::check(session, &found.place)?;
    }
    Ok(())
}

async fn fetch(git: &Git<'_>, directory: &Path) -> CallResult<()> {
    let update = ["submodule", "--quiet", "update", "--force", "--checkout", "--depth=1"];
    match git.run(directory, &update).await {
        Ok(_) => Ok(()),
        // Its server knows no shallow fetches, or does not give out a commit by its name.
        Err(_) => git.must(directory, &update[..update.len() - 1]).await.map(drop),
    }
}

/// Where submodules are: entries with the mode of a commit.
async fn paths(git: &Git<'_>, directory: &Path) -> CallResult<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStrExt;
    let listed = git.must(directory, &["ls-files", "--stage", "-z"]).await?;
    let entries = listed.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
    let names = entries.filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1));
    Ok(names.map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name))).collect())
}
