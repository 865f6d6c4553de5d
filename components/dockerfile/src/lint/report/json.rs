//! For programs that know BuildKit.

use super::Report;
use crate::lint::Lint;
use crate::span::Span;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(super) fn print(report: &Report<'_>) -> String {
    let warnings: Vec<Value> = report.findings.iter().map(|lint| warning(report, lint)).collect();
    let source = json!({
        "filename": report.source.name,
        "data": STANDARD.encode(&report.source.text),
        "language": "Dockerfile",
    });
    let mut all = json!({ "warnings": warnings, "sources": [source] });
    if let Some(error) = report.errors.first() {
        all["buildError"] = json!({ "message": error.to_string(), "location": location(report, error.span) });
    }
    format!("{all:#}\n")
}

fn warning(report: &Report<'_>, lint: &Lint) -> Value {
    let mut warning = json!({ "ruleName": lint.rule.name(), "description": lint.rule.description() });
    if let Some(url) = lint.rule.url() {
        warning["url"] = url.into();
    }
    warning["detail"] = lint.message.as_str().into();
    warning["location"] = location(report, lint.span);
    warning
}

/// The index of the source is 0, which is left out.
fn location(report: &Report<'_>, span: Span) -> Value {
    let (first, last) = report.lines(span);
    json!({ "ranges": [{ "start": { "line": first }, "end": { "line": last } }] })
}
