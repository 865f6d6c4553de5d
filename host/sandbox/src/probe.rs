//! What a place allows, found by trying in throw-away children. Nothing is guessed from the name of a platform.

mod missing;
mod trials;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use self::missing::Missing;
use crate::rung::Rung;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Every rung, strongest first: whether a command can stand on it, else the first thing that lacks.
    pub rungs: Vec<(Rung, Result<(), Missing>)>,
    /// Everything that was tried, whether a rung needs it or not.
    pub facilities: Vec<Facility>,
}

/// Something that a place may allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facility {
    /// For people.
    pub name: String,
    /// What more there is to say of it (a version), or what lacks.
    pub outcome: Result<Option<String>, Missing>,
}

impl Report {
    /// The rung that a command gets where nobody asks for another: the strongest.
    pub fn preferred(&self) -> Option<Rung> {
        self.rungs.iter().find(|(_, possible)| possible.is_ok()).map(|(rung, _)| *rung)
    }
}

/// Tries all that a rung may need. `directory` is of the store, where workspaces will lie; what is made in it is removed again.
///
/// The calling process has one thread: a supervisor that was started for this.
pub fn probe(directory: &Path) -> Report {
    let trials: Vec<_> = trials::ALL.iter().map(|trial| (trial, (trial.run)(directory))).collect();
    let possible = |rung| {
        let lacking = trials.iter().filter(|(trial, _)| trial.needed_by.contains(&rung));
        lacking.map(|(_, outcome)| outcome).find_map(|outcome| outcome.as_ref().err()).cloned().map_or(Ok(()), Err)
    };
    let rungs = [Rung::Userns, Rung::Chroot, Rung::Supervised].map(|rung| (rung, possible(rung))).to_vec();
    let facilities = trials.into_iter().map(|(trial, outcome)| Facility { name: trial.name.to_owned(), outcome });
    Report { rungs, facilities: facilities.collect() }
}
