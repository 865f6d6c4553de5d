//! A commit of a Git repository, from its name to its files.

use std::path::Path;
use std::sync::Arc;

use steprun_snapshot::Timestamp;

use super::git::{Git, Login, Trouble};
use super::reference::GitReference;
use super::{submodules, worktree};
use crate::bindings::context::Commit;
use crate::bindings::types;
use crate::calls::blocking;
use crate::context::Files;
use crate::error::{CallError, CallResult};
use crate::session::Session;

/// Checks a commit out into a directory of the store, which stays until the run has ended. Whether that is granted was asked before.
///
/// # Errors
/// `not-found` for a repository, ref or directory that is not there, `corrupt` for another commit than the one that was announced,
/// `unsupported` where there is no git.
pub(super) async fn checkout(session: &Arc<Session>, reference: &GitReference, login: Login) -> CallResult<Files> {
    let private = session.store()?.private_directory()?;
    let work = private.path().join("work");
    let git = Git { folder: private.path(), reference, login };
    git.must(git.folder, &["init", "--quiet", "--template=", "work"]).await?;
    // What submodules with relative URLs are relative to.
    git.must(&work, &["remote", "add", "origin", &reference.remote]).await?;
    let id = fetch(&git, &work).await?;
    git.must(&work, &["checkout", "--quiet", "--force", "--detach", &id]).await?;
    if reference.submodules {
        submodules::update(session, &git, &work).await?;
    }
    let time = time_of(&git, &work, &id).await?;
    let (shown, directory, keep) = (reference.to_string(), reference.directory.clone(), reference.keep_git_dir);
    let files = blocking(move || Ok(worktree::read(&work, &shown, &directory, keep, time)?)).await?;
    session.keep(private);
    let commit = Commit { repository: reference.remote.clone(), id, time: time.into() };
    Ok(Files::Fetched(files, Some(commit)))
}

/// Brings the commit that is meant into the repository; gives its whole name.
async fn fetch(git: &Git<'_>, work: &Path) -> CallResult<String> {
    let reference = git.reference;
    let object = match reference.whole_commit() {
        Some(id) => {
            if shallow(git, work, id).await.is_err() {
                // Some servers give out only what a branch or tag points to.
                all(git, work).await.map_err(|trouble| trouble.into_error(reference))?;
            }
            id.to_owned()
        }
        None => {
            let name = resolve(git, work).await?;
            shallow(git, work, &name).await.map_err(|trouble| trouble.into_error(reference))?;
            "FETCH_HEAD".to_owned()
        }
    };
    let found = git.run(work, &["rev-parse", "--verify", "--quiet", &format!("{object}^{{commit}}")]).await;
    let id = match found {
        Ok(output) => line(&output),
        Err(Trouble::Failed { .. }) => {
            return Err(not_found(format!("the repository {} has no commit {object}", reference.remote)));
        }
        Err(trouble) => return Err(trouble.into_error(reference)),
    };
    check(git, work, &object, &id).await?;
    Ok(id)
}

/// Fails unless the commit, or the annotated tag that led to it, is the one that was announced.
async fn check(git: &Git<'_>, work: &Path, object: &str, id: &str) -> CallResult<()> {
    let Some(expected) = git.reference.commit.as_deref().filter(|expected| !id.starts_with(expected)) else {
        return Ok(());
    };
    let tag = line(&git.must(work, &["rev-parse", "--verify", "--quiet", object]).await?);
    if tag.starts_with(expected) {
        return Ok(());
    }
    let message = format!("{} is the commit {id}, not {expected}", git.reference);
    Err(CallError::Error(types::Error::Corrupt(message)))
}

/// The whole name of the ref: of several, the one that `git checkout` would take.
async fn resolve(git: &Git<'_>, work: &Path) -> CallResult<String> {
    let reference = git.reference;
    let Some(wanted) = reference.wanted.as_deref() else { return Ok("HEAD".to_owned()) };
    let listed = git.must(work, &["ls-remote", "--quiet", "--", &reference.remote, wanted]).await?;
    let listed = String::from_utf8_lossy(&listed);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_once('\t')).map(|(_, name)| name).collect();
    let candidates =
        [wanted.to_owned(), format!("refs/{wanted}"), format!("refs/heads/{wanted}"), format!("refs/tags/{wanted}")];
    let found = candidates.into_iter().find(|candidate| names.contains(&candidate.as_str()));
    found.ok_or_else(|| not_found(format!("the repository {} has no branch or tag `{wanted}`", reference.remote)))
}

/// Fetches one commit without those before it, where the server can do that.
async fn shallow(git: &Git<'_>, work: &Path, name: &str) -> Result<(), Trouble> {
    let fetch = ["fetch", "--quiet", "--no-tags", "--depth=1", "--", &git.reference.remote, name];
    match git.run(work, &fetch).await {
        Err(trouble) if trouble.says(&["shallow", "--depth"]) => {
            let whole: Vec<&str> = fetch.into_iter().filter(|word| *word != "--depth=1").collect();
            git.run(work, &whole).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}

async fn all(git: &Git<'_>, work: &Path) -> Result<(), Trouble> {
    let refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
    let fetch = ["fetch", "--quiet", "--no-tags", "--", &git.reference.remote];
    git.run(work, &[&fetch[..], &refs].concat()).await.map(drop)
}

async fn time_of(git: &Git<'_>, work: &Path, id: &str) -> CallResult<Timestamp> {
    let text = line(&git.must(work, &["show", "--no-patch", "--format=%ct", id]).await?);
    let seconds =
        text.parse().map_err(|_| CallError::invalid(format_args!("the commit {id} has the time `{text}`")))?;
    Ok(Timestamp { seconds, nanoseconds: 0 })
}

fn line(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

fn not_found(message: String) -> CallError {
    CallError::Error(types::Error::NotFound(message))
}
