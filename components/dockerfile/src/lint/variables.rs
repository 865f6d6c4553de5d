//! Rules about variables: they need to know what a base image brings, or what can be an image.

use super::{Findings, Lint, Rule};
use crate::expand::{Lookup, expand, expand_heredoc};
use crate::instruction::{Copy, Dockerfile, Heredoc, Kind};
use crate::span::{Span, Word};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};

/// Variables that are used and defined nowhere ([`Rule::UndefinedVar`]; BuildKit: `reportUnmatchedVariables`).
///
/// `environment` gives the names in an image's `Env` by the index of the stage that starts from it, or none when they aren't
/// known: then that stage and those that start from it are left out. It isn't asked for `scratch` and for earlier stages.
pub fn undefined_variables(dockerfile: &Dockerfile, environment: &dyn Fn(usize) -> Option<Vec<String>>) -> Vec<Lint> {
    let mut findings = Findings::new(dockerfile);
    // Names at the end of each stage.
    let mut ends: Vec<Option<BTreeSet<String>>> = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let image = stage.from.image.raw.to_lowercase();
        let parent = dockerfile.stages[..index].iter().rposition(|other| other.name.as_ref() == Some(&image));
        let mut names = match parent {
            Some(parent) => ends[parent].clone(),
            None if image == "scratch" => Some(BTreeSet::new()),
            None => environment(index).map(|names| names.into_iter().collect()),
        };
        if let Some(names) = &mut names {
            // Every image gets one.
            names.insert("PATH".to_owned());
            for instruction in &stage.instructions {
                uses(&instruction.kind, dockerfile.directives.escape, names, &mut findings);
                define(&instruction.kind, names);
            }
        }
        ends.push(names);
    }
    findings.sorted()
}

/// Looks at all words of an instruction that are expanded (reference, "Environment replacement").
fn uses(kind: &Kind, escape: char, names: &BTreeSet<String>, findings: &mut Findings<'_>) {
    let lookup: Lookup<'_> = &|name| names.contains(name).then(|| "x".to_owned());
    let mut report = |span: Span, undefined: Vec<String>| {
        for name in undefined {
            let near = suggest::nearest(&name, names.iter().map(String::as_str));
            let hint = near.map(|near| format!(" (did you mean ${near}?)")).unwrap_or_default();
            findings.add(Rule::UndefinedVar, span, format!("Usage of undefined variable '${name}'{hint}"));
        }
    };
    for word in words(kind) {
        if let Ok(expanded) = expand(&word.raw, escape, lookup) {
            report(word.span, expanded.undefined);
        }
    }
    for heredoc in heredocs(kind) {
        if let Ok(expanded) = expand_heredoc(&heredoc.content, escape, lookup) {
            report(heredoc.content_span, expanded.undefined);
        }
    }
}

fn words(kind: &Kind) -> Vec<&Word> {
    match kind {
        Kind::Add(copy) | Kind::Copy(copy) => {
            let Copy { sources, destination, chown, chmod, checksum, .. } = copy;
            sources.iter().chain([destination]).chain(chown).chain(chmod).chain(checksum).collect()
        }
        Kind::Run(run) => {
            run.mounts.iter().flat_map(|mount| &mount.fields).filter_map(|field| field.value.as_ref()).collect()
        }
        Kind::Env(pairs) | Kind::Label(pairs) => pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).collect(),
        Kind::Arg(args) => args.iter().flat_map(|arg| [Some(&arg.name), arg.default.as_ref()]).flatten().collect(),
        Kind::Expose(words) | Kind::Volume(words) => words.iter().collect(),
        Kind::User(word) | Kind::Workdir(word) | Kind::StopSignal(word) => vec![word],
        Kind::Shell(_)
        | Kind::Healthcheck(_)
        | Kind::Cmd(_)
        | Kind::Entrypoint(_)
        | Kind::Onbuild(_)
        | Kind::Maintainer(_) => Vec::new(),
    }
}

fn heredocs(kind: &Kind) -> impl Iterator<Item = &Heredoc> {
    let bodies = match kind {
        Kind::Add(copy) | Kind::Copy(copy) => copy.heredocs.as_slice(),
        _ => &[],
    };
    bodies.iter().filter(|heredoc| heredoc.expand)
}

/// An ARG counts even without a value.
fn define(kind: &Kind, names: &mut BTreeSet<String>) {
    match kind {
        Kind::Env(pairs) => names.extend(pairs.iter().map(|pair| pair.key.raw.clone())),
        Kind::Arg(args) => names.extend(args.iter().map(|arg| arg.name.raw.clone())),
        _ => {}
    }
}

/// Base images that aren't any when no build argument is given ([`Rule::InvalidDefaultArgInFrom`]; BuildKit:
/// `validateBaseImagesWithDefaultArgs`).
///
/// `automatic` gives the ARGs that every build has, `is_image` tells whether a text can be the name of an image. Nothing is
/// found when a default can't be evaluated: the build will say that.
pub fn invalid_default_args(
    dockerfile: &Dockerfile,
    automatic: Lookup<'_>,
    is_image: &dyn Fn(&str) -> bool,
) -> Vec<Lint> {
    let escape = dockerfile.directives.escape;
    let mut findings = Findings::new(dockerfile);
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    let value = |values: &BTreeMap<&str, String>, raw: &str| {
        let lookup = |name: &str| values.get(name).cloned().or_else(|| automatic(name));
        expand(raw, escape, &lookup).map(|expanded| expanded.value)
    };
    for arg in &dockerfile.global_args {
        let Some(default) = &arg.default else { continue };
        let Ok(default) = value(&values, &default.raw) else { return Vec::new() };
        values.insert(&arg.name.raw, default);
    }
    for stage in &dockerfile.stages {
        let image = &stage.from.image;
        let Ok(name) = value(&values, &image.raw) else { return Vec::new() };
        if !is_image(&name) {
            let message = format!("Default value for ARG {} results in empty or invalid base image name", image.raw);
            findings.add(Rule::InvalidDefaultArgInFrom, image.span, message);
        }
    }
    findings.sorted()
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
