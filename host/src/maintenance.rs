//! `steprun store`: what is kept between runs, made smaller and checked.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime};

use serde_json::json;
use steprun_snapshot::maintain::{Alone, Kept};

use crate::cli::options::HostOptions;
use crate::cli::{self, StoreCommand};
use crate::exit::{Exit, Failure};
use crate::session;

/// Waits for builds that use the store, and does what was asked for.
///
/// # Errors
/// [`Exit::Verification`] if something in the store was broken; [`Exit::Failed`] if the store can't be used.
pub fn store(command: &StoreCommand, options: &HostOptions) -> Result<(), Failure> {
    let root = session::store_path(options);
    let failed = |error: steprun_snapshot::Error| {
        Failure::new(Exit::Failed, format!("can't keep the store {} in order", root.display())).because(error)
    };
    let alone = Alone::open(&root).map_err(failed)?;
    match command {
        StoreCommand::Du { json } => print(&summary(&alone.list().map_err(failed)?, *json)),
        StoreCommand::Gc { max_size, max_age } => {
            let oldest = max_age.as_deref().map(|text| cli::time::parse("max-age", text)).transpose()?.map(moment);
            let removed = alone.collect_garbage(oldest, *max_size).map_err(failed)?;
            print(&format!("removed {} in {} files\n", megabytes(&removed), removed.len()))
        }
        StoreCommand::Verify => {
            let broken = alone.verify().map_err(failed)?;
            let lines: String = broken.iter().map(|kept| format!("removed {}\n", kept.path.display())).collect();
            print(&lines)?;
            if broken.is_empty() {
                return Ok(());
            }
            let message = format!("{} files of the store did not have their digests", broken.len());
            Err(Failure::new(Exit::Verification, message)
                .hint("they are removed, and fetched or made again when they are needed"))
        }
    }
}

fn moment(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

fn summary(all: &[Kept], as_json: bool) -> String {
    let mut parts: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for kept in all {
        let (count, bytes) = parts.entry(kept.part).or_default();
        *count += 1;
        *bytes += kept.size;
    }
    if as_json {
        let parts: serde_json::Map<_, _> = parts
            .iter()
            .map(|(part, (count, bytes))| ((*part).to_owned(), json!({"count": count, "bytes": bytes})))
            .collect();
        return format!("{}\n", json!({"parts": parts, "bytes": all.iter().map(|kept| kept.size).sum::<u64>()}));
    }
    let mut text = String::new();
    for (part, (count, bytes)) in parts {
        text.push_str(&format!("{part:<10} {count:>8} {:>12.1} MB\n", as_megabytes(bytes)));
    }
    text.push_str(&format!("{:<10} {:>8} {:>12}\n", "all", all.len(), megabytes(all)));
    text
}

fn megabytes(all: &[Kept]) -> String {
    format!("{:.1} MB", as_megabytes(all.iter().map(|kept| kept.size).sum()))
}

#[expect(clippy::cast_precision_loss, reason = "for people, with one digit")]
fn as_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn print(text: &str) -> Result<(), Failure> {
    cli::printed(std::io::stdout().write_all(text.as_bytes()))
}
