//! The lint rules of BuildKit (`linter/ruleset.go`, `docs/rules`), as far as the Dockerfile alone decides them.
//!
//! Four rules need more than the file, and whoever plans a build has it: [`undefined_variables`] (the base's environment),
//! [`default_bases`] (image references), [`Lint::copy_ignored_file`] (the context) and
//! [`Lint::invalid_base_image_platform`] (the base). Findings that are made of these must be [kept](keep) by the file's directive.

mod from;
mod instructions;
mod planned;
pub mod report;
mod rule;
mod variables;

use crate::instruction::{Check, Dockerfile};
use crate::span::Span;

pub use rule::Rule;
pub use variables::{Inherited, default_bases, undefined_variables};

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The rule that is broken.
    pub rule: Rule,
    /// Where.
    pub span: Span,
    /// What is wrong, in BuildKit's words.
    pub message: String,
}

/// Finds what breaks the rules that the file's `# check=` directive leaves on, in the order of the text.
pub fn lint(dockerfile: &Dockerfile) -> Vec<Lint> {
    let mut findings = Findings::new(dockerfile);
    for span in &dockerfile.empty_continuations {
        findings.add(Rule::NoEmptyContinuation, *span, "Empty continuation line");
    }
    for stray in &dockerfile.stray_comments {
        let message =
            format!("Comment for {} should follow the format: `# {} <description>`", stray.keyword, stray.name);
        findings.add(Rule::InvalidDefinitionDescription, stray.span, message);
    }
    from::check(dockerfile, &mut findings);
    instructions::check(dockerfile, &mut findings);
    findings.sorted()
}

/// Findings of rules that the file's directive leaves on, each once, in the order of the text.
pub fn keep(dockerfile: &Dockerfile, findings: impl IntoIterator<Item = Lint>) -> Vec<Lint> {
    let mut kept = Findings::new(dockerfile);
    findings.into_iter().for_each(|lint| kept.push(lint));
    let mut kept = kept.sorted();
    kept.dedup();
    kept
}

/// Why a build must fail because of its findings: `# check=error=true` asks for it. None when it need not.
pub fn violation(check: Option<&Check>, findings: &[Lint]) -> Option<String> {
    if findings.is_empty() || !check.is_some_and(|check| check.error) {
        return None;
    }
    Some(summary(findings))
}

/// The rules that are broken, in one sentence.
pub fn summary(findings: &[Lint]) -> String {
    let mut rules: Vec<String> = findings.iter().map(|lint| lint.rule.name()).collect();
    rules.sort();
    rules.dedup();
    format!("lint violation found for rules: {}", rules.join(", "))
}

/// Findings of rules that are on.
struct Findings<'d> {
    check: Option<&'d Check>,
    found: Vec<Lint>,
}

impl<'d> Findings<'d> {
    fn new(dockerfile: &'d Dockerfile) -> Self {
        Self { check: dockerfile.directives.check.as_ref(), found: Vec::new() }
    }

    fn add(&mut self, rule: Rule, span: Span, message: impl Into<String>) {
        self.push(Lint { rule, span, message: message.into() });
    }

    fn push(&mut self, lint: Lint) {
        if lint.rule.is_on(self.check) {
            self.found.push(lint);
        }
    }

    /// In the order of the text.
    fn sorted(mut self) -> Vec<Lint> {
        self.found.sort_by(|a, b| (a.span, a.rule, &a.message).cmp(&(b.span, b.rule, &b.message)));
        self.found
    }
}

#[cfg(test)]
mod tests;
