//! The directories of an overlay: an unpacked base, and one on top for each change since.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};

use crate::error::{Result, doing};
use crate::rung::overlay;
use crate::workspace::{clear, make};

/// Directories, from the base to the topmost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stack {
    directories: Vec<PathBuf>,
}

/// A stack with a fresh directory on top, mounted.
pub(crate) struct Mounted {
    /// Where.
    pub(crate) path: PathBuf,
    upper: PathBuf,
}

impl Stack {
    /// Whether overlays can be mounted in a directory: its file system may be one itself, as in most containers.
    pub(crate) fn is_possible(directory: &Path) -> bool {
        let path = directory.join("trial");
        let trial = || -> Result<()> {
            let base = path.join("base");
            make(&base)?;
            Self { directories: vec![base] }.mount(&path)?.end()
        };
        let possible = trial().is_ok();
        // What stays goes with the workspace.
        let _ = clear(&path);
        possible
    }

    /// Puts the base below.
    pub(crate) fn begin(&mut self, base: PathBuf) {
        self.directories = vec![base];
    }

    /// Mounts it in a workspace, with a new directory on top that gets what changes.
    pub(crate) fn mount(&mut self, workspace: &Path) -> Result<Mounted> {
        let upper = workspace.join(format!("layer-{}", self.directories.len()));
        let (work, path) = (workspace.join("work"), workspace.join("merged"));
        // A volatile overlay marks its work directory, and is refused a second time with the mark.
        clear(&work).map_err(doing("remove an overlay's work directory"))?;
        [&upper, &work, &path].into_iter().try_for_each(|path| make(path))?;
        self.copy_root(&upper).map_err(doing("give an overlay the root's mode and owner"))?;
        let lowers: Vec<&Path> = self.directories.iter().rev().map(PathBuf::as_path).collect();
        overlay(&lowers, &upper, &work, &path).map_err(doing("mount an overlay"))?;
        self.directories.push(upper.clone());
        Ok(Mounted { path, upper })
    }

    /// An overlay shows its topmost directory's own mode and owner for the root.
    fn copy_root(&self, upper: &Path) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt, chown};
        let Some(below) = self.directories.last() else { return Ok(()) };
        let there = std::fs::metadata(below)?;
        chown(upper, Some(there.uid()), Some(there.gid()))?;
        std::fs::set_permissions(upper, there.permissions())
    }
}

impl Mounted {
    /// Takes the mount away; what was changed stays on the stack.
    pub(crate) fn end(self) -> Result<()> {
        unmount(&self.path, UnmountFlags::empty()).map_err(doing("unmount an overlay"))
    }

    /// Leaves it mounted as long as this process' namespace lives; gives its place and the directory of its changes.
    pub(crate) fn keep(self) -> (PathBuf, PathBuf) {
        (self.path, self.upper)
    }
}
