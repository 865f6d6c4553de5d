//! What .dockerignore and `--exclude` leave out.

use std::rc::Rc;

use steprun_dockerfile::ignore::Matcher;
use steprun_dockerfile::{Diagnostic, Source, Word};
use steprun_ports::{Failure, Host};

use crate::copy::Text;
use crate::{diagnose, paths};

/// What patterns say about a path. The larger of two verdicts holds where both have a say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Keep,
    /// A directory that is left out, while something below it may be taken back in.
    Descend,
    /// Left out with all below it.
    Skip,
}

fn verdict(matcher: &Matcher, path: &str, directory: bool) -> Verdict {
    if !matcher.matches(path) {
        Verdict::Keep
    } else if directory && matcher.may_contain_included(path) {
        Verdict::Descend
    } else {
        Verdict::Skip
    }
}

/// The ignore file of a context.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    name: String,
    matcher: Matcher,
}

impl Ignore {
    /// Reads an ignore file; without one nothing is left out.
    ///
    /// # Errors
    /// A malformed pattern, with its place.
    pub(crate) fn new<H: Host>(host: &H, source: Option<&Source>) -> Result<Self, Failure> {
        let Some(source) = source else { return Ok(Self::default()) };
        let matcher = Matcher::new(&source.text).map_err(|error| diagnose::first(host, source, vec![error]))?;
        Ok(Self { name: source.name.clone(), matcher })
    }

    /// As the caller knows the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn verdict(&self, path: &str, directory: bool) -> Verdict {
        verdict(&self.matcher, path, directory)
    }

    /// The pattern that leaves a path out.
    pub(crate) fn culprit(&self, path: &str) -> Option<&str> {
        self.matcher.excluded_by(path).map(|rule| rule.pattern.as_str())
    }
}

/// The patterns of `--exclude`.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    matcher: Rc<Matcher>,
    /// Where the paths that are asked about begin.
    directory: String,
}

impl Patterns {
    /// Reads patterns whose variables are expanded.
    ///
    /// # Errors
    /// A malformed pattern.
    pub(crate) fn new(texts: &[Text]) -> Result<Self, Diagnostic> {
        let words: Vec<Word> = texts.iter().map(|text| Word::new(text.value.clone(), text.span)).collect();
        Ok(Self { matcher: Rc::new(Matcher::from_words(&words)?), directory: String::new() })
    }

    /// The same for paths that begin in a directory.
    pub(crate) fn below(&self, directory: &str) -> Self {
        Self { matcher: self.matcher.clone(), directory: paths::join(&self.directory, directory) }
    }

    pub(crate) fn verdict(&self, path: &str, directory: bool) -> Verdict {
        verdict(&self.matcher, &paths::join(&self.directory, path), directory)
    }

    /// Whether a file is left out.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        self.matcher.matches(&paths::join(&self.directory, path))
    }
}
