//! The capability `progress`: what people see on standard error while a step runs. It grants nothing; all text is made plain.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use wasmtime::component::Resource;

use crate::bindings::progress::{Host, HostTask, Level};
use crate::bindings::types::Position;
use crate::cli::options::ProgressMode;
use crate::exit::Failure;
use crate::session::State;
use crate::terminal::plain;

/// How often a log that has nothing new to say names the work that is under way.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

enum Form {
    Plain,
    Bars(MultiProgress),
    Json,
    Quiet,
}

/// Writes to standard error in one of the forms.
pub struct Display {
    form: Form,
    colour: bool,
    started: Instant,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    next: u64,
    tasks: BTreeMap<u64, Task>,
    last_line: Option<Instant>,
}

struct Task {
    label: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Display {
    /// A display in the form that the caller wants; `auto` asks whether standard error is a terminal that nobody records.
    pub fn new(mode: ProgressMode) -> Self {
        let terminal = io::stderr().is_terminal();
        let plain_terminal =
            std::env::var_os("TERM").is_some_and(|term| term == "dumb") || std::env::var_os("CI").is_some();
        let bars = || Form::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let form = match mode {
            ProgressMode::Auto if terminal && !plain_terminal => bars(),
            ProgressMode::Auto | ProgressMode::Plain => Form::Plain,
            ProgressMode::Tty => bars(),
            ProgressMode::Json => Form::Json,
            ProgressMode::Quiet => Form::Quiet,
        };
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { form, colour, started: Instant::now(), running: Mutex::default() }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a piece of work.
    pub fn start(self: &Arc<Self>, label: &str) -> TaskHandle {
        let label = one_line(label);
        let bar = match &self.form {
            Form::Bars(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}") {
                    bar.set_style(style);
                }
                bar.set_message(label.clone());
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            _ => None,
        };
        let mut running = self.running();
        let id = running.next;
        running.next += 1;
        running.tasks.insert(id, Task { label, started: Instant::now(), bar });
        TaskHandle { id, display: Arc::clone(self) }
    }

    fn end(&self, id: u64, note: Option<&str>) {
        let Some(task) = self.running().tasks.remove(&id) else { return };
        if let Some(bar) = &task.bar {
            bar.finish_and_clear();
        }
        let seconds = task.started.elapsed().as_secs_f64();
        match (&self.form, note) {
            (Form::Quiet, _) | (Form::Plain | Form::Bars(_), None) => {}
            (Form::Plain | Form::Bars(_), Some(note)) => {
                let note = one_line(note);
                let note = if note.is_empty() { note } else { format!(": {note}") };
                self.line(&format!("{}{note} ({seconds:.1}s)", task.label));
            }
            (Form::Json, _) => {
                let event = if note.is_some() { "finished" } else { "abandoned" };
                self.json(serde_json::json!({ "event": event, "task": task.label, "note": note.map(plain), "seconds": seconds }));
            }
        }
    }

    /// Names the work that is under way, if the log has been silent for long.
    pub fn heartbeat(&self) {
        if !matches!(self.form, Form::Plain) {
            return;
        }
        let running = self.running();
        if running.last_line.unwrap_or(self.started).elapsed() < HEARTBEAT {
            return;
        }
        let labels: Vec<String> = running
            .tasks
            .values()
            .map(|task| format!("{} ({:.0}s)", task.label, task.started.elapsed().as_secs_f64()))
            .collect();
        drop(running);
        if !labels.is_empty() {
            self.line(&format!("still at work: {}", labels.join("; ")));
        }
    }

    /// Says something of interest.
    pub fn info(&self, message: &str) {
        match self.form {
            Form::Quiet => {}
            Form::Json => self.json(serde_json::json!({ "event": "info", "message": plain(message) })),
            Form::Plain | Form::Bars(_) => self.line(&plain(message)),
        }
    }

    /// Shows a line that a command wrote.
    pub fn output(&self, label: &str, line: &str) {
        let (label, line) = (one_line(label), plain(line));
        let line = line.trim_end();
        match self.form {
            Form::Quiet => {}
            Form::Json => self.json(serde_json::json!({ "event": "output", "task": label, "line": line })),
            Form::Plain | Form::Bars(_) => self.line(&format!("{label} {line}")),
        }
    }

    /// Says something that people should look at.
    pub fn warn(&self, message: &str) {
        match self.form {
            Form::Json => self.json(serde_json::json!({ "event": "warning", "message": plain(message) })),
            _ => self.print(&format!("{} {}", self.coloured("33", "warning:"), plain(message))),
        }
    }

    /// Says why a run failed.
    pub fn failure(&self, failure: &Failure) {
        if matches!(self.form, Form::Json) {
            self.json(serde_json::json!({
                "event": "error",
                "message": failure.message,
                "position": failure.place.as_ref().map(|place| &place.position),
                "causes": failure.causes,
                "hint": failure.hint,
                "status": failure.exit.status(),
            }));
            return;
        }
        let report = failure.to_string();
        let rest = report.strip_prefix("error:").unwrap_or(&report);
        self.print(&format!("{}{}", self.coloured("31", "error:"), plain(rest)));
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A line with the time since the start.
    fn line(&self, text: &str) {
        self.running().last_line = Some(Instant::now());
        self.print(&format!("[{:>6.1}s] {text}", self.started.elapsed().as_secs_f64()));
    }

    fn json(&self, mut event: serde_json::Value) {
        event["time"] = serde_json::json!(self.started.elapsed().as_secs_f64());
        self.print(&event.to_string());
    }

    /// Nobody to tell is no reason to fail: a closed standard error is ignored.
    fn print(&self, text: &str) {
        let write = || {
            let _ = writeln!(io::stderr(), "{text}");
        };
        match &self.form {
            Form::Bars(bars) => bars.suspend(write),
            _ => write(),
        }
    }
}

fn one_line(text: &str) -> String {
    plain(text).trim().replace('\n', " ")
}

/// A piece of work under way. Dropped without an end, it was given up.
pub struct TaskHandle {
    id: u64,
    display: Arc<Display>,
}

impl TaskHandle {
    /// Ends it well.
    pub fn finish(self, note: &str) {
        self.display.end(self.id, Some(note));
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        self.display.end(self.id, None);
    }
}

impl Host for State {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let display = &self.session()?.display;
        match level {
            Level::Debug => {}
            Level::Info => display.info(&message),
            Level::Warning => display.warn(&message),
        }
        Ok(())
    }

    fn log_at(&mut self, level: Level, position: Position, message: String) -> wasmtime::Result<()> {
        self.log(level, format!("{}:{}:{}: {message}", position.file, position.line, position.column))
    }
}

impl HostTask for State {
    fn new(&mut self, label: String) -> wasmtime::Result<Resource<TaskHandle>> {
        let task = self.session()?.display.start(&label);
        Ok(self.table.push(task)?)
    }

    fn finish(&mut self, handle: Resource<TaskHandle>, note: String) -> wasmtime::Result<()> {
        // The handle stays until the component drops it; ending twice says nothing new.
        let task = self.table.get(&handle)?;
        task.display.end(task.id, Some(&note));
        Ok(())
    }

    fn drop(&mut self, handle: Resource<TaskHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
