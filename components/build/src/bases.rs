//! The images that the stages of a plan take from, resolved before anything is built.

use std::collections::BTreeMap;

use steprun_dockerfile::Span;
use steprun_ports::{Failure, Host, concurrently};

use crate::contexts;
use crate::diagnose;
use crate::job::{BaseImage, Job};
use crate::plan::{self, From, Plan};

/// Images that are asked for at the same time.
const AT_ONCE: usize = 8;

/// What was found. Of each image manifest and config are read, and no layer.
pub(crate) struct Bases<H: Host> {
    /// By index of the stage that begins with it.
    stages: BTreeMap<usize, (Span, BaseImage<H>)>,
    /// Those that COPY and mounts take files from, with the place of their names.
    taken: Vec<(Span, BaseImage<H>)>,
    /// Why others can't be had, in the order of the text.
    pub(crate) missing: Vec<Failure>,
}

/// Where an image is named.
enum Named {
    By(usize),
    In(Span, From),
}

impl<H: Host + 'static> Bases<H> {
    /// Asks for all images of a plan. The build gets the same answers.
    pub(crate) async fn find(job: &Job<H>, plan: &Plan) -> Self {
        let mut wanted = Vec::new();
        for &index in &plan.stages {
            wanted.push(Named::By(index));
            for instruction in plan::instructions(job.input(), index) {
                for (taker, word) in plan::sources(&instruction.kind) {
                    let source = plan::source(job.input(), index, word, taker);
                    wanted.extend(source.into_iter().map(|source| Named::In(word.span, source)));
                }
            }
        }
        let mut bases = Self { stages: BTreeMap::new(), taken: Vec::new(), missing: Vec::new() };
        // A failure of one must not hide what the others say.
        let look = |named| async { Ok::<_, Failure>(image_of(job, named).await) };
        let found = concurrently(AT_ONCE, wanted, look).await.unwrap_or_default();
        for found in found {
            match found {
                Ok(Some((Some(index), span, base))) => drop(bases.stages.insert(index, (span, base))),
                Ok(Some((None, span, base))) => bases.taken.push((span, base)),
                Ok(None) => {}
                Err(failure) => bases.missing.push(failure),
            }
        }
        bases
    }

    /// The image that a stage begins with.
    pub(crate) fn of_stage(&self, index: usize) -> Option<&BaseImage<H>> {
        self.stages.get(&index).map(|(_, base)| base)
    }

    /// All images, with the places of their names.
    pub(crate) fn images(&self) -> impl Iterator<Item = (Span, &BaseImage<H>)> {
        self.stages.values().chain(&self.taken).map(|(span, base)| (*span, base))
    }
}

/// The stage, place and image of a name; none if it names something else.
type Found<H> = Option<(Option<usize>, Span, BaseImage<H>)>;

async fn image_of<H: Host + 'static>(job: &Job<H>, named: Named) -> Result<Found<H>, Failure> {
    let (span, source) = match named {
        Named::By(index) => {
            let span = job.dockerfile.stages[index].from.image.span;
            let base = job.base_image(index, &plan::base(job.input(), index)?).await?;
            return Ok(base.map(|base| (Some(index), span, base)));
        }
        Named::In(span, source) => (span, source),
    };
    let platform = &job.platforms.target;
    let (name, image) = match &source {
        From::Scratch | From::Stage(_) => return Ok(None),
        From::Image(name) => (name.as_str(), job.images.get(name, platform)),
        From::Context(context) => match job.contexts.get(*context) {
            (_, contexts::Source::Directory { .. } | contexts::Source::Nothing) => return Ok(None),
            (name, contexts::Source::Image(image)) => (name, job.images.granted(image, platform)),
        },
    };
    let image = image.await.map_err(|failure| diagnose::at(&job.source, span, failure))?;
    Ok(Some((None, span, BaseImage { name: name.to_owned(), platform: platform.clone(), image })))
}
