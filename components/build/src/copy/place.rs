//! Where copied files land, and with which metadata (fsutil `copy/copy.go`).

use std::collections::HashMap;

use steprun_dockerfile::mode::Mode;
use steprun_ports::{Change, Failure, FileKind, Host, Level, Stat, Timestamp};

use super::find::Match;
use super::origin::Origin;
use super::walk::{Item, walk};
use crate::clock::Clock;
use crate::draft::{Draft, Found, Metadata};
use crate::ignore::Patterns;
use crate::owner::Owner;
use crate::paths;

/// Where a copy goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// In normal form.
    pub(crate) path: String,
    /// Whether it must be a directory: written with a `/` at the end, or as `.`.
    pub(crate) directory: bool,
}

/// What `--chown`, `--chmod` and `--link` say.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) owner: Option<Owner>,
    pub(crate) mode: Option<Mode>,
    /// Don't follow symlinks of the destination: what is in the way goes away.
    pub(crate) link: bool,
    pub(crate) clock: Clock,
}

impl Style {
    /// Of a copied file.
    fn kept(&self, owner: Owner, stat: &Stat) -> Metadata {
        Metadata {
            mode: self.with_mode(stat.mode, stat.kind == FileKind::Directory),
            owner: self.owner.unwrap_or(owner),
            modified: self.clock.kept(stat.modified),
        }
    }

    /// Of a directory that the destination needs: 0755 of root, unless the flags say otherwise. As in BuildKit a symbolic mode is for
    /// what is copied, and special bits are for files.
    fn made(&self) -> Metadata {
        let mode = self.mode.as_ref().and_then(Mode::number).map_or(0o755, |mode| mode & 0o777);
        self.fresh(mode)
    }

    /// Of a file written in the Dockerfile.
    fn written(&self) -> Metadata {
        self.fresh(self.with_mode(0o644, false))
    }

    fn fresh(&self, mode: u32) -> Metadata {
        Metadata { mode, owner: self.owner.unwrap_or_default(), modified: self.clock.made() }
    }

    /// For what comes out of an archive, of which BuildKit changes no mode (`solver/llbsolver/file/unpack.go`).
    pub(crate) fn of_archive(&self) -> Self {
        Self { mode: None, ..self.clone() }
    }

    fn with_mode(&self, mode: u32, directory: bool) -> u32 {
        self.mode.as_ref().map_or(mode, |change| change.apply(mode, directory))
    }
}

/// What may replace what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    /// Files replace files and links; anything else fails (fsutil).
    Fail,
    /// The new one wins. Only a directory that the archive has no entry for follows a link to a directory (BuildKit's
    /// `solver/llbsolver/file/unpack.go`).
    Replace,
}

/// Puts sources into a draft, one after the other.
pub(crate) struct Placer<'a, H: Host> {
    pub(crate) host: &'a H,
    pub(crate) draft: &'a mut Draft<H>,
    pub(crate) style: &'a Style,
    pub(crate) destination: &'a Destination,
}

/// Files of one origin on their way.
pub(crate) struct Load<'a, H: Host> {
    pub(crate) origin: &'a Origin<H>,
    /// Its number in the draft.
    pub(crate) number: u32,
    /// New names of files with several: the second one becomes a hard link of the first.
    links: HashMap<u64, String>,
    /// What is known to be below directories, by their paths.
    walks: HashMap<String, Vec<Item>>,
}

impl<'a, H: Host> Load<'a, H> {
    pub(crate) fn new(origin: &'a Origin<H>, number: u32) -> Self {
        Self { origin, number, links: HashMap::new(), walks: HashMap::new() }
    }

    /// With directories that were listed before.
    pub(crate) fn walked(self, walks: HashMap<String, Vec<Item>>) -> Self {
        Self { walks, ..self }
    }

    /// Those of them that were not asked for.
    pub(crate) fn into_walks(self) -> HashMap<String, Vec<Item>> {
        self.walks
    }

    /// What is below a directory.
    async fn walk(&mut self, from: &str, exclude: &Patterns) -> Result<Vec<Item>, Failure> {
        match self.walks.remove(from) {
            Some(items) => Ok(items),
            None => walk(self.origin, from, exclude).await.map_err(|error| reading(from, error)),
        }
    }
}

impl<H: Host> Placer<'_, H> {
    /// A source as COPY takes it: a file, or what is in a directory.
    pub(crate) async fn copy(
        &mut self,
        load: &mut Load<'_, H>,
        found: &Match,
        exclude: &Patterns,
    ) -> Result<(), Failure> {
        if found.stat.kind == FileKind::Directory {
            let target = self.directory_target().await?;
            return self.tree(load, &found.path, &target, exclude, Conflict::Fail).await;
        }
        let target = self.file_target(found.name()).await?;
        self.entry(load, &found.path, &target, &found.stat, Conflict::Fail).await
    }

    /// A source with its parent directories, as `--parents` has it: `base` is where the kept part of the path begins.
    pub(crate) async fn copy_with_parents(
        &mut self,
        load: &mut Load<'_, H>,
        base: &str,
        item: &Item,
        exclude: &Patterns,
    ) -> Result<(), Failure> {
        let target = self.directory_target().await?;
        for (end, _) in item.path.match_indices('/') {
            let parent = paths::join(&target, &item.path[..end]);
            let from = paths::join(base, &item.path[..end]);
            let stat = load.origin.stat(&from).await.map_err(|error| reading(&from, error))?;
            let there = self.look(&parent).await? == Found::Directory;
            if let (Some(stat), false) = (stat, there) {
                self.entry(load, &from, &parent, &stat, Conflict::Fail).await?;
            }
        }
        let (from, to) = (paths::join(base, &item.path), paths::join(&target, &item.path));
        self.entry(load, &from, &to, &item.stat, Conflict::Fail).await?;
        match item.stat.kind {
            FileKind::Directory => self.tree(load, &from, &to, &exclude.below(&item.path), Conflict::Fail).await,
            _ => Ok(()),
        }
    }

    /// What is in an archive.
    pub(crate) async fn unpack(&mut self, load: &mut Load<'_, H>) -> Result<(), Failure> {
        let target = self.directory_target().await?;
        self.tree(load, "", &target, &Patterns::default(), Conflict::Replace).await
    }

    /// All of an origin.
    pub(crate) async fn everything(&mut self, load: &mut Load<'_, H>) -> Result<(), Failure> {
        let target = self.directory_target().await?;
        self.tree(load, "", &target, &Patterns::default(), Conflict::Fail).await
    }

    /// A file written in the Dockerfile.
    pub(crate) async fn heredoc(&mut self, name: &str, content: &str) -> Result<(), Failure> {
        let target = self.file_target(name).await?;
        self.make_way(&target, false, Conflict::Fail).await?;
        let metadata = self.style.written();
        self.put(&target, Change::Inline(content.as_bytes().to_vec()), metadata).await
    }

    /// Everything below a directory into another, which exists.
    async fn tree(
        &mut self,
        load: &mut Load<'_, H>,
        from: &str,
        to: &str,
        exclude: &Patterns,
        conflict: Conflict,
    ) -> Result<(), Failure> {
        let items = load.walk(from, exclude).await?;
        // Where directories of the source really went, if that is not the same path below `to`.
        let mut moved: HashMap<String, String> = HashMap::new();
        for item in items {
            let (parent, name) = paths::split(&item.path).unwrap_or(("", &item.path));
            let parent = moved.get(parent).cloned().unwrap_or_else(|| paths::join(to, parent));
            let mut target = paths::join(&parent, name);
            if conflict == Conflict::Replace && item.stat.kind == FileKind::Directory && is_implied(&item.stat) {
                target = self.through_link(target).await?;
                if self.look(&target).await? == Found::Directory {
                    if target != paths::join(to, &item.path) {
                        moved.insert(item.path, target);
                    }
                    continue;
                }
            }
            if target != paths::join(to, &item.path) && item.stat.kind == FileKind::Directory {
                moved.insert(item.path.clone(), target.clone());
            }
            self.entry(load, &paths::join(from, &item.path), &target, &item.stat, conflict).await?;
        }
        Ok(())
    }

    /// The directory that a link at this path leads to, or the path itself.
    async fn through_link(&mut self, path: String) -> Result<String, Failure> {
        if self.look(&path).await? != Found::Symlink {
            return Ok(path);
        }
        let real = self.resolve(&path).await?;
        Ok(if self.look(&real).await? == Found::Directory { real } else { path })
    }

    /// One file, directory, link or fifo.
    async fn entry(
        &mut self,
        load: &mut Load<'_, H>,
        from: &str,
        to: &str,
        stat: &Stat,
        conflict: Conflict,
    ) -> Result<(), Failure> {
        let metadata = self.style.kept(load.origin.owner(stat), stat);
        let change = match stat.kind {
            FileKind::Socket => {
                self.host.log(Level::Warning, &format!("left out the socket `{from}`: an image can't hold one"));
                return Ok(());
            }
            FileKind::CharacterDevice | FileKind::BlockDevice if load.origin.is_context() => {
                return Err(Failure::failed(format!("`{from}` is a device node, and a context has no use for one"))
                    .hint("leave it out with .dockerignore or `--exclude`"));
            }
            FileKind::Directory => Change::Directory,
            FileKind::Symlink => Change::Symlink(stat.target.clone().unwrap_or_default()),
            FileKind::Fifo => Change::Fifo,
            FileKind::Regular | FileKind::CharacterDevice | FileKind::BlockDevice => {
                match self.first_name(load, stat, to) {
                    Some(first) => Change::HardLink(first),
                    None => {
                        self.make_way(to, false, conflict).await?;
                        let put = self.draft.file(to, load.number, from.to_owned(), metadata).await;
                        return put.map_err(|error| writing(to, error));
                    }
                }
            }
        };
        self.make_way(to, change == Change::Directory, conflict).await?;
        self.put(to, change, metadata).await
    }

    /// The new path of the same file, if one of its names was copied before.
    fn first_name(&self, load: &mut Load<'_, H>, stat: &Stat, to: &str) -> Option<String> {
        let group = stat.link_group?;
        match load.links.get(&group) {
            Some(first) if first != to => Some(first.clone()),
            Some(_) => None,
            None => {
                load.links.insert(group, to.to_owned());
                None
            }
        }
    }

    /// Makes sure that the new entry may stand at a path.
    async fn make_way(&mut self, path: &str, directory: bool, conflict: Conflict) -> Result<(), Failure> {
        if self.style.link || conflict == Conflict::Replace {
            return self.draft.clear(path, directory).await.map_err(|error| writing(path, error));
        }
        match (self.look(path).await?, directory) {
            (Found::Directory, false) => {
                Err(Failure::failed(format!("the directory /{path} can't be replaced by a file")))
            }
            (Found::Symlink | Found::Other, true) => {
                Err(Failure::failed(format!("/{path} is no directory, so a directory can't be copied onto it")))
            }
            _ => Ok(()),
        }
    }

    /// The destination as a directory, which is made if it is missing.
    async fn directory_target(&mut self) -> Result<String, Failure> {
        let target = self.resolve(&self.destination.path).await?;
        self.ensure_directory(&target).await?;
        Ok(target)
    }

    /// The destination of a file: in the directory, if there is one or has to be, else under its own name.
    async fn file_target(&mut self, name: &str) -> Result<String, Failure> {
        if self.destination.directory {
            return Ok(paths::join(&self.directory_target().await?, name));
        }
        if let Some((parent, _)) = paths::split(&self.destination.path) {
            let parent = self.resolve(parent).await?;
            self.ensure_directory(&parent).await?;
        }
        let target = self.resolve(&self.destination.path).await?;
        if self.look(&target).await? == Found::Directory {
            return Ok(paths::join(&target, name));
        }
        // A link that leads to what is not there yet: its directory may be missing too.
        if let Some((parent, _)) = paths::split(&target) {
            self.ensure_directory(parent).await?;
        }
        Ok(target)
    }

    async fn resolve(&mut self, path: &str) -> Result<String, Failure> {
        if self.style.link {
            return Ok(path.to_owned());
        }
        self.draft.real_path(path).await.map_err(|error| writing(path, error))
    }

    async fn ensure_directory(&mut self, path: &str) -> Result<(), Failure> {
        if self.style.link {
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            for part in ends.map(|end| &path[..end]) {
                self.draft.clear(part, true).await.map_err(|error| writing(part, error))?;
            }
        }
        let made = self.style.made();
        self.draft.ensure_directory(path, made).await.map_err(|error| writing(path, error))
    }

    async fn look(&mut self, path: &str) -> Result<Found, Failure> {
        self.draft.look(path).await.map_err(|error| writing(path, error))
    }

    async fn put(&mut self, path: &str, change: Change, metadata: Metadata) -> Result<(), Failure> {
        self.draft.put(path, change, metadata).await.map_err(|error| writing(path, error))
    }
}

/// Whether a directory of an archive looks like one that the archive itself doesn't have, but that paths in it go through: the host
/// gives those 0755, root and no time. Such a one says nothing about a directory that is there.
fn is_implied(stat: &Stat) -> bool {
    (stat.mode, stat.uid, stat.gid, stat.modified) == (0o755, 0, 0, Timestamp::default())
}

pub(crate) fn reading(path: &str, error: steprun_ports::Error) -> Failure {
    Failure::because(format!("could not read `{path}`"), error)
}

fn writing(path: &str, error: steprun_ports::Error) -> Failure {
    Failure::because(format!("could not copy to /{path}"), error)
}
