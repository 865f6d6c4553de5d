//! `steprun doctor`: what the place allows, and which sandbox native commands get in it.

use std::io::Write;

use steprun_sandbox::Rung;
use steprun_sandbox::probe::Report;
use steprun_sandbox::session::Session;
use steprun_snapshot::Store;

use crate::cli::options::HostOptions;
use crate::cli::{self, Doctor};
use crate::exit::{Exit, Failure};
use crate::{commands, session};

/// Tries all facilities that a sandbox may need, in the store's own file system, and prints what was found.
///
/// # Errors
/// [`Exit::Failed`] if no sandbox is possible, or nothing can be tried.
pub fn doctor(doctor: &Doctor, options: &HostOptions) -> Result<(), Failure> {
    let failed =
        |reason: &dyn std::fmt::Display| Failure::new(Exit::Failed, "can't try what this place allows").because(reason);
    let store = Store::open(session::store_path(options)).map_err(|error| failed(&error))?;
    let workplace = Session::begin(store.root()).map_err(|error| failed(&error))?;
    let report = commands::probe(&store, &workplace).map_err(|error| failed(&error))?;
    commands::clean(&store, workplace, Rung::Supervised).map_err(|error| failed(&error))?;
    let text = if doctor.json { json(&report) } else { text(&report) };
    cli::printed(std::io::stdout().write_all(text.as_bytes()))?;
    match report.preferred() {
        Some(_) => Ok(()),
        None => Err(Failure::new(Exit::Failed, "this place allows no sandbox, so RUN is refused in it")),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    match report.preferred() {
        Some(rung) => text.push_str(&format!("RUN gets a sandbox of kind `{}`: {}\n", rung.name(), summary(rung))),
        None => text.push_str("RUN is refused: no sandbox is possible\n"),
    }
    text.push_str("\nsandboxes, strongest first\n");
    for (rung, outcome) in &report.rungs {
        match outcome {
            Ok(()) => text.push_str(&format!("  {:<11} possible\n", rung.name())),
            Err(missing) => text.push_str(&format!("  {:<11} not possible: {missing}\n", rung.name())),
        }
    }
    text.push_str("\ntried\n");
    for facility in &report.facilities {
        match &facility.outcome {
            Ok(None) => text.push_str(&format!("  yes  {}\n", facility.name)),
            Ok(Some(detail)) => text.push_str(&format!("  yes  {} ({detail})\n", facility.name)),
            Err(missing) => text.push_str(&format!("  no   {}: {missing}\n", facility.name)),
        }
    }
    text
}

fn summary(rung: Rung) -> &'static str {
    match rung {
        Rung::Userns => "namespaces of its own for users, files, processes and the network",
        Rung::Chroot => "a root directory of its own, with Landlock and without the capabilities to leave it",
        Rung::Supervised => "each path is resolved by a supervisor, with Landlock; no privilege is needed",
    }
}

fn json(report: &Report) -> String {
    let outcome = |possible: bool, reason: String| match possible {
        true => serde_json::json!({ "possible": true }),
        false => serde_json::json!({ "possible": false, "reason": reason }),
    };
    let rungs = report.rungs.iter().map(|(rung, found)| {
        let reason = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        (rung.name().to_owned(), outcome(found.is_ok(), reason))
    });
    let facilities = report.facilities.iter().map(|facility| {
        let reason = facility.outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        (facility.name.clone(), outcome(facility.outcome.is_ok(), reason))
    });
    let report = serde_json::json!({
        "sandbox": report.preferred().map(Rung::name),
        "sandboxes": rungs.collect::<serde_json::Map<_, _>>(),
        "facilities": facilities.collect::<serde_json::Map<_, _>>(),
    });
    format!("{report:#}\n")
}
