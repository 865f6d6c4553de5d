//! A user of the binary: an own home, a clean environment, and an eye on what comes out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::running::Running;
use crate::workspace;

/// The binary under test: `STEPRUN_BIN`, or the release build of this workspace.
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("STEPRUN_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
            target.join("release/steprun")
        }
    };
    assert!(
        path.is_file(),
        "there is no binary at {}: run `cargo build --release`, or set STEPRUN_BIN",
        path.display()
    );
    path
}

/// Somebody with a home directory, where caches and configuration go.
#[derive(Debug)]
pub struct User {
    home: TempDir,
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

impl User {
    /// A user with an empty home.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// The home directory: a place for outputs, too.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `steprun ARGUMENTS`, run in the home directory.
    pub fn steprun<I>(&self, arguments: I) -> Steprun
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", self.home())
            .current_dir(self.home());
        Steprun::of(command)
    }

    /// Runs `steprun ARGUMENTS` and expects it to succeed.
    #[track_caller]
    pub fn succeeds<I>(&self, arguments: I) -> Outcome
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.steprun(arguments).run().succeeded()
    }

    /// Runs `steprun ARGUMENTS` and expects this exit status.
    #[track_caller]
    pub fn fails<I>(&self, status: i32, arguments: I) -> Outcome
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.steprun(arguments).run().exited(status)
    }
}

/// A call of the binary that is being prepared.
#[derive(Debug)]
pub struct Steprun {
    command: Command,
    input: Vec<u8>,
}

impl Steprun {
    /// A call by a command that leads to the binary in the end.
    pub(crate) fn of(command: Command) -> Self {
        Self { command, input: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in another directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Gives it standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// The plain command, for callers that watch it themselves.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Starts it, for callers that do something meanwhile.
    #[track_caller]
    pub fn spawn(self) -> Running {
        Running::start(self.command, self.input)
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it does not end within five minutes.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) line: String,
    /// The exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    /// Wall time.
    pub elapsed: Duration,
}

impl Outcome {
    /// Expects success.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// Expects an exit status.
    #[track_caller]
    pub fn exited(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\nstdout:\n{}\nstderr:\n{}", self.line, self.text(), self.stderr);
        self
    }

    /// Expects standard error to say all of this.
    #[track_caller]
    pub fn says(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            assert!(self.stderr.contains(fragment), "{}\nshould say {fragment:?}, said:\n{}", self.line, self.stderr);
        }
        self
    }

    /// Expects nothing on standard output.
    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        assert_eq!(self.text(), "", "{}", self.line);
        self
    }

    /// Standard output as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The single line on standard output.
    #[track_caller]
    pub fn line(&self) -> &str {
        let text = self.text();
        let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("{} printed no line: {text:?}", self.line));
        assert!(!line.contains('\n'), "{} printed more than a line:\n{text}", self.line);
        line
    }

    /// The digest at the end of the single line `NAME@DIGEST` on standard output.
    #[track_caller]
    pub fn digest(&self) -> String {
        let line = self.line();
        let digest = line.rsplit('@').next().unwrap();
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{} printed no digest: {line}", self.line);
        digest.to_owned()
    }
}
