//! `sync`: the tags of a repository, as far as another lacks them.

use steprun_ports::{Failure, Host, Repository, concurrently};

use crate::arguments::{missing, platforms};
use crate::copy::{Options, copy_tags, head, tagged};
use crate::pattern;
use crate::preview::{self, Copy};
use crate::query::tags;
use crate::semver::{Range, Version};
use crate::transfer::Rules;

/// Which tags are meant.
struct Filter {
    /// Patterns; none for all.
    include: Vec<String>,
    exclude: Vec<String>,
    range: Option<Range>,
}

pub(crate) async fn sync<H: Host>(host: &H) -> Result<(), Failure> {
    let repository = |name| host.repositories(name).pop().ok_or_else(|| missing(name));
    let (from, to) = (repository("source")?, repository("destination")?);
    let filter = Filter::read(host)?;
    let options = Options { platforms: platforms(host)?, keep_tags: host.flag("no-clobber"), rules: Rules::of(host)? };
    let mut wanted = tags(&from).await?;
    wanted.retain(|tag| filter.takes(tag));
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

impl Filter {
    fn read(host: &impl Host) -> Result<Self, Failure> {
        let wrong = |text: &str| {
            let failure = Failure::usage(format!("--semver `{text}` is no range of versions"));
            failure.hint("a range looks like `>=1.2 <2`, `^1.4`, `~1.4.2`, `1.x` or `1.2 || 3`")
        };
        let range = host.texts("semver").pop();
        let range = range.map(|text| text.parse().map_err(|()| wrong(&text))).transpose()?;
        Ok(Self { include: host.texts("include"), exclude: host.texts("exclude"), range })
    }

    fn takes(&self, tag: &str) -> bool {
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| pattern::matches(pattern, tag));
        let in_range = |range: &Range| Version::of_tag(tag).is_some_and(|version| range.contains(&version));
        (self.include.is_empty() || fits(&self.include))
            && !fits(&self.exclude)
            && self.range.as_ref().is_none_or(in_range)
    }
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
