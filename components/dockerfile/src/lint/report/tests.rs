use super::*;
use crate::lint::{lint, violation};
use crate::parse;

/// Breaks rules on one line, on several, and on none; has a line end in front of its end.
const DOCKERFILE: &str = "\
# check=error=true
FROM a:1 as Base
# a comment
ENV KEY=ü \\
    PASSWORD=x

CMD run <fast>
";

fn source() -> Source {
    Source::new("docker file", DOCKERFILE)
}

fn findings(source: &Source) -> Vec<Lint> {
    lint(&parse(source).unwrap())
}

fn errors(source: &Source) -> Vec<Diagnostic> {
    parse(source).unwrap_err()
}

#[test]
fn row_138_text() {
    let source = source();
    let report = Report { source: &source, findings: &findings(&source), errors: &[] };
    assert_eq!(report.text(), include_str!("golden/findings.txt"));
}

#[test]
fn row_138_text_of_an_error() {
    let source = Source::new("Dockerfile", "FROM a\nCOPPY a b\nRNU\n");
    let report = Report { source: &source, findings: &[], errors: &errors(&source) };
    assert_eq!(report.text(), include_str!("golden/errors.txt"));
}

#[test]
fn row_138_text_of_nothing() {
    let source = Source::new("Dockerfile", "FROM a\n");
    let report = Report { source: &source, findings: &[], errors: &[] };
    assert_eq!(report.text(), "Check complete, no warnings found.\n");
}

#[test]
fn row_138_json() {
    let source = source();
    let report = Report { source: &source, findings: &findings(&source), errors: &[] };
    assert_eq!(report.json(), include_str!("golden/findings.json"));
    let source = Source::new("Dockerfile", "FROM a\nCOPPY a b\nRNU\n");
    let report = Report { source: &source, findings: &[], errors: &errors(&source) };
    assert_eq!(report.json(), include_str!("golden/errors.json"));
}

#[test]
fn row_138_sarif() {
    let source = source();
    let found = findings(&source);
    let report = Report { source: &source, findings: &found, errors: &[] };
    let version = env!("CARGO_PKG_VERSION");
    let golden = include_str!("golden/findings.sarif").replace("VERSION", version);
    assert_eq!(report.sarif(false), golden);
    assert_eq!(report.sarif(true), golden.replace("\"level\": \"warning\"", "\"level\": \"error\""));
    let source = Source::new("a:b", "FROM a\nCOPPY a b\nRNU\n");
    let report = Report { source: &source, findings: &[], errors: &errors(&source) };
    assert_eq!(report.sarif(false), include_str!("golden/errors.sarif").replace("VERSION", version));
}

#[test]
fn row_12_findings_can_fail_a_build() {
    let source = source();
    let dockerfile = parse(&source).unwrap();
    let check = dockerfile.directives.check.as_ref();
    let found = lint(&dockerfile);
    let rules = "FromAsCasing, JSONArgsRecommended, SecretsUsedInArgOrEnv, StageNameCasing";
    assert_eq!(violation(check, &found), Some(format!("lint violation found for rules: {rules}")));
    assert_eq!(violation(check, &[]), None);
    assert_eq!(violation(None, &found), None);
}

#[test]
fn excerpts_have_lines_around_them() {
    let shown = |text: &str, start: usize, end: usize| {
        let source = Source::new("x", text);
        let found = [Diagnostic::new(Span::new(start, end), "m")];
        let text = Report { source: &source, findings: &[], errors: &found }.text();
        text.lines().filter_map(|line| line.split_once(" | ")).map(|(_, line)| line.to_owned()).collect::<Vec<_>>()
    };
    // A file without a final line end, and a place at its end.
    assert_eq!(shown("a\nb", 2, 3), ["    a", ">>> b"]);
    assert_eq!(shown("", 0, 0), [">>> "]);
    assert_eq!(shown("1\n2\n3\n4\n5\n6\n7", 6, 7), ["    2", "    3", ">>> 4", "    5", "    6"]);
    // A place that ends with a line end doesn't reach into the next line.
    assert_eq!(shown("1\n2\n3\n4\n5\n6\n7", 4, 8), ["    2", ">>> 3", ">>> 4", "    5"]);
}
