//! Stages that are the same for all platforms, so that one build of them serves all: those of cross-compilers that begin with
//! `FROM --platform=$BUILDPLATFORM`.

use std::collections::BTreeSet;
use std::rc::Rc;

use steprun_dockerfile::instruction::Kind;
use steprun_ports::Host;

use crate::bases::Bases;
use crate::contexts;
use crate::job::Job;
use crate::plan::{self, Base, From};

/// By index, whether a stage is the same for each of the jobs. Only what is sure to be the same is: it has the same base for the same
/// platform, declares no variable that differs, and takes files from such stages and from directories only.
pub(crate) fn shared<H: Host + 'static>(jobs: &[Rc<Job<H>>], bases: &[Bases<H>]) -> Vec<bool> {
    let Some((first, others)) = jobs.split_first() else { return Vec::new() };
    let mut shared = vec![false; first.dockerfile.stages.len()];
    if others.is_empty() {
        return shared;
    }
    let differing = differing(first, others);
    for index in 0..shared.len() {
        shared[index] = same_base(jobs, bases, &shared, index) && same_instructions(jobs, &differing, &shared, index);
    }
    shared
}

/// The variables of FROM, and so of ARGs without a default, that have other values for other platforms.
fn differing<H: Host>(first: &Job<H>, others: &[Rc<Job<H>>]) -> BTreeSet<String> {
    let names = others.iter().flat_map(|job| job.globals.variables().iter().map(|(name, _)| name));
    let all = names.chain(first.globals.variables().iter().map(|(name, _)| name));
    let differs = |name: &&str| {
        let value = first.globals.variables().get(name);
        others.iter().any(|job| job.globals.variables().get(name) != value)
    };
    all.filter(differs).map(str::to_owned).collect()
}

/// The one value that all have.
fn only<T: PartialEq>(values: impl IntoIterator<Item = Option<T>>) -> Option<T> {
    let mut values = values.into_iter();
    let first = values.next()??;
    values.all(|value| value.as_ref() == Some(&first)).then_some(first)
}

fn same_base<H: Host + 'static>(jobs: &[Rc<Job<H>>], bases: &[Bases<H>], shared: &[bool], index: usize) -> bool {
    // A trigger can say anything.
    let silent =
        |base: &Bases<H>| base.of_stage(index).is_some_and(|base| base.image.config.container().on_build.is_empty());
    match only(jobs.iter().map(|job| plan::base(job.input(), index).ok())) {
        Some(Base::Stage(parent)) => {
            let mut instructions = jobs[0].dockerfile.stages[parent].instructions.iter();
            shared[parent] && !instructions.any(|one| matches!(one.kind, Kind::Onbuild(_)))
        }
        Some(Base::Image { platform: Some(_), .. } | Base::Context { platform: Some(_), .. }) => {
            bases.iter().all(silent)
        }
        // The image is one for the platform that is built for.
        Some(Base::Scratch | Base::Image { .. } | Base::Context { .. }) | None => false,
    }
}

fn same_instructions<H: Host + 'static>(
    jobs: &[Rc<Job<H>>],
    differing: &BTreeSet<String>,
    shared: &[bool],
    index: usize,
) -> bool {
    let same_source = |source: Option<From>| match source {
        Some(From::Scratch) => true,
        Some(From::Stage(stage)) => shared[stage],
        Some(From::Context(context)) => !matches!(jobs[0].contexts.get(context).1, contexts::Source::Image(_)),
        Some(From::Image(_)) | None => false,
    };
    plan::instructions(jobs[0].input(), index).iter().all(|instruction| {
        let declares = match &instruction.kind {
            Kind::Arg(args) => args.iter().any(|arg| arg.default.is_none() && differing.contains(&arg.name.raw)),
            _ => false,
        };
        let sources = plan::sources(&instruction.kind).into_iter();
        let mut sources = sources.map(|(taker, word)| plan::source(jobs[0].input(), index, word, taker).ok());
        !declares && sources.all(same_source)
    })
}
