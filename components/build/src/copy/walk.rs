//! What is below a directory, without what .dockerignore and `--exclude` take away.

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
    entries: std::vec::IntoIter<Entry>,
    /// Not given out yet: it is excluded itself, but something below it may not be.
    held: Option<Stat>,
}

/// Everything below a directory, parents before children, siblings sorted by name. A directory that is excluded while something
/// below it isn't is there, with what is wanted of it. One call of `list` a directory; those that can't hold anything are skipped.
pub(crate) async fn walk<H: Host>(origin: &Origin<H>, root: &str, exclude: &Patterns) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut stack = vec![frame(origin, root, String::new(), None).await?];
    while let Some(top) = stack.last_mut() {
        let Some(entry) = top.entries.next() else {
            stack.pop();
            continue;
        };
        let path = paths::join(&top.path, &entry.name);
        let full = paths::join(root, &path);
        let directory = entry.stat.kind == FileKind::Directory;
        let verdict = origin.verdict(&full, directory).max(exclude.verdict(&path, directory));
        if verdict == Verdict::Skip {
            continue;
        }
        if verdict == Verdict::Keep {
            give_out(&mut stack, &mut items);
            items.push(Item { path: path.clone(), stat: entry.stat.clone() });
        }
        if directory {
            let held = (verdict == Verdict::Descend).then_some(entry.stat);
            stack.push(frame(origin, root, path, held).await?);
        }
    }
    Ok(items)
}

async fn frame<H: Host>(origin: &Origin<H>, root: &str, path: String, held: Option<Stat>) -> Result<Frame> {
    let entries = origin.list(&paths::join(root, &path)).await?.into_iter();
    Ok(Frame { path, entries, held })
}

/// Gives out the directories that were held back.
fn give_out(stack: &mut [Frame], items: &mut Vec<Item>) {
    for frame in stack {
        if let Some(stat) = frame.held.take() {
            items.push(Item { path: frame.path.clone(), stat });
        }
    }
}
