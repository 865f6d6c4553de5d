//! What a build for one platform works with.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use steprun_dockerfile::{Dockerfile, Source};
use steprun_image::Platform;
use steprun_ports::{Failure, FailureKind, Host};

use crate::clock::Clock;
use crate::contexts::{self, Contexts, Files};
use crate::copy::Context;
use crate::image::{Image, Images};
use crate::plan::{self, Base, Input};
use crate::scope::{Globals, Platforms, Text};
use crate::{diagnose, platform};

/// What all stages of a build for one platform share. What is counted by references is shared by all platforms.
pub(crate) struct Job<H: Host> {
    pub(crate) host: H,
    /// Its place among the jobs of a build, one a platform.
    pub(crate) number: usize,
    pub(crate) source: Rc<Source>,
    pub(crate) dockerfile: Rc<Dockerfile>,
    pub(crate) globals: Globals,
    pub(crate) platforms: Platforms,
    pub(crate) context: Rc<Context<H>>,
    /// The context's files as a file system, for mounts.
    pub(crate) context_files: Files<H>,
    pub(crate) contexts: Rc<Contexts<H>>,
    pub(crate) secrets: Vec<H::Secret>,
    pub(crate) agents: Vec<H::Agent>,
    pub(crate) clock: Clock,
    pub(crate) images: Rc<Images<H>>,
    /// Where the image is pushed to.
    pub(crate) repositories: Rc<Vec<H::Repository>>,
    /// ARGs that ONBUILD triggers declared.
    pub(crate) declared: Rc<RefCell<BTreeSet<String>>>,
}

impl<H: Host> Job<H> {
    pub(crate) fn text(&self) -> Text<'_> {
        Text { source: &self.source, escape: self.dockerfile.directives.escape }
    }

    /// The name of a stage, or one made of its index.
    pub(crate) fn stage_name(&self, index: usize) -> String {
        let name = self.dockerfile.stages[index].name.as_deref();
        name.map_or_else(|| format!("stage-{index}"), str::to_owned)
    }
}

impl<H: Host + 'static> Job<H> {
    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            text: self.text(),
            dockerfile: &self.dockerfile,
            globals: &self.globals,
            contexts: self.contexts.names(),
        }
    }

    /// The platform of a FROM: that of `--platform`, or the one that is built for.
    ///
    /// # Errors
    /// A platform that is none, with its place.
    pub(crate) fn platform(&self, index: usize, written: Option<&str>) -> Result<Platform, Failure> {
        let Some(written) = written else { return Ok(self.platforms.target.clone()) };
        let from = &self.dockerfile.stages[index].from;
        let span = from.platform.as_ref().map_or(from.span, |word| word.span);
        platform::parse(written).map_err(|mut failure| {
            // A platform in a Dockerfile is no argument, so its failure is no usage error.
            failure.kind = FailureKind::Failed;
            diagnose::at(&self.source, span, failure)
        })
    }

    /// The image that a stage begins with; none if its base is something else.
    ///
    /// # Errors
    /// A platform that is none; an image that can't be had, with the place of its name.
    pub(crate) async fn base_image(&self, index: usize, base: &Base) -> Result<Option<BaseImage<H>>, Failure> {
        let span = self.dockerfile.stages[index].from.image.span;
        let place = |failure| diagnose::at(&self.source, span, failure);
        match base {
            Base::Image { name, platform } => {
                let platform = self.platform(index, platform.as_deref())?;
                let image = self.images.get(name, &platform).await;
                let image = image.map_err(|failure| place(plan::or_stage(self.input(), index, name, failure)))?;
                Ok(Some(BaseImage { name: name.clone(), platform, image }))
            }
            Base::Context { context, platform } => match self.contexts.get(*context) {
                (name, contexts::Source::Image(image)) => {
                    let platform = self.platform(index, platform.as_deref())?;
                    let image = self.images.granted(image, &platform).await.map_err(place)?;
                    Ok(Some(BaseImage { name: name.to_owned(), platform, image }))
                }
                (_, contexts::Source::Directory { .. } | contexts::Source::Nothing) => Ok(None),
            },
            Base::Scratch | Base::Stage(_) => Ok(None),
        }
    }
}

/// An image that a stage begins with.
pub(crate) struct BaseImage<H: Host> {
    /// As FROM or the named context has it.
    pub(crate) name: String,
    /// The platform that was asked for.
    pub(crate) platform: Platform,
    pub(crate) image: Rc<Image<H>>,
}
