//! What instructions take files from: the context, stages, named contexts and images.

use steprun_dockerfile::Word;
use steprun_dockerfile::instruction::Copy;
use steprun_ports::{Failure, Host};

use crate::copy::Origin;
use crate::image::known;
use crate::instruction::Step;
use crate::plan::{self, From, Input, Taker};
use crate::{contexts, diagnose};

impl<H: Host + 'static> Step<'_, H> {
    /// Where COPY and ADD take files.
    ///
    /// # Errors
    /// Those of [`Step::files_of`].
    pub(crate) async fn origin(&self, copy: &Copy) -> Result<Origin<H>, Failure> {
        let Some(word) = &copy.from else {
            return Ok(Origin::Context(self.job.context.clone()));
        };
        // The files of a directory are named one by one, so that no more of it is looked at than is copied.
        let source = match plan::source(self.input(), self.stage, word, Taker::Copy)? {
            From::Context(context) => Some(self.job.contexts.get(context).1),
            _ => None,
        };
        match source {
            Some(contexts::Source::Directory { context, .. }) => Ok(Origin::Context(context.clone())),
            _ => self.files_of(word, Taker::Copy).await.map(|(_, origin)| origin),
        }
    }

    fn input(&self) -> Input<'_> {
        Input { text: self.text, ..self.job.input() }
    }

    /// The files of a stage, a named context or an image that an instruction names; as a file system, and as what messages say of them.
    ///
    /// # Errors
    /// One that is not there or can't be had, with the place of its name.
    pub(crate) async fn files_of(&self, word: &Word, taker: Taker) -> Result<(H::Snapshot, Origin<H>), Failure> {
        let place = |failure| diagnose::at(self.text.source, word.span, failure);
        let files = match plan::source(self.input(), self.stage, word, taker)? {
            From::Scratch => known(self.job.host.scratch()),
            From::Stage(index) => self.stages.get(self.job.number, index).await.files.clone(),
            From::Context(context) => match self.job.contexts.get(context).1 {
                contexts::Source::Directory { context, files } => {
                    let (files, _) = files.clone().await.map_err(place)?;
                    return Ok((files, Origin::Context(context.clone())));
                }
                contexts::Source::Nothing => known(self.job.host.scratch()),
                contexts::Source::Image(image) => {
                    let image = self.job.images.granted(image, &self.job.platforms.target).await;
                    image.map_err(place)?.files.clone()
                }
            },
            From::Image(name) => {
                let image = self.job.images.get(&name, &self.job.platforms.target).await;
                let meant = |failure| plan::or_stage(self.input(), self.stage, &name, failure);
                image.map_err(|failure| place(meant(failure)))?.files.clone()
            }
        };
        let files = files.await.map_err(place)?;
        Ok((files.clone(), Origin::Snapshot(files)))
    }
}
