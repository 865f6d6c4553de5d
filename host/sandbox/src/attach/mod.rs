//! What a command sees besides its file system: where mounts come from, and the mount points that they need.

mod agent;
mod cache;
mod points;
mod source;

use std::path::Path;

use steprun_snapshot::disk::Owners;
use steprun_snapshot::{Looks, Snapshot, Store, name};

use crate::error::{Error, Result, doing};
use crate::request::{Attachment, AttachmentSource, Network, Run};
use crate::rung::Rung;
use crate::workspace::Workspace;
use cache::Cache;
use points::Points;
use source::Maker;

/// Directories that every command gets, and that stay as empty ones where the image has none (as with BuildKit).
const SYSTEM: [&str; 3] = ["proc", "dev", "sys"];
/// Files that every command gets.
const FILES: [&str; 2] = ["etc/resolv.conf", "etc/hosts"];

/// Attachments of one run, until it is over.
pub(crate) struct Attached {
    pub(crate) attachments: Vec<Attachment>,
    points: Points,
    caches: Vec<Cache>,
}

/// Paths in the root file system, without leading `/`, that no layer holds. A system directory that the image lacks is not among them: it stays,
/// empty.
pub(crate) fn hidden(base: &Snapshot, run: &Run) -> Result<Vec<Vec<u8>>> {
    let system = SYSTEM.iter().filter(|path| base.stat(path, true).is_ok()).map(|path| path.as_bytes());
    let targets =
        FILES.iter().map(|path| path.as_bytes()).chain(run.mounts.iter().map(|mount| mount.target.as_slice()));
    system.chain(targets).map(|path| resolved(base, path)).collect()
}

/// What is looked up before the command runs, on its behalf: its working directory, and where its mounts and those of every command go.
pub(crate) fn looks(base: &Snapshot, run: &Run) -> Result<Looks> {
    let fixed = SYSTEM.iter().chain(&FILES).map(|path| path.as_bytes());
    let own = run.mounts.iter().map(|mount| mount.target.as_slice()).chain([run.command.directory.as_slice()]);
    let mut looks = Looks::default();
    for path in fixed.chain(own) {
        looks.add_all(base.trail(path)?);
    }
    Ok(looks)
}

/// Makes sources and mount points. The root file system holds `base`.
pub(crate) fn attach(
    store: &Store,
    base: &Snapshot,
    workspace: &mut Workspace,
    root: &Path,
    rung: Rung,
    run: &Run,
) -> Result<Attached> {
    let mut points = Points::new(root);
    let time = run.latest.unwrap_or_default();
    for directory in SYSTEM {
        points.keep(directory.as_bytes(), time).map_err(doing("make a directory that each command needs"))?;
    }
    points.keep(&resolved(base, &run.command.directory)?, time).map_err(doing("make the working directory"))?;
    let directory = workspace.mounts().map_err(doing("make a directory for mounts"))?;
    let mut maker = Maker::new(store, rung, directory, workspace.owners());
    let mut attachments = Vec::new();
    for (target, content) in FILES.into_iter().zip([resolver(&run.network), hosts(&run.network)]) {
        attachments.push((resolved(base, target.as_bytes())?, maker.file(&content, (0o644, 0, 0))?));
    }
    for mount in &run.mounts {
        attachments.push((resolved(base, &mount.target)?, maker.make(&mount.source)?));
    }
    // Outer ones first; of two at one place, the later stays on top.
    attachments.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut attached: Vec<Attachment> = Vec::with_capacity(attachments.len());
    for (target, source) in attachments {
        if target.is_empty() {
            return Err(Error::Request("nothing can be mounted on `/`".to_owned()));
        }
        points.make(&target, &source, &attached).map_err(doing("make a mount point"))?;
        attached.push(Attachment { target: [b"/", target.as_slice()].concat(), source });
    }
    Ok(Attached { attachments: attached, points, caches: maker.into_caches() })
}

impl Attached {
    /// After the command: mount points that were made for it go away, caches are given back.
    pub(crate) fn detach(self, owners: &mut Owners) -> std::io::Result<()> {
        self.points.remove()?;
        self.caches.into_iter().try_for_each(|cache| cache.give_back(owners))
    }
}

/// A path with the symlinks of the file system resolved, without leading `/`.
fn resolved(base: &Snapshot, path: &[u8]) -> Result<Vec<u8>> {
    let resolved = base.real_path(&name::encode(path))?;
    Ok(name::decode(&resolved)?.to_vec())
}

/// The host's resolver where the command may use the host's network. A proxy looks names up itself.
fn resolver(network: &Network) -> Vec<u8> {
    match network {
        Network::Host => std::fs::read("/etc/resolv.conf").unwrap_or_default(),
        Network::None | Network::Hosts(_) => Vec::new(),
    }
}

/// Services of a CI job are often names in the host's file, so it goes with the host's network.
fn hosts(network: &Network) -> Vec<u8> {
    const LOCAL: &[u8] = b"127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    match network {
        Network::Host => std::fs::read("/etc/hosts").unwrap_or_else(|_| LOCAL.to_vec()),
        Network::None | Network::Hosts(_) => LOCAL.to_vec(),
    }
}

/// Whether a source is seen as a directory.
fn is_directory(source: &AttachmentSource) -> bool {
    match source {
        AttachmentSource::Path { path, .. } => path.is_dir(),
        AttachmentSource::Tmpfs(_) => true,
    }
}
