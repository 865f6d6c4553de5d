//! `COPY --parents`: sources that keep the path that leads to them (reference, "COPY --parents").

use steprun_dockerfile::glob::has_wildcards;
use steprun_ports::{FileKind, Host, Result};

use super::Sources;
use super::find::glob;
use super::origin::Origin;
use super::walk::Item;
use crate::ignore::Verdict;
use crate::paths;

/// What a source means: `a/./b/c` keeps `b/`, `a/b/c` keeps all. `**` stands for any number of directories. Symlinks are not
/// followed behind the pivot. None if a literal path does not exist.
pub(super) async fn find<H: Host>(origin: &Origin<H>, source: &str) -> Result<Option<Sources<H>>> {
    let (pivot, pattern) = source.split_once("/./").unwrap_or(("", source));
    let literal = !has_wildcards(pivot) && !has_wildcards(pattern);
    let Some((base, _)) = origin.follow(&paths::normal(pivot)).await? else {
        return Ok((!literal).then(|| Sources::WithParents { base: String::new(), items: Vec::new() }));
    };
    let pattern = paths::normal(pattern);
    let components: Vec<&str> = pattern.split('/').filter(|component| !component.is_empty()).collect();
    let items = if components.is_empty() {
        children(origin, &base, "").await?
    } else {
        expand(origin, &base, &components).await?
    };
    Ok((!literal || !items.is_empty()).then_some(Sources::WithParents { base, items }))
}

/// Paths below `base` that match, outermost only: what is below a match comes with it.
async fn expand<H: Host>(origin: &Origin<H>, base: &str, components: &[&str]) -> Result<Vec<Item>> {
    let mut found = Vec::new();
    // Paths still to be looked into, with the components that are left.
    let mut todo = vec![(String::new(), components)];
    while let Some((directory, rest)) = todo.pop() {
        let Some((component, behind)) = rest.split_first() else { continue };
        let deep = *component == "**";
        let glob = glob(component)?;
        // `**` also stands for no directory at all.
        if deep && !behind.is_empty() {
            todo.push((directory.clone(), behind));
        }
        for item in children(origin, base, &directory).await? {
            let name = paths::base(&item.path);
            if !deep && !glob.matches(name) {
                continue;
            }
            let is_directory = item.stat.kind == FileKind::Directory;
            if behind.is_empty() {
                found.push(item);
            } else if is_directory {
                todo.push((item.path, if deep { rest } else { behind }));
            }
        }
    }
    found.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    found.dedup_by(|later, earlier| {
        later.path == earlier.path || later.path.strip_prefix(&earlier.path).is_some_and(|below| below.starts_with('/'))
    });
    Ok(found)
}

async fn children<H: Host>(origin: &Origin<H>, base: &str, directory: &str) -> Result<Vec<Item>> {
    let parent = paths::join(base, directory);
    let entries = origin.list(&parent).await?.into_iter();
    let visible = entries.filter(|entry| {
        let is_directory = entry.stat.kind == FileKind::Directory;
        origin.verdict(&paths::join(&parent, &entry.name), is_directory) != Verdict::Skip
    });
    Ok(visible.map(|entry| Item { path: paths::join(directory, &entry.name), stat: entry.stat }).collect())
}
