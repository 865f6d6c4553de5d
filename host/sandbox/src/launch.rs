//! The host's side: starts a supervisor, follows it, and ends it.
//!
//! One socket is all that connects the two: the request goes over it, the reply comes back, and its end of file tells the supervisor that the
//! host wants an end or is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::frame;
use crate::{Reply, Request};

/// How a supervisor is started: a program that calls [`crate::supervisor::main`].
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A supervisor at work.
pub struct Running {
    child: Child,
    socket: UnixStream,
    output: Option<File>,
    _active: Active,
}

/// Asks a supervisor to stop when it is dropped, or before; the thread that waits for its reply learns of it by the reply.
pub struct Stopper(UnixStream);

impl Stopper {
    /// Asks it now.
    pub fn stop(&self) {
        // A supervisor that has ended needs no asking.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Launcher {
    /// This very program, with a word that its `main` knows.
    pub fn myself(word: &str) -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec![word.into()] }
    }

    /// Starts a supervisor with an empty environment, in a process group of its own: a terminal's Ctrl-C is the host's to handle.
    ///
    /// # Errors
    /// If the process can't be started or does not take the request.
    pub fn start(&self, request: &Request) -> io::Result<Running> {
        let (ours, theirs) = UnixStream::pair()?;
        let (output, sink) = io::pipe()?;
        let active = Active::begin();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(sink.try_clone()?)))
            .stderr(Stdio::from(OwnedFd::from(sink)))
            .spawn()?;
        let mut running =
            Running { child, socket: ours, output: Some(File::from(OwnedFd::from(output))), _active: active };
        frame::write(&mut running.socket, request)?;
        Ok(running)
    }
}

impl Running {
    /// What ends it early.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub fn stopper(&self) -> io::Result<Stopper> {
        self.socket.try_clone().map(Stopper)
    }

    /// Hands on what the command writes, as it comes, then gives the supervisor's reply. Waits until the process is gone.
    ///
    /// # Errors
    /// If the supervisor ended without a reply: it was killed, or crashed.
    pub fn finish(mut self, mut output: impl FnMut(&[u8])) -> io::Result<Reply> {
        if let Some(mut pipe) = self.output.take() {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => output(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let reply = frame::read(&mut self.socket);
        let status = self.child.wait()?;
        reply.map_err(|error| io::Error::other(format!("the sandbox's supervisor ended early ({status}): {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        // The supervisor ends its command first, then itself.
        let _ = self.child.wait();
    }
}

static SUPERVISORS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Counts one supervisor as long as it lives.
struct Active;

impl Active {
    fn begin() -> Self {
        *SUPERVISORS.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        *SUPERVISORS.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        SUPERVISORS.1.notify_all();
    }
}

/// Waits until no supervisor is at work, at most for `limit`: a host that was interrupted leaves nothing behind.
pub fn settle(limit: Duration) {
    let count = SUPERVISORS.0.lock().unwrap_or_else(PoisonError::into_inner);
    // The outcome is not looked at: either way the host ends now.
    let _ = SUPERVISORS.1.wait_timeout_while(count, limit, |count| *count > 0);
}
