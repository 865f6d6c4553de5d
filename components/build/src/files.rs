//! What instructions take files from: the context, stages, named contexts and images.

use steprun_dockerfile::Word;
use steprun_dockerfile::instruction::Copy;
use steprun_ports::{Failure, Host};

use crate::cache::Key;
use crate::copy::Producer;
use crate::image::{Once, known, once};
use crate::instruction::Step;
use crate::plan::{self, From, Input, Taker};
use crate::{contexts, diagnose};

impl<H: Host + 'static> Step<'_, H> {
    /// Where COPY and ADD take files.
    ///
    /// # Errors
    /// Those of [`Step::producer`].
    pub(crate) async fn origin(&self, copy: &Copy) -> Result<Producer<H>, Failure> {
        match &copy.from {
            Some(word) => self.producer(word, Taker::Copy).await,
            None => Ok(self.context()),
        }
    }

    /// The build context.
    pub(crate) fn context(&self) -> Producer<H> {
        Producer::Context { context: self.job.context.clone(), files: self.job.context_files.clone() }
    }

    fn input(&self) -> Input<'_> {
        Input { text: self.text(), ..self.job.input() }
    }

    /// The stage, named context or image that an instruction names. Of a stage it waits for the instructions, not for the files.
    ///
    /// # Errors
    /// One that is not there or can't be had, with the place of its name.
    pub(crate) async fn producer(&self, word: &Word, taker: Taker) -> Result<Producer<H>, Failure> {
        let place = |failure| diagnose::at(&self.source, word.span, failure);
        let image = match plan::source(self.input(), self.stage, word, taker)? {
            From::Scratch => return Ok(self.nothing()),
            From::Stage(index) => {
                let stage = self.stages.get(self.job.number, index).await;
                return Ok(self.placed(word, stage.key.clone(), stage.files.clone()));
            }
            From::Context(context) => match self.job.contexts.get(context).1 {
                contexts::Source::Directory { context, files } => {
                    let (source, span, files) = (self.source.clone(), word.span, files.clone());
                    let files =
                        once(async move { files.await.map_err(|failure| diagnose::at(&source, span, failure)) });
                    return Ok(Producer::Context { context: context.clone(), files });
                }
                contexts::Source::Nothing => return Ok(self.nothing()),
                contexts::Source::Image(image) => {
                    self.job.images.granted(image, &self.job.platforms.target).await.map_err(place)?
                }
            },
            From::Image(name) => {
                let image = self.job.images.get(&name, &self.job.platforms.target).await;
                image.map_err(|failure| place(plan::or_stage(self.input(), self.stage, &name, failure)))?
            }
        };
        Ok(self.placed(word, image.key(), image.files.clone()))
    }

    fn nothing(&self) -> Producer<H> {
        Producer::Files { key: Key::of("scratch", []), files: known(self.job.host.scratch()) }
    }

    /// Files whose failures are told at the name that leads to them.
    fn placed(&self, word: &Word, key: Key, files: Once<H::Snapshot>) -> Producer<H> {
        let (source, span) = (self.source.clone(), word.span);
        let files = once(async move { files.await.map_err(|failure| diagnose::at(&source, span, failure)) });
        Producer::Files { key, files }
    }
}
