//! Which stages a build needs, and what each begins with.

use std::collections::BTreeSet;

use steprun_dockerfile::instruction::{Instruction, Kind, Stage};
use steprun_dockerfile::{Dockerfile, Word, suggest};
use steprun_ports::Failure;

use crate::contexts::Names;
use crate::scope::{Globals, Text};
use crate::{diagnose, target};

/// What gives the names in a Dockerfile their meaning.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    /// Where the names stand: the Dockerfile, or a trigger of a base.
    pub(crate) text: Text<'a>,
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) globals: &'a Globals,
    pub(crate) contexts: &'a Names,
}

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage, by index.
    Stage(usize),
    /// A named context, by index.
    Context {
        context: usize,
        /// `--platform`, expanded.
        platform: Option<String>,
    },
    /// An image by name.
    Image {
        name: String,
        /// `--platform`, expanded.
        platform: Option<String>,
    },
}

/// Where `COPY --from` and mounts take files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// Nothing.
    Scratch,
    /// An earlier stage, by index.
    Stage(usize),
    /// A named context, by index.
    Context(usize),
    /// An image by name.
    Image(String),
}

/// What wants to take files from somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    Copy,
    Mount,
}

/// The stages of a build.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the image is made of.
    pub(crate) target: usize,
    /// Needed stages by index, in the order of the file, so that dependencies come first.
    pub(crate) stages: Vec<usize>,
}

/// Finds the target and all that it needs. Other stages are not looked into: they may even be wrong.
///
/// # Errors
/// A target that is not there; a needed stage without base, or that takes files from itself or from a later one.
pub(crate) fn plan(input: Input<'_>, target: Option<&str>) -> Result<Plan, Failure> {
    let target = target::find(input.dockerfile, target)?;
    Ok(Plan { target, stages: needed(input, BTreeSet::from([target]))? })
}

/// All stages, as if each were needed.
///
/// # Errors
/// Those of [`plan`], of any stage.
pub(crate) fn everything(input: Input<'_>) -> Result<Plan, Failure> {
    let count = input.dockerfile.stages.len();
    Ok(Plan { target: count.saturating_sub(1), stages: needed(input, (0..count).collect())? })
}

/// By index, whether a stage's layers are part of the image of the target: it is the target, or what that is built on.
///
/// # Errors
/// Those of [`base`].
pub(crate) fn chain(input: Input<'_>, target: usize) -> Result<Vec<bool>, Failure> {
    let mut chain = vec![false; input.dockerfile.stages.len()];
    let mut next = Some(target);
    while let Some(index) = next {
        chain[index] = true;
        next = match base(input, index)? {
            Base::Stage(parent) => Some(parent),
            Base::Scratch | Base::Context { .. } | Base::Image { .. } => None,
        };
    }
    Ok(chain)
}

/// Some stages and all that they need.
fn needed(input: Input<'_>, mut wanted: BTreeSet<usize>) -> Result<Vec<usize>, Failure> {
    let mut stages = Vec::new();
    // Dependencies always have lower indices, so that going down meets each stage after all that need it.
    while let Some(index) = wanted.pop_last() {
        stages.push(index);
        if let Base::Stage(parent) = base(input, index)? {
            wanted.insert(parent);
        }
        for instruction in instructions(input, index) {
            for (taker, word) in sources(&instruction.kind) {
                if let From::Stage(source) = source(input, index, word, taker)? {
                    wanted.insert(source);
                }
            }
        }
    }
    stages.reverse();
    Ok(stages)
}

/// What is carried out in a stage.
pub(crate) fn instructions<'a>(input: Input<'a>, index: usize) -> &'a [Instruction] {
    if replaced(input, index).is_some() { &[] } else { &input.dockerfile.stages[index].instructions }
}

/// The named contexts that a plan needs, by index.
pub(crate) fn contexts(input: Input<'_>, plan: &Plan) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    for &index in &plan.stages {
        if let Ok(Base::Context { context, .. }) = base(input, index) {
            used.insert(context);
        }
        let words = instructions(input, index).iter().flat_map(|instruction| sources(&instruction.kind));
        used.extend(words.filter_map(|(taker, word)| match source(input, index, word, taker) {
            Ok(From::Context(context)) => Some(context),
            _ => None,
        }));
    }
    used
}

/// The named context that takes the place of a stage, by index: that of the stage's own name.
pub(crate) fn replaced(input: Input<'_>, index: usize) -> Option<usize> {
    input.contexts.find(input.dockerfile.stages[index].name.as_deref()?)
}

/// The places that an instruction takes files from, besides the context.
pub(crate) fn sources(kind: &Kind) -> Vec<(Taker, &Word)> {
    match kind {
        Kind::Copy(copy) => copy.from.iter().map(|word| (Taker::Copy, word)).collect(),
        Kind::Run(run) => run.mounts.iter().filter_map(|mount| Some((Taker::Mount, mount.from()?))).collect(),
        _ => Vec::new(),
    }
}

/// What a stage begins with. An earlier stage wins over a named context, and that over an image.
///
/// # Errors
/// A name that is empty or can't be expanded.
pub(crate) fn base(input: Input<'_>, index: usize) -> Result<Base, Failure> {
    let Input { text, dockerfile, globals, contexts } = input;
    if let Some(context) = replaced(input, index) {
        return Ok(Base::Context { context, platform: platform(input, index)? });
    }
    let from = &dockerfile.stages[index].from;
    let (name, undefined) = globals.variables().expand(text, &from.image)?;
    if name.is_empty() {
        let failure = diagnose::failed(text.source, from.image.span, "the name of the base image is empty");
        return Err(match undefined.first() {
            Some(unknown) => failure.hint(format!(
                "`${unknown}` is not defined: give it a default with `ARG {unknown}=...` before the first FROM, or a value with `--build-arg`"
            )),
            None => failure,
        });
    }
    if let Some(earlier) = stage_before(dockerfile, index, &name) {
        return Ok(Base::Stage(earlier));
    }
    if name == "scratch" {
        return Ok(Base::Scratch);
    }
    let platform = platform(input, index)?;
    Ok(match contexts.find(&name) {
        Some(context) => Base::Context { context, platform },
        None => Base::Image { name, platform },
    })
}

/// `--platform` of a FROM, expanded.
///
/// # Errors
/// One that is empty or can't be expanded.
fn platform(input: Input<'_>, index: usize) -> Result<Option<String>, Failure> {
    let Some(word) = &input.dockerfile.stages[index].from.platform else { return Ok(None) };
    match input.globals.variables().expand(input.text, word)?.0 {
        empty if empty.is_empty() => Err(diagnose::failed(input.text.source, word.span, "the platform is empty")),
        platform => Ok(Some(platform)),
    }
}

/// A failure to get an image, with the stage or the named context that may have been meant.
pub(crate) fn or_stage(input: Input<'_>, before: usize, name: &str, failure: Failure) -> Failure {
    let stages = input.dockerfile.stages[..before].iter().filter_map(|stage| stage.name.as_deref());
    let stage = suggest::nearest(name, stages).map(|near| format!("did you mean the stage `{near}`?"));
    let context = || {
        suggest::nearest(name, input.contexts.iter()).map(|near| format!("did you mean the named context `{near}`?"))
    };
    match stage.or_else(context) {
        Some(hint) if failure.hint.is_none() => failure.hint(hint),
        _ => failure,
    }
}

/// What `--from` of a stage's COPY or `from=` of a mount names. An earlier stage wins over a named context, and that over an image.
///
/// # Errors
/// The stage itself, a later one, an index that there is none of; `scratch` in COPY, where nothing could come of it.
pub(crate) fn source(input: Input<'_>, stage: usize, word: &Word, taker: Taker) -> Result<From, Failure> {
    let Input { text, dockerfile, contexts, .. } = input;
    let verb = match taker {
        Taker::Copy => "copy from",
        Taker::Mount => "mount",
    };
    let wrong = |message: String| diagnose::failed(text.source, word.span, message);
    if let Ok(index) = word.raw.parse::<usize>() {
        return match index {
            index if index < stage => Ok(From::Stage(index)),
            index if index == stage => Err(wrong(format!("stage {index} can't {verb} itself"))),
            index if index < dockerfile.stages.len() => Err(later(wrong, &word.raw)),
            _ => Err(wrong(format!("there is no stage {index}"))),
        };
    }
    if let Some(earlier) = stage_before(dockerfile, stage, &word.raw) {
        return Ok(From::Stage(earlier));
    }
    if let Some(context) = contexts.find(&word.raw) {
        return Ok(From::Context(context));
    }
    match dockerfile.stage(&word.raw) {
        Some(index) if index == stage => Err(wrong(format!("the stage `{}` can't {verb} itself", word.raw))),
        Some(_) => Err(later(wrong, &word.raw)),
        None if word.raw.eq_ignore_ascii_case("scratch") => match taker {
            Taker::Copy => Err(wrong("`scratch` is empty".to_owned())),
            Taker::Mount => Ok(From::Scratch),
        },
        None => Ok(From::Image(word.raw.clone())),
    }
}

fn later(wrong: impl Fn(String) -> Failure, name: &str) -> Failure {
    wrong(format!("the stage `{name}` is defined later")).hint("move its FROM above this stage")
}

/// The last stage of a name, in any case, before another one.
fn stage_before(dockerfile: &Dockerfile, index: usize, name: &str) -> Option<usize> {
    let named = |stage: &Stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
    dockerfile.stages[..index].iter().rposition(named)
}
