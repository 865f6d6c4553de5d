//! The whole of a build.

use std::rc::Rc;

use steprun_ports::{Failure, Host, Level};

use crate::arguments::Arguments;
use crate::assemble::assemble;
use crate::copy::{self, Context};
use crate::ignore::Ignore;
use crate::image::{Images, once};
use crate::load::{Loaded, load};
use crate::plan::Plan;
use crate::platform;
use crate::scope::{Globals, Platforms, Text, unused_build_args};
use crate::stage::{Job, Stage};
use crate::stages::Stages;
use crate::{diagnose, plan, publish};

/// Builds what the command line asks for.
///
/// # Errors
/// Usage failures for arguments that make no sense together; else failures with the place in the Dockerfile where there is one.
pub async fn run<H: Host + 'static>(host: &H) -> Result<(), Failure> {
    let arguments = Arguments::read(host)?;
    let (job, plan) = prepare(host, &arguments).await?;
    let repositories = publish::repositories(&arguments.outputs);
    if arguments.check_push {
        publish::check_push(host, &repositories).await?;
    }

    let stages = Stages::new(job.clone());
    stages.build(&plan.stages).await?;
    let stage = stages.get(plan.target).await;
    warn_unused(&job, &arguments);

    let stage = finish(&job, &stage, &arguments);
    let created = arguments.clock.created(stage.newest);
    let image = assemble(host, &stage, created, &arguments.annotations, &repositories).await?;
    publish::publish(host, &arguments.outputs, &image).await
}

/// Everything that can be known before a registry is asked.
async fn prepare<H: Host + 'static>(host: &H, arguments: &Arguments<H>) -> Result<(Rc<Job<H>>, Plan), Failure> {
    let Loaded { dockerfile: source, ignore } = load(&arguments.context, arguments.dockerfile.as_ref()).await?;
    let dockerfile = steprun_dockerfile::parse(&source).map_err(|errors| diagnose::first(host, &source, errors))?;
    for warning in &dockerfile.warnings {
        diagnose::warn(host, &source, warning.span, &warning.to_string());
    }
    if let Some(syntax) = &dockerfile.directives.syntax {
        let message = format!("`# syntax={syntax}` has no effect: the Dockerfile language is built in");
        host.log_at(Level::Debug, &diagnose::position(&source, syntax.span), &message);
    }
    let text = Text { source: &source, escape: dockerfile.directives.escape };
    let build = platform::parse(&host.host_platform())?;
    let target = match &arguments.platform {
        Some(platform) => platform::parse(platform)?,
        None => build.clone(),
    };
    let platforms = Platforms { build, target };
    let target_name = arguments.target.clone().or_else(|| dockerfile.stages.last()?.name.clone());
    let target_name = target_name.unwrap_or_else(|| "default".to_owned());
    let globals = Globals::new(text, &dockerfile, &arguments.build_args, &platforms, &target_name)?;
    let plan = plan::plan(text, &dockerfile, &globals, arguments.target.as_deref())?;
    let context = Context { directory: arguments.context.clone(), ignore: Ignore::new(host, ignore.as_ref())? };
    let context = Rc::new(context);
    let job = Job {
        host: host.clone(),
        globals,
        platforms,
        context_files: once(copy::whole(host.clone(), context.clone())),
        context,
        secrets: arguments.secrets.clone(),
        agents: arguments.agents.clone(),
        clock: arguments.clock,
        images: Images::new(host.clone()),
        declared: Default::default(),
        source,
        dockerfile,
    };
    Ok((Rc::new(job), plan))
}

fn warn_unused<H: Host>(job: &Job<H>, arguments: &Arguments<H>) {
    for message in unused_build_args(&job.dockerfile, &job.declared.borrow(), &arguments.build_args) {
        job.host.log(Level::Warning, &message);
    }
}

/// The target with what the command line adds.
fn finish<H: Host + 'static>(job: &Job<H>, stage: &Stage<H>, arguments: &Arguments<H>) -> Stage<H> {
    let mut stage = stage.clone();
    for (name, value) in &arguments.labels {
        stage.config.container_mut().labels.insert(name.clone(), value.clone());
    }
    if arguments.platform.is_some() {
        stage.config.set_platform(&job.platforms.target);
    }
    stage
}
