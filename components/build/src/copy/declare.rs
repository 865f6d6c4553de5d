//! What a copy depends on, for the cache: names, metadata and contents of the files that it takes. Times are not among them.

use std::collections::HashMap;
use std::rc::Rc;

use steprun_dockerfile::mode::Mode;
use steprun_ports::{Commit, Directory, Failure, FileKind, Host, Stat, Tree};

use super::gather::{Gathered, Sources};
use super::origin::{Context, Origin, Producer};
use super::place::reading;
use super::remote::Fetched;
use super::walk::{Item, walk};
use super::{Request, Scene, excluded};
use crate::cache::{Inputs, Key};
use crate::ignore::Patterns;
use crate::paths;

/// Declares a copy: the request as it is expanded, and the files.
///
/// # Errors
/// Files that can't be read.
pub(crate) async fn declare<H: Host + 'static>(
    scene: &Scene<H>,
    producer: &Producer<H>,
    request: &Request,
    gathered: &Gathered<H>,
    inputs: &mut Inputs,
) -> Result<(), Failure> {
    declare_request(scene, request, inputs);
    if let Producer::Files { key, .. } = producer {
        inputs.add("from", key.as_str());
    }
    let mode = request.chmod.as_ref().and_then(|chmod| Mode::parse(&chmod.value).ok());
    for (number, (text, sources)) in gathered.sources.iter().enumerate() {
        match (sources, producer) {
            (Sources::Fetched(fetched), _) => inputs.add("fetched", identity(&text.value, fetched).await?),
            (Sources::Later, _) | (_, Producer::Files { .. }) => {}
            (sources, Producer::Context { context, .. }) => {
                let mut files = Files::new(context, mode.as_ref(), number);
                files.add_sources(sources, gathered).await?;
                files.declare(inputs).await?;
            }
        }
    }
    Ok(())
}

fn declare_request<H: Host>(scene: &Scene<H>, request: &Request, inputs: &mut Inputs) {
    inputs.add("working directory", &scene.working_directory);
    inputs.add_all("source", request.sources.iter().map(|text| text.value.as_str()));
    for (name, content) in &request.heredocs {
        inputs.add(format!("heredoc {name}"), content);
    }
    inputs.add("destination", &request.destination.value);
    inputs.add_all("--chown", request.chown.iter().map(|text| text.value.as_str()));
    inputs.add_all("--chmod", request.chmod.iter().map(|text| text.value.as_str()));
    inputs.add_all("--exclude", request.exclude.iter().map(|text| text.value.as_str()));
    inputs.add_all("--checksum", request.checksum.iter().map(|text| text.value.as_str()));
    let flags = [
        ("--link", request.link),
        ("--parents", request.parents),
        ("unpack", request.unpack),
        ("--unpack", request.unpack_fetched),
        ("--keep-git-dir", request.keep_git_dir),
    ];
    flags.into_iter().filter(|(_, given)| *given).for_each(|(name, _)| inputs.add(name, "true"));
}

/// What tells a fetched source from others: the digest of a file, the commit of a repository.
async fn identity<H: Host>(source: &str, fetched: &Fetched<H>) -> Result<String, Failure> {
    let commit = match &fetched.origin {
        Origin::Context(context) => context.directory.commit().await.map_err(|error| reading(source, error))?,
        Origin::Snapshot(_) => None,
    };
    Ok(match (commit, &fetched.digest) {
        (Some(Commit { id, .. }), _) => format!("{source} {id}"),
        (None, Some(digest)) => format!("{source} {digest}"),
        (None, None) => source.to_owned(),
    })
}

/// Files of a context that are being declared.
struct Files<'a, H: Host> {
    context: &'a Context<H>,
    /// `--chmod`: what a mode was before it does not matter.
    mode: Option<&'a Mode>,
    /// Of the source.
    number: usize,
    /// Path in the context, what it is, and whether its content is to be declared.
    entries: Vec<(String, String, bool)>,
    /// First names of files with several.
    links: HashMap<u64, String>,
}

impl<'a, H: Host + 'static> Files<'a, H> {
    fn new(context: &'a Context<H>, mode: Option<&'a Mode>, number: usize) -> Self {
        Self { context, mode, number, entries: Vec::new(), links: HashMap::new() }
    }

    async fn add_sources(&mut self, sources: &Sources<H>, gathered: &Gathered<H>) -> Result<(), Failure> {
        match sources {
            Sources::Plain(matches) => {
                for found in matches.iter().filter(|found| !excluded(&gathered.exclude, found)) {
                    match gathered.walks.get(&found.path) {
                        Some(items) => self.add_items(&found.path, "", items),
                        None => self.add(&found.path, found.name(), &found.stat),
                    }
                }
            }
            Sources::WithParents { base, items } => {
                for item in items.iter().filter(|item| !gathered.exclude.excludes(&item.path)) {
                    self.add_parents(base, &item.path).await?;
                    let path = paths::join(base, &item.path);
                    self.add(&path, &item.path, &item.stat);
                    if let Some(items) = gathered.walks.get(&path) {
                        self.add_items(&path, &item.path, items);
                    }
                }
            }
            Sources::Fetched(_) | Sources::Later => {}
        }
        Ok(())
    }

    async fn add_parents(&mut self, base: &str, path: &str) -> Result<(), Failure> {
        for (end, _) in path.match_indices('/') {
            let full = paths::join(base, &path[..end]);
            let stat = self.context.directory.stat(&full, false).await.map_err(|error| reading(&full, error))?;
            self.add(&full, &path[..end], &stat);
        }
        Ok(())
    }

    fn add_items(&mut self, directory: &str, to: &str, items: &[Item]) {
        for item in items {
            self.add(&paths::join(directory, &item.path), &paths::join(to, &item.path), &item.stat);
        }
    }

    /// A file of the context that goes to a path below the destination.
    fn add(&mut self, path: &str, to: &str, stat: &Stat) {
        let directory = stat.kind == FileKind::Directory;
        let mode = self.mode.map_or(stat.mode, |mode| mode.apply(stat.mode, directory));
        let what = match stat.kind {
            FileKind::Regular => "file".to_owned(),
            FileKind::Directory => "directory".to_owned(),
            FileKind::Symlink => format!("symlink to {}", stat.target.as_deref().unwrap_or_default()),
            other => format!("{other:?}"),
        };
        let first = stat.link_group.map(|group| self.links.entry(group).or_insert_with(|| to.to_owned()).clone());
        let link = first.filter(|first| first != to).map(|first| format!(" link of {first}")).unwrap_or_default();
        // The mode of a symlink means nothing.
        let mode = if stat.kind == FileKind::Symlink { String::new() } else { format!("{mode:o}") };
        let entry = format!("{} {to:?} {mode} {what}{link}", self.number);
        self.entries.push((path.to_owned(), entry, stat.kind == FileKind::Regular));
    }

    async fn declare(self, inputs: &mut Inputs) -> Result<(), Failure> {
        let wanted = self.entries.iter().filter(|(.., has_content)| *has_content);
        let paths: Vec<String> = wanted.map(|(path, ..)| path.clone()).collect();
        let digests = self.context.directory.digests(paths).await;
        let digests = digests.map_err(|error| Failure::because("could not read the files to copy", error))?;
        let mut digests = digests.into_iter();
        for (path, mut entry, has_content) in self.entries {
            if has_content {
                entry.extend(digests.next().iter().flat_map(|digest| [" ", digest.as_str()]));
            }
            inputs.add(format!("file {path}"), entry);
        }
        Ok(())
    }
}

impl<H: Host + 'static> Context<H> {
    /// Declares the files at and below a path, as a mount shows them.
    ///
    /// # Errors
    /// Files that can't be read.
    pub(crate) async fn declare_below(self: &Rc<Self>, path: &str, inputs: &mut Inputs) -> Result<(), Failure> {
        let origin = Origin::Context(self.clone());
        // What is not there is for the mount to say.
        let found = origin.follow(path).await.map_err(|error| reading(path, error))?;
        let Some((real, stat)) = found else { return Ok(()) };
        let mut files = Files::new(self, None, 0);
        files.add(&real, "", &stat);
        if stat.kind == FileKind::Directory {
            let items = walk(&origin, &real, &Patterns::default()).await.map_err(|error| reading(path, error))?;
            files.add_items(&real, "", &items);
        }
        files.declare(inputs).await
    }

    /// Of all its files.
    ///
    /// # Errors
    /// Files that can't be read.
    pub(crate) async fn key(self: &Rc<Self>) -> Result<Key, Failure> {
        let mut inputs = Inputs::new("context");
        self.declare_below("", &mut inputs).await?;
        Ok(inputs.key())
    }
}
