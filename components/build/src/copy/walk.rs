//! What is below a directory, without what .dockerignore and `--exclude` take away.

use std::collections::HashMap;

use steprun_ports::{Entry, FileKind, Host, Result, Stat};

use super::origin::Origin;
use crate::ignore::{Patterns, Verdict};
use crate::paths;

/// Something below the directory of a walk.
#[derive(Debug)]
pub(crate) struct Item {
    /// Relative to the directory.
    pub(crate) path: String,
    pub(crate) stat: Stat,
}

/// A directory under way.
struct Frame {
    path: String,
    entries: std::vec::IntoIter<(Entry, Verdict)>,
    /// Not given out yet: it is excluded itself, but something below it may not be.
    held: Option<Stat>,
}

/// What may be wanted in each directory, by the directory's path.
type Listings = HashMap<String, Vec<(Entry, Verdict)>>;

/// Everything below a directory, parents before children, siblings sorted by name. A directory that is excluded while something
/// below it isn't is there, with what is wanted of it. Those that can't hold anything are not listed.
pub(crate) async fn walk<H: Host>(origin: &Origin<H>, root: &str, exclude: &Patterns) -> Result<Vec<Item>> {
    let mut listings = listings(origin, root, exclude).await?;
    let mut items = Vec::new();
    let mut stack = vec![frame(&mut listings, String::new(), None)];
    while let Some(top) = stack.last_mut() {
        let Some((entry, verdict)) = top.entries.next() else {
            stack.pop();
            continue;
        };
        let path = paths::join(&top.path, &entry.name);
        if verdict == Verdict::Keep {
            give_out(&mut stack, &mut items);
            items.push(Item { path: path.clone(), stat: entry.stat.clone() });
        }
        if entry.stat.kind == FileKind::Directory {
            let held = (verdict == Verdict::Descend).then_some(entry.stat);
            stack.push(frame(&mut listings, path, held));
        }
    }
    Ok(items)
}

/// Lists all directories of one depth by one call: there are thousands of them, and few depths.
async fn listings<H: Host>(origin: &Origin<H>, root: &str, exclude: &Patterns) -> Result<Listings> {
    let mut listings = Listings::new();
    let mut level = vec![String::new()];
    while !level.is_empty() {
        let wanted = level.iter().map(|path| paths::join(root, path)).collect();
        let mut below = Vec::new();
        for (directory, entries) in level.into_iter().zip(origin.lists(wanted).await?) {
            let mut kept = Vec::with_capacity(entries.len());
            for entry in entries {
                let path = paths::join(&directory, &entry.name);
                let is_directory = entry.stat.kind == FileKind::Directory;
                let verdict = origin.verdict(&paths::join(root, &path), is_directory);
                let verdict = verdict.max(exclude.verdict(&path, is_directory));
                if verdict == Verdict::Skip {
                    continue;
                }
                if is_directory {
                    below.push(path);
                }
                kept.push((entry, verdict));
            }
            listings.insert(directory, kept);
        }
        level = below;
    }
    Ok(listings)
}

fn frame(listings: &mut Listings, path: String, held: Option<Stat>) -> Frame {
    let entries = listings.remove(&path).unwrap_or_default().into_iter();
    Frame { path, entries, held }
}

/// Gives out the directories that were held back.
fn give_out(stack: &mut [Frame], items: &mut Vec<Item>) {
    for frame in stack {
        if let Some(stat) = frame.held.take() {
            items.push(Item { path: frame.path.clone(), stat });
        }
    }
}
