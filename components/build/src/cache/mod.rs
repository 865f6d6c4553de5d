//! What earlier builds left, so that it need not be done again.
//!
//! The result of each instruction that changes files is remembered under a [`Key`] of its declared [`Inputs`]: in the host's store, and in a
//! repository if one is named. The key of a file system is that of the instruction that made it, so that keys of later instructions are known
//! without unpacking or even doing what comes before, and look-ups go on after a miss.

mod arguments;
mod explain;
mod key;
mod reads;
mod record;
mod registry;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use steprun_ports::{Host, Level, Repository, Timestamp};

pub(crate) use self::arguments::{Caching, OPTIONS};
pub(crate) use self::key::{Inputs, Key};
pub(crate) use self::reads::Found;
pub(crate) use self::record::{Content, Record};

use crate::arguments::Arguments;

/// The place of an instruction in a Dockerfile: where the inputs of its last run are kept, so that a miss can be explained.
#[derive(Debug, Clone)]
pub(crate) struct Slot(String);

impl Slot {
    /// That of the instruction with a number in a stage; `names` tell the stage from others.
    pub(crate) fn new(names: impl IntoIterator<Item = String>, number: usize) -> Self {
        Self(format!("slot {}", Key::of("slot", names.into_iter().chain([number.to_string()]))))
    }
}

/// All that this build can take from earlier ones, and what it leaves for later ones.
pub(crate) struct Cache<H: Host> {
    host: H,
    arguments: Rc<Caching<H>>,
    /// The tag in repositories.
    tag: String,
    /// Of the repositories that were asked.
    imported: BTreeMap<Key, Record<H::Blob>>,
    /// What this build used or made.
    results: RefCell<BTreeMap<Key, Record<H::Blob>>>,
    /// It was said that nothing tells what commands read.
    blind: Cell<bool>,
}

impl<H: Host> Cache<H> {
    /// Reads the caches in repositories. One that can't be read is a warning: builds go on without.
    pub(crate) async fn of(host: &H, arguments: &Arguments<H>, dockerfile: &str) -> Self {
        // What tells this build's records from those of others, so that a repository can serve several.
        let image = arguments.outputs.names.first().map(|name| name.repository.name()).unwrap_or_default();
        let target = arguments.target.clone().unwrap_or_default();
        let platforms = arguments.platforms.iter().map(ToString::to_string);
        let scope = Key::of("scope", [image, dockerfile.to_owned(), target].into_iter().chain(platforms));
        let (tag, arguments) = (registry::tag(&scope), arguments.caching.clone());
        let mut imported = BTreeMap::new();
        if arguments.reads {
            for repository in arguments.import.iter().chain(&arguments.export) {
                match registry::import(repository, &tag).await {
                    Ok(records) => imported.extend(records),
                    Err(error) => {
                        let name = repository.name();
                        host.log(Level::Warning, &format!("the cache {name}:{tag} can't be read: {error}"));
                    }
                }
            }
        }
        Self { host: host.clone(), arguments, tag, imported, results: RefCell::default(), blind: Cell::default() }
    }

    /// Whether layers go to a repository, and so must be compressed.
    pub(crate) fn exports(&self) -> bool {
        self.arguments.export.is_some() && self.arguments.writes
    }

    /// What came of these inputs before.
    pub(crate) async fn recall(&self, key: &Key, is_command: bool) -> Option<Record<H::Blob>> {
        if !self.arguments.reads || (is_command && !self.arguments.commands) {
            return None;
        }
        let known = self.results.borrow().get(key).cloned();
        if known.is_some() {
            return known;
        }
        let found = match self.local(key).await {
            Some(record) => record,
            None => self.imported.get(key)?.clone(),
        };
        self.results.borrow_mut().insert(key.clone(), found.clone());
        Some(found)
    }

    async fn local(&self, key: &Key) -> Option<Record<H::Blob>> {
        match self.host.recall(key.as_str()).await {
            Ok(entry) => {
                let entry = entry?;
                let fresh = self.arguments.not_before.is_none_or(|limit| entry.stored >= limit);
                fresh.then(|| Record::recalled(entry)).flatten()
            }
            Err(error) => {
                self.host.log(Level::Warning, &format!("the cache can't be read: {error}"));
                None
            }
        }
    }

    /// Leaves a result for later builds. A cache that can't be written is a warning.
    pub(crate) async fn remember(&self, key: &Key, record: Record<H::Blob>) {
        let content = record.to_json().to_string();
        if let Err(error) = self.host.remember(key.as_str(), content.as_bytes(), &record.blobs()).await {
            self.host.log(Level::Warning, &format!("the cache can't be written: {error}"));
        }
        self.results.borrow_mut().insert(key.clone(), record);
    }

    /// Says why an instruction is not in the cache, if that is wanted, and keeps its inputs for the next time. `read` says what of that it had read.
    pub(crate) async fn missed(&self, slot: &Slot, label: &str, inputs: &Inputs, read: Option<&str>) {
        let inputs = &inputs.summary();
        if self.arguments.explains {
            let before = self.host.recall(&slot.0).await.ok().flatten();
            let before = before.and_then(|entry| Inputs::from_json(&serde_json::from_slice(&entry.content).ok()?));
            let read = read.map(|read| format!("; {read}")).unwrap_or_default();
            let why = explain::why(before.as_ref(), inputs);
            self.host.log(Level::Info, &format!("not cached: {label}: {why}{read}"));
        }
        // Without it the next miss has no explanation, and that is all.
        let _ = self.host.remember(&slot.0, inputs.to_json().to_string().as_bytes(), &[]).await;
    }

    /// Writes what this build used and made to the repository. One that can't be written is a warning.
    pub(crate) async fn export(&self) {
        let Some(repository) = self.arguments.export.as_ref().filter(|_| self.arguments.writes) else { return };
        let results = self.results.borrow().clone();
        if let Err(failure) = registry::export(&self.host, repository, &self.tag, &results).await {
            let name = repository.name();
            self.host.log(Level::Warning, &format!("the cache {name}:{} can't be written: {failure}", self.tag));
        }
    }
}

/// A result that has no layer yet.
pub(crate) fn repeatable<B>(newest: Option<Timestamp>) -> Record<B> {
    Record { content: Content::Repeatable, newest }
}
