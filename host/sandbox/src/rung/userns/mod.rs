//! The rung `userns`: user, mount, PID, IPC, UTS, cgroup and network namespaces with a full id map. What BuildKit's rootless mode does with
//! runc, without Docker.
//!
//! Three processes take part. The supervisor ([`enter`]) is root of its own user and mount namespace, so that owners of files are real there
//! and an [`overlay`] can be mounted. It stays outside of the command's PID namespace, where no process of the command can see or signal
//! it. Its child [`init`] is process 1 of the command's namespaces: it makes the command's view of the file system, leaves the old one, and
//! from then on only reaps. Its child becomes the [`command`]. When the command ends, process 1 ends, and the kernel kills all that is left.

mod channel;
mod command;
mod enter;
mod filter;
mod init;
mod maps;
mod mounts;
mod network;
mod overlay;
mod view;

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

pub(crate) use enter::enter;
pub(crate) use init::try_namespaces;
pub(crate) use overlay::overlay;

use self::channel::Message;
use self::init::Init;
use super::{Prepared, Ran};
use crate::request::{Exit, Network};
use crate::rung::wait::{Waited, wait};

/// Runs a command. The calling process is inside of [`enter`] and has one thread.
pub(super) fn run(mut prepared: Prepared) -> io::Result<Ran> {
    let since = Instant::now();
    if let Network::Hosts(_) = prepared.network {
        crate::network::announce(&mut prepared.command.environment, network::PORT);
    }
    let mut init = Init::start(&prepared)?;
    if let Network::Hosts(allowed) = &prepared.network {
        match init.channel.receive()? {
            Some(Message::Listener(listener)) => crate::network::proxy::serve(listener, allowed.clone())?,
            Some(Message::Failed(reason)) => return Err(io::Error::other(reason)),
            // Process 1 was killed from outside: waiting for it tells how.
            Some(Message::Ended(_)) | None => {}
        }
    }
    let exit = match wait(init.pid(), prepared.limits, since, prepared.stop.as_fd())? {
        Waited::Ended(exit) => {
            init.reaped();
            match init.channel.receive()? {
                Some(Message::Failed(reason)) => return Err(io::Error::other(reason)),
                Some(Message::Ended(exit)) => exit,
                Some(Message::Listener(_)) | None => exit,
            }
        }
        Waited::TimedOut => Exit::TimedOut,
        Waited::Stopped => return Err(io::ErrorKind::Interrupted.into()),
    };
    // Ends what is left before the owners are handed on.
    drop(init);
    Ok(Ran { exit, owners: prepared.owners, looks: None })
}
