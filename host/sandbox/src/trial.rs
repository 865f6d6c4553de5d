//! A rung alone, without store and layers, in a process of its own: for tests, as a test's process has threads.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde::{Deserialize, Serialize};
use steprun_snapshot::disk::Owners;

use crate::request::{Attachment, Command, Exit, Limits, Network};
use crate::rung::{Prepared, Rung, enter, overlay};

/// What to try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    /// On which rung.
    pub rung: Rung,
    /// The root directory; the mount point, where there is an overlay.
    pub root: PathBuf,
    /// Lower, upper and work directory of an overlay.
    pub overlay: Option<[PathBuf; 3]>,
    /// As in [`Prepared`].
    pub command: Command,
    /// As in [`Prepared`].
    pub attachments: Vec<Attachment>,
    /// As in [`Prepared`].
    pub network: Network,
    /// As in [`Prepared`].
    pub limits: Limits,
}

/// Runs the trial that a file holds (postcard) and writes how it ended, or why it did not begin, to another one: `Result<Exit, String>`. Stops when the
/// standard input ends.
///
/// # Errors
/// Those of the files.
pub fn run(request: PathBuf, reply: PathBuf) -> io::Result<()> {
    hide()?;
    let trial: Trial = postcard::from_bytes(&std::fs::read(request)?).map_err(io::Error::other)?;
    let write = |result: Result<Exit, String>| -> io::Result<()> {
        std::fs::write(&reply, postcard::to_allocvec(&result).map_err(io::Error::other)?)
    };
    let result = match trial.rung {
        Rung::Userns => {
            let entered = enter(|| i32::from(write(alone(trial).map_err(|error| error.to_string())).is_err()));
            match entered {
                Ok(0) => return Ok(()),
                Ok(status) => Err(format!("the supervisor ended with {status}")),
                Err(error) => Err(error.to_string()),
            }
        }
        Rung::Chroot | Rung::Supervised => alone(trial).map_err(|error| error.to_string()),
    };
    write(result)
}

/// Prints what the place allows.
///
/// # Errors
/// Of the system, other than those that are asked for.
pub fn probe(directory: &std::path::Path) -> io::Result<()> {
    hide()?;
    let report = crate::probe::probe(directory);
    println!("{report:#?}\nstrongest: {:?}", report.preferred());
    Ok(())
}

/// As in every supervisor, which has an effect on what the kernel lets others do with its files in /proc.
fn hide() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn alone(trial: Trial) -> io::Result<Exit> {
    if let Some([lower, upper, work]) = &trial.overlay {
        overlay(&[lower], upper, work, &trial.root)?;
    }
    let stop = io::stdin().as_fd().try_clone_to_owned()?;
    let Trial { rung, root, command, attachments, network, limits, .. } = trial;
    let prepared =
        Prepared { root, command, attachments, network, limits, owners: Owners::new(), witness: false, stop };
    Ok(rung.run(prepared)?.exit)
}
