//! `sync`: the tags of a repository, as far as another lacks them.

use steprun_ports::{Failure, Host, Level, Repository, concurrently};

use crate::arguments::{missing, platforms};
use crate::copy::{Options, copy_tags, head, tagged};
use crate::preview::{self, Copy};
use crate::query::tags;
use crate::tag_filter::TagFilter;
use crate::transfer::Rules;

pub(crate) async fn sync<H: Host>(host: &H) -> Result<(), Failure> {
    let repository = |name| host.repositories(name).pop().ok_or_else(|| missing(name));
    let (from, to) = (repository("source")?, repository("destination")?);
    let filter = TagFilter::read(host)?;
    let options = Options { platforms: platforms(host)?, keep_tags: host.flag("no-clobber"), rules: Rules::of(host)? };
    let mut wanted = tags(&from).await?;
    let all = wanted.len();
    wanted.retain(|tag| filter.takes(tag));
    if wanted.is_empty() {
        host.log(Level::Warning, &format!("nothing to copy: {}", filter.takes_none(&from.name(), all)));
    }
    let wanted = missing_tags(host, &from, &to, wanted, &options).await?;
    if host.flag("dry-run") {
        let copy = |(tag, digest): (String, String)| Copy {
            source: format!("{}:{tag}", from.name()),
            destination: format!("{}:{tag}", to.name()),
            digest,
        };
        return preview::print(host, wanted.into_iter().map(copy).collect()).await;
    }
    let wanted: Vec<String> = wanted.into_iter().map(|(tag, _)| tag).collect();
    copy_tags(host, &from, &to, &wanted, &options).await
}

/// The tags that the destination has not, or has otherwise unless those are to be kept, with the digests that they stand for.
async fn missing_tags<H: Host>(
    host: &H,
    from: &H::Repository,
    to: &H::Repository,
    tags: Vec<String>,
    options: &Options,
) -> Result<Vec<(String, String)>, Failure> {
    let compare = async |tag: String| {
        let existing = head(&tagged(to, &tag)).await?;
        if options.keep_tags && existing.is_some() {
            return Ok(None);
        }
        let digest = if options.platforms.is_empty() {
            let found = head(&tagged(from, &tag)).await?;
            // Between the list and now somebody may have deleted it.
            let Some(found) = found else { return Ok(None) };
            found.digest
        } else {
            crate::copy::chosen(host, &tagged(from, &tag), &options.platforms).await?.descriptor.digest
        };
        Ok::<_, Failure>(existing.is_none_or(|there| there.digest != digest).then_some((tag, digest)))
    };
    Ok(concurrently(options.rules.jobs, tags, compare).await?.into_iter().flatten().collect())
}
