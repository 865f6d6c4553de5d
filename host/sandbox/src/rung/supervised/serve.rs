//! Threads that answer the command's calls.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::OFlags;

use super::calls::{self, Outcome};
use super::world::World;
use crate::sys::notify::{Answer, Call, Listener};

/// One answers while another is in the middle of a slow call. More would only wake each other in vain: a call wakes all that wait.
const THREADS: usize = 2;

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
    pub(super) fn start(world: &Arc<World>, calls: OwnedFd) -> io::Result<Self> {
        let listener = Arc::new(Listener::new(calls)?);
        let ended = Arc::new(RwLock::new(false));
        for _ in 0..THREADS {
            let (world, listener, ended) = (world.clone(), listener.clone(), ended.clone());
            std::thread::Builder::new().name("calls".into()).spawn(move || serve(&world, &listener, &ended))?;
        }
        Ok(Self { ended })
    }

    /// Waits until no call is being done, and lets none be done from then on. The callers are dead by now, but the last calls of some may not be over.
    /// The threads themselves may wait on, on kernels before 6.11, which don't wake them when nobody is left to call.
    pub(super) fn end(self) {
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn serve(world: &Arc<World>, listener: &Arc<Listener>, ended: &RwLock<bool>) {
    let mut buffer = listener.buffer();
    while let Ok(Some(call)) = listener.receive(&mut buffer) {
        let ended = ended.read().unwrap_or_else(PoisonError::into_inner);
        if *ended {
            return;
        }
        match calls::answer(world, &call) {
            Outcome::Now(answer) => listener.answer(&call, answer),
            Outcome::Opens { file, flags } => open_aside(world, listener, call, file, flags),
        }
    }
}

/// Opens a fifo, which waits for its other end, in a thread of its own. It changes nothing, so nobody waits for it; where
/// the other end never comes it ends with this process.
fn open_aside(world: &Arc<World>, listener: &Arc<Listener>, call: Call, file: OwnedFd, flags: OFlags) {
    let (world, aside) = (world.clone(), listener.clone());
    let open = move || {
        let opened = world.reopen(file.as_fd(), flags & (OFlags::RWMODE | OFlags::APPEND));
        let cloexec = flags.contains(OFlags::CLOEXEC);
        aside.answer(&call, opened.map_or_else(Answer::Error, |file| Answer::Descriptor { file, cloexec }));
    };
    if std::thread::Builder::new().name("fifo".into()).spawn(open).is_err() {
        listener.answer(&call, Answer::Error(rustix::io::Errno::AGAIN));
    }
}
