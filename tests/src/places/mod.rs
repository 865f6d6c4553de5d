//! Places where CI runs steprun, emulated on one machine: an ordinary user's shell, and containers as Docker and Kubernetes make them.
//!
//! All need a test that runs as root. The machine is left as it was: what a place changes, it changes in a mount namespace of its own.

mod container;
mod ordinary;
mod seccomp;

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::running::Running;
use crate::user::{Outcome, Steprun};

use container::Container;
use ordinary::Ordinary;

/// Somewhere that steprun runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// An ordinary user of a machine, with a range of subordinate ids.
    Machine,
    /// Root in a container without a seccomp filter: Kubernetes without `seccompDefault`.
    Unconfined,
    /// Root in a container with Docker's default capabilities and filter.
    Docker,
    /// The same, with the rung `supervised` asked for.
    Supervised,
    /// User 1000 in a container, without capabilities, with `no_new_privs` and that filter: Kubernetes' "restricted".
    Restricted,
}

impl Place {
    /// From the one that gives most to the one that gives least.
    pub const ALL: [Self; 4] = [Self::Machine, Self::Unconfined, Self::Docker, Self::Restricted];

    /// One place for each rung.
    pub const RUNGS: [Self; 3] = [Self::Machine, Self::Docker, Self::Restricted];

    /// The rung that commands get there.
    pub fn rung(self) -> &'static str {
        match self {
            Self::Machine => "userns",
            // A container's /proc is covered in places, and the kernel then mounts no new one, which a PID namespace needs.
            Self::Unconfined | Self::Docker => "chroot",
            Self::Supervised | Self::Restricted => "supervised",
        }
    }

    /// Enters it, with a home directory; what `sees` names can be read there, under the same paths.
    ///
    /// # Panics
    /// If the test is not root's.
    pub fn enter(self, sees: &[&Path]) -> Inside {
        assert!(rustix::process::geteuid().is_root(), "places can only be made by root: run this test as root");
        let home = tempfile::Builder::new().prefix("steprun-place-").tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        let way = match self {
            Self::Machine => Way::Ordinary(Ordinary::new()),
            Self::Unconfined | Self::Docker | Self::Supervised | Self::Restricted => {
                Way::Container(Container::start(self, home.path(), sees))
            }
        };
        let uid = way.uid();
        chown(home.path(), Some(uid), Some(uid)).unwrap();
        Inside { place: self, way, home }
    }
}

/// Somebody in a place. The place ends when this is dropped.
#[derive(Debug)]
pub struct Inside {
    place: Place,
    // Dropped before the home, which is mounted in it.
    way: Way,
    home: TempDir,
}

#[derive(Debug)]
enum Way {
    Ordinary(Ordinary),
    Container(Container),
}

impl Way {
    fn uid(&self) -> u32 {
        match self {
            Self::Ordinary(ordinary) => ordinary.uid(),
            Self::Container(container) => container.uid(),
        }
    }

    fn binary(&self) -> PathBuf {
        match self {
            Self::Ordinary(ordinary) => ordinary.binary(),
            Self::Container(_) => PathBuf::from(crate::rootfs::BINARY),
        }
    }
}

impl Inside {
    /// Which place it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whose home it is.
    pub fn uid(&self) -> u32 {
        self.way.uid()
    }

    /// The home directory, the same path inside and outside: a place for outputs, too.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The store that calls use.
    pub fn store(&self) -> PathBuf {
        self.home().join("store")
    }

    /// `steprun ARGUMENTS` in the home directory.
    pub fn steprun<I>(&self, arguments: I) -> Call<'_>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let call = self.program(self.way.binary(), arguments).env("STEPRUN_STORE", self.store());
        if self.place == Place::Supervised { call.env("STEPRUN_ISOLATION", "supervised") } else { call }
    }

    /// `steprun build --allow-run` of a context to an image's name.
    pub fn build(&self, context: &Path, image: &str, more: &[&str]) -> Call<'_> {
        let words = ["build", "--allow-run", "-c", context.to_str().unwrap(), "-d", image];
        self.steprun(words.iter().chain(more))
    }

    /// Any program in the home directory.
    pub fn program<I>(&self, program: impl AsRef<OsStr>, arguments: I) -> Call<'_>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let words = std::iter::once(program.as_ref().to_owned());
        let words = words.chain(arguments.into_iter().map(|word| word.as_ref().to_owned())).collect();
        let environment = vec![
            ("PATH".to_owned(), crate::rootfs::PATH.into()),
            ("HOME".to_owned(), self.home().into()),
            ("TMPDIR".to_owned(), self.home().into()),
        ];
        Call { inside: self, words, environment }
    }

    /// The command lines of the processes that are left in the place. Zombies do not count: a container's process 1 may reap none.
    pub fn processes(&self) -> Vec<String> {
        match &self.way {
            Way::Ordinary(ordinary) => ordinary.processes(),
            Way::Container(container) => container.processes(),
        }
    }

    /// Waits until no process is left: those that were told to end need a moment.
    ///
    /// # Panics
    /// If there are some after half a minute.
    #[track_caller]
    pub fn comes_to_rest(&self) {
        let started = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{:?}: still there: {left:#?}", self.place);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What runs left in the store besides blobs and what was read of them: workspaces, half-written files.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let entries = ["runs", "tmp"].map(|name| fs::read_dir(self.store().join(name)));
        entries.into_iter().flatten().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    /// The mount points in the place.
    pub fn mounts(&self) -> Vec<String> {
        let process = match &self.way {
            Way::Ordinary(_) => "self".to_owned(),
            Way::Container(container) => container.process().to_string(),
        };
        let table = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap();
        let point = |line: &str| line.split(' ').nth(4).unwrap().to_owned();
        let all = table.lines().map(point);
        // On the machine others mount, too.
        let ours = |point: &String| matches!(self.way, Way::Container(_)) || Path::new(point).starts_with(self.home());
        all.filter(ours).collect()
    }
}

/// A call that is being prepared.
#[derive(Debug)]
pub struct Call<'a> {
    inside: &'a Inside,
    words: Vec<OsString>,
    environment: Vec<(String, OsString)>,
}

impl Call<'_> {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.words.push(argument.as_ref().to_owned());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The command that enters the place and runs it.
    pub fn into_command(self) -> Command {
        match &self.inside.way {
            Way::Ordinary(ordinary) => ordinary.command(self.inside.home(), &self.words, &self.environment),
            Way::Container(container) => container.command(self.inside.home(), &self.words, &self.environment),
        }
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(self) -> Running {
        Steprun::of(self.into_command()).spawn()
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        Steprun::of(self.into_command()).run()
    }
}

/// A process that is there and no zombie, by its command line.
fn living(process: &Path) -> Option<String> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = fs::read(process.join("cmdline")).ok()?;
    let dead = status.lines().any(|line| line.starts_with("State:\tZ") || line.starts_with("State:\tX"));
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    (!dead).then(|| words.join(" "))
}

/// The directories of processes in a proc file system.
fn processes(proc: &Path) -> impl Iterator<Item = PathBuf> {
    let is_process = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
    fs::read_dir(proc).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_process)
}
