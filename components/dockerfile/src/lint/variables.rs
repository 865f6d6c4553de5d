//! Rules about variables: they need to know what a base image brings, or what can be an image.

use super::{Findings, Lint, Rule};
use crate::expand::{Lookup, expand, expand_heredoc};
use crate::instruction::{Copy, Dockerfile, Heredoc, Kind};
use crate::span::{Span, Word};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};

/// What the variables of a stage begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inherited {
    /// Those at the end of an earlier stage, by index.
    Stage(usize),
    /// The names in an image's `Env`; none for `scratch`.
    Names(Vec<String>),
    /// It isn't known: the stage and those that begin with it are left out.
    Unknown,
}

/// Variables that are used and defined nowhere ([`Rule::UndefinedVar`]; BuildKit: `reportUnmatchedVariables`). `inherited` is asked once
/// for each stage, by its index.
pub fn undefined_variables(dockerfile: &Dockerfile, inherited: &dyn Fn(usize) -> Inherited) -> Vec<Lint> {
    let mut findings = Findings::new(dockerfile);
    // Names at the end of each stage.
    let mut ends: Vec<Option<BTreeSet<String>>> = Vec::new();
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let mut names = match inherited(index) {
            Inherited::Stage(parent) => ends.get(parent).cloned().flatten(),
            Inherited::Names(names) => Some(names.into_iter().collect()),
            Inherited::Unknown => None,
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

impl Lint {
    /// A use of a variable that none of the known names is.
    pub fn undefined_variable<'n>(span: Span, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        let near = suggest::nearest(name, known);
        let hint = near.map(|near| format!(" (did you mean ${near}?)")).unwrap_or_default();
        let message = format!("Usage of undefined variable '${name}'{hint}");
        Self { rule: Rule::UndefinedVar, span, message }
    }

    /// A base image that is none when no build argument is given. `image` is what FROM says.
    pub fn invalid_default_arg(image: &Word) -> Self {
        let message = format!("Default value for ARG {} results in empty or invalid base image name", image.raw);
        Self { rule: Rule::InvalidDefaultArgInFrom, span: image.span, message }
    }
}

/// Looks at all words of an instruction that are expanded (reference, "Environment replacement").
fn uses(kind: &Kind, escape: char, names: &BTreeSet<String>, findings: &mut Findings<'_>) {
    let lookup: Lookup<'_> = &|name| names.contains(name).then(|| "x".to_owned());
    let mut report = |span: Span, undefined: Vec<String>| {
        for name in undefined {
            findings.push(Lint::undefined_variable(span, &name, names.iter().map(String::as_str)));
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

/// What each FROM that uses variables names when no build argument is given, for [`Rule::InvalidDefaultArgInFrom`] (BuildKit:
/// `validateBaseImagesWithDefaultArgs`): what is no name of an image is an [`invalid_default_arg`](Lint::invalid_default_arg).
///
/// `automatic` gives the ARGs that every build has. Nothing is found when a default can't be evaluated: the build will say that.
pub fn default_bases<'d>(dockerfile: &'d Dockerfile, automatic: Lookup<'_>) -> Vec<(&'d Word, String)> {
    let escape = dockerfile.directives.escape;
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
    let images = dockerfile.stages.iter().map(|stage| &stage.from.image).filter(|image| image.raw.contains('$'));
    images.map(|image| Some((image, value(&values, &image.raw).ok()?))).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
#[path = "variables_tests.rs"]
mod tests;
