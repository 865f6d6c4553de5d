//! `--plan`: what a build would do, and with what. Nothing is run; of images manifest and config are read.

mod json;
mod needs;
mod text;

use std::rc::Rc;

use steprun_dockerfile::Word;
use steprun_dockerfile::instruction::{Arg, Copy, Kind, Run};
use steprun_dockerfile::mount::{MountKey, MountSpec};
use steprun_ports::{Failure, Host};

use self::needs::Need;
use crate::arguments::Arguments;
use crate::bases::Bases;
use crate::cache::Cache;
use crate::copy::Remote;
use crate::job::Job;
use crate::mode::PlanFormat;
use crate::plan::{self, Base, From, Plan, Taker};
use crate::shared::shared;
use crate::stages::{Looks, Stages};

/// What is printed.
struct Preview {
    dockerfile: String,
    platforms: Vec<PlatformPreview>,
    /// ARGs of the needed stages and the global ones, each once.
    variables: Vec<Variable>,
    needs: Vec<Need>,
}

/// The plan for one platform.
struct PlatformPreview {
    platform: String,
    /// The name of the target, or one made of its index.
    target: String,
    /// In the order in which they can be built.
    stages: Vec<StagePreview>,
    /// Names of those that nothing needs.
    unneeded: Vec<String>,
}

struct StagePreview {
    name: String,
    description: Option<String>,
    base: String,
    /// Of the image that it begins with.
    image: Option<BaseDescription>,
    /// Whether one build of it serves all platforms.
    shared: bool,
    instructions: Vec<InstructionPreview>,
}

struct BaseDescription {
    platform: String,
    digest: String,
}

struct InstructionPreview {
    /// From 1.
    line: u32,
    /// As written, on one line.
    text: String,
    /// What it takes from elsewhere.
    takes: Vec<String>,
    /// Whether its result is in the cache; none where it has no result of its own, or where that can't be told before the build.
    cached: Option<bool>,
}

/// An ARG.
struct Variable {
    name: String,
    default: Option<String>,
    /// What the command line gives it.
    given: Option<String>,
    description: Option<String>,
}

/// Prints the plan.
///
/// # Errors
/// What makes a plan impossible: a target that is not there, images that can't be had.
pub(crate) async fn print<H: Host + 'static>(
    host: &H,
    arguments: &Arguments<H>,
    jobs: &[Rc<Job<H>>],
    format: PlanFormat,
) -> Result<(), Failure> {
    let (mut plans, mut bases) = (Vec::new(), Vec::new());
    for job in jobs {
        let plan = plan::plan(job.input(), arguments.target.as_deref())?;
        let mut found = Bases::find(job, &plan).await;
        if !found.missing.is_empty() {
            return Err(found.missing.remove(0));
        }
        plans.push(plan);
        bases.push(found);
    }
    let shared = shared(jobs, &bases);
    let dockerfile = jobs.first().map_or_else(String::new, |job| job.source.name.clone());
    let cache = Rc::new(Cache::of(host, arguments, &dockerfile).await);
    let needed: Vec<Vec<usize>> = plans.iter().map(|plan| plan.stages.clone()).collect();
    let looks = Stages::look(jobs, shared.clone(), cache, &needed).await;
    let platforms = jobs.iter().zip(&plans).zip(&bases);
    let preview = Preview {
        dockerfile,
        platforms: platforms.map(|((job, plan), bases)| platform(job, plan, bases, &shared, &looks)).collect(),
        variables: jobs.first().map_or_else(Vec::new, |job| variables(job, &plans, arguments)),
        needs: needs::needs(arguments, jobs, &plans, &bases),
    };
    let text = match format {
        PlanFormat::Text => text::print(&preview),
        PlanFormat::Json => json::print(&preview),
    };
    let printed = host.print(text.as_bytes()).await;
    printed.map_err(|error| Failure::because("could not write to standard output", error))
}

fn platform<H: Host + 'static>(
    job: &Job<H>,
    plan: &Plan,
    bases: &Bases<H>,
    shared: &[bool],
    looks: &Looks,
) -> PlatformPreview {
    let unneeded = (0..job.dockerfile.stages.len()).filter(|index| !plan.stages.contains(index));
    PlatformPreview {
        platform: job.platforms.target.to_string(),
        target: job.stage_name(plan.target),
        stages: plan.stages.iter().map(|&index| stage(job, index, bases, shared[index], looks)).collect(),
        unneeded: unneeded.map(|index| job.stage_name(index)).collect(),
    }
}

fn stage<H: Host + 'static>(job: &Job<H>, index: usize, bases: &Bases<H>, shared: bool, looks: &Looks) -> StagePreview {
    let image = bases.of_stage(index);
    let base = match (plan::base(job.input(), index), image) {
        (Ok(Base::Stage(parent)), _) => format!("stage {}", job.stage_name(parent)),
        (Ok(Base::Context { context, .. }), _) => format!("context {}", job.contexts.get(context).0),
        (_, Some(image)) => image.name.clone(),
        _ => "scratch".to_owned(),
    };
    // A stage that all platforms share is looked at once, for the first.
    let owner = if shared { 0 } else { job.number };
    let instructions = plan::instructions(job.input(), index).iter().enumerate();
    let instructions = instructions.map(|(number, instruction)| InstructionPreview {
        cached: looks.get(&(owner, index, number)).copied(),
        line: job.source.line_column(instruction.span.start).0,
        text: instruction.original.split_whitespace().collect::<Vec<_>>().join(" "),
        takes: takes(job, index, &instruction.kind),
    });
    StagePreview {
        name: job.stage_name(index),
        description: job.dockerfile.stages[index].description.clone(),
        base,
        image: image.map(|base| BaseDescription {
            platform: base.image.config.platform().to_string(),
            digest: base.image.digest.clone(),
        }),
        shared,
        instructions: instructions.collect(),
    }
}

/// What an instruction takes from elsewhere.
fn takes<H: Host + 'static>(job: &Job<H>, stage: usize, kind: &Kind) -> Vec<String> {
    match kind {
        Kind::Copy(Copy { from: Some(word), .. }) => vec![source(job, stage, word, Taker::Copy)],
        Kind::Add(copy) | Kind::Copy(copy) => sources(copy),
        Kind::Run(Run { mounts, .. }) => {
            let mounts = mounts.iter().map(|mount| mounted(job, stage, mount));
            std::iter::once("command".to_owned()).chain(mounts).collect()
        }
        _ => Vec::new(),
    }
}

/// The context, and what is fetched; a source that only variables tell counts as a file of the context.
fn sources(copy: &Copy) -> Vec<String> {
    let fetched = |word: &&Word| Remote::of(&word.raw).is_some();
    let local = copy.sources.iter().any(|word| !fetched(&word)).then(|| "context".to_owned());
    local.into_iter().chain(copy.sources.iter().filter(fetched).map(|word| word.raw.clone())).collect()
}

fn source<H: Host + 'static>(job: &Job<H>, stage: usize, word: &Word, taker: Taker) -> String {
    match plan::source(job.input(), stage, word, taker) {
        Ok(From::Stage(index)) => format!("stage {}", job.stage_name(index)),
        Ok(From::Context(context)) => format!("context {}", job.contexts.get(context).0),
        Ok(From::Image(name)) => format!("image {name}"),
        Ok(From::Scratch) | Err(_) => word.raw.clone(),
    }
}

/// A mount, as far as it is known before variables are.
fn mounted<H: Host + 'static>(job: &Job<H>, stage: usize, mount: &MountSpec) -> String {
    let value = |key: MountKey| mount.value(key).map(|word| word.raw.as_str());
    let kind = value(MountKey::Type).unwrap_or("bind");
    let place = value(MountKey::Id).or_else(|| value(MountKey::Target));
    let from = mount.from().filter(|word| !word.raw.is_empty()).map(|word| source(job, stage, word, Taker::Mount));
    match (kind, from) {
        ("bind", from) => format!("bind of {}", from.unwrap_or_else(|| "context".to_owned())),
        (kind, Some(from)) => format!("{kind} {} of {from}", place.unwrap_or_default()),
        ("ssh", None) => format!("ssh {}", place.unwrap_or("default")),
        (kind, None) => format!("{kind} {}", place.unwrap_or_default()),
    }
}

fn variables<H: Host + 'static>(job: &Job<H>, plans: &[Plan], arguments: &Arguments<H>) -> Vec<Variable> {
    let stages = plans.iter().flat_map(|plan| &plan.stages);
    let declared = stages.flat_map(|&index| plan::instructions(job.input(), index)).filter_map(|one| match &one.kind {
        Kind::Arg(args) => Some(args),
        _ => None,
    });
    let mut args: Vec<&Arg> = job.dockerfile.global_args.iter().chain(declared.flatten()).collect();
    args.sort_by_key(|arg| (arg.name.raw.as_str(), arg.span));
    args.dedup_by_key(|arg| arg.name.raw.as_str());
    let variable = |arg: &Arg| Variable {
        name: arg.name.raw.clone(),
        default: arg.default.as_ref().map(|word| word.raw.clone()),
        given: arguments.build_args.get(&arg.name.raw).cloned(),
        description: arg.description.clone(),
    };
    args.into_iter().map(variable).collect()
}
