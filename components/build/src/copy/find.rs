//! From a source as written to the files it means (fsutil `copy/copy.go`, `ResolveWildcards`).

use steprun_dockerfile::glob::{BadPattern, Glob, has_wildcards};
use steprun_ports::{Error, FileKind, Host, Result, Stat};

use super::origin::Origin;
use crate::ignore::Verdict;
use crate::paths;

/// A file or directory that a source means.
#[derive(Debug)]
pub(crate) struct Match {
    /// Where its content is, with symlinks resolved.
    pub(crate) path: String,
    /// Its path before symlinks were resolved.
    pub(crate) named: String,
    pub(crate) stat: Stat,
}

impl Match {
    /// What it is called in a destination directory.
    pub(crate) fn name(&self) -> &str {
        paths::base(&self.named)
    }
}

/// What a source as written means.
pub(crate) enum Matches {
    /// A literal path that does not exist.
    Missing,
    /// A literal path has one; a pattern any number.
    Found(Vec<Match>),
}

/// Finds what a source means; symlinks that it names are followed.
pub(crate) async fn find<H: Host>(origin: &Origin<H>, source: &str) -> Result<Matches> {
    let source = paths::normal(source);
    if !has_wildcards(&source) {
        let found = match literal(origin, &source).await? {
            None if source.contains('\\') => literal(origin, &unescape(&source)).await?,
            found => found,
        };
        return Ok(found.map_or(Matches::Missing, |found| Matches::Found(vec![found])));
    }
    let mut matches = Vec::new();
    for path in expand(origin, &source).await? {
        matches.extend(literal(origin, &path).await?);
    }
    Ok(Matches::Found(matches))
}

async fn literal<H: Host>(origin: &Origin<H>, path: &str) -> Result<Option<Match>> {
    // An ignored link is not there, wherever it leads; unless something below it is taken back.
    if origin.verdict(path, true) == Verdict::Skip {
        return Ok(None);
    }
    let found = origin.follow(path).await?;
    Ok(found.map(|(real, stat)| Match { path: real, named: path.to_owned(), stat }))
}

/// The paths that match a pattern, sorted. The part before the first pattern component may lead through symlinks, that behind
/// it not.
async fn expand<H: Host>(origin: &Origin<H>, pattern: &str) -> Result<Vec<String>> {
    let components: Vec<&str> = pattern.split('/').collect();
    let fixed = components.iter().take_while(|component| !has_wildcards(component)).count();
    let Some((start, _)) = origin.follow(&components[..fixed].join("/")).await? else {
        return Ok(Vec::new());
    };
    let mut paths = vec![start];
    for (index, component) in components.iter().enumerate().skip(fixed) {
        let glob = glob(component)?;
        let last = index + 1 == components.len();
        let mut next = Vec::new();
        for directory in paths {
            for entry in origin.list(&directory).await? {
                let path = paths::join(&directory, &entry.name);
                let is_directory = entry.stat.kind == FileKind::Directory;
                let wanted = (last || is_directory)
                    && glob.matches(&entry.name)
                    && origin.verdict(&path, is_directory) != Verdict::Skip;
                if wanted {
                    next.push(path);
                }
            }
        }
        paths = next;
    }
    Ok(paths)
}

/// One component of a pattern.
pub(crate) fn glob(component: &str) -> Result<Glob> {
    Glob::new(component).map_err(|BadPattern| Error::Invalid(format!("`{component}` is no pattern")))
}

/// A path without the `\` that keep its characters from being a pattern.
fn unescape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}
