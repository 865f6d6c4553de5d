//! Instructions whose result may be there already.

use std::future::Future;
use std::rc::Rc;

use steprun_dockerfile::instruction::Instruction;
use steprun_ports::{Failure, Host, Timestamp};

use crate::cache::{self, Content, Found, Inputs, Key, Record, Slot};
use crate::image::once;
use crate::instruction::Step;
use crate::layer::LayerStep;
use crate::stage::Stage;

/// What progress says of an instruction that was not carried out.
const CACHED: &str = "cached";
/// The same of a command where something before it has changed.
const CACHED_BY_READS: &str = "cached: it reads nothing that has changed";

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
        let record = self.recall(instruction, inputs, &key).await;
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
    ///
    /// # Errors
    /// Where the files before the command were needed, what went wrong with them.
    pub(crate) async fn recall_command(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        inputs: &Inputs,
        created_by: &str,
    ) -> Result<Option<&'static str>, Failure> {
        let key = inputs.key();
        let mut note = CACHED;
        let mut record = self.stages.cache.recall(&key, true).await;
        stage.key = key.clone();
        if self.stages.note(self.place(), record.is_some()) {
            return Ok(Some(""));
        }
        if record.is_none() {
            match self.recall_by_reads(stage, inputs).await? {
                Some(Found::Hit(found)) => {
                    note = CACHED_BY_READS;
                    self.stages.cache.remember(&key, found.clone()).await;
                    record = Some(found);
                }
                Some(Found::Differs(read)) => self.missed(instruction, inputs, Some(&read)).await,
                None => self.missed(instruction, inputs, None).await,
            }
        }
        let Some(record) = record else { return Ok(None) };
        match record.content {
            Content::Unchanged => stage.unchanged(created_by.to_owned()),
            Content::Layer(layer) => {
                stage.cached(self.job, created_by.to_owned(), layer);
                self.push_early(stage, self.stages.in_image(self.stage));
            }
            // Done again, a command may well give something else.
            Content::Repeatable => return Ok(None),
        }
        Ok(Some(note))
    }

    /// Looks for a command that saw what it would see now. The files before it are needed for that, if there is any.
    async fn recall_by_reads(&self, stage: &Stage<H>, inputs: &Inputs) -> Result<Option<Found<H::Blob>>, Failure> {
        let cache = &self.stages.cache;
        if !cache.by_reads() {
            return Ok(None);
        }
        let candidates = cache.candidates(&inputs.key_by_reads()).await;
        if candidates.is_empty() {
            return Ok(None);
        }
        let files = stage.files.clone().await?;
        Ok(cache.choose(candidates, &files).await)
    }

    /// Where the instruction stands in the Dockerfile; triggers stand elsewhere.
    fn place(&self) -> Option<(usize, usize, usize)> {
        (!self.trigger).then_some((self.job.number, self.stage, self.number))
    }

    async fn recall(&self, instruction: &Instruction, inputs: &Inputs, key: &Key) -> Option<Record<H::Blob>> {
        let record = self.stages.cache.recall(key, false).await;
        if record.is_none() && !self.stages.only_looks() {
            self.missed(instruction, inputs, None).await;
        }
        record
    }

    async fn missed(&self, instruction: &Instruction, inputs: &Inputs, read: Option<&str>) {
        let names = [self.source.name.clone(), self.stages.label(self.job, self.stage)];
        let slot = Slot::new(names, self.number);
        self.stages.cache.missed(&slot, &self.label(instruction), inputs, read).await;
    }

    /// Remembers what the last instruction made: its layer if the image has one of it, else that it can be done.
    async fn remember_change(&self, stage: &Stage<H>, key: Key, newest: Option<Timestamp>, in_image: bool) {
        match (stage.steps.last(), newest) {
            (Some(step), Some(_)) if in_image => self.remember_layer(step, key, newest, true, None),
            (_, Some(_)) => self.stages.cache.remember(&key, cache::repeatable(newest)).await,
            (_, None) => self.stages.cache.remember(&key, Record { content: Content::Unchanged, newest }).await,
        }
    }

    /// Remembers the layer of an instruction as soon as it is packed, beside the instructions that follow. Of a command it may be known what it `read`: that
    /// is kept under a key of its own.
    pub(crate) fn remember_layer(
        &self,
        step: &Rc<LayerStep<H>>,
        key: Key,
        newest: Option<Timestamp>,
        in_image: bool,
        read: Option<(Key, H::Blob)>,
    ) {
        let (step, cache) = (step.clone(), self.stages.cache.clone());
        self.stages.later(async move {
            // Packed for its own sake only where nobody will want it compressed.
            let layer = if in_image || cache.exports() { step.packed.clone() } else { step.plain.clone() }.await?;
            let record = Record { content: layer.map_or(Content::Unchanged, Content::Layer), newest };
            if let Some((key, read)) = &read {
                cache.remember_reads(key, read, &record).await;
            }
            cache.remember(&key, record).await;
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
