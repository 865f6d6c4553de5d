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
                let initial = initial.as_ref().map(|files| self.files(files)).transpose()?;
                let initial = match initial {
                    Some(initial) => initial,
                    None => {
                        let path = self.next();
                        std::fs::create_dir(&path).map_err(doing("make a cache"))?;
                        self.own(&path, *owner)?;
                        path
                    }
                };
                let cache = Cache::take(self.store, self.rung, id, *sharing, &initial, self.owners)?;
                let path = cache.path();
                self.caches.push(cache);
                (path, *writable)
            }
        };
        Ok(AttachmentSource::Path { path, writable })
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
