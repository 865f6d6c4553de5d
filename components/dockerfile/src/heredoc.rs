//! Heredocs: which words open one (BuildKit: `parser/parser.go`, `heredocFromMatch`).

use crate::expand::{ExpandError, literal_words, raw_words};
use crate::instruction::Heredoc;
use crate::line::Fragment;
use crate::span::Span;

/// A word `<<NAME`, its body not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) descriptor: u32,
    pub(crate) name: String,
    pub(crate) expand: bool,
    pub(crate) chomp: bool,
    pub(crate) span: Span,
}

impl Opening {
    /// With its body.
    pub(crate) fn with(self, content: String, content_span: Span) -> Heredoc {
        let Self { descriptor, name, expand, chomp, span } = self;
        Heredoc { descriptor, name, content, expand, chomp, span, content_span }
    }
}

/// All openings of a line. A line with an open quote has none: then the shell is left to complain.
pub(crate) fn openings(line: Fragment<'_>) -> Result<Vec<Opening>, ExpandError> {
    let mut found = Vec::new();
    let mut rest = line;
    for word in raw_words(line.text()).unwrap_or_default() {
        let Some(mut opening) = opening(&word)? else {
            continue;
        };
        // The lexer drops escapes in `${x:-...}`, so lengths of words before this one say nothing about its place.
        opening.span = line.span();
        if let Some(at) = rest.text().find(&word) {
            opening.span = rest.part(at, at + word.len()).span();
            rest = rest.after(at + word.len());
        }
        found.push(opening);
    }
    Ok(found)
}

/// Reads one word as `[digits]<<[-]NAME`, without its place; none when it is no such word.
///
/// # Errors
///
/// When the name has an open quote.
pub(crate) fn opening(text: &str) -> Result<Option<Opening>, ExpandError> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Some(rest) = text[digits..].strip_prefix("<<") else {
        return Ok(None);
    };
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let names = literal_words(rest, false)?;
    let [name] = names.as_slice() else {
        return Ok(None);
    };
    // A quote that is gone after quote removal did quote something.
    let with_quotes = literal_words(rest, true)?.concat();
    let expand = quotes(name) == quotes(&with_quotes);
    let descriptor = if digits == 0 { 0 } else { text[..digits].parse().unwrap_or(u32::MAX) };
    Ok(Some(Opening { descriptor, name: name.clone(), expand, chomp, span: Span::default() }))
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

impl Heredoc {
    /// The content without tabs at the start of lines when it was opened by `<<-`, else unchanged.
    pub fn chomped(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}
