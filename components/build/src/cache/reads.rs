//! Commands by what they read (`--cache-reads`): where something before a command has changed that it never looked at, its result is the same.
//!
//! Beside its ordinary record a command leaves candidates: what it saw of the file system before it, and what came of that. They are kept under a key of all
//! its inputs but that file system, and only in the host's store. A later build asks the host whether its own file system looks the same; the
//! command's layer then fits on it, as all that the command changed it had named, and so seen as it was before.

use steprun_ports::{Difference, DifferenceKind, Host, Level, Remembered, Snapshot};

use super::{Cache, Inputs, Key, Record};

/// How many candidates a command has: as many states of its files can be gone back to.
const MOST: usize = 8;

/// What a command saw, and what came of it.
pub(crate) struct Candidate<B> {
    reads: B,
    pub(crate) record: Record<B>,
}

/// What came of a look for a command by what it read.
pub(crate) enum Found<B> {
    /// The file system looks as it did to the command.
    Hit(Record<B>),
    /// It never does: what the last one of the candidates saw elsewhere.
    Differs(String),
}

impl Inputs {
    /// The key of the same whatever the file system is.
    pub(crate) fn key_by_reads(&self) -> Key {
        let mut others = Self::new("RUN by what it reads 1");
        let own = self.iter().filter(|(name, _)| !matches!(*name, "kind" | "base"));
        own.for_each(|(name, value)| others.add(name, value));
        others.key()
    }
}

impl<H: Host> Cache<H> {
    /// Whether it is to be known what commands read.
    pub(crate) fn by_reads(&self) -> bool {
        self.arguments.by_reads
    }

    /// What may have come of a command, the newest first.
    pub(crate) async fn candidates(&self, key: &Key) -> Vec<Candidate<H::Blob>> {
        if !(self.arguments.by_reads && self.arguments.reads && self.arguments.commands) {
            return Vec::new();
        }
        let mut known = self.slots(key).await.into_iter().flatten().collect::<Vec<_>>();
        known.retain(|entry| self.arguments.not_before.is_none_or(|limit| entry.stored >= limit));
        known.sort_by_key(|entry| std::cmp::Reverse(entry.stored));
        known.into_iter().filter_map(candidate).collect()
    }

    /// The candidate that a file system looks the same to. One that can't be compared is none.
    pub(crate) async fn choose(
        &self,
        candidates: Vec<Candidate<H::Blob>>,
        files: &H::Snapshot,
    ) -> Option<Found<H::Blob>> {
        let mut differs = None;
        for Candidate { reads, record } in candidates {
            match files.differs(&reads).await {
                Ok(None) => return Some(Found::Hit(record)),
                Ok(Some(difference)) => differs = differs.or(Some(described(&difference))),
                Err(error) => self.warn_unreadable(&error),
            }
        }
        differs.map(Found::Differs)
    }

    /// Leaves a candidate in the place of the oldest, or of one that saw the same.
    pub(crate) async fn remember_reads(&self, key: &Key, reads: &H::Blob, record: &Record<H::Blob>) {
        let slots = self.slots(key).await;
        let digest = |blob: &H::Blob| steprun_ports::Blob::descriptor(blob).digest;
        let saw_the_same = |slot: &Option<Remembered<H::Blob>>| {
            slot.as_ref()?.blobs.first().map(digest).filter(|at| *at == digest(reads))
        };
        let same = slots.iter().position(|slot| saw_the_same(slot).is_some());
        let free = || slots.iter().position(Option::is_none);
        let oldest = || (0..slots.len()).min_by_key(|slot| slots[*slot].as_ref().map(|entry| entry.stored));
        let Some(slot) = same.or_else(free).or_else(oldest) else { return };
        let blobs: Vec<H::Blob> = std::iter::once(reads.clone()).chain(record.blobs()).collect();
        let content = record.to_json().to_string();
        if let Err(error) = self.host.remember(&slot_key(key, slot), content.as_bytes(), &blobs).await {
            self.host.log(Level::Warning, &format!("the cache can't be written: {error}"));
        }
    }

    /// Says once that nothing tells what commands read.
    pub(crate) fn warn_blind(&self) {
        if !self.blind.replace(true) {
            let message =
                "--cache-reads: the sandbox here doesn't tell what RUN reads; that of `--isolation supervised` does";
            self.host.log(Level::Warning, message);
        }
    }

    async fn slots(&self, key: &Key) -> Vec<Option<Remembered<H::Blob>>> {
        let mut slots = Vec::with_capacity(MOST);
        for slot in 0..MOST {
            let known = self.host.recall(&slot_key(key, slot)).await;
            slots.push(known.unwrap_or_else(|error| {
                self.warn_unreadable(&error);
                None
            }));
        }
        slots
    }

    fn warn_unreadable(&self, error: &steprun_ports::Error) {
        self.host.log(Level::Warning, &format!("the cache can't be read: {error}"));
    }
}

fn slot_key(key: &Key, slot: usize) -> String {
    format!("reads {slot} {key}")
}

fn candidate<B: steprun_ports::Blob>(entry: Remembered<B>) -> Option<Candidate<B>> {
    let mut blobs = entry.blobs.into_iter();
    let reads = blobs.next()?;
    let record = Record::from_json(&serde_json::from_slice(&entry.content).ok()?, blobs.next())?;
    Some(Candidate { reads, record })
}

/// A difference for people: `it read /app/package.json, which has changed`.
fn described(difference: &Difference) -> String {
    let path = &difference.path;
    match difference.kind {
        DifferenceKind::New => format!("it looked for /{path}, which is new"),
        DifferenceKind::Gone => format!("it read /{path}, which is gone"),
        DifferenceKind::Changed => format!("it read /{path}, which has changed"),
        DifferenceKind::Entries => format!("it listed /{path}, which has other entries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_inputs_but_the_file_system_count() {
        let inputs = |base: &str, user: &str| {
            let mut inputs = Inputs::new("RUN");
            inputs.add("base", base);
            inputs.add("user", user);
            inputs
        };
        assert_eq!(inputs("1", "a").key_by_reads(), inputs("2", "a").key_by_reads());
        assert_ne!(inputs("1", "a").key_by_reads(), inputs("1", "b").key_by_reads());
        assert_ne!(inputs("1", "a").key_by_reads(), inputs("1", "a").key());
        // Frozen, as the ordinary ones are: where this must change, the number in the kind must.
        assert_eq!(
            inputs("1", "a").key_by_reads().as_str(),
            "a180ef400ea26b21f6bafc8477ff80b85a37158ce5bd1fcf8d24a859d4721a98"
        );
    }
}
