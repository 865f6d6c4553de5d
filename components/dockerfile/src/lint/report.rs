//! What a check of a Dockerfile found, for people and for programs.
//!
//! BuildKit's own findings point at whole instructions; these point at the words that matter, so line numbers within a long
//! instruction differ.

mod json;
mod sarif;
mod text;

use super::Lint;
use crate::diagnostic::Diagnostic;
use crate::span::{Source, Span};

/// The outcome of a check.
#[derive(Debug, Clone, Copy)]
pub struct Report<'r> {
    /// What was checked.
    pub source: &'r Source,
    /// What breaks rules, in the order of the text.
    pub findings: &'r [Lint],
    /// Why the Dockerfile can't be built at all: then there are no findings.
    pub errors: &'r [Diagnostic],
}

impl Report<'_> {
    /// As `docker build --check` prints it (BuildKit: `subrequests/lint/lint.go`; buildx: `commands/build.go`). Ends with a line
    /// end.
    pub fn text(&self) -> String {
        text::print(self)
    }

    /// As `docker build --call=check,format=json` prints it; of several errors it has the first.
    pub fn json(&self) -> String {
        json::print(self)
    }

    /// As SARIF 2.1.0, which code scanners of forges read. Rules are warnings there, or errors when `fail` is set: see
    /// [`super::violation`].
    pub fn sarif(&self, fail: bool) -> String {
        sarif::print(self, fail)
    }

    /// The first and the last line under a place, from 1.
    fn lines(&self, span: Span) -> (u32, u32) {
        let last = if span.end > span.start { span.end - 1 } else { span.start };
        (self.source.line_column(span.start).0, self.source.line_column(last).0)
    }
}

#[cfg(test)]
mod tests;
