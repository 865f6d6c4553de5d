//! `retention`: which tags of a repository are kept.

use serde_json::json;
use steprun_image::{Config, Document, Platform, time};
use steprun_ports::{Failure, Host, Level, Repository, Timestamp, concurrently};

use crate::arguments::{full_name, jobs, missing, wants_json};
use crate::copy::tagged;
use crate::draft;
use crate::fetch;
use crate::naming::delete_tag;
use crate::pattern;
use crate::query::{print, tags};
use crate::select;

/// What is kept. A tag goes only if nothing of it keeps the tag.
struct Policy {
    /// So many of the newest images.
    newest: usize,
    /// Patterns of tags.
    tags: Vec<String>,
    /// Images made since then; none for no limit.
    since: Option<Timestamp>,
}

/// A tag and when its image was made; none if the image does not say so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tagged {
    tag: String,
    created: Option<Timestamp>,
}

/// Prints the tags that go, and lets them go if that is confirmed.
pub(crate) async fn retention<H: Host>(host: &H) -> Result<(), Failure> {
    let repository = host.repositories("repository").pop().ok_or_else(|| missing("repository"))?;
    let (policy, jobs) = (Policy::read(host)?, jobs(host)?);
    let mut candidates = tags(&repository).await?;
    candidates.retain(|tag| policy.judges(tag));
    let images = concurrently(jobs, candidates, async |tag| created(&repository, tag).await).await?;
    let old = policy.expired(host, images);
    // Made before anything goes: that `--select` leads nowhere is to be told while it changes nothing.
    let shown = shown(host, &repository.name(), &old)?;
    if host.flag("confirm") {
        concurrently(jobs, &old, |tag| delete_tag(host, &repository, tag)).await?;
    } else if !old.is_empty() {
        host.log(Level::Info, "nothing is deleted without --confirm");
    }
    print(host, shown.as_bytes()).await
}

/// A line for each tag, or all of them as JSON.
fn shown(host: &impl Host, repository: &str, tags: &[String]) -> Result<String, Failure> {
    if wants_json(host) {
        return select::line(&json!({"name": repository, "tags": tags}), select::pointer(host)?.as_deref());
    }
    Ok(tags.iter().map(|tag| format!("{repository}:{tag}\n")).collect())
}

impl Policy {
    fn read(host: &impl Host) -> Result<Self, Failure> {
        let keep = host.integers("keep").pop();
        let since = host.times("older-than").pop();
        if keep.is_none() && since.is_none() {
            let failure = Failure::usage("one of --keep and --older-than is needed");
            return Err(failure.hint("without them every tag would go"));
        }
        let count = |count: i64| usize::try_from(count).map_err(|_| Failure::usage(format!("--keep can't be {count}")));
        let newest = keep.map(count).transpose()?.unwrap_or(0);
        Ok(Self { newest, tags: host.texts("keep-tags"), since })
    }

    /// Whether a tag may go at all. One that belongs to a digest (`sha256-...`: signatures) goes with what it belongs to, not by age.
    fn judges(&self, tag: &str) -> bool {
        !tag.starts_with("sha256-") && !self.tags.iter().any(|kept| pattern::matches(kept, tag))
    }

    /// The tags that nothing keeps, oldest first. Images that don't say when they were made are kept.
    fn expired(&self, host: &impl Host, images: Vec<Tagged>) -> Vec<String> {
        let (dated, undated): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| image.created.is_some());
        for Tagged { tag, .. } in undated {
            host.log(Level::Warning, &format!("{tag} is kept: its image does not say when it was made"));
        }
        let mut images = dated;
        // Equal times are ordered by the tag, so that every run says the same.
        images.sort_by(|a, b| (b.created, &b.tag).cmp(&(a.created, &a.tag)));
        let is_old = |image: &Tagged| self.since.is_none_or(|since| image.created < Some(since));
        let old = images.into_iter().skip(self.newest).filter(is_old).map(|image| image.tag);
        old.collect::<Vec<_>>().into_iter().rev().collect()
    }
}

/// When a tag's image was made; of an index, the image for linux/amd64 or the first one. The epoch is what builders write who keep
/// the time out of their images.
async fn created<R: Repository>(repository: &R, tag: String) -> Result<Tagged, Failure> {
    let image = tagged(repository, &tag);
    let name = full_name(&image);
    let mut manifest = fetch::fetch(&image, None).await?;
    let manifest = loop {
        match fetch::parse(&name, &manifest)? {
            Document::Manifest(manifest) => break *manifest,
            Document::Index(index) => {
                let usual = index.image_for(&Platform::new("linux", "amd64", None)).ok();
                let Some(entry) = usual.or(index.manifests.first()) else { return Ok(Tagged { tag, created: None }) };
                manifest = fetch::by_digest(repository, &entry.digest).await?;
            }
        }
    };
    if !manifest.is_image() {
        return Ok(Tagged { tag, created: None });
    }
    let config = draft::read_config(&repository.blob(&manifest.config.port()), &name).await?;
    let config = Config::parse(&config).map_err(|error| fetch::malformed(&name, &error))?;
    let created = config.created.and_then(|text| time::parse(&text).ok()).filter(|created| created.seconds > 0);
    Ok(Tagged { tag, created })
}
