//! The whole of a build.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use steprun_ports::{Commit, Directory, Failure, Host, Level, concurrently};

use crate::arguments::Arguments;
use crate::assemble::{Image, assemble};
use crate::bases::Bases;
use crate::cache::Cache;
use crate::findings::findings;
use crate::job::Job;
use crate::load::{Loaded, load};
use crate::mode::Mode;
use crate::plan::{self, Plan};
use crate::product::Product;
use crate::scope::unused_build_args;
use crate::shared::shared;
use crate::stage::Stage;
use crate::stages::Stages;
use crate::{check, diagnose, prepare, preview, publish};

/// Images that are assembled at the same time. Each has several layers under way.
const IMAGES_AT_ONCE: usize = 2;

/// Does what the command line asks for.
///
/// # Errors
/// Usage failures for arguments that make no sense together; else failures with the place in the Dockerfile where there is one.
pub async fn run<H: Host + 'static>(host: &H) -> Result<(), Failure> {
    let arguments = Arguments::read(host).await?;
    let Loaded { dockerfile: source, ignore } = load(&arguments.context, arguments.dockerfile.as_ref()).await?;
    let dockerfile = match (steprun_dockerfile::parse(&source), arguments.mode) {
        (Ok(dockerfile), _) => dockerfile,
        (Err(errors), Mode::Check(format)) => return check::malformed(host, format, &source, errors).await,
        (Err(errors), _) => return Err(diagnose::first(host, &source, errors)),
    };
    let jobs = prepare::jobs(host, &arguments, source, dockerfile, ignore.as_ref()).await?;
    match arguments.mode {
        Mode::Build => build(host, &arguments, jobs).await,
        Mode::Check(format) => check::check(&jobs, arguments.target.as_deref(), format).await,
        Mode::Plan(format) => preview::print(host, &arguments, &jobs, format).await,
    }
}

async fn build<H: Host + 'static>(host: &H, arguments: &Arguments<H>, jobs: Vec<Rc<Job<H>>>) -> Result<(), Failure> {
    let target = arguments.target.as_deref();
    let plans = jobs.iter().map(|job| plan::plan(job.input(), target)).collect::<Result<Vec<_>, _>>()?;
    let repositories = jobs.first().map(|job| job.repositories.clone()).unwrap_or_default();
    if arguments.check_push {
        publish::check_push(host, &repositories).await?;
    }
    let bases = look(&jobs, &plans).await?;

    let Some((first, plan)) = jobs.first().zip(plans.first()) else { return Ok(()) };
    let in_image = plan::chain(first.input(), plan.target)?;
    let cache = Rc::new(Cache::of(host, arguments, &first.source.name).await);
    let stages = Stages::new(jobs.clone(), shared(&jobs, &bases), in_image, cache.clone());
    let built = stages.build(&plans.iter().map(|plan| plan.stages.clone()).collect::<Vec<_>>()).await;
    if built.is_err() {
        cache.export().await;
    }
    built?;
    jobs.iter().take(1).for_each(|job| warn_unused(job, &plans, arguments));

    let commit = &commit(arguments).await?;
    let image = |(job, plan): (&Rc<Job<H>>, &Plan)| {
        let (job, stage, repositories) = (job.clone(), stages.get(job.number, plan.target), &repositories);
        async move {
            let stage = finish(&job, &*stage.await, arguments);
            let created = arguments.clock.created(stage.newest);
            assemble(host, &stage, created, &annotations(arguments, &stage, commit), repositories).await
        }
    };
    let images: Vec<Image<H>> = concurrently(IMAGES_AT_ONCE, jobs.iter().zip(&plans), image).await?;
    let product = Product::new(host, images, &arguments.annotations).await?;
    publish::publish(host, &arguments.outputs, &product).await?;
    cache.export().await;
    Ok(())
}

/// Resolves images and says what breaks lint rules, before anything is built. Why an image can't be had is said by the stage that needs it.
async fn look<H: Host + 'static>(jobs: &[Rc<Job<H>>], plans: &[Plan]) -> Result<Vec<Bases<H>>, Failure> {
    let (mut all, mut found) = (Vec::new(), Vec::new());
    for (job, plan) in jobs.iter().zip(plans) {
        let bases = Bases::find(job, plan).await;
        found.extend(findings(job, plan, &bases).await);
        all.push(bases);
    }
    if let Some(job) = jobs.first() {
        check::warn(job, &steprun_dockerfile::lint::keep(&job.dockerfile, found))?;
    }
    Ok(all)
}

/// What the context was checked out of, where it is a commit.
async fn commit<H: Host>(arguments: &Arguments<H>) -> Result<Option<Commit>, Failure> {
    let commit = arguments.context.commit().await;
    commit.map_err(|error| Failure::because("could not look at the context", error))
}

/// Annotations of an image: those of the command line; where it has no others of their names, those that say which commit the context is
/// (image-spec, "Pre-Defined Annotation Keys").
fn annotations<H: Host>(
    arguments: &Arguments<H>,
    stage: &Stage<H>,
    commit: &Option<Commit>,
) -> BTreeMap<String, String> {
    let mut annotations = arguments.annotations.of_manifest(stage.config.platform());
    if let Some(Commit { repository, id, .. }) = commit {
        annotations.entry("org.opencontainers.image.source".to_owned()).or_insert_with(|| repository.clone());
        annotations.entry("org.opencontainers.image.revision".to_owned()).or_insert_with(|| id.clone());
    }
    annotations
}

/// Arguments that change nothing, said once for all platforms.
fn warn_unused<H: Host + 'static>(job: &Job<H>, plans: &[Plan], arguments: &Arguments<H>) {
    for message in unused_build_args(&job.dockerfile, &job.declared.borrow(), &arguments.build_args) {
        job.host.log(Level::Warning, &message);
    }
    let used: BTreeSet<usize> = plans.iter().flat_map(|plan| plan::contexts(job.input(), plan)).collect();
    let names = job.contexts.names().iter().enumerate();
    for (_, name) in names.filter(|(index, _)| !used.contains(index)) {
        let stages = &job.dockerfile.stages;
        let called = stages.iter().flat_map(|stage| [Some(stage.from.image.raw.as_str()), stage.name.as_deref()]);
        let near = steprun_dockerfile::suggest::nearest(name, called.flatten());
        let meant = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        job.host.log(Level::Warning, &format!("no stage that is built uses the named context `{name}`{meant}"));
    }
}

/// The target with what the command line adds.
fn finish<H: Host + 'static>(job: &Job<H>, stage: &Stage<H>, arguments: &Arguments<H>) -> Stage<H> {
    let mut stage = stage.clone();
    for (name, value) in &arguments.labels {
        stage.config.container_mut().labels.insert(name.clone(), value.clone());
    }
    if !arguments.platforms.is_empty() {
        stage.config.set_platform(&job.platforms.target);
    }
    stage
}
