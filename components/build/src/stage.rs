//! One stage: from its base through its instructions to a file system and a config.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use steprun_dockerfile::instruction::{Instruction, Kind};
use steprun_dockerfile::{Dockerfile, Source};
use steprun_ports::{Failure, Host, Layer, Task, Timestamp};

use crate::clock::Clock;
use crate::config::Config;
use crate::copy::Context;
use crate::diagnose;
use crate::image::{Images, Once, known};
use crate::instruction::Step;
use crate::plan::{self, Base};
use crate::platform;
use crate::scope::{Globals, Platforms, Scope, Text};
use crate::stages::Stages;

/// What all stages of a build share.
pub(crate) struct Job<H: Host> {
    pub(crate) host: H,
    pub(crate) source: Source,
    pub(crate) dockerfile: Dockerfile,
    pub(crate) globals: Globals,
    pub(crate) platforms: Platforms,
    pub(crate) context: Rc<Context<H>>,
    /// The context's files as a file system, for mounts.
    pub(crate) context_files: Once<H::Snapshot>,
    pub(crate) secrets: Vec<H::Secret>,
    pub(crate) agents: Vec<H::Agent>,
    pub(crate) clock: Clock,
    pub(crate) images: Images<H>,
    /// ARGs that ONBUILD triggers declared.
    pub(crate) declared: RefCell<BTreeSet<String>>,
}

impl<H: Host> Job<H> {
    pub(crate) fn text(&self) -> Text<'_> {
        Text { source: &self.source, escape: self.dockerfile.directives.escape }
    }

    /// How progress names a stage.
    pub(crate) fn label(&self, index: usize) -> String {
        let name = self.dockerfile.stages[index].name.as_deref();
        name.map_or_else(|| format!("stage-{index}"), str::to_owned)
    }
}

/// A change of the file system by one instruction: it becomes a layer if the stage is part of the image.
pub(crate) struct LayerStep<H: Host> {
    pub(crate) snapshot: H::Snapshot,
    /// The history entry of the instruction.
    pub(crate) entry: usize,
}

/// A stage, finished or up to some instruction.
pub(crate) struct Stage<H: Host> {
    pub(crate) config: Config,
    pub(crate) scope: Scope,
    /// Layers of the image at the bottom.
    pub(crate) base: Rc<Vec<Layer<H::Blob>>>,
    /// Layers of this build, its parents' first.
    pub(crate) steps: Vec<Rc<LayerStep<H>>>,
    pub(crate) files: Once<H::Snapshot>,
    /// The time of the newest file or image that went in.
    pub(crate) newest: Option<Timestamp>,
    /// CMD stands in this stage.
    pub(crate) own_command: bool,
    /// Triggers that this stage sets.
    pub(crate) triggers: Vec<String>,
}

impl<H: Host> Clone for Stage<H> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            scope: self.scope.clone(),
            base: self.base.clone(),
            steps: self.steps.clone(),
            files: self.files.clone(),
            newest: self.newest,
            own_command: self.own_command,
            triggers: self.triggers.clone(),
        }
    }
}

/// Builds a stage. Others that it needs are asked for.
///
/// # Errors
/// What is wrong with it, with its place.
pub(crate) async fn build<H: Host + 'static>(
    job: &Rc<Job<H>>,
    index: usize,
    stages: &Stages<H>,
) -> Result<Stage<H>, Failure> {
    let from = &job.dockerfile.stages[index].from;
    let place = |failure| diagnose::at(&job.source, from.image.span, failure);
    let (mut stage, triggers, base) = match plan::base(job.text(), &job.dockerfile, &job.globals, index)? {
        Base::Scratch => (Stage::scratch(job), Vec::new(), "scratch".to_owned()),
        Base::Stage(parent) => {
            let parent_stage = stages.get(parent).await;
            (Stage::child(&parent_stage), parent_stage.triggers.clone(), job.label(parent))
        }
        Base::Image { name, platform } => {
            let platform = match platform {
                Some(platform) => platform::parse(&platform).map_err(|failure| place(as_failed(failure)))?,
                None => job.platforms.target.clone(),
            };
            let image = job.images.get(&name, &platform).await;
            let image = image.map_err(|failure| place(plan::or_stage(&job.dockerfile, index, &name, failure)))?;
            let stage = Stage::of_image(&image);
            let triggers = image.config.container().on_build.clone();
            (stage, triggers, name)
        }
    };
    stage.config.container_mut().on_build.clear();
    run_triggers(job, &mut stage, index, stages, &base, &triggers).await?;
    for instruction in &job.dockerfile.stages[index].instructions {
        let step = Step { job, stage: index, stages, text: job.text(), trigger: false };
        perform(&step, &mut stage, instruction).await?;
    }
    Ok(stage)
}

/// A platform in a Dockerfile is no argument, so its failure is no usage error.
fn as_failed(mut failure: Failure) -> Failure {
    failure.kind = steprun_ports::FailureKind::Failed;
    failure
}

/// ONBUILD triggers of the base, before the stage's own instructions; they are cleared from its config.
async fn run_triggers<H: Host + 'static>(
    job: &Rc<Job<H>>,
    stage: &mut Stage<H>,
    index: usize,
    stages: &Stages<H>,
    base: &str,
    triggers: &[String],
) -> Result<(), Failure> {
    for trigger in triggers {
        let source = Source::new(format!("ONBUILD of {base}"), trigger);
        let instruction = steprun_dockerfile::parse_instruction(&source)
            .map_err(|errors| diagnose::first(&job.host, &source, errors))?;
        if let Kind::Arg(args) = &instruction.kind {
            job.declared.borrow_mut().extend(args.iter().map(|arg| arg.name.raw.clone()));
        }
        let text = Text { source: &source, escape: '\\' };
        let step = Step { job, stage: index, stages, text, trigger: true };
        perform(&step, stage, &instruction).await?;
    }
    Ok(())
}

async fn perform<H: Host + 'static>(
    step: &Step<'_, H>,
    stage: &mut Stage<H>,
    instruction: &Instruction,
) -> Result<(), Failure> {
    let task = step.works(instruction).then(|| step.job.host.task(&step.label(instruction)));
    let note = step.perform(stage, instruction).await?;
    if let Some(task) = task {
        task.finish(note);
    }
    Ok(())
}

impl<H: Host + 'static> Stage<H> {
    fn scratch(job: &Job<H>) -> Self {
        let config = Config::scratch(&job.platforms.target);
        Self::new(config, Rc::default(), known(job.host.scratch()))
    }

    fn of_image(image: &crate::image::Image<H>) -> Self {
        Self::new(image.config.clone(), Rc::new(image.layers.clone()), image.files.clone())
    }

    fn new(config: Config, base: Rc<Vec<Layer<H::Blob>>>, files: Once<H::Snapshot>) -> Self {
        Self {
            scope: Scope::of_environment(&config.container().env),
            newest: config.created(),
            config,
            base,
            steps: Vec::new(),
            files,
            own_command: false,
            triggers: Vec::new(),
        }
    }

    fn child(parent: &Self) -> Self {
        Self { own_command: false, triggers: Vec::new(), ..parent.clone() }
    }

    /// Takes a changed file system in, with its history; without one the instruction changed nothing.
    pub(crate) fn change(&mut self, created_by: String, changed: Option<(H::Snapshot, Timestamp)>) {
        match changed {
            Some((snapshot, newest)) => {
                self.newest = self.newest.max(Some(newest));
                self.layer(created_by, snapshot);
            }
            None => {
                self.config.record(created_by, false);
            }
        }
    }

    /// Takes in a file system that may have changed, with its history. What a RUN wrote doesn't make the stage newer: its files have the
    /// time of day, and that must not become the image's.
    pub(crate) fn layer(&mut self, created_by: String, snapshot: H::Snapshot) {
        let entry = self.config.record(created_by, true);
        self.files = known(snapshot.clone());
        self.steps.push(Rc::new(LayerStep { snapshot, entry }));
    }
}
