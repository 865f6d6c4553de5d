//! Threads that answer the command's calls.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::file::magic;
use crate::sys::notify::{Answer, Call, Listener};

/// One answers while another is in the middle of a slow call. More would only wake each other in vain: a call wakes all that wait.
const THREADS: usize = 2;

/// What comes of a call.
pub(super) enum Outcome {
    /// Its answer.
    Now(Answer),
    /// It waits for somebody, as the opening of a fifo does for its other end: what gives the answer is done in a thread of its own.
    Later(Box<dyn FnOnce() -> Answer + Send>),
}

impl Outcome {
    /// Opens a fifo, which is open with O_PATH.
    pub(super) fn opens(file: OwnedFd, flags: OFlags) -> Self {
        Self::Later(Box::new(move || {
            let cloexec = flags.contains(OFlags::CLOEXEC);
            let here = flags & (OFlags::RWMODE | OFlags::APPEND) | OFlags::CLOEXEC | OFlags::NOCTTY;
            let opened = open(magic(file.as_fd()), here, Mode::empty());
            opened.map_or_else(Answer::Error, |file| Answer::Descriptor { file, cloexec })
        }))
    }
}

/// Who does the calls of a command.
pub(super) trait Server: Send + Sync + 'static {
    /// Does a call that waits at this listener.
    fn answer(&self, listener: &Listener, call: &Call) -> Outcome;
}

/// The threads of a command.
pub(super) struct Service {
    /// Held for reading while a call is done; the end takes it for writing, and sets it.
    ended: Arc<RwLock<bool>>,
}

impl Service {
    /// Starts them.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn start(server: &Arc<impl Server>, calls: OwnedFd) -> io::Result<Self> {
        let listener = Arc::new(Listener::new(calls)?);
        let ended = Arc::new(RwLock::new(false));
        for _ in 0..THREADS {
            let (server, listener, ended) = (server.clone(), listener.clone(), ended.clone());
            std::thread::Builder::new().name("calls".into()).spawn(move || serve(&*server, &listener, &ended))?;
        }
        Ok(Self { ended })
    }

    /// Waits until no call is being done, and lets none be done from then on. The callers are dead by now, but the last calls of some may not be over.
    /// The threads themselves may wait on, on kernels before 6.11, which don't wake them when nobody is left to call.
    pub(super) fn end(self) {
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn serve(server: &impl Server, listener: &Arc<Listener>, ended: &RwLock<bool>) {
    let mut buffer = listener.buffer();
    while let Ok(Some(call)) = listener.receive(&mut buffer) {
        let ended = ended.read().unwrap_or_else(PoisonError::into_inner);
        if *ended {
            return;
        }
        match server.answer(listener, &call) {
            Outcome::Now(answer) => listener.answer(&call, answer),
            Outcome::Later(wait) => answer_aside(listener, call, wait),
        }
    }
}

/// It changes nothing, so nobody waits for the thread; where what it waits for never comes it ends with this process.
fn answer_aside(listener: &Arc<Listener>, call: Call, wait: Box<dyn FnOnce() -> Answer + Send>) {
    let aside = listener.clone();
    let answer = move || aside.answer(&call, wait());
    if std::thread::Builder::new().name("fifo".into()).spawn(answer).is_err() {
        listener.answer(&call, Answer::Error(Errno::AGAIN));
    }
}
