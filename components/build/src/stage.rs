//! One stage: from its base through its instructions to a file system and a config.

use std::rc::Rc;

use steprun_dockerfile::Source;
use steprun_dockerfile::instruction::{Instruction, Kind};
use steprun_ports::{Failure, Host, Layer, Task, Timestamp};

use crate::cache::Key;
use crate::config::Config;
use crate::image::{Image, Once, known, once};
use crate::instruction::Step;
use crate::job::Job;
use crate::layer::LayerStep;
use crate::plan::{self, Base};
use crate::scope::Scope;
use crate::stages::Stages;
use crate::{contexts, diagnose};

/// A stage, finished or up to some instruction.
pub(crate) struct Stage<H: Host> {
    pub(crate) config: Config,
    pub(crate) scope: Scope,
    /// Layers of the image at the bottom.
    pub(crate) base: Rc<Vec<Layer<H::Blob>>>,
    /// Layers of this build, its parents' first.
    pub(crate) steps: Vec<Rc<LayerStep<H>>>,
    pub(crate) files: Once<H::Snapshot>,
    /// Of the files: known before they are.
    pub(crate) key: Key,
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
            key: self.key.clone(),
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
    let base = plan::base(job.input(), index)?;
    let Beginning { mut stage, triggers, name } = begin(job, index, &base, stages).await?;
    if plan::replaced(job.input(), index).is_some() {
        stage.triggers = triggers;
        return Ok(stage);
    }
    stage.config.container_mut().on_build.clear();
    run_triggers(job, &mut stage, index, stages, &name, &triggers).await?;
    for (number, instruction) in plan::instructions(job.input(), index).iter().enumerate() {
        let (source, escape) = (job.source.clone(), job.text().escape);
        let step = Step { job, stage: index, stages, source, escape, trigger: false, number };
        perform(&step, &mut stage, instruction).await?;
    }
    Ok(stage)
}

/// A stage before its first instruction.
struct Beginning<H: Host> {
    stage: Stage<H>,
    /// ONBUILD of its base.
    triggers: Vec<String>,
    /// What messages call its base.
    name: String,
}

async fn begin<H: Host + 'static>(
    job: &Rc<Job<H>>,
    index: usize,
    base: &Base,
    stages: &Stages<H>,
) -> Result<Beginning<H>, Failure> {
    if let Some(base) = job.base_image(index, base).await? {
        let triggers = base.image.config.container().on_build.clone();
        return Ok(Beginning { stage: Stage::of_image(&base.image), triggers, name: base.name });
    }
    if let Base::Stage(parent) = *base {
        let stage = stages.get(job.number, parent).await;
        let triggers = stage.triggers.clone();
        return Ok(Beginning { stage: Stage::child(&stage), triggers, name: job.stage_name(parent) });
    }
    let mut stage = Stage::scratch(job);
    let mut name = "scratch";
    if let Base::Context { context, .. } = *base {
        let source;
        (name, source) = job.contexts.get(context);
        if let contexts::Source::Directory { context, files } = source {
            let span = job.dockerfile.stages[index].from.image.span;
            let place = |failure| diagnose::at(&job.source, span, failure);
            let (files, newest) = files.clone().await.map_err(place)?;
            stage.key = context.key().await.map_err(place)?;
            let changed = newest.map(|newest| (files, newest));
            stage.change(job, format!("FROM {name} # named context"), changed, stages.in_image(index));
        }
    }
    Ok(Beginning { stage, triggers: Vec::new(), name: name.to_owned() })
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
    for (number, trigger) in triggers.iter().enumerate() {
        let source = Rc::new(Source::new(format!("ONBUILD of {base}"), trigger));
        let instruction = steprun_dockerfile::parse_instruction(&source)
            .map_err(|errors| diagnose::first(&job.host, &source, errors))?;
        if let Kind::Arg(args) = &instruction.kind {
            job.declared.borrow_mut().extend(args.iter().map(|arg| arg.name.raw.clone()));
        }
        let step = Step { job, stage: index, stages, source, escape: '\\', trigger: true, number };
        perform(&step, stage, &instruction).await?;
    }
    Ok(())
}

async fn perform<H: Host + 'static>(
    step: &Step<'_, H>,
    stage: &mut Stage<H>,
    instruction: &Instruction,
) -> Result<(), Failure> {
    let shown = step.works(instruction) && !step.stages.only_looks();
    let task = shown.then(|| step.job.host.task(&step.label(instruction)));
    let note = step.perform(stage, instruction).await?;
    if let Some(task) = task {
        task.finish(note);
    }
    Ok(())
}

impl<H: Host + 'static> Stage<H> {
    fn scratch(job: &Job<H>) -> Self {
        let config = Config::scratch(&job.platforms.target);
        Self::new(config, Rc::default(), known(job.host.scratch()), Key::of("scratch", []))
    }

    fn of_image(image: &Image<H>) -> Self {
        Self::new(image.config.clone(), Rc::new(image.layers.clone()), image.files.clone(), image.key())
    }

    fn new(config: Config, base: Rc<Vec<Layer<H::Blob>>>, files: Once<H::Snapshot>, key: Key) -> Self {
        Self {
            scope: Scope::of_environment(&config.container().env),
            newest: config.created(),
            config,
            base,
            steps: Vec::new(),
            files,
            key,
            own_command: false,
            triggers: Vec::new(),
        }
    }

    fn child(parent: &Self) -> Self {
        Self { own_command: false, triggers: Vec::new(), ..parent.clone() }
    }

    /// Takes a changed file system in, with its history; without one the instruction changed nothing.
    pub(crate) fn change(
        &mut self,
        job: &Rc<Job<H>>,
        created_by: String,
        changed: Option<(H::Snapshot, Timestamp)>,
        in_image: bool,
    ) {
        match changed {
            Some((snapshot, newest)) => {
                self.newest = self.newest.max(Some(newest));
                self.layer(job, created_by, known(snapshot), in_image);
            }
            None => self.unchanged(created_by),
        }
    }

    /// Takes an instruction in that changed nothing.
    pub(crate) fn unchanged(&mut self, created_by: String) {
        self.config.record(created_by, false);
    }

    /// Takes in a file system that may have changed, with its history. What a RUN wrote doesn't make the stage newer: its files have the
    /// time of day, and that must not become the image's.
    pub(crate) fn layer(&mut self, job: &Rc<Job<H>>, created_by: String, files: Once<H::Snapshot>, in_image: bool) {
        let entry = self.config.record(created_by, true);
        self.steps.push(Rc::new(LayerStep::made(job, entry, files.clone(), in_image)));
        self.files = files;
    }

    /// Takes in the layer of an earlier build. Nobody looks into it before a later instruction needs the files.
    pub(crate) fn cached(&mut self, job: &Rc<Job<H>>, created_by: String, layer: Layer<H::Blob>) {
        let entry = self.config.record(created_by, true);
        self.steps.push(Rc::new(LayerStep::cached(job, entry, layer)));
        let (host, base, steps) = (job.host.clone(), self.base.clone(), self.steps.clone());
        self.files = once(async move {
            let mut layers = base.to_vec();
            for step in &steps {
                layers.extend(step.plain.clone().await?);
            }
            let opened = host.from_layers(&layers).await;
            opened.map_err(|error| Failure::because("could not open the layers of the cache", error))
        });
    }
}
