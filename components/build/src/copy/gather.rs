//! The files that a copy takes, found before anybody knows where they go.

use std::collections::HashMap;

use steprun_ports::{Failure, FileKind, Host};

use super::find::{self, Match, Matches};
use super::origin::{Origin, Producer};
use super::place::reading;
use super::remote::{self, Fetched, Remote};
use super::walk::{self, Item, walk};
use super::{Request, Scene, Text, missing, parents};
use crate::ignore::Patterns;
use crate::{diagnose, paths};

/// What one source means.
pub(super) enum Sources<H: Host> {
    Plain(Vec<Match>),
    WithParents {
        base: String,
        items: Vec<walk::Item>,
    },
    Fetched(Fetched<H>),
    /// It is in a file system that nobody needs if the result is in the cache.
    Later,
}

impl<H: Host> Sources<H> {
    /// How many names need a directory to go to.
    pub(super) fn files(&self) -> usize {
        let is_file = |found: &&Match| found.stat.kind != FileKind::Directory;
        match self {
            Self::Plain(matches) => matches.iter().filter(is_file).count(),
            Self::Fetched(Fetched { found, .. }) => usize::from(is_file(&found)),
            Self::WithParents { .. } | Self::Later => 0,
        }
    }
}

/// The sources of a copy.
pub(crate) struct Gathered<H: Host> {
    pub(super) sources: Vec<(Text, Sources<H>)>,
    pub(super) exclude: Patterns,
    /// What is below directories of the context, by their paths: listed once, for the cache and for the copy.
    pub(super) walks: HashMap<String, Vec<Item>>,
}

/// Finds the sources in the context, and fetches those from elsewhere.
///
/// # Errors
/// Each with its place in the Dockerfile.
pub(crate) async fn gather<H: Host>(
    scene: &Scene<H>,
    producer: &Producer<H>,
    request: &Request,
) -> Result<Gathered<H>, Failure> {
    let exclude =
        Patterns::new(&request.exclude).map_err(|error| diagnose::first(&scene.host, &scene.source, vec![error]))?;
    let mut sources = Vec::with_capacity(request.sources.len());
    let mut walks = HashMap::new();
    for text in &request.sources {
        let place = |failure| diagnose::at(&scene.source, text.span, failure);
        let found = match (Remote::of(&text.value), producer) {
            (Some(kind), _) => Sources::Fetched(remote::fetch(scene, request, text, kind).await.map_err(place)?),
            (None, Producer::Files { .. }) => Sources::Later,
            (None, Producer::Context { context, .. }) => {
                let origin = Origin::Context(context.clone());
                let found = sources_in(&origin, request, text).await.map_err(place)?;
                walk_all(&origin, &found, &exclude, &mut walks).await.map_err(place)?;
                found
            }
        };
        sources.push((text.clone(), found));
    }
    Ok(Gathered { sources, exclude, walks })
}

/// The files that a source means.
///
/// # Errors
/// If there are none, with the most likely reason; files that can't be read.
pub(super) async fn sources_in<H: Host>(
    origin: &Origin<H>,
    request: &Request,
    text: &Text,
) -> Result<Sources<H>, Failure> {
    let read = |error| reading(&text.value, error);
    let found = if request.parents {
        parents::find(origin, &text.value).await.map_err(read)?
    } else {
        match find::find(origin, &text.value).await.map_err(read)? {
            Matches::Found(found) => Some(Sources::Plain(found)),
            Matches::Missing => None,
        }
    };
    match found {
        Some(found) => Ok(found),
        None => Err(missing(origin, &text.value, "--from").await),
    }
}

async fn walk_all<H: Host>(
    origin: &Origin<H>,
    sources: &Sources<H>,
    exclude: &Patterns,
    walks: &mut HashMap<String, Vec<Item>>,
) -> Result<(), Failure> {
    let directories: Vec<(String, Patterns)> = match sources {
        Sources::Plain(matches) => {
            let directories = matches.iter().filter(|found| found.stat.kind == FileKind::Directory);
            directories.map(|found| (found.path.clone(), exclude.below(""))).collect()
        }
        Sources::WithParents { base, items } => {
            let kept = items.iter().filter(|item| !exclude.excludes(&item.path));
            let directories = kept.filter(|item| item.stat.kind == FileKind::Directory);
            directories.map(|item| (paths::join(base, &item.path), exclude.below(&item.path))).collect()
        }
        Sources::Fetched(_) | Sources::Later => Vec::new(),
    };
    for (path, exclude) in directories {
        let items = walk(origin, &path, &exclude).await.map_err(|error| reading(&path, error))?;
        walks.insert(path, items);
    }
    Ok(())
}
