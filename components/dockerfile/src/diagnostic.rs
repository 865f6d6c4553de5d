//! Messages that point at their cause.

use crate::span::{Source, Span};
use std::fmt::{self, Write as _};

/// Source lines shown at most by [`Diagnostic::excerpt`].
const MAX_LINES: u32 = 6;

/// An error or a warning about a place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The place.
    pub span: Span,
    /// What is wrong, without final period.
    pub message: String,
    /// What to do about it: ``did you mean `COPY`?``.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A message without a hint.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// The same message with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Line and column of the start of the place, both from 1; the column counts characters.
    pub fn line_column(&self, source: &Source) -> (u32, u32) {
        source.line_column(self.span.start)
    }

    /// The source lines under the place, with line numbers and carets, as rustc draws them:
    ///
    /// ```text
    ///   |
    /// 3 | COPPY a b
    ///   | ^^^^^
    /// ```
    ///
    /// A place of more than six lines is cut. The last line has no line end.
    pub fn excerpt(&self, source: &Source) -> String {
        let (first, column) = self.line_column(source);
        let (last, end_column) = source.line_column(self.span.end.max(self.span.start));
        // A span that ends at the start of a line doesn't cover that line.
        let (last, end_column) =
            if last > first && end_column == 1 { (last - 1, u32::MAX) } else { (last, end_column) };
        let shown = last.min(first.saturating_add(MAX_LINES - 1));
        let width = shown.to_string().len();
        let mut out = format!("{:width$} |", "");
        for number in first..=shown {
            let line = source.line(number);
            let from = if number == first { column } else { indent(line) };
            let until = if number == last { end_column } else { u32::MAX };
            let _ = write!(out, "\n{number:width$} | {line}\n{:width$} | {}", "", carets(line, from, until));
        }
        if shown < last {
            let _ = write!(out, "\n{:width$} | ...", "");
        }
        out
    }

    /// Name, line, column, message, excerpt and hint, for a terminal. No final line end.
    pub fn render(&self, source: &Source) -> String {
        let (line, column) = self.line_column(source);
        let mut out = format!("{}:{line}:{column}: {}\n{}", source.name, self.message, self.excerpt(source));
        if let Some(hint) = &self.hint {
            let _ = write!(out, "\nhint: {hint}");
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// Column of the first character of a line that is no white space.
fn indent(line: &str) -> u32 {
    let blanks = line.chars().take_while(|c| c.is_whitespace()).count();
    u32::try_from(blanks + 1).unwrap_or(u32::MAX)
}

/// Carets under columns `from..until`; tabs of the line are kept so that the carets stand below their characters.
fn carets(line: &str, from: u32, until: u32) -> String {
    let from = from as usize - 1;
    let length = line.trim_end().chars().count();
    let until = (until as usize - 1).min(length.max(from + 1)).max(from + 1);
    let blanks = line.chars().chain(std::iter::repeat(' ')).take(from);
    let mut out: String = blanks.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    out.extend(std::iter::repeat_n('^', until - from));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, start: usize, end: usize) -> String {
        Diagnostic::new(Span::new(start, end), "wrong").excerpt(&Source::new("Dockerfile", text))
    }

    #[test]
    fn points_at_a_word() {
        assert_eq!(excerpt("FROM a\nCOPPY a b\n", 7, 12), "  |\n2 | COPPY a b\n  | ^^^^^");
    }

    #[test]
    fn counts_characters_and_keeps_tabs() {
        assert_eq!(excerpt("\tü $x", 4, 6), "  |\n1 | \tü $x\n  | \t  ^^");
    }

    #[test]
    fn covers_continuation_lines() {
        assert_eq!(excerpt("RUN a \\\n  b\n", 0, 11), "  |\n1 | RUN a \\\n  | ^^^^^^^\n2 |   b\n  |   ^");
    }

    #[test]
    fn an_empty_place_has_one_caret() {
        assert_eq!(excerpt("FROM", 4, 4), "  |\n1 | FROM\n  |     ^");
        assert_eq!(excerpt("", 0, 0), "  |\n1 | \n  | ^");
    }

    #[test]
    fn long_places_are_cut() {
        let text = "a\n".repeat(12);
        let shown = excerpt(&text, 0, text.len());
        assert!(shown.ends_with("6 | a\n  | ^\n  | ..."), "{shown}");
    }

    #[test]
    fn renders_place_and_hint() {
        let source = Source::new("Dockerfile", "\u{feff}FRM a\r\n");
        let text = Diagnostic::new(Span::new(3, 6), "unknown instruction: FRM").with_hint("did you mean `FROM`?");
        assert_eq!(
            text.render(&source),
            "Dockerfile:1:1: unknown instruction: FRM\n  |\n1 | FRM a\n  | ^^^\nhint: did you mean `FROM`?"
        );
    }
}
