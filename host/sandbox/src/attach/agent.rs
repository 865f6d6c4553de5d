//! An SSH agent's socket, offered at another place by a process of its own: the command never connects to the host's socket itself.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::sys::process::{Side, fork, leave};

/// Forwards connections at `offered` to the agent at `socket`, until this process ends.
pub(super) fn forward(socket: &Path, offered: &Path) -> io::Result<()> {
    // Said now, not when a command is told that its agent does not answer.
    UnixStream::connect(socket)
        .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", socket.display())))?;
    let listener = UnixListener::bind(offered)?;
    if let Side::Child = fork()? {
        let served = set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(io::Error::from)
            .and_then(|()| serve(&listener, socket));
        leave(i32::from(served.is_err()))
    }
    Ok(())
}

fn serve(listener: &UnixListener, socket: &Path) -> io::Result<()> {
    for client in listener.incoming() {
        let (client, agent) = (client?, UnixStream::connect(socket)?);
        let (answers, client_end) = (agent.try_clone()?, client.try_clone()?);
        thread::spawn(move || pump(client, agent));
        thread::spawn(move || pump(answers, client_end));
    }
    Ok(())
}

/// Copies one direction to its end. An end that went away ends it, and needs no word.
fn pump(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
