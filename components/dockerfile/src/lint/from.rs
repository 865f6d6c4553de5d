//! Rules about FROM.

use super::{Findings, Rule};
use crate::expand::expand;
use crate::instruction::{Dockerfile, From, Stage};
use crate::span::Word;
use crate::suggest;

/// ARGs that every build has (reference, "Automatic platform ARGs in the global scope").
const AUTOMATIC: [&str; 11] = [
    "BUILDARCH",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDPLATFORM",
    "BUILDVARIANT",
    "TARGETARCH",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETPLATFORM",
    "TARGETSTAGE",
    "TARGETVARIANT",
];

pub(super) fn check(dockerfile: &Dockerfile, findings: &mut Findings<'_>) {
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        names(&dockerfile.stages[..index], stage, findings);
        keywords(&stage.from, findings);
        arguments(dockerfile, stage, findings);
        if let Some(platform) = &stage.from.platform {
            check_platform(platform, stage, dockerfile.directives.escape, findings);
        }
    }
}

fn names(earlier: &[Stage], stage: &Stage, findings: &mut Findings<'_>) {
    let (Some(name), Some(alias)) = (&stage.name, &stage.from.alias) else { return };
    if *name != alias.raw {
        findings.add(Rule::StageNameCasing, alias.span, format!("Stage name '{}' should be lowercase", alias.raw));
    }
    if ["context", "scratch"].contains(&name.as_str()) {
        let message = format!("Stage name should not use the same name as reserved stage \"{name}\"");
        findings.add(Rule::ReservedStageName, alias.span, message);
    }
    if earlier.iter().any(|other| other.name.as_ref() == Some(name)) {
        let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
        findings.add(Rule::DuplicateStageName, alias.span, message);
    }
}

/// AS has the case of FROM; a FROM of mixed case is another rule's business.
fn keywords(from: &From, findings: &mut Findings<'_>) {
    let Some(written) = &from.as_keyword else { return };
    let (from, keyword) = (&from.keyword.raw, &written.raw);
    let fits = if *from == from.to_lowercase() {
        *keyword == keyword.to_lowercase()
    } else if *from == from.to_uppercase() {
        *keyword == keyword.to_uppercase()
    } else {
        true
    };
    if !fits {
        let message = format!("'{keyword}' and '{from}' keywords' casing do not match");
        findings.add(Rule::FromAsCasing, written.span, message);
    }
}

fn arguments(dockerfile: &Dockerfile, stage: &Stage, findings: &mut Findings<'_>) {
    let own = dockerfile.global_args.iter().map(|arg| arg.name.raw.as_str());
    let known: Vec<&str> = own.chain(AUTOMATIC).collect();
    let lookup = |name: &str| known.contains(&name).then(|| "x".to_owned());
    for word in [Some(&stage.from.image), stage.from.platform.as_ref()].into_iter().flatten() {
        let Ok(expanded) = expand(&word.raw, dockerfile.directives.escape, &lookup) else { continue };
        for name in expanded.undefined {
            let near = suggest::nearest(&name, known.iter().copied());
            let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            let message = format!("FROM argument '{name}' is not declared{hint}");
            findings.add(Rule::UndefinedArgInFrom, word.span, message);
        }
    }
}

fn check_platform(platform: &Word, stage: &Stage, escape: char, findings: &mut Findings<'_>) {
    if !platform.raw.contains('$') {
        constant_platform(platform, stage, findings);
        return;
    }
    let lookup = |name: &str| (name == "TARGETPLATFORM").then(|| "target".to_owned());
    let Ok(expanded) = expand(&platform.raw, escape, &lookup) else { return };
    if expanded.value == "target" && expanded.undefined.is_empty() {
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            platform.raw
        );
        findings.add(Rule::RedundantTargetPlatform, platform.span, message);
    }
}

/// A constant is fine in a stage that is named after it.
fn constant_platform(platform: &Word, stage: &Stage, findings: &mut Findings<'_>) {
    let name = stage.name.as_deref().unwrap_or("");
    let mut parts = platform.raw.split('/').take(2).map(|part| match part {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    });
    if !parts.any(|part| name.contains(part)) {
        let message = format!("FROM --platform flag should not use constant value \"{}\"", platform.raw);
        findings.add(Rule::FromPlatformFlagConstDisallowed, platform.span, message);
    }
}
