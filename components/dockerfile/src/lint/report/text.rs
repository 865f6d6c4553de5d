//! For a terminal.

use super::Report;
use crate::span::{Source, Span};
use std::fmt::Write as _;

pub(super) fn print(report: &Report<'_>) -> String {
    let mut out = match report.findings.len() {
        0 => String::new(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for lint in report.findings {
        let url = lint.rule.url().map(|url| format!(" - {url}")).unwrap_or_default();
        let _ = write!(out, "\nWARNING: {}{url}\n{}\n", lint.rule.name(), lint.message);
        excerpt(report, lint.span, &mut out);
    }
    for error in report.errors {
        let _ = writeln!(out, "{error}");
        excerpt(report, error.span, &mut out);
    }
    if out.is_empty() {
        out.push_str("Check complete, no warnings found.\n");
    }
    out
}

/// Lines around a place, those under it marked (BuildKit: `solver/errdefs/source.go`).
fn excerpt(report: &Report<'_>, span: Span, out: &mut String) {
    let rule = "-".repeat(20);
    let (first, last) = report.lines(span);
    let _ = writeln!(out, "{}:{first}\n{rule}", report.source.name);
    let (start, end) = padded(first, last, count(report.source));
    for number in start..=end {
        let mark = if (first..=last).contains(&number) { ">>>" } else { "   " };
        let _ = writeln!(out, " {number:3} | {mark} {}", report.source.line(number));
    }
    let _ = writeln!(out, "{rule}");
}

/// Lines of a text; behind a final line end begins another one.
fn count(source: &Source) -> u32 {
    source.line_column(source.text.len()).0
}

/// Two lines more, four for a single line: taken from both sides, and one for every round.
fn padded(first: u32, last: u32, lines: u32) -> (u32, u32) {
    let (mut start, mut end) = (first, last);
    let wanted = if first == last { 4 } else { 2 };
    let mut added = 0;
    while added < wanted {
        if start > 1 {
            start -= 1;
            added += 1;
        }
        if end < lines {
            end += 1;
            added += 1;
        }
        added += 1;
    }
    (start, end)
}
