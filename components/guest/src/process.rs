//! Commands, from the words of the ports to those of the contract: handles are borrowed for the call.

use steprun_ports as ports;

use crate::bindings::steprun::step::snapshots;
use crate::handles::{GuestAgent, GuestBlob, GuestSecret, GuestSnapshot};

/// A command as a step describes it.
pub(crate) type GuestProcess = ports::Process<GuestSnapshot, GuestSecret, GuestAgent>;

/// The same for the call.
pub(crate) fn borrow(process: &GuestProcess) -> snapshots::Process<'_> {
    let secrets = process.secret_environment.iter();
    snapshots::Process {
        label: process.label.clone(),
        arguments: process.arguments.clone(),
        environment: process.environment.clone(),
        secret_environment: secrets.map(|(name, secret)| (name.clone(), &*secret.0)).collect(),
        working_directory: process.working_directory.clone(),
        user: user(&process.user),
        mounts: process.mounts.iter().map(mount).collect(),
        network: process.network.into(),
        standard_input: process.standard_input.clone(),
        time_limit: process.time_limit,
        latest: process.latest.map(Into::into),
        reads: process.reads.clone(),
    }
}

/// How a command ended.
pub(crate) fn outcome(outcome: snapshots::Outcome) -> ports::Outcome<GuestSnapshot, GuestBlob> {
    let snapshots::Outcome { status, reason, output, snapshot, remedy, reads } = outcome;
    ports::Outcome { status, reason, output, snapshot: snapshot.map(Into::into), remedy, reads: reads.map(Into::into) }
}

/// Where a file system looks other than it did.
pub(crate) fn difference(found: snapshots::Difference) -> ports::Difference {
    let kind = match found.kind {
        snapshots::DifferenceKind::New => ports::DifferenceKind::New,
        snapshots::DifferenceKind::Gone => ports::DifferenceKind::Gone,
        snapshots::DifferenceKind::Changed => ports::DifferenceKind::Changed,
        snapshots::DifferenceKind::Entries => ports::DifferenceKind::Entries,
    };
    ports::Difference { path: found.path, kind }
}

fn user(user: &ports::User) -> snapshots::User {
    let ports::User { uid, gid, groups } = user.clone();
    snapshots::User { uid, gid, groups }
}

fn mount(mount: &ports::Mount<GuestSnapshot, GuestSecret, GuestAgent>) -> snapshots::Mount<'_> {
    let source = match &mount.source {
        ports::MountSource::Bind(files) => snapshots::MountSource::Bind(bind(files)),
        ports::MountSource::Cache(directory) => snapshots::MountSource::Cache(cache(directory)),
        ports::MountSource::Tmpfs(size) => snapshots::MountSource::Tmpfs(*size),
        ports::MountSource::Secret(secret, ports::Access { mode, uid, gid }) => {
            let (secret, mode, uid, gid) = (&*secret.0, *mode, *uid, *gid);
            snapshots::MountSource::Secret(snapshots::SecretMount { secret, mode, uid, gid })
        }
        ports::MountSource::Agent(agent, ports::Access { mode, uid, gid }) => {
            let (agent, mode, uid, gid) = (&*agent.0, *mode, *uid, *gid);
            snapshots::MountSource::Agent(snapshots::AgentMount { agent, mode, uid, gid })
        }
    };
    snapshots::Mount { target: mount.target.clone(), source }
}

fn bind(files: &ports::BindMount<GuestSnapshot>) -> snapshots::BindMount<'_> {
    let ports::BindMount { snapshot, path, writable } = files;
    snapshots::BindMount { snapshot: &snapshot.0, path: path.clone(), writable: *writable }
}

fn cache(directory: &ports::CacheMount<GuestSnapshot>) -> snapshots::CacheMount<'_> {
    let ports::CacheMount { id, initial, writable, sharing, access } = directory;
    let ports::Access { mode, uid, gid } = *access;
    let (initial, sharing) = (initial.as_ref().map(bind), (*sharing).into());
    snapshots::CacheMount { id: id.clone(), initial, writable: *writable, sharing, mode, uid, gid }
}

impl From<ports::Network> for snapshots::Network {
    fn from(network: ports::Network) -> Self {
        match network {
            ports::Network::None => Self::None,
            ports::Network::Default => Self::Default,
            ports::Network::Host => Self::Host,
        }
    }
}

impl From<ports::Sharing> for snapshots::Sharing {
    fn from(sharing: ports::Sharing) -> Self {
        match sharing {
            ports::Sharing::Shared => Self::Shared,
            ports::Sharing::Private => Self::Private,
            ports::Sharing::Locked => Self::Locked,
        }
    }
}
