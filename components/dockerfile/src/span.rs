//! Where something stands in a Dockerfile.

use std::fmt;

/// A text with a name, as read from a file, standard input or an image's ONBUILD trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What messages call the text: a path, `<stdin>` or `ONBUILD of alpine:3.22`.
    pub name: String,
    /// The text itself, unchanged: a byte order mark and CRLF are kept.
    pub text: String,
}

impl Source {
    /// A text under a name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The text a span covers; empty when the span lies outside or cuts a character.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// Line and column of a byte offset, both from 1; the column counts characters. Offsets past the end mean the end.
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count();
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).trim_start_matches('\u{feff}').chars().count();
        (count(line + 1), count(column + 1))
    }

    /// The text of a line, counted from 1, without its line end and without a byte order mark.
    pub fn line(&self, number: u32) -> &str {
        let line = self.text.split('\n').nth(number.saturating_sub(1) as usize).unwrap_or("");
        line.trim_end_matches('\r').trim_start_matches('\u{feff}')
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Half-open range of byte offsets into [`Source::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// From the first byte to before `end`; an `end` before `start` gives an empty span.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Text as it stands in the Dockerfile: quotes, escapes and variables are still in it. [`crate::expand::expand`] takes `raw`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Word {
    /// The text, with line continuations already joined. For an element of a JSON array it is the decoded string.
    pub raw: String,
    /// Where it stands. It can reach over continuation lines, so it may be longer than `raw`.
    pub span: Span,
}

impl Word {
    /// A word at a place.
    pub fn new(raw: impl Into<String>, span: Span) -> Self {
        Self { raw: raw.into(), span }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}
