//! Failures and warnings that point into a Dockerfile.

use steprun_dockerfile::lint::Lint;
use steprun_dockerfile::{Diagnostic, Source, Span};
use steprun_ports::{Failure, Host, Level, Position};

/// A failure of the Dockerfile at a place.
pub(crate) fn failed(source: &Source, span: Span, message: impl Into<String>) -> Failure {
    at(source, span, Failure::failed(message))
}

/// A failure with a place, unless it has one already.
pub(crate) fn at(source: &Source, span: Span, failure: Failure) -> Failure {
    if failure.position.is_some() {
        return failure;
    }
    let excerpt = Diagnostic::new(span, "").excerpt(source);
    failure.at(position(source, span), Some(excerpt))
}

/// What the parser found wrong: the first is the failure, the others are said before it.
pub(crate) fn first<H: Host>(host: &H, source: &Source, errors: Vec<Diagnostic>) -> Failure {
    let mut errors = errors.into_iter();
    let first = errors.next();
    for other in errors {
        warn(host, source, other.span, &other.to_string());
    }
    first.map_or_else(|| Failure::failed(format!("{} is malformed", source.name)), |error| diagnostic(source, error))
}

fn diagnostic(source: &Source, diagnostic: Diagnostic) -> Failure {
    let failure = Failure::failed(diagnostic.message);
    let failure = match diagnostic.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    at(source, diagnostic.span, failure)
}

/// Says something about a place that doesn't stop the build.
pub(crate) fn warn<H: Host>(host: &H, source: &Source, span: Span, message: &str) {
    host.log_at(Level::Warning, &position(source, span), message);
}

/// Says what breaks a lint rule.
pub(crate) fn lint<H: Host>(host: &H, source: &Source, lint: &Lint) {
    warn(host, source, lint.span, &format!("{}: {}", lint.rule.name(), lint.message));
}

/// File, line and column; the column counts bytes, as the contract wants it.
pub(crate) fn position(source: &Source, span: Span) -> Position {
    let before = &source.text.as_bytes()[..span.start.min(source.text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let in_line = before.len() - line_start;
    let mark = if before[line_start..].starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    Position {
        file: source.name.clone(),
        line: source.line_column(span.start).0,
        column: u32::try_from(in_line - mark + 1).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_bytes() {
        let source = Source::new("Dockerfile", "\u{feff}FROM a\nCOPY ü b\n");
        let place = |start| {
            let found = position(&source, Span::new(start, start + 1));
            (found.line, found.column)
        };
        assert_eq!(place(3), (1, 1));
        assert_eq!(place(3 + 7), (2, 1));
        assert_eq!(place(source.text.find(" b").unwrap() + 1), (2, 9));
        assert_eq!(place(1000), (3, 1));
    }

    #[test]
    fn the_first_place_counts() {
        let source = Source::new("Dockerfile", "FROM a\nRUN b\n");
        let inner = failed(&source, Span::new(7, 10), "no");
        let outer = at(&source, Span::new(0, 4), inner.clone());
        assert_eq!(inner, outer);
    }
}
