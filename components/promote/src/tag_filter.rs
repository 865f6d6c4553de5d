//! Which tags of a repository a command means.

use regex_lite::Regex;
use steprun_ports::{Failure, Host};

use crate::pattern;
use crate::semver::{Range, Version};

/// Which tags are meant: those that pass each kind of condition.
pub(crate) struct TagFilter {
    /// Patterns; none for all tags.
    include: Vec<String>,
    exclude: Vec<String>,
    /// Regular expressions; none for all tags.
    expressions: Vec<Regex>,
    range: Option<Range>,
    /// The options as they were given, for people.
    given: Vec<String>,
}

impl TagFilter {
    /// What `--include`, `--exclude`, `--regex` and `--semver` say.
    ///
    /// # Errors
    /// If an expression or a range is malformed.
    pub(crate) fn read(host: &impl Host) -> Result<Self, Failure> {
        let option = |name: &'static str| host.texts(name).into_iter().map(move |text| format!("--{name} `{text}`"));
        Ok(Self {
            include: host.texts("include"),
            exclude: host.texts("exclude"),
            expressions: host.texts("regex").iter().map(|text| expression(text)).collect::<Result<_, _>>()?,
            range: host.texts("semver").pop().map(|text| range(&text)).transpose()?,
            given: ["include", "exclude", "regex", "semver"].into_iter().flat_map(option).collect(),
        })
    }

    /// Whether a tag is meant.
    pub(crate) fn takes(&self, tag: &str) -> bool {
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| pattern::matches(pattern, tag));
        let in_range = |range: &Range| Version::of_tag(tag).is_some_and(|version| range.contains(&version));
        (self.include.is_empty() || fits(&self.include))
            && !fits(&self.exclude)
            && (self.expressions.is_empty() || self.expressions.iter().any(|expression| expression.is_match(tag)))
            && self.range.as_ref().is_none_or(in_range)
    }

    /// Why none of so many tags of a repository is meant.
    pub(crate) fn takes_none(&self, repository: &str, tags: usize) -> String {
        match tags {
            0 => format!("{repository} has no tags"),
            _ => format!("none of the {tags} tags of {repository} passes {}", self.given.join(", ")),
        }
    }
}

fn expression(text: &str) -> Result<Regex, Failure> {
    Regex::new(text).map_err(|error| {
        let failure = Failure::usage(format!("--regex `{text}` is no regular expression: {error}"));
        failure.hint("an expression looks like `^v\\d+\\.\\d+$`; without `^` and `$` it may fit any part of a tag")
    })
}

fn range(text: &str) -> Result<Range, Failure> {
    text.parse().map_err(|()| {
        let failure = Failure::usage(format!("--semver `{text}` is no range of versions"));
        failure.hint("a range looks like `>=1.2 <2`, `^1.4`, `~1.4.2`, `1.x` or `1.2 || 3`")
    })
}
