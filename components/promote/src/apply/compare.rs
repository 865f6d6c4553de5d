//! What destinations lack of what is wanted.

use steprun_ports::{Failure, Repository, concurrently};

use super::file::Promotion;
use crate::copy::{head, tagged};
use crate::preview::Copy;

/// A promotion to one of its destinations.
pub(super) struct Route<'a, R> {
    pub(super) from: R,
    pub(super) to: R,
    pub(super) promotion: &'a Promotion,
}

/// A name that a destination lacks.
pub(super) struct Lack<R> {
    /// Where the manifest is: the source, or the destination itself, where it has the image under another name.
    pub(super) from: R,
    pub(super) to: R,
    pub(super) digest: String,
    /// None for the digest alone.
    pub(super) tag: Option<String>,
}

impl<R: Repository> Lack<R> {
    /// For `--dry-run`.
    pub(super) fn preview(&self) -> Copy {
        let Self { from, to, digest, tag } = self;
        let name = tag.as_ref().map_or_else(|| format!("@{digest}"), |tag| format!(":{tag}"));
        let (source, destination) = (format!("{}@{digest}", from.name()), format!("{}{name}", to.name()));
        Copy { source, destination, digest: digest.clone() }
    }
}

/// How a route can be gone.
struct Found<R> {
    lacks: Vec<Lack<R>>,
    /// What forbids it, in sentences.
    conflicts: Vec<String>,
}

/// Compares all routes. Fails with all that forbids any of them.
pub(super) async fn compare<R: Repository>(routes: &[Route<'_, R>], jobs: usize) -> Result<Vec<Lack<R>>, Failure> {
    let (mut lacks, mut conflicts) = (Vec::new(), Vec::new());
    for found in concurrently(jobs, routes, |route| look(route)).await? {
        lacks.extend(found.lacks);
        conflicts.extend(found.conflicts);
    }
    if conflicts.is_empty() {
        return Ok(lacks);
    }
    let mut failure = Failure::failed("the registries do not fit the file, and nothing is written");
    failure.causes = conflicts;
    Err(failure
        .hint("delete a tag that is to move (`promote delete --tag-only`), or take out of the file what can't be had"))
}

async fn look<R: Repository>(route: &Route<'_, R>) -> Result<Found<R>, Failure> {
    let Route { from, to, promotion: Promotion { digest, tags, .. } } = route;
    let mut found = Found { lacks: Vec::new(), conflicts: Vec::new() };
    let mut missing = Vec::new();
    for tag in tags {
        match head(&tagged(to, tag)).await? {
            Some(there) if there.digest == *digest => {}
            Some(there) => {
                let moved = format!("{}:{tag} stands for {} and would become {digest}", to.name(), there.digest);
                found.conflicts.push(moved);
            }
            None => missing.push(Some(tag.clone())),
        }
    }
    let whole = missing.is_empty() && !tags.is_empty();
    if whole {
        return Ok(found);
    }
    let is_there = has(to, digest).await?;
    if tags.is_empty() && !is_there {
        missing.push(None);
    }
    let from = if is_there { to } else { from };
    if !is_there && !has(from, digest).await? {
        found.conflicts.push(format!("{digest} is neither in {} nor in {}", from.name(), to.name()));
    }
    let lack = |tag| Lack { from: from.clone(), to: to.clone(), digest: digest.clone(), tag };
    found.lacks = missing.into_iter().map(lack).collect();
    Ok(found)
}

async fn has<R: Repository>(repository: &R, digest: &str) -> Result<bool, Failure> {
    let head = repository.head(digest).await;
    let head = head.map_err(|error| Failure::because(format!("can't read {}@{digest}", repository.name()), error))?;
    Ok(head.is_some())
}
