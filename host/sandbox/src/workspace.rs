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
use steprun_snapshot::disk::{self, Owners, Owning};
use steprun_snapshot::{Link, Snapshot, Store};

use crate::rung::{Ownership, Rung, overlay};

const LOCK: &str = "lock";
const STATE: &str = "state";

/// What a workspace holds between two runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// Diff IDs of the file system, base first.
    chain: Vec<String>,
    /// How many of them the overlay's lower directory holds.
    lower: usize,
    owners: Owners,
}

/// A workspace that is this process's alone.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    rung: Rung,
    state: State,
    _lock: File,
}

impl Workspace {
    /// Takes the best workspace of a session for a file system, or begins one.
    pub(crate) fn take(session: &Path, rung: Rung, wanted: &[Link]) -> io::Result<Self> {
        let chain = chain_of(wanted);
        let mut best: Option<Self> = None;
        for entry in fs::read_dir(session)? {
            let path = entry?.path();
            let Some((lock, state)) = idle(&path) else { continue };
            let better = best.as_ref().is_none_or(|best| best.state.chain.len() < state.chain.len());
            if chain.starts_with(&state.chain) && better {
                best = Some(Self { path, rung, state, _lock: lock });
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
                    return Ok(Self { path, rung, state: State::default(), _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Makes it hold a file system; gives its root directory.
    pub(crate) fn prepare(&mut self, store: &Store, wanted: &[Link], snapshot: &Snapshot) -> Result<PathBuf> {
        let (root, held) = match self.rung {
            Rung::Userns => (self.mount(store, wanted)?, self.state.chain.len().max(self.state.lower)),
            Rung::Chroot | Rung::Supervised => {
                let root = self.path.join("root");
                make(&root)?;
                (root, self.state.chain.len())
            }
        };
        let from = Snapshot::from_links(store, &wanted[..held])?;
        let owning = match self.rung.ownership() {
            Ownership::Real => Owning::Real(&mut self.state.owners),
            Ownership::Table => Owning::Table(&mut self.state.owners),
        };
        disk::write(store, &from, snapshot, &root, owning, disk::Limits::default())?;
        Ok(root)
    }

    /// Mounts the overlay: the base, which is unpacked once for all, below what this workspace adds.
    fn mount(&mut self, store: &Store, wanted: &[Link]) -> Result<PathBuf> {
        if self.state.chain.is_empty() {
            self.state.lower = wanted.iter().take_while(|link| link.layer.is_some()).count();
        }
        let lower = base(store, &self.path, &wanted[..self.state.lower])?;
        let [upper, work, merged] = ["upper", "work", "merged"].map(|name| self.path.join(name));
        // A volatile overlay marks its work directory, and is refused a second time with the mark.
        disk::remove(&work).map_err(doing("remove a part of a workspace"))?;
        [&upper, &work, &merged].into_iter().try_for_each(|path| make(path))?;
        overlay(&[&lower], &upper, &work, &merged).map_err(doing("mount an overlay on a part of a workspace"))?;
        Ok(merged)
    }

    /// Where only changes lie, on an overlay.
    pub(crate) fn upper(&self) -> Option<PathBuf> {
        (self.rung == Rung::Userns).then(|| self.path.join("upper"))
    }

    /// A fresh directory for the sources of mounts.
    pub(crate) fn mounts(&self) -> io::Result<PathBuf> {
        let path = self.path.join("mounts");
        disk::remove(&path)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Owners of its files.
    pub(crate) fn owners(&mut self) -> &mut Owners {
        &mut self.state.owners
    }

    /// Says what it holds now, so that the next run can take it. A failure to say so costs time only.
    pub(crate) fn keep(mut self, chain: Vec<String>) {
        self.state.chain = chain;
        if let Ok(state) = postcard::to_stdvec(&self.state) {
            // Without it the workspace counts as broken and is made anew.
            let _ = fs::write(self.path.join(STATE), state);
        }
    }

    /// Removes it.
    pub(crate) fn discard(self) {
        // What can't be removed now goes with the session.
        let _ = disk::remove(&self.path);
    }
}

/// The diff IDs of a file system.
pub(crate) fn chain_of(links: &[Link]) -> Vec<String> {
    links.iter().map(|link| link.diff_id.to_string()).collect()
}

/// The lock and state of a workspace that nobody uses.
fn idle(path: &Path) -> Option<(File, State)> {
    let lock = File::open(path.join(LOCK)).ok().filter(|_| path.is_dir())?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    let state = postcard::from_bytes(&fs::read(path.join(STATE)).ok()?).ok()?;
    Some((lock, state))
}

/// The directory of a base, unpacked for user namespaces; made where it is missing. It is built apart and then renamed, so it is whole or not there.
fn base(store: &Store, workspace: &Path, links: &[Link]) -> Result<PathBuf> {
    let name = steprun_snapshot::sha256(chain_of(links).join(" ").as_bytes());
    let bases = store.root().join("bases");
    // Another user's ids would be mapped otherwise.
    let path = bases.join(format!("userns-{}", name.digest()));
    if path.is_dir() {
        return Ok(path);
    }
    make(&bases)?;
    let building = workspace.join("base");
    disk::remove(&building).map_err(doing("remove a part of a workspace"))?;
    make(&building)?;
    let snapshot = Snapshot::from_links(store, links)?;
    // Devices that a namespace can't make are seen as what they were when the file system is read back, by the tree.
    let mut owners = Owners::default();
    disk::write(store, &Snapshot::scratch(), &snapshot, &building, Owning::Real(&mut owners), disk::Limits::default())?;
    match fs::rename(&building, &path) {
        Ok(()) => Ok(path),
        // Another was faster; its work is as good.
        Err(_) if path.is_dir() => Ok(path),
        Err(error) => Err(steprun_snapshot::Error::io("rename a finished directory to", &path)(error)),
    }
}

/// Makes a directory of this user alone, unless it is there. Its mode is set by whoever fills it.
fn make(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755).create(path).map_err(steprun_snapshot::Error::io("create the directory", path))
}
