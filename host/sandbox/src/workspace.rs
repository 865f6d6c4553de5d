//! A root file system on disk, kept from one run of a session to the next.
//!
//! A workspace holds one file system at a time. The next run takes one whose file system is a prefix of what it wants (a stage's
//! next RUN finds what the last one left) and brings it up to date; where there is none, it makes one. While a run is under way no `state`
//! says what the workspace holds, so one whose supervisor was killed is never taken again.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use steprun_snapshot::disk::{self, Index, Limits, Owned, Owners, Owning, State};
use steprun_snapshot::{Link, Snapshot, Store};

use crate::base;
use crate::error::{Result, doing};
use crate::rung::{self, Ownership, Rung};
use crate::stack::Stack;

/// In a workspace, the root file system where it is a plain directory.
pub(crate) const ROOT: &str = "root";
const LOCK: &str = "lock";
const STATE: &str = "state";

/// What a workspace holds between two runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    /// Diff IDs of the file system, base first.
    chain: Vec<String>,
    /// A command failed half way: nothing but the base below is of use.
    spent: bool,
    /// Directories of an overlay; none where the file system is one plain directory.
    stack: Option<Stack>,
    owners: Owners,
}

/// A workspace that is this process's alone.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    rung: Rung,
    held: Held,
    _lock: File,
}

/// A root file system that is ready for a command.
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The directory that gets what changes, on an overlay.
    upper: Option<PathBuf>,
}

/// What a root looked like before its command.
pub(crate) struct Before(Option<Index>);

impl Workspace {
    /// Takes the best workspace of a session for a file system, or begins one.
    pub(crate) fn take(session: &Path, rung: Rung, wanted: &[Link]) -> io::Result<Self> {
        let chain = chain_of(wanted);
        let mut best: Option<Self> = None;
        for entry in fs::read_dir(session)? {
            let path = entry?.path();
            let Some((lock, held)) = idle(&path) else { continue };
            let better = best.as_ref().is_none_or(|best| best.held.chain.len() < held.chain.len());
            if !held.spent && chain.starts_with(&held.chain) && better {
                best = Some(Self { path, rung, held, _lock: lock });
            }
        }
        let workspace = match best {
            Some(workspace) => workspace,
            None => Self::begin(session, rung)?,
        };
        match fs::remove_file(workspace.path.join(STATE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(workspace),
        }
    }

    fn begin(session: &Path, rung: Rung) -> io::Result<Self> {
        for number in 0u32.. {
            let path = session.join(format!("workspace-{number}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = File::create(path.join(LOCK))?;
                    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
                    let stack = (rung == Rung::Userns && Stack::is_possible(&path)).then(Stack::default);
                    return Ok(Self { path, rung, held: Held { stack, ..Held::default() }, _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Makes it hold a file system, `snapshot`, of which `wanted` are the layers.
    pub(crate) fn prepare(&mut self, store: &Store, wanted: &[Link], snapshot: &Snapshot) -> Result<Root> {
        let Some(mut stack) = self.held.stack.take() else {
            let path = self.path.join(ROOT);
            if self.held.chain.is_empty() {
                self.begin_plain(store, wanted, snapshot)?;
            }
            self.bring_up_to_date(store, wanted, snapshot, &path)?;
            return Ok(Root { path, upper: None });
        };
        if self.held.chain.is_empty() {
            let layers = layers_of_base(wanted);
            self.held.chain = chain_of(layers);
            stack.begin(base::shared(store, &self.path, layers)?);
        }
        if self.held.chain.len() < wanted.len() {
            // In a directory of its own, so that the command's changes are alone in theirs.
            let mounted = stack.mount(&self.path)?;
            self.bring_up_to_date(store, wanted, snapshot, &mounted.path)?;
            mounted.end()?;
        }
        let mounted = stack.mount(&self.path)?;
        self.held.stack = Some(stack);
        let (path, upper) = mounted.keep();
        Ok(Root { path, upper: Some(upper) })
    }

    /// Gets the base, alone in a plain directory.
    fn begin_plain(&mut self, store: &Store, wanted: &[Link], snapshot: &Snapshot) -> Result<()> {
        let layers = layers_of_base(wanted);
        if layers.is_empty() {
            return make(&self.path.join(ROOT));
        }
        let base = if layers == wanted { snapshot.clone() } else { Snapshot::from_links(store, layers)? };
        self.held.owners = base::provide(store, &self.path, self.rung, layers, &base)?;
        self.held.chain = chain_of(layers);
        Ok(())
    }

    fn bring_up_to_date(&mut self, store: &Store, wanted: &[Link], snapshot: &Snapshot, root: &Path) -> Result<()> {
        let (held, missing) = wanted.split_at(self.held.chain.len());
        let held = match (held, missing) {
            ([], _) => Snapshot::scratch(),
            // What the stage's last run left. Reading the tables of its layers again would only say so.
            (_, []) => return Ok(()),
            (held, _) => Snapshot::from_links(store, held)?,
        };
        Ok(disk::write(&held, snapshot, root, owning(self.rung, &mut self.held.owners), Limits::default())?)
    }

    /// A fresh directory for the sources of mounts.
    pub(crate) fn mounts(&self) -> io::Result<PathBuf> {
        let path = self.path.join("mounts");
        clear(&path)?;
        DirBuilder::new().mode(0o755).create(&path)?;
        Ok(path)
    }

    /// Owners of its files.
    pub(crate) fn owners(&mut self) -> &mut Owners {
        &mut self.held.owners
    }

    /// Looks at a root before its command; an overlay tells by itself what changed.
    pub(crate) fn before(root: &Root, hidden: &[Vec<u8>]) -> Result<Before> {
        Ok(Before(match root.upper {
            Some(_) => None,
            None => Some(Index::of(&root.path, hidden)?),
        }))
    }

    /// Writes what changed in a root as a tar into the store; gives its diff ID, if anything did.
    pub(crate) fn changes(
        &self,
        store: &Store,
        base: &Snapshot,
        root: &Root,
        before: &Before,
        hidden: &[Vec<u8>],
        latest: Option<i64>,
    ) -> Result<Option<String>> {
        let state = match (&root.upper, &before.0) {
            (Some(upper), _) => State::Upper(upper),
            (None, Some(before)) => State::Plain { root: &root.path, before },
            (None, None) => return Ok(None),
        };
        let owned = match self.rung.ownership() {
            Ownership::Real => Owned::Real(&self.held.owners),
            Ownership::Table => Owned::Table(&self.held.owners),
        };
        let changes = disk::changes(disk::Scan { base, state, owned, skip: hidden, latest })?;
        Ok(changes.write_tar(store)?.map(|digest| digest.to_string()))
    }

    /// Says what it holds now, so that the next run can take it. A failure to say so costs time only.
    pub(crate) fn keep(mut self, chain: Vec<String>) {
        self.held.chain = chain;
        self.say();
    }

    /// After a command that failed: an unpacked base is good for the next session.
    pub(crate) fn keep_base(mut self) {
        if self.held.stack.is_some() {
            return self.discard();
        }
        self.held.spent = true;
        self.say();
    }

    fn say(&self) {
        if let Ok(held) = postcard::to_stdvec(&self.held) {
            // Without it the workspace counts as broken and is made anew.
            let _ = fs::write(self.path.join(STATE), held);
        }
    }

    /// Removes it.
    pub(crate) fn discard(self) {
        // What can't be removed now (a mount of this process) goes with the session.
        let _ = remove(&self.path);
    }
}

/// Ends a workspace: its base goes back into the store, all else is removed. One whose run was cut short goes as a whole.
pub(crate) fn end(store: &Store, path: &Path) -> io::Result<()> {
    rung::recover(&path.join(ROOT))?;
    if idle(path).is_some() {
        base::give_back(store, path);
    }
    disk::remove(path)
}

/// Removes a workspace that nobody uses. What its run had moved into its root goes home first.
fn remove(path: &Path) -> io::Result<()> {
    rung::recover(&path.join(ROOT))?;
    disk::remove(path)
}

/// Removes a tree, if it is there.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    match disk::remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// How a rung keeps owners on disk.
pub(crate) fn owning(rung: Rung, table: &mut Owners) -> Owning<'_> {
    match rung {
        Rung::Userns => Owning::Real { table, userns: true },
        Rung::Chroot => Owning::Real { table, userns: false },
        Rung::Supervised => Owning::Table(table),
    }
}

/// The layers that came with an image: what is above them changes from build to build.
fn layers_of_base(links: &[Link]) -> &[Link] {
    let count = links.iter().take_while(|link| link.layer.is_some()).count();
    &links[..count]
}

/// The diff IDs of a file system.
pub(crate) fn chain_of(links: &[Link]) -> Vec<String> {
    links.iter().map(|link| link.diff_id.to_string()).collect()
}

/// The lock and state of a workspace that nobody uses.
fn idle(path: &Path) -> Option<(File, Held)> {
    let lock = File::open(path.join(LOCK)).ok().filter(|_| path.is_dir())?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    let held = postcard::from_bytes(&fs::read(path.join(STATE)).ok()?).ok()?;
    Some((lock, held))
}

/// Makes a directory, unless it is there. Its mode is set by whoever fills it.
pub(crate) fn make(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(doing("make a directory in the store"))
}
