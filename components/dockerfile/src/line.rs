//! Logical lines: what an instruction is written on once continuations are joined and comments dropped
//! (BuildKit: `frontend/dockerfile/parser/parser.go`).

use crate::diagnostic::Diagnostic;
use crate::directive::DirectiveReader;
use crate::span::{Source, Span, Word};

/// Bytes of a line at most, without its line end (BuildKit: `bufio.MaxScanTokenSize`).
const MAX_LINE: usize = 65_535;

/// A logical line, with the way back to its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Continuations joined; white space at the start of continuation lines is kept.
    pub(crate) text: String,
    /// Offset in `text` and in the source of each physical line's share.
    shares: Vec<(usize, usize)>,
    /// From the first to the last character in the source.
    pub(crate) span: Span,
    /// Comment lines right above, without `#`; an empty line or an empty comment parts them from others.
    pub(crate) comments: Vec<String>,
    /// Empty lines between continuation lines.
    pub(crate) empty: Vec<Span>,
}

impl Line {
    /// Where a byte of `text` stands in the source.
    fn source_offset(&self, offset: usize) -> usize {
        let after = self.shares.partition_point(|(start, _)| *start <= offset);
        let share = after.checked_sub(1).and_then(|index| self.shares.get(index));
        share.map_or(self.span.start, |(start, source)| source + (offset - start))
    }

    /// All of it.
    pub(crate) fn whole(&self) -> Fragment<'_> {
        Fragment { line: self, start: 0, end: self.text.len() }
    }
}

/// A part of a logical line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment<'l> {
    line: &'l Line,
    start: usize,
    end: usize,
}

impl<'l> Fragment<'l> {
    /// The text.
    pub(crate) fn text(self) -> &'l str {
        &self.line.text[self.start..self.end]
    }

    /// A part of it, in bytes from its start.
    pub(crate) fn part(self, start: usize, end: usize) -> Self {
        Self { line: self.line, start: self.start + start, end: self.start + end.max(start) }
    }

    /// What comes after a number of bytes.
    pub(crate) fn after(self, start: usize) -> Self {
        self.part(start, self.end - self.start)
    }

    /// Without white space at both ends.
    pub(crate) fn trim(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.part(start, start + text.trim().len())
    }

    /// Where it stands in the source.
    pub(crate) fn span(self) -> Span {
        let start = self.line.source_offset(self.start);
        if self.start == self.end {
            return Span::new(start, start);
        }
        // The offset of the last byte plus one: the next byte may stand on another physical line.
        Span::new(start, self.line.source_offset(self.end - 1) + 1)
    }

    /// Text and place.
    pub(crate) fn word(self) -> Word {
        Word::new(self.text(), self.span())
    }

    /// The line it is a part of.
    pub(crate) fn line(self) -> &'l Line {
        self.line
    }
}

/// Reads a source line by line.
pub(crate) struct Reader<'s> {
    source: &'s Source,
    at: usize,
    /// The directives read so far.
    pub(crate) directives: DirectiveReader,
}

/// A line of the file.
#[derive(Clone, Copy)]
struct Physical<'s> {
    start: usize,
    /// Without its line end.
    text: &'s str,
    /// With its line end.
    full: &'s str,
}

impl Physical<'_> {
    fn span(self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }
}

impl<'s> Reader<'s> {
    pub(crate) fn new(source: &'s Source, directives: DirectiveReader) -> Self {
        let at = if source.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { source, at, directives }
    }

    /// The next instruction's line; none at the end.
    pub(crate) fn line(&mut self) -> Result<Option<Line>, Diagnostic> {
        let mut comments = Vec::new();
        while let Some(physical) = self.physical()? {
            let trimmed = physical.text.trim_start();
            let start = physical.start + physical.text.len() - trimmed.len();
            let directive = self.directives.read(trimmed, start)?;
            if let Some(comment) = trimmed.strip_prefix('#') {
                match comment.trim() {
                    "" => comments.clear(),
                    _ if directive => {}
                    text => comments.push(text.to_owned()),
                }
                continue;
            }
            if trimmed.is_empty() {
                comments.clear();
                continue;
            }
            let line = self.continued(Physical { start, text: trimmed, full: trimmed }, comments)?;
            if line.text.trim().is_empty() {
                // Continuation characters and nothing else.
                comments = line.comments;
                continue;
            }
            return Ok(Some(line));
        }
        Ok(None)
    }

    /// Joins a line with those that continue it.
    fn continued(&mut self, first: Physical<'s>, comments: Vec<String>) -> Result<Line, Diagnostic> {
        let mut line =
            Line { text: String::new(), shares: Vec::new(), span: first.span(), comments, empty: Vec::new() };
        let mut next = Some(first);
        while let Some(physical) = next {
            let content = continuation(physical.text, self.directives.escape());
            let share = content.unwrap_or(physical.text);
            line.shares.push((line.text.len(), physical.start));
            line.text.push_str(share);
            if !share.trim().is_empty() {
                line.span.end = physical.start + share.trim_end().len();
            }
            next = match content {
                Some(_) => self.continuing(&mut line.empty)?,
                None => None,
            };
        }
        Ok(line)
    }

    /// The next line that is neither a comment nor empty.
    fn continuing(&mut self, empty: &mut Vec<Span>) -> Result<Option<Physical<'s>>, Diagnostic> {
        while let Some(physical) = self.physical()? {
            let trimmed = physical.text.trim_start();
            if trimmed.is_empty() {
                empty.push(physical.span());
            } else if !trimmed.starts_with('#') {
                return Ok(Some(physical));
            }
        }
        Ok(None)
    }

    /// The lines up to one that is the terminator; none when there is no such line. Gives the lines, their place and the end
    /// of the terminator.
    pub(crate) fn body(&mut self, name: &str, chomp: bool) -> Result<Option<(String, Span, usize)>, Diagnostic> {
        let start = self.at;
        let mut content = String::new();
        while let Some(physical) = self.physical()? {
            let possible = physical.full.trim_end_matches(['\r', '\n']);
            let possible = if chomp { possible.trim_start_matches('\t') } else { possible };
            if possible == name {
                let end = physical.span().end;
                return Ok(Some((content, Span::new(start, physical.start), end)));
            }
            content.push_str(physical.full);
        }
        Ok(None)
    }

    fn physical(&mut self) -> Result<Option<Physical<'s>>, Diagnostic> {
        let rest = &self.source.text[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let full = &rest[..rest.find('\n').map_or(rest.len(), |newline| newline + 1)];
        let text = full.trim_end_matches(['\r', '\n']);
        let physical = Physical { start: self.at, text, full };
        if full.trim_end_matches('\n').len() > MAX_LINE {
            let place = Span::new(self.at, self.at);
            let message = format!("dockerfile line greater than max allowed size of {MAX_LINE}");
            return Err(Diagnostic::new(place, message));
        }
        self.at += full.len();
        Ok(Some(physical))
    }
}

/// The line without its continuation character; none when it has none. An escaped escape continues nothing.
fn continuation(text: &str, escape: char) -> Option<&str> {
    let before = text.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!before.ends_with(escape)).then_some(before)
}
