//! The file systems that COPY and ADD take from.

use std::rc::Rc;

use steprun_ports::{Directory, Entry, Error, Failure, FileKind, Host, Result, Source, Stat, Tree};

use crate::cache::Key;
use crate::contexts::Files;
use crate::draft::ContentSource;
use crate::ignore::{Ignore, Verdict};
use crate::image::Once;
use crate::owner::Owner;
use crate::paths;

/// The build context: a granted directory without what .dockerignore takes away.
pub(crate) struct Context<H: Host> {
    pub(crate) directory: H::Directory,
    pub(crate) ignore: Ignore,
}

/// Where sources will come from.
pub(crate) enum Producer<H: Host> {
    /// A context; its files as a file system, too.
    Context { context: Rc<Context<H>>, files: Files<H> },
    /// A stage or an image, known by its key before its files are.
    Files { key: Key, files: Once<H::Snapshot> },
}

impl<H: Host> Producer<H> {
    /// Waits for the files.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn origin(&self) -> std::result::Result<Origin<H>, Failure> {
        Ok(match self {
            Self::Context { context, .. } => Origin::Context(context.clone()),
            Self::Files { files, .. } => Origin::Snapshot(files.clone().await?),
        })
    }
}

/// Where sources come from.
pub(crate) enum Origin<H: Host> {
    Context(Rc<Context<H>>),
    /// Another stage or an image.
    Snapshot(H::Snapshot),
}

impl<H: Host> Origin<H> {
    /// The path with symlinks resolved, and what is there; none if it does not exist or is ignored.
    pub(crate) async fn follow(&self, path: &str) -> Result<Option<(String, Stat)>> {
        let real = match self {
            Self::Context(context) => context.directory.real_path(path).await,
            Self::Snapshot(snapshot) => snapshot.real_path(path).await,
        };
        let Some(real) = found(real)? else { return Ok(None) };
        let real = paths::normal(&real);
        Ok(self.stat(&real).await?.map(|stat| (real, stat)))
    }

    /// What is at a path whose parents are no symlinks; none if it does not exist or is ignored.
    pub(crate) async fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let stat = match self {
            Self::Context(context) => context.directory.stat(path, false).await,
            Self::Snapshot(snapshot) => snapshot.stat(path, false).await,
        };
        let visible = |stat: &Stat| self.verdict(path, stat.kind == FileKind::Directory) != Verdict::Skip;
        Ok(found(stat)?.filter(visible))
    }

    /// The entries of a directory, sorted by name; ignored ones too, see [`Origin::verdict`]. What is no directory has none.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let entries = match self {
            Self::Context(context) => context.directory.list(path).await,
            Self::Snapshot(snapshot) => snapshot.list(path).await,
        };
        match entries {
            Err(Error::NotFound(_) | Error::Invalid(_)) => Ok(Vec::new()),
            other => other,
        }
    }

    /// The entries of several directories, as [`Origin::list`] gives them.
    pub(crate) async fn lists(&self, paths: Vec<String>) -> Result<Vec<Vec<Entry>>> {
        if let Self::Context(context) = self {
            match context.directory.lists(paths.clone()).await {
                // One is no directory any more: which, is told one by one.
                Err(Error::NotFound(_) | Error::Invalid(_)) => {}
                other => return other,
            }
        }
        let mut lists = Vec::with_capacity(paths.len());
        for path in &paths {
            lists.push(self.list(path).await?);
        }
        Ok(lists)
    }

    /// Whether .dockerignore leaves a path in. It has no say in stages and images.
    pub(crate) fn verdict(&self, path: &str, directory: bool) -> Verdict {
        match self {
            Self::Context(context) => context.ignore.verdict(path, directory),
            Self::Snapshot(_) => Verdict::Keep,
        }
    }

    /// Whether files come from the caller's machine.
    pub(crate) fn is_context(&self) -> bool {
        matches!(self, Self::Context(_))
    }

    /// Who owns a file in the image without `--chown`: root if it comes from the context, whose owners mean nothing elsewhere.
    pub(crate) fn owner(&self, stat: &Stat) -> Owner {
        match self {
            Self::Context(_) => Owner::default(),
            Self::Snapshot(_) => Owner { uid: stat.uid, gid: stat.gid },
        }
    }

    /// The same as the host takes it.
    pub(crate) fn content(&self) -> ContentSource<H> {
        match self {
            Self::Context(context) => Source::Directory(context.directory.clone()),
            Self::Snapshot(snapshot) => Source::Snapshot(snapshot.clone()),
        }
    }
}

fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
