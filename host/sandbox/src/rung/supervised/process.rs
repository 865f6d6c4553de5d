//! The command's processes, as far as the kernel doesn't keep for us what they believe of themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ids::Ids;

/// The mask that a shell starts with everywhere.
const FIRST_MASK: u32 = 0o022;

/// The program that a process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Program {
    /// Where it lies, as the command sees it.
    pub(super) path: Vec<u8>,
    /// How many arguments stand before those that it got: it was given to the dynamic loader, see [`super::exec`].
    pub(super) loader_arguments: usize,
}

/// A process (a thread group).
#[derive(Debug)]
pub(super) struct Process {
    /// Its number.
    pub(super) id: i32,
    ids: Mutex<Ids>,
    mask: AtomicU32,
    program: Mutex<Program>,
}

impl Process {
    /// One that has done nothing yet.
    pub(super) fn new(id: i32, ids: Ids) -> Self {
        Self { id, ids: Mutex::new(ids), mask: AtomicU32::new(FIRST_MASK), program: Mutex::default() }
    }

    /// Its users and groups.
    pub(super) fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// umask(2).
    pub(super) fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    /// Sets it, and gives the one before.
    pub(super) fn set_mask(&self, mask: u32) -> u32 {
        self.mask.swap(mask & 0o777, Ordering::Relaxed)
    }

    /// What it runs.
    pub(super) fn program(&self) -> MutexGuard<'_, Program> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fork(&self, id: i32) -> Self {
        Self {
            id,
            ids: Mutex::new(self.ids().clone()),
            mask: AtomicU32::new(self.mask()),
            program: Mutex::new(self.program().clone()),
        }
    }
}

/// All processes by thread. It is exact: the tracer enters a new thread before that runs for the first time.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<HashMap<i32, Arc<Process>>>);

impl Processes {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Process>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the first process.
    pub(super) fn start(&self, id: i32, ids: Ids) {
        self.lock().insert(id, Arc::new(Process::new(id, ids)));
    }

    /// Enters a thread that `parent` made: of the same process, or the first of a new one.
    pub(super) fn fork(&self, parent: i32, thread: i32, same_process: bool) {
        let mut threads = self.lock();
        let Some(process) = threads.get(&parent).cloned() else { return };
        let process = if same_process { process } else { Arc::new(process.fork(thread)) };
        threads.insert(thread, process);
    }

    /// A thread of a process runs another program: the process' other threads are gone, and it has the process' number.
    pub(super) fn execute(&self, former: i32, process: i32) {
        let mut threads = self.lock();
        let Some(entry) = threads.get(&former).cloned() else { return };
        threads.retain(|_, other| other.id != process);
        threads.insert(process, entry);
    }

    /// Takes out a thread that ended.
    pub(super) fn end(&self, thread: i32) {
        self.lock().remove(&thread);
    }

    /// The process of a thread.
    pub(super) fn of(&self, thread: i32) -> Option<Arc<Process>> {
        self.lock().get(&thread).cloned()
    }

    /// Whether the tracer has entered a thread.
    pub(super) fn knows(&self, thread: i32) -> bool {
        self.lock().contains_key(&thread)
    }

    /// The numbers of all processes.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let mut numbers: Vec<_> = self.lock().values().map(|process| process.id).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::User;

    #[test]
    fn families_grow_and_end() {
        let processes = Processes::default();
        processes.start(10, Ids::of(&User { uid: 3, gid: 4, groups: vec![] }));
        processes.fork(10, 11, true);
        processes.fork(11, 20, false);
        let (first, child) = (processes.of(11).expect("known"), processes.of(20).expect("known"));
        assert_eq!((first.id, child.id, child.mask()), (10, 20, 0o022));
        assert_eq!(child.set_mask(0o1077), 0o022);
        assert_eq!((child.mask(), first.mask()), (0o077, 0o022));
        child.ids().user.set(3, false).expect("its own");
        processes.fork(20, 21, true);
        processes.execute(21, 20);
        assert!(processes.knows(20) && !processes.knows(21));
        assert_eq!(processes.numbers(), [10, 20]);
        processes.end(20);
        assert_eq!(processes.numbers(), [10]);
    }
}
