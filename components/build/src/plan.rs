//! Which stages a build needs, and what each begins with.

use std::collections::BTreeSet;

use steprun_dockerfile::instruction::{Kind, Stage};
use steprun_dockerfile::{Dockerfile, Word};
use steprun_ports::Failure;

use crate::diagnose;
use crate::scope::{Globals, Text};

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage, by index.
    Stage(usize),
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
    pub(crate) target: usize,
    /// Needed stages by index, in the order of the file, so that dependencies come first.
    pub(crate) stages: Vec<usize>,
}

/// Finds the target and all that it needs. Other stages are not looked into: they may even be wrong.
///
/// # Errors
/// A target that is not there; a needed stage without base, or that takes files from itself or from a later one.
pub(crate) fn plan(
    text: Text<'_>,
    dockerfile: &Dockerfile,
    globals: &Globals,
    target: Option<&str>,
) -> Result<Plan, Failure> {
    let target = find_target(dockerfile, target)?;
    let mut needed = BTreeSet::from([target]);
    let mut stages = Vec::new();
    // Dependencies always have lower indices, so that going down meets each stage after all that need it.
    while let Some(index) = needed.pop_last() {
        let stage = &dockerfile.stages[index];
        if let Base::Stage(parent) = base(text, dockerfile, globals, index)? {
            needed.insert(parent);
        }
        for instruction in &stage.instructions {
            for (taker, word) in sources(&instruction.kind) {
                if let From::Stage(source) = source(text, dockerfile, index, word, taker)? {
                    needed.insert(source);
                }
            }
        }
        stages.push(index);
    }
    stages.reverse();
    Ok(Plan { target, stages })
}

/// The places that an instruction takes files from, besides the context.
fn sources(kind: &Kind) -> Vec<(Taker, &Word)> {
    match kind {
        Kind::Copy(copy) => copy.from.iter().map(|word| (Taker::Copy, word)).collect(),
        Kind::Run(run) => run.mounts.iter().filter_map(|mount| Some((Taker::Mount, mount.from()?))).collect(),
        _ => Vec::new(),
    }
}

/// The stage of a name or an index; the last one without either.
fn find_target(dockerfile: &Dockerfile, target: Option<&str>) -> Result<usize, Failure> {
    let Some(wanted) = target else {
        return Ok(dockerfile.stages.len().saturating_sub(1));
    };
    if let Some(index) = dockerfile.stage(wanted) {
        return Ok(index);
    }
    match wanted.parse::<usize>() {
        Ok(index) if index < dockerfile.stages.len() => Ok(index),
        _ => Err(no_target(dockerfile, wanted)),
    }
}

fn no_target(dockerfile: &Dockerfile, wanted: &str) -> Failure {
    let failure = Failure::failed(format!("the Dockerfile has no stage `{wanted}`"));
    let names = || dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref());
    match steprun_dockerfile::suggest::nearest(wanted, names()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None if names().next().is_none() => failure.hint("its stages have no names; their indices begin with 0"),
        None => failure.hint(format!("it has {}", names().collect::<Vec<_>>().join(", "))),
    }
}

/// What a stage begins with.
///
/// # Errors
/// A name that is empty or can't be expanded.
pub(crate) fn base(text: Text<'_>, dockerfile: &Dockerfile, globals: &Globals, index: usize) -> Result<Base, Failure> {
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
    let platform = match &from.platform {
        Some(word) => Some(globals.variables().expand(text, word)?.0),
        None => None,
    };
    if platform.as_deref() == Some("") {
        let span = from.platform.as_ref().map_or(from.span, |word| word.span);
        return Err(diagnose::failed(text.source, span, "the platform is empty"));
    }
    Ok(Base::Image { name, platform })
}

/// A failure to get an image, with the name of a stage that may have been meant.
pub(crate) fn or_stage(dockerfile: &Dockerfile, before: usize, name: &str, failure: Failure) -> Failure {
    let names = dockerfile.stages[..before].iter().filter_map(|stage| stage.name.as_deref());
    match steprun_dockerfile::suggest::nearest(name, names) {
        Some(near) if failure.hint.is_none() => failure.hint(format!("did you mean the stage `{near}`?")),
        _ => failure,
    }
}

/// What `--from` of a stage's COPY or `from=` of a mount names.
///
/// # Errors
/// The stage itself, a later one, an index that there is none of; `scratch` in COPY, where nothing could come of it.
pub(crate) fn source(
    text: Text<'_>,
    dockerfile: &Dockerfile,
    stage: usize,
    word: &Word,
    taker: Taker,
) -> Result<From, Failure> {
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
