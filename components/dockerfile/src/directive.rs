//! Parser directives (reference, "Parser directives"; BuildKit: `parser/directives.go`, `linter/linter.go`).

use crate::diagnostic::Diagnostic;
use crate::instruction::{Check, Directives};
use crate::span::{Span, Word};

/// Reads directives as long as the lines are some.
#[derive(Debug, Default)]
pub(crate) struct DirectiveReader {
    done: bool,
    seen: Vec<String>,
    found: Directives,
}

impl DirectiveReader {
    /// For a text that can't have directives, such as an ONBUILD trigger.
    pub(crate) fn none() -> Self {
        Self { done: true, ..Self::default() }
    }

    /// The escape character in force.
    pub(crate) fn escape(&self) -> char {
        self.found.escape
    }

    /// What was found.
    pub(crate) fn finish(self) -> Directives {
        self.found
    }

    /// Whether a line, trimmed at its start, is a directive.
    pub(crate) fn read(&mut self, line: &str, start: usize) -> Result<bool, Diagnostic> {
        if self.done {
            return Ok(false);
        }
        let Some((key, value)) = key_value(line) else {
            self.done = true;
            return Ok(false);
        };
        let value_start = start + (value.as_ptr() as usize - line.as_ptr() as usize);
        let value = Word::new(value, Span::new(value_start, value_start + value.len()));
        let key = key.to_ascii_lowercase();
        if !["escape", "syntax", "check"].contains(&key.as_str()) {
            self.done = true;
            return Ok(false);
        }
        if self.seen.contains(&key) {
            let message = format!("only one {key} parser directive can be used");
            return Err(Diagnostic::new(Span::new(start, value.span.end), message));
        }
        match key.as_str() {
            "escape" => self.found.escape = escape(&value)?,
            "syntax" => self.found.syntax = Some(first_word(value)),
            _ => self.found.check = Some(check(&value)?),
        }
        self.seen.push(key);
        Ok(true)
    }
}

/// `# key = value`.
fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix('#')?.trim_start().split_once('=')?;
    let (key, value) = (key.trim_end(), value.trim());
    let named = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric());
    (named && !value.is_empty()).then_some((key, value))
}

fn escape(value: &Word) -> Result<char, Diagnostic> {
    match value.raw.as_str() {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        other => Err(Diagnostic::new(value.span, format!("invalid escape token '{other}' does not match ` or \\"))),
    }
}

fn first_word(value: Word) -> Word {
    let length = value.raw.find(' ').unwrap_or(value.raw.len());
    Word::new(&value.raw[..length], Span::new(value.span.start, value.span.start + length))
}

fn check(value: &Word) -> Result<Check, Diagnostic> {
    let mut check = Check { span: value.span, ..Check::default() };
    for option in value.raw.split(';').map(str::trim).filter(|option| !option.is_empty()) {
        let invalid = || Diagnostic::new(value.span, format!("invalid check option \"{option}\""));
        let (key, value) = option.split_once('=').ok_or_else(invalid)?;
        let value = value.trim();
        match key.trim() {
            "skip" if value == "all" => check.skip_all = true,
            "skip" => check.skip = list(value),
            "experimental" if value == "all" => check.experimental_all = true,
            "experimental" => check.experimental = list(value),
            "error" => check.error = crate::lexical::boolean(value).ok_or_else(invalid)?,
            _ => return Err(invalid().with_hint("use `skip`, `error` or `experimental`")),
        }
    }
    Ok(check)
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(|rule| rule.trim().to_owned()).collect()
}
