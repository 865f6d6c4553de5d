//! Everything that can be known before a registry is asked.

use std::rc::Rc;

use steprun_dockerfile::{Dockerfile, Source};
use steprun_image::Platform;
use steprun_ports::{Failure, Host, Level};

use crate::arguments::Arguments;
use crate::contexts::Contexts;
use crate::copy::{self, Context};
use crate::ignore::Ignore;
use crate::image::{Images, once};
use crate::job::Job;
use crate::scope::{Globals, Platforms, Text};
use crate::{diagnose, platform, publish};

/// One job a platform, in the order given; all share the Dockerfile, the contexts and the images.
///
/// # Errors
/// Global ARGs and ignore files that make no sense.
pub(crate) async fn jobs<H: Host + 'static>(
    host: &H,
    arguments: &Arguments<H>,
    source: Source,
    dockerfile: Dockerfile,
    ignore: Option<&Source>,
) -> Result<Vec<Rc<Job<H>>>, Failure> {
    note(host, &source, &dockerfile);
    let build = platform::parse(&host.host_platform())?;
    let context = Rc::new(Context { directory: arguments.context.clone(), ignore: Ignore::new(host, ignore)? });
    let context_files = once(copy::whole(host.clone(), context.clone(), Default::default()));
    let contexts = Rc::new(Contexts::read(host, arguments.clock, &arguments.named_contexts).await?);
    let (source, dockerfile) = (Rc::new(source), Rc::new(dockerfile));
    let (images, declared) = (Rc::new(Images::new(host.clone())), Rc::default());

    let repositories = Rc::new(publish::repositories(&arguments.outputs));
    let targets: Vec<Platform> = match arguments.platforms.as_slice() {
        [] => vec![build.clone()],
        platforms => platforms.to_vec(),
    };
    let job = |(number, target): (usize, Platform)| {
        let platforms = Platforms { build: build.clone(), target };
        Ok(Rc::new(Job {
            host: host.clone(),
            number,
            globals: globals(arguments, &source, &dockerfile, &platforms)?,
            platforms,
            source: source.clone(),
            dockerfile: dockerfile.clone(),
            context: context.clone(),
            context_files: context_files.clone(),
            contexts: contexts.clone(),
            secrets: arguments.secrets.clone(),
            agents: arguments.agents.clone(),
            clock: arguments.clock,
            images: images.clone(),
            repositories: repositories.clone(),
            declared: Rc::clone(&declared),
        }))
    };
    targets.into_iter().enumerate().map(job).collect()
}

fn globals<H: Host>(
    arguments: &Arguments<H>,
    source: &Source,
    dockerfile: &Dockerfile,
    platforms: &Platforms,
) -> Result<Globals, Failure> {
    let text = Text { source, escape: dockerfile.directives.escape };
    let last = || dockerfile.stages.last()?.name.clone();
    let target = arguments.target.clone().or_else(last).unwrap_or_else(|| "default".to_owned());
    Globals::new(text, dockerfile, &arguments.build_args, platforms, &target)
}

/// Doubtful things in the Dockerfile that no lint rule is about.
fn note<H: Host>(host: &H, source: &Source, dockerfile: &Dockerfile) {
    for warning in &dockerfile.warnings {
        diagnose::warn(host, source, warning.span, &warning.to_string());
    }
    if let Some(syntax) = &dockerfile.directives.syntax {
        let message = format!("`# syntax={syntax}` has no effect: the Dockerfile language is built in");
        host.log_at(Level::Debug, &diagnose::position(source, syntax.span), &message);
    }
}
