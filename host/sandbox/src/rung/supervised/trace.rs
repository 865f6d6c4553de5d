//! The tracer: follows all threads of the command from their first to their last moment, and rewrites their calls (ptrace(2)).
//!
//! It waits for any of them in waitpid(2), which only the tracing thread may; so another thread minds the clock and the host, and
//! wakes this one by killing the command.

use std::collections::{HashMap, HashSet};
use std::io;

use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::exec::{Plan, Planner};
use super::registers::Registers;
use super::rewrite::{Effect, Rewrite};
use super::scratch::Scratch;
use super::world::{Caller, World};
use crate::sys::check;

/// All that is traced. If this process dies, so does the command.
const OPTIONS: i32 = libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL
    | libc::PTRACE_O_TRACESYSGOOD;
/// The signal of a stop at the end of a system call, by PTRACE_O_TRACESYSGOOD.
const CALL_ENDED: i32 = libc::SIGTRAP | 0x80;

/// Its state.
pub(super) struct Tracer<'a> {
    world: &'a World,
    scratch: &'a Scratch,
    planner: Planner,
    /// Threads in the middle of a rewritten call.
    rewritten: HashMap<i32, (Registers, Effect)>,
    /// New threads that nobody has told of.
    early: HashSet<i32>,
}

/// Starts to trace a process.
///
/// # Errors
/// EPERM where the place forbids it.
pub(super) fn seize(process: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, process, OPTIONS as usize)
}

impl<'a> Tracer<'a> {
    /// A tracer of nothing yet.
    pub(super) fn new(world: &'a World, scratch: &'a Scratch) -> Self {
        Self { world, scratch, planner: Planner::default(), rewritten: HashMap::new(), early: HashSet::new() }
    }

    /// Traces until the first process has ended: how.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn run(&mut self, first: i32) -> io::Result<WaitStatus> {
        loop {
            let (thread, status) = wait_any()?.ok_or(io::ErrorKind::NotFound)?;
            if status.stopped() {
                // A thread may be killed at any moment, also between its stop and our answer; its end comes next.
                let _ = self.stopped(thread, status);
            } else {
                self.world.processes.end(thread);
                self.rewritten.remove(&thread);
                if thread == first {
                    return Ok(status);
                }
            }
        }
    }

    /// Kills all that is left and waits for its end. A stopped thread is not let go, so nobody escapes by another fork.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn end(self) -> io::Result<()> {
        for number in self.world.processes.numbers().into_iter().chain(self.early) {
            kill(number);
        }
        while let Some((thread, status)) = wait_any()? {
            if status.stopped() {
                kill(thread);
            } else {
                self.world.processes.end(thread);
            }
        }
        Ok(())
    }

    fn stopped(&mut self, thread: i32, status: WaitStatus) -> io::Result<()> {
        let signal = status.stopping_signal().unwrap_or(0);
        match status.as_raw() >> 16 {
            libc::PTRACE_EVENT_SECCOMP => self.at_call(thread),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => self.forked(thread),
            libc::PTRACE_EVENT_EXEC => self.executed(thread),
            libc::PTRACE_EVENT_STOP if !self.world.processes.knows(thread) => self.appeared(thread),
            // A group stop: it waits for SIGCONT, as without a tracer.
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => ptrace(libc::PTRACE_LISTEN, thread, 0),
            libc::PTRACE_EVENT_STOP => go_on(thread, 0),
            _ if signal == CALL_ENDED => self.call_ended(thread),
            _ => go_on(thread, signal),
        }
    }

    fn at_call(&mut self, thread: i32) -> io::Result<()> {
        let Some(process) = self.world.processes.of(thread) else { return go_on(thread, 0) };
        let before = Registers::read(thread)?;
        let mut registers = before;
        let caller = Caller { thread, process };
        let rewrite = Rewrite { world: self.world, scratch: self.scratch, planner: &mut self.planner, caller };
        match rewrite.apply(&mut registers) {
            Ok(effect) => {
                registers.write(thread)?;
                self.rewritten.insert(thread, (before, effect));
                ptrace(libc::PTRACE_SYSCALL, thread, 0)
            }
            Err(error) => {
                registers = before;
                registers.skip(thread, -i64::from(error.raw_os_error()))?;
                registers.write(thread)?;
                go_on(thread, 0)
            }
        }
    }

    fn call_ended(&mut self, thread: i32) -> io::Result<()> {
        if let Some((before, _)) = self.rewritten.remove(&thread) {
            let mut registers = Registers::read(thread)?;
            registers.restore(&before);
            registers.write(thread)?;
        }
        go_on(thread, 0)
    }

    /// A new thread stands at its beginning, before its maker told of it. That may have been killed meanwhile, so the thread is asked itself.
    fn appeared(&mut self, thread: i32) -> io::Result<()> {
        let Kin { process, parent } = Kin::of(thread)?;
        let maker = if process == thread { parent } else { process };
        if !self.world.processes.knows(maker) {
            // Its maker has made it a child of another process (CLONE_PARENT): that one's word comes next.
            self.early.insert(thread);
            return Ok(());
        }
        self.world.processes.fork(maker, thread, process != thread);
        go_on(thread, 0)
    }

    fn forked(&mut self, parent: i32) -> io::Result<()> {
        let child = event_message(parent)? as i32;
        // One that appeared before may have ended before, too: then it must not be entered again, as its number may come again.
        if !self.world.processes.knows(child)
            && let Ok(kin) = Kin::of(child)
        {
            self.world.processes.fork(parent, child, kin.process != child);
        }
        if self.early.remove(&child) {
            // Killed already, perhaps: then its end comes next.
            let _ = go_on(child, 0);
        }
        go_on(parent, 0)
    }

    fn executed(&mut self, process: i32) -> io::Result<()> {
        let former = event_message(process)? as i32;
        self.world.processes.execute(former, process);
        if let Some((_, Effect::Executes(plan))) = self.rewritten.remove(&former)
            && let Some(process) = self.world.processes.of(process)
        {
            let Plan { program, set_ids: (uid, gid), .. } = *plan;
            *process.program() = program;
            let mut ids = process.ids();
            ids.execute(uid, gid);
        }
        go_on(process, 0)
    }
}

/// What a new thread belongs to. It stands, so this can't change.
struct Kin {
    process: i32,
    parent: i32,
}

impl Kin {
    fn of(thread: i32) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status"))?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        let unreadable = || io::Error::other("/proc/PID/status has no Tgid or PPid");
        Ok(Self { process: field("Tgid:").ok_or_else(unreadable)?, parent: field("PPid:").ok_or_else(unreadable)? })
    }
}

/// Waits for any child or traced thread, also those that don't send SIGCHLD (__WALL). None where there is none left.
fn wait_any() -> io::Result<Option<(i32, WaitStatus)>> {
    loop {
        match wait(WaitOptions::from_bits_retain(libc::__WALL as u32)) {
            Ok(Some((thread, status))) => return Ok(Some((thread.as_raw_nonzero().get(), status))),
            Ok(None) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn event_message(thread: i32) -> io::Result<libc::c_ulong> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the message is live.
    check(unsafe {
        libc::ptrace(libc::PTRACE_GETEVENTMSG, thread, std::ptr::null_mut::<libc::c_void>(), &raw mut message)
    })?;
    Ok(message)
}

/// Lets a stopped thread run, with a signal.
fn go_on(thread: i32, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_CONT, thread, signal as usize)
}

fn ptrace(request: libc::c_uint, thread: i32, data: usize) -> io::Result<()> {
    // SAFETY: all requests that come here take numbers.
    check(unsafe { libc::ptrace(request, thread, std::ptr::null_mut::<libc::c_void>(), data) })?;
    Ok(())
}

fn kill(thread: i32) {
    // SAFETY: takes numbers. It is a child or traced, so its number is its own until we wait for it.
    unsafe { libc::kill(thread, libc::SIGKILL) };
}
