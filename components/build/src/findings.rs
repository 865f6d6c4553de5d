//! What breaks lint rules, with what only a plan knows: images and the context.

use std::collections::BTreeMap;

use steprun_dockerfile::instruction::{Copy, Instruction, Kind};
use steprun_dockerfile::lint::{self, Inherited, Lint, Rule};
use steprun_dockerfile::{Span, Word};
use steprun_ports::{Error, Failure, Host};

use crate::bases::Bases;
use crate::copy::Remote;
use crate::job::Job;
use crate::paths;
use crate::plan::{self, Base, Plan};
use crate::scope::Scope;

/// What in the stages of a plan breaks rules that are on, in the order of the text.
pub(crate) async fn findings<H: Host + 'static>(job: &Job<H>, plan: &Plan, bases: &Bases<H>) -> Vec<Lint> {
    let mut found = lint::lint(&job.dockerfile);
    found.extend(default_arguments(job).await);
    found.extend(lint::undefined_variables(&job.dockerfile, &|index| inherited(job, plan, bases, index)));
    found.extend(platforms(bases));
    if Rule::CopyIgnoredFile.is_on(job.dockerfile.directives.check.as_ref()) {
        found.extend(ignored_sources(job, plan, bases));
    }
    // Stages that nobody needs may even be wrong.
    let unneeded = |span: Span| {
        let stages = job.dockerfile.stages.iter().enumerate();
        let mut unneeded = stages.filter(|(index, _)| !plan.stages.contains(index)).map(|(_, stage)| stage.span);
        unneeded.any(|stage| stage.start <= span.start && span.end <= stage.end)
    };
    found.retain(|lint| !unneeded(lint.span));
    lint::keep(&job.dockerfile, found)
}

/// Bases that are none without the build arguments of this call.
async fn default_arguments<H: Host + 'static>(job: &Job<H>) -> Vec<Lint> {
    let automatic = |name: &str| job.platforms.variable(name);
    let mut found = Vec::new();
    for (word, name) in lint::default_bases(&job.dockerfile, &automatic) {
        let known = job.dockerfile.stage(&name).is_some() || job.contexts.names().find(&name).is_some();
        if !known && matches!(job.host.resolve(&name).await, Err(Error::Invalid(_))) {
            found.push(Lint::invalid_default_arg(word));
        }
    }
    found
}

fn inherited<H: Host + 'static>(job: &Job<H>, plan: &Plan, bases: &Bases<H>, index: usize) -> Inherited {
    if !plan.stages.contains(&index) || plan::replaced(job.input(), index).is_some() {
        return Inherited::Unknown;
    }
    match (plan::base(job.input(), index), bases.of_stage(index)) {
        (_, Some(base)) => {
            let names = base.image.config.container().env.iter().map(|variable| {
                let name = variable.split_once('=').map_or(variable.as_str(), |(name, _)| name);
                name.to_owned()
            });
            Inherited::Names(names.collect())
        }
        (Ok(Base::Stage(parent)), None) => Inherited::Stage(parent),
        (Ok(Base::Scratch | Base::Context { .. }), None) => Inherited::Names(Vec::new()),
        (Ok(Base::Image { .. }) | Err(_), None) => Inherited::Unknown,
    }
}

/// Images that are made for other platforms than asked for.
fn platforms<H: Host + 'static>(bases: &Bases<H>) -> Vec<Lint> {
    let mut found = Vec::new();
    for (span, base) in bases.images() {
        let actual = base.image.config.platform();
        if !actual.os.is_empty() && !base.platform.runs(actual) {
            let (expected, actual) = (base.platform.to_string(), actual.to_string());
            found.push(Lint::invalid_base_image_platform(span, &base.name, &expected, &actual));
        }
    }
    found
}

/// Sources of the context that .dockerignore leaves out. Where a value isn't known before the build, nothing is said.
fn ignored_sources<H: Host + 'static>(job: &Job<H>, plan: &Plan, bases: &Bases<H>) -> Vec<Lint> {
    let mut found = Vec::new();
    let mut ends: BTreeMap<usize, Scope> = BTreeMap::new();
    for &index in &plan.stages {
        let mut scope = match (plan::base(job.input(), index), bases.of_stage(index)) {
            (_, Some(base)) => Scope::of_environment(&base.image.config.container().env),
            (Ok(Base::Stage(parent)), None) => ends.get(&parent).cloned().unwrap_or_default(),
            _ => Scope::default(),
        };
        for instruction in plan::instructions(job.input(), index) {
            match &instruction.kind {
                Kind::Add(copy) | Kind::Copy(copy) if copy.from.is_none() => {
                    found.extend(ignored(job, &scope, instruction, copy));
                }
                kind if define(job, &mut scope, kind).is_err() => break,
                _ => {}
            }
        }
        ends.insert(index, scope);
    }
    found
}

fn ignored<H: Host>(job: &Job<H>, scope: &Scope, instruction: &Instruction, copy: &Copy) -> Vec<Lint> {
    let path = |word: &Word| {
        let (value, undefined) = scope.variables().expand(job.text(), word).ok()?;
        let local = undefined.is_empty() && Remote::of(&value).is_none();
        let path = paths::normal(&value);
        (local && job.context.ignore.culprit(&path).is_some())
            .then(|| Lint::copy_ignored_file(word.span, &instruction.kind, &path))
    };
    copy.sources.iter().filter_map(path).collect()
}

/// What an instruction adds to the variables.
fn define<H: Host>(job: &Job<H>, scope: &mut Scope, kind: &Kind) -> Result<(), Failure> {
    match kind {
        Kind::Env(pairs) => {
            let expand = |word: &Word| scope.variables().expand(job.text(), word).map(|(value, _)| value);
            let pairs = pairs.iter().map(|pair| Ok((expand(&pair.key)?, expand(&pair.value)?)));
            let pairs = pairs.collect::<Result<Vec<_>, Failure>>()?;
            pairs.iter().for_each(|(name, value)| scope.set(name, value));
        }
        Kind::Arg(args) => {
            for arg in args {
                scope.declare(job.text(), &job.globals, arg)?;
            }
        }
        _ => {}
    }
    Ok(())
}
