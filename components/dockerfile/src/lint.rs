//! The lint rules of BuildKit (`linter/ruleset.go`, `docs/rules`), as far as the Dockerfile alone decides them.
//!
//! Whoever plans a build adds what needs more: [`Rule::UndefinedVar`] (the base's environment), [`Rule::CopyIgnoredFile`] (the
//! context), [`Rule::InvalidBaseImagePlatform`] (the base), [`Rule::InvalidDefaultArgInFrom`] (image references). They pass
//! [`Rule::is_on`] first.

mod from;
mod instructions;

use crate::instruction::{Check, Dockerfile};
use crate::span::Span;

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

/// BuildKit's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Rule {
    ConsistentInstructionCasing,
    CopyIgnoredFile,
    DuplicateStageName,
    ExposeInvalidFormat,
    ExposeProtoCasing,
    FromAsCasing,
    FromPlatformFlagConstDisallowed,
    InvalidBaseImagePlatform,
    InvalidDefaultArgInFrom,
    JSONArgsRecommended,
    LegacyKeyValueFormat,
    MaintainerDeprecated,
    MultipleInstructionsDisallowed,
    NoEmptyContinuation,
    RedundantTargetPlatform,
    ReservedStageName,
    SecretsUsedInArgOrEnv,
    StageNameCasing,
    UndefinedArgInFrom,
    UndefinedVar,
    WorkdirRelativePath,
}

impl Rule {
    /// The name, as `# check=skip=` takes it.
    pub fn name(self) -> String {
        // A variant's debug form is its name: the names are BuildKit's.
        format!("{self:?}")
    }

    /// The page that explains it; one rule has none.
    pub fn url(self) -> Option<String> {
        if self == Self::InvalidBaseImagePlatform {
            return None;
        }
        Some(format!("https://docs.docker.com/go/dockerfile/rule/{}/", kebab(&self.name())))
    }

    /// Whether it is off unless `# check=experimental=` turns it on.
    pub fn is_experimental(self) -> bool {
        self == Self::CopyIgnoredFile
    }

    /// Whether a file's directive leaves it on. Names are compared without regard to case.
    pub fn is_on(self, check: Option<&Check>) -> bool {
        let named = |list: &[String]| list.iter().any(|rule| rule.eq_ignore_ascii_case(&self.name()));
        let Some(check) = check else { return !self.is_experimental() };
        let wanted = !self.is_experimental() || check.experimental_all || named(&check.experimental);
        wanted && !check.skip_all && !named(&check.skip)
    }
}

/// `JSONArgsRecommended` to `json-args-recommended`.
fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(index + 1);
        let starts_word = before.is_some_and(|c| c.is_lowercase()) || after.is_some_and(|c| c.is_lowercase());
        if letter.is_uppercase() && index > 0 && starts_word {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// Finds what breaks the rules that the file's `# check=` directive leaves on, in the order of the text.
pub fn lint(dockerfile: &Dockerfile) -> Vec<Lint> {
    let check = dockerfile.directives.check.as_ref();
    let mut findings = Findings { check, found: Vec::new() };
    for span in &dockerfile.empty_continuations {
        findings.add(Rule::NoEmptyContinuation, *span, "Empty continuation line");
    }
    from::check(dockerfile, &mut findings);
    instructions::check(dockerfile, &mut findings);
    findings.found.sort_by_key(|lint| (lint.span, lint.rule));
    findings.found
}

/// Findings of rules that are on.
struct Findings<'d> {
    check: Option<&'d Check>,
    found: Vec<Lint>,
}

impl Findings<'_> {
    fn add(&mut self, rule: Rule, span: Span, message: impl Into<String>) {
        if rule.is_on(self.check) {
            self.found.push(Lint { rule, span, message: message.into() });
        }
    }
}

#[cfg(test)]
mod tests;
