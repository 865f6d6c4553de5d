//! Instructions whose result may be there already.

use std::future::Future;
use std::rc::Rc;

use steprun_dockerfile::instruction::Instruction;
use steprun_ports::{Failure, Host, Timestamp};

use crate::cache::{self, Content, Inputs, Key, Record, Slot};
use crate::image::once;
use crate::instruction::Step;
use crate::layer::LayerStep;
use crate::stage::Stage;

/// What progress says of an instruction that was not carried out.
const CACHED: &str = "cached";

/// A changed file system and the time of its newest entry; none if nothing changed.
pub(crate) type Changed<H> = Option<(<H as Host>::Snapshot, Timestamp)>;

impl<H: Host + 'static> Step<'_, H> {
    /// Takes the result of an instruction that copies or makes files from the cache, or carries it out by `place`. One that is known to succeed, but
    /// whose files are no longer there, is carried out when somebody needs them.
    ///
    /// # Errors
    /// Those of `place`.
    pub(crate) async fn settle(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        inputs: &Inputs,
        created_by: String,
        place: impl Future<Output = Result<Changed<H>, Failure>> + 'static,
    ) -> Result<&'static str, Failure> {
        let (key, in_image) = (inputs.key(), self.stages.in_image(self.stage));
        let record = self.recall(instruction, inputs, &key, false).await;
        stage.key = key.clone();
        if self.stages.note(self.place(), record.is_some()) {
            return Ok("");
        }
        let Some(Record { content, newest }) = record else {
            let changed = place.await?;
            let newest = changed.as_ref().map(|(_, newest)| *newest);
            stage.change(self.job, created_by, changed, in_image);
            self.remember_change(stage, key, newest, in_image).await;
            return Ok(if newest.is_some() { "" } else { "nothing changed" });
        };
        stage.newest = stage.newest.max(newest);
        match content {
            Content::Unchanged => stage.unchanged(created_by),
            Content::Layer(layer) => {
                stage.cached(self.job, created_by, layer);
                self.push_early(stage, in_image);
            }
            Content::Repeatable => {
                let before = stage.files.clone();
                let files = once(async move {
                    match place.await? {
                        Some((files, _)) => Ok(files),
                        None => before.await,
                    }
                });
                stage.layer(self.job, created_by, files, in_image);
                self.remember_change(stage, key, newest, in_image).await;
            }
        }
        Ok(CACHED)
    }

    /// Takes the result of a command from the cache, if it is there. The stage has the key of the result from now on.
    pub(crate) async fn recall_command(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        inputs: &Inputs,
        created_by: &str,
    ) -> Option<&'static str> {
        let key = inputs.key();
        let record = self.recall(instruction, inputs, &key, true).await;
        stage.key = key;
        if self.stages.note(self.place(), record.is_some()) {
            return Some("");
        }
        let record = record?;
        match record.content {
            Content::Unchanged => stage.unchanged(created_by.to_owned()),
            Content::Layer(layer) => {
                stage.cached(self.job, created_by.to_owned(), layer);
                self.push_early(stage, self.stages.in_image(self.stage));
            }
            // Done again, a command may well give something else.
            Content::Repeatable => return None,
        }
        Some(CACHED)
    }

    /// Where the instruction stands in the Dockerfile; triggers stand elsewhere.
    fn place(&self) -> Option<(usize, usize, usize)> {
        (!self.trigger).then_some((self.job.number, self.stage, self.number))
    }

    async fn recall(
        &self,
        instruction: &Instruction,
        inputs: &Inputs,
        key: &Key,
        is_command: bool,
    ) -> Option<Record<H::Blob>> {
        let cache = &self.stages.cache;
        let record = cache.recall(key, is_command).await;
        if record.is_none() && !self.stages.only_looks() {
            let names = [self.source.name.clone(), self.stages.label(self.job, self.stage)];
            cache.missed(&Slot::new(names, self.number), &self.label(instruction), inputs).await;
        }
        record
    }

    /// Remembers what the last instruction made: its layer if the image has one of it, else that it can be done.
    async fn remember_change(&self, stage: &Stage<H>, key: Key, newest: Option<Timestamp>, in_image: bool) {
        match (stage.steps.last(), newest) {
            (Some(step), Some(_)) if in_image => self.remember_layer(step, key, newest, true),
            (_, Some(_)) => self.stages.cache.remember(&key, cache::repeatable(newest)).await,
            (_, None) => self.stages.cache.remember(&key, Record { content: Content::Unchanged, newest }).await,
        }
    }

    /// Remembers the layer of an instruction as soon as it is packed, beside the instructions that follow.
    pub(crate) fn remember_layer(&self, step: &Rc<LayerStep<H>>, key: Key, newest: Option<Timestamp>, in_image: bool) {
        let (step, cache) = (step.clone(), self.stages.cache.clone());
        self.stages.later(async move {
            // Packed for its own sake only where nobody will want it compressed.
            let layer = if in_image || cache.exports() { step.packed.clone() } else { step.plain.clone() }.await?;
            cache.remember(&key, Record { content: layer.map_or(Content::Unchanged, Content::Layer), newest }).await;
            if in_image {
                step.pushed.clone().await?;
            }
            Ok(())
        });
    }

    fn push_early(&self, stage: &Stage<H>, in_image: bool) {
        if let Some(step) = stage.steps.last().filter(|_| in_image).cloned() {
            self.stages.later(async move { step.pushed.clone().await.map(drop) });
        }
    }
}
