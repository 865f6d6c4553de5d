//! SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format").

use super::Report;
use crate::lint::Rule;
use crate::span::Span;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

pub(super) fn print(report: &Report<'_>, fail: bool) -> String {
    let broken: BTreeSet<Rule> = report.findings.iter().map(|lint| lint.rule).collect();
    let rules: Vec<Value> = broken.iter().map(|rule| describe(*rule)).collect();
    let level = if fail { "error" } else { "warning" };
    let findings = report.findings.iter().map(|lint| {
        let index = broken.range(..lint.rule).count();
        let mut result = result(report, lint.span, level, &lint.message);
        result["ruleId"] = lint.rule.name().into();
        result["ruleIndex"] = index.into();
        result
    });
    let errors = report.errors.iter().map(|error| result(report, error.span, "error", &error.to_string()));
    let driver = json!({ "name": "steprun", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    let run = json!({
        "tool": { "driver": driver },
        "columnKind": "unicodeCodePoints",
        "results": findings.chain(errors).collect::<Vec<_>>(),
    });
    let all = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    });
    format!("{all:#}\n")
}

fn describe(rule: Rule) -> Value {
    let mut described = json!({ "id": rule.name(), "shortDescription": { "text": rule.description() } });
    if let Some(url) = rule.url() {
        described["helpUri"] = url.into();
    }
    described
}

fn result(report: &Report<'_>, span: Span, level: &str, message: &str) -> Value {
    let (line, column) = report.source.line_column(span.start);
    let (end_line, end_column) = report.source.line_column(span.end);
    let region = json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column });
    let place = json!({ "artifactLocation": { "uri": uri(&report.source.name) }, "region": region });
    json!({ "level": level, "message": { "text": message }, "locations": [{ "physicalLocation": place }] })
}

/// A path as a relative reference (RFC 3986, 4.2): a colon in it would be taken for the end of a scheme.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
