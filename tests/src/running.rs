//! A call of the binary that is under way: it can be listened to, and be hit by signals.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::user::{Outcome, binary};

/// No single call may take longer: a test that hangs must fail.
const LIMIT: Duration = Duration::from_secs(300);

/// A call that runs.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    started: Instant,
    stdout: Said,
    stderr: Said,
    writer: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(mut command: Command, input: Vec<u8>) -> Self {
        let line = described(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        Self {
            line,
            started,
            stdout: Said::collect(child.stdout.take().unwrap()),
            stderr: Said::collect(child.stderr.take().unwrap()),
            // A step that does not read its input closes it: no error of ours.
            writer: std::thread::spawn(move || drop(stdin.write_all(&input))),
            child,
        }
    }

    /// Waits until standard error says this.
    ///
    /// # Panics
    /// If it ends without having said it.
    #[track_caller]
    pub fn until(&self, fragment: &str) {
        let said = self.stderr.until(fragment);
        assert!(said.contains(fragment), "{}\nshould say {fragment:?}, said:\n{said}", self.line);
    }

    /// Sends a signal to the binary itself: not to what started it in its place, nor to what it started. Does nothing if it has not begun or has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It may have ended in between.
            let _ = kill_process(pid, signal);
        }
    }

    /// The process of the binary, or of a copy of it: the topmost below our child that runs a program of its name.
    pub fn pid(&self) -> Option<Pid> {
        let binary = binary();
        let mut generation = vec![self.child.id()];
        while !generation.is_empty() {
            let program = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            let is_ours = |pid: &&u32| program(pid).file_name() == binary.file_name();
            if let Some(pid) = generation.iter().find(is_ours) {
                return Pid::from_raw(pid.cast_signed());
            }
            generation = generation.into_iter().flat_map(children).collect();
        }
        None
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within five minutes.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > LIMIT {
                self.signal(Signal::KILL);
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{} did not end within {LIMIT:?}; stderr:\n{}", self.line, lossy(&self.stderr.end()));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let elapsed = self.started.elapsed();
        self.writer.join().unwrap();
        Outcome {
            line: self.line,
            status: status.code(),
            stdout: self.stdout.end(),
            stderr: lossy(&self.stderr.end()),
            elapsed,
        }
    }
}

/// The children of a process, of all its threads (proc(5), `/proc/pid/task/tid/children`).
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

fn described(command: &Command) -> String {
    let words: Vec<OsString> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_owned).collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What comes out of a stream, as it comes.
#[derive(Debug)]
struct Said {
    state: Arc<(Mutex<Heard>, Condvar)>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

impl Said {
    fn collect(mut stream: impl Read + Send + 'static) -> Self {
        let state = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let length = stream.read(&mut buffer).unwrap();
                let mut heard = shared.0.lock().unwrap();
                heard.bytes.extend_from_slice(&buffer[..length]);
                heard.ended = length == 0;
                shared.1.notify_all();
                if heard.ended {
                    return;
                }
            }
        });
        Self { state, reader }
    }

    /// All that was said when a fragment has come, or at the end.
    fn until(&self, fragment: &str) -> String {
        let heard = self.state.0.lock().unwrap();
        let waits = |heard: &mut Heard| !heard.ended && !lossy(&heard.bytes).contains(fragment);
        let (heard, limit) = self.state.1.wait_timeout_while(heard, LIMIT, waits).unwrap();
        assert!(!limit.timed_out(), "nothing with {fragment:?} came within {LIMIT:?}:\n{}", lossy(&heard.bytes));
        lossy(&heard.bytes)
    }

    fn end(self) -> Vec<u8> {
        self.reader.join().unwrap();
        std::mem::take(&mut self.state.0.lock().unwrap().bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_heard_before_the_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready >&2; read answer; exit $answer"]);
        let running = Running::start(command, b"7\n".to_vec());
        running.until("ready");
        assert_eq!(running.wait().status, Some(7));
    }
}
