//! How a directory looked at a moment.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::walk::{Hidden, Stamp, walk};
use crate::Result;

/// Two changes within this time can have the same stamp: before Linux 6.13, files got the time of the last timer tick.
const TICK: Duration = Duration::from_millis(10);

/// How a directory looked at a moment: what the kernel says of each file, by path. Another process may be told, as long as the machine runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index {
    entries: HashMap<Vec<u8>, Stamp>,
    /// Not before the last of them was looked at.
    at: SystemTime,
}

impl Index {
    /// Looks at all that is below `root`, but for the paths in `skip` (clean, without leading `/`) and what is below them.
    ///
    /// # Errors
    /// [`crate::Error::Io`] on what can't be listed.
    pub fn of(root: &Path, skip: &[Vec<u8>]) -> Result<Self> {
        Self::of_place(&Place::open(root)?, &Hidden::new(skip))
    }

    /// The same of an open place.
    pub(super) fn of_place(place: &Place, hidden: &Hidden<'_>) -> Result<Self> {
        let mut entries = HashMap::new();
        walk(place, hidden, &mut |path, stamp| {
            entries.insert(path, stamp);
        })?;
        Ok(Self { entries, at: SystemTime::now() })
    }

    /// What was at a path.
    pub(super) fn get(&self, path: &[u8]) -> Option<&Stamp> {
        self.entries.get(path)
    }

    /// All paths with what was there, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Stamp)> {
        self.entries.iter().map(|(path, stamp)| (path.as_slice(), stamp))
    }

    /// Whether what is at a path now is surely what it was.
    pub(super) fn is_unchanged(&self, path: &[u8], now: &Stamp) -> bool {
        let settled = |before: &Stamp| {
            let seconds = u64::try_from(before.changed.seconds).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::new(seconds, before.changed.nanoseconds) + TICK < self.at
        };
        self.get(path).is_some_and(|before| before == now && settled(before))
    }
}
