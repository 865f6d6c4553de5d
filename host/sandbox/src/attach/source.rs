//! Where mounts come from: files in the workspace, directories of the store.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use steprun_snapshot::disk::{self, Owner, Owners};
use steprun_snapshot::{Link, Snapshot, Store, name};

use super::{agent, cache::Cache};
use crate::error::{Result, doing};
use crate::request::{AttachmentSource, Files, MountSource, Secret};
use crate::rung::{Ownership, Rung};
use crate::workspace::owning;

/// Mode, owner and group.
pub(super) type Access = (u32, u32, u32);

/// Makes the sources of one run's mounts.
pub(super) struct Maker<'a> {
    store: &'a Store,
    rung: Rung,
    directory: PathBuf,
    owners: &'a mut Owners,
    made: usize,
    caches: Vec<Cache>,
}

impl<'a> Maker<'a> {
    /// In an empty directory of the workspace.
    pub(super) fn new(store: &'a Store, rung: Rung, directory: PathBuf, owners: &'a mut Owners) -> Self {
        Self { store, rung, directory, owners, made: 0, caches: Vec::new() }
    }

    pub(super) fn into_caches(self) -> Vec<Cache> {
        self.caches
    }

    /// The source that a mount asks for.
    pub(super) fn make(&mut self, source: &MountSource) -> Result<AttachmentSource> {
        let (path, writable) = match source {
            MountSource::Tmpfs(size) => return Ok(AttachmentSource::Tmpfs(*size)),
            MountSource::Bind(files, writable) => (self.files(files)?, *writable),
            MountSource::Secret(secret, access) => return self.secret(secret, *access),
            MountSource::Agent(agent, access) => (self.agent(agent, *access)?, true),
            MountSource::Cache { id, initial, writable, sharing, owner } => {
                let new = self.new_cache(initial.as_ref(), *owner)?;
                let cache = Cache::take(self.store, self.rung, id, *sharing, &new, self.owners)?;
                let path = cache.path();
                self.caches.push(cache);
                (path, *writable)
            }
        };
        Ok(AttachmentSource::Path { path, writable })
    }

    /// What a cache is when it is used for the first time. The owner is of its top: what is below keeps its own.
    fn new_cache(&mut self, initial: Option<&Files>, owner: Access) -> Result<PathBuf> {
        let path = match initial {
            Some(files) => self.files(files)?,
            None => {
                let path = self.next();
                std::fs::create_dir(&path).map_err(doing("make a cache"))?;
                path
            }
        };
        self.own(&path, owner)?;
        Ok(path)
    }

    /// A read-only file.
    pub(super) fn file(&mut self, content: &[u8], access: Access) -> Result<AttachmentSource> {
        let path = self.next();
        self.write(path, content, access)
    }

    fn write(&mut self, path: PathBuf, content: &[u8], access: Access) -> Result<AttachmentSource> {
        let mut file = File::create_new(&path).map_err(doing("make a file for a mount"))?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(doing("close a file for a mount to others"))?;
        file.write_all(content).map_err(doing("write a file for a mount"))?;
        self.own(&path, access)?;
        Ok(AttachmentSource::Path { path, writable: false })
    }

    /// A secret never reaches a disk where the rung can mount memory. Elsewhere it is a file of this user alone in the workspace, which goes when the
    /// command has ended, or is found and removed by the next run.
    fn secret(&mut self, secret: &Secret, access: Access) -> Result<AttachmentSource> {
        if self.rung != Rung::Userns {
            return self.file(&secret.0, access);
        }
        let memory = self.next();
        std::fs::create_dir(&memory).map_err(doing("make a directory for a secret"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("tmpfs", &memory, "tmpfs", flags, c"mode=700").map_err(doing("mount memory for a secret"))?;
        self.write(memory.join("secret"), &secret.0, access)
    }

    fn files(&mut self, files: &Files) -> Result<PathBuf> {
        let links = files.layers.iter().map(Link::try_from).collect::<Result<Vec<_>>>()?;
        let part = Snapshot::from_links(self.store, &links)?.below(&name::encode(&files.path))?;
        let path = self.next();
        std::fs::create_dir(&path).map_err(doing("make a directory for a mount"))?;
        let owning = owning(self.rung, self.owners);
        disk::write(&Snapshot::scratch(), &part.files, &path, owning, disk::Limits::default())?;
        Ok(match part.file {
            Some(file) => path.join(file),
            None => path,
        })
    }

    fn agent(&mut self, socket: &Path, access: Access) -> Result<PathBuf> {
        let path = self.next();
        agent::forward(socket, &path).map_err(doing("offer the SSH agent"))?;
        self.own(&path, access)?;
        Ok(path)
    }

    /// Gives a file its mode, owner and group, on disk or in the table.
    fn own(&mut self, path: &Path, (mode, uid, gid): Access) -> Result<()> {
        match self.rung.ownership() {
            Ownership::Real => {
                std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(doing("give a mount its owner"))?;
                std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(doing("give a mount its mode"))
            }
            Ownership::Table => {
                let there = std::fs::metadata(path).map_err(doing("look at a mount"))?;
                let owner = Owner { uid, gid, mode: Some(mode), ..Owner::default() };
                self.owners.insert((there.dev(), there.ino()), owner);
                Ok(())
            }
        }
    }

    fn next(&mut self) -> PathBuf {
        self.made += 1;
        self.directory.join(self.made.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::request;

    #[test]
    fn a_new_cache_has_the_owner_that_is_asked_for() {
        let at = tempfile::tempdir().expect("a directory");
        let store = Store::open(at.path().join("store")).expect("a store");
        let content = at.path().join("content");
        std::fs::create_dir(&content).expect("a directory");
        std::fs::write(content.join("word"), "word").expect("a file");
        let tar = Command::new("tar").arg("-cC").arg(&content).arg(".").output().expect("tar");
        let diff_id = store.put_bytes(&tar.stdout).expect("stored").to_string();
        let blob = ("application/vnd.oci.image.layer.v1.tar".to_owned(), diff_id.clone(), tar.stdout.len() as u64);
        let files = Files { layers: vec![request::Link { blob: Some(blob), diff_id }], path: Vec::new() };
        let mut owners = Owners::default();
        // The rung that keeps owners in a table, so that no root is needed.
        let mut maker = Maker::new(&store, Rung::Supervised, at.path().to_owned(), &mut owners);
        for initial in [None, Some(&files)] {
            let path = maker.new_cache(initial, (0o2770, 7, 8)).expect("made");
            assert_eq!(path.join("word").exists(), initial.is_some());
            let there = std::fs::metadata(path).expect("there");
            let owner = &maker.owners[&(there.dev(), there.ino())];
            assert_eq!((owner.mode, owner.uid, owner.gid), (Some(0o2770), 7, 8), "{initial:?}");
        }
    }
}
