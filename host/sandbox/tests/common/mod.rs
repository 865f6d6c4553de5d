//! Sandboxes for tests: a small root file system, and a process that runs a rung.

// Each file of tests uses a part of it.
#![allow(dead_code)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use steprun_sandbox::request::{self, Exit, Limits, Network, Secret, User};
use steprun_sandbox::{Rung, trial::Trial};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// `nobody` of Debian and most others.
pub(crate) const NOBODY: u32 = 65534;

/// A root file system of Debian's essential packages, where the machine has one.
const DEBIAN: &str = "/var/tmp/debian-root";

const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-trial");

/// A root file system of busybox, and what shall run in it.
pub(crate) struct Sandbox {
    directory: TempDir,
    /// What shall run.
    pub(crate) trial: Trial,
    /// The number of a descriptor that the supervisor inherits.
    pub(crate) inherited: Option<i32>,
    outer: Vec<(String, String)>,
    nobody: bool,
    /// A command with arguments that runs the supervisor, which is appended.
    pub(crate) within: Vec<String>,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Done {
    /// As the rung says, or why it didn't start.
    pub(crate) exit: Result<Exit, String>,
    /// Standard output, as far as nobody has read it.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

/// A started supervisor.
pub(crate) struct Running {
    /// Its process.
    pub(crate) child: Child,
    /// It stops when this is closed.
    pub(crate) stop: Option<ChildStdin>,
    reply: PathBuf,
    _directory: Option<TempDir>,
}

impl Sandbox {
    /// `sh -c SCRIPT` as root, without network.
    pub(crate) fn new(rung: Rung, script: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("root");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "../outside"] {
            fs::create_dir_all(root.join(name)).expect("a directory");
        }
        // Others than root run in some of them.
        for path in [directory.path(), &root.join("tmp")] {
            fs::set_permissions(
                path,
                fs::Permissions::from_mode(if path == directory.path() { 0o755 } else { 0o1777 }),
            )
            .expect("ours");
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("the package busybox-static");
        for applet in applets() {
            symlink("busybox", root.join("bin").join(applet)).expect("a symlink");
        }
        let command = request::Command {
            arguments: ["sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec(),
            environment: Vec::new(),
            directory: b"/".to_vec(),
            user: User::default(),
            input: Vec::new(),
        };
        let (attachments, network, limits) = (Vec::new(), Network::None, Limits::default());
        let trial = Trial { rung, root, overlay: None, command, attachments, network, limits };
        let mut sandbox =
            Self { directory, trial, inherited: None, outer: Vec::new(), nobody: false, within: Vec::new() };
        sandbox.environment(&["PATH=/bin"]);
        sandbox
    }

    /// The command's environment.
    pub(crate) fn environment(&mut self, variables: &[&str]) {
        let secret = |variable: &&str| Secret(Zeroizing::new(variable.as_bytes().to_vec()));
        self.trial.command.environment = variables.iter().map(secret).collect();
    }

    /// A variable of the supervisor's environment.
    pub(crate) fn outer_environment(&mut self, name: &str, value: &str) {
        self.outer.push((name.to_owned(), value.to_owned()));
    }

    /// The root directory.
    pub(crate) fn root(&self) -> &Path {
        &self.trial.root
    }

    /// A directory that the command doesn't see.
    pub(crate) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    /// Writes a file of the root file system.
    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::write(self.root().join(path), content).expect("a file");
    }

    /// Takes the root file system of Debian, and runs bash in it with these arguments. Whether the machine has one.
    pub(crate) fn be_debian(&mut self, arguments: &[&str]) -> bool {
        if !Path::new(DEBIAN).join("etc/debian_version").exists() {
            eprintln!("skipped: there is no root file system of Debian at {DEBIAN}");
            return false;
        }
        let root = self.root().join("debian");
        let copied = Command::new("cp").arg("-a").args([DEBIAN.as_ref(), root.as_path()]).status();
        assert!(copied.expect("cp").success());
        self.trial.root = root;
        self.trial.command.arguments = ["bash"].iter().chain(arguments).map(|word| word.as_bytes().to_vec()).collect();
        self.environment(&["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]);
        true
    }

    /// Takes the root file system of Debian and a script with checks in it, each of which says `ok` or `FAIL`. Whether the machine has one.
    pub(crate) fn be_checked_debian(&mut self) -> bool {
        if !self.be_debian(&["/compat.sh"]) {
            return false;
        }
        fs::copy("/bin/busybox", self.root().join("busybox")).expect("the package busybox-static");
        self.write("compat.sh", include_str!("../compat.sh"));
        true
    }

    /// Lets `nobody` be the supervisor, to whom all files belong then.
    pub(crate) fn run_as_nobody(&mut self) {
        self.nobody = true;
        let status = Command::new("chown").args(["-hR", "65534:65534"]).arg(self.directory.path()).status();
        assert!(status.expect("chown").success());
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Done {
        self.launch().wait()
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let running = self.launch();
        Running { _directory: Some(self.directory), ..running }
    }

    fn launch(&self) -> Running {
        // A process that another test forks while the program is written would hold it open, so that it couldn't be executed (ETXTBSY).
        static LAUNCHES: Mutex<()> = Mutex::new(());
        let _alone = LAUNCHES.lock().unwrap_or_else(PoisonError::into_inner);
        let [request, reply, program] = ["request", "reply", "program"].map(|name| self.directory.path().join(name));
        fs::write(&request, postcard::to_allocvec(&self.trial).expect("a request")).expect("a file");
        let _ = fs::remove_file(&reply);
        // Where cargo puts it, `nobody` may have no access.
        copy_program(&program);
        let mut command = Command::new(match self.within.first() {
            Some(outer) => Path::new(outer),
            None if self.nobody => Path::new("setpriv"),
            None => &program,
        });
        if let Some(arguments) = self.within.get(1..) {
            command.args(arguments).arg(&program);
        }
        if self.nobody {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
            chown(self.directory.path(), Some(NOBODY), Some(NOBODY)).expect("root");
        }
        command.args([&request, &reply]).envs(self.outer.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let file = File::open("/etc/passwd").expect("a file");
        let (from, to) = (file.as_raw_fd(), self.inherited);
        // SAFETY: the call is async-signal-safe, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                if let Some(to) = to {
                    libc::dup2(from, to);
                }
                Ok(())
            })
        };
        let mut child = command.spawn().expect("a process");
        let stop = child.stdin.take();
        Running { child, stop, reply, _directory: None }
    }
}

impl Running {
    /// Waits for the end.
    pub(crate) fn wait(self) -> Done {
        let Self { child, stop, reply, _directory } = self;
        let output = child.wait_with_output().expect("our child");
        drop(stop);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let errors = text(output.stderr);
        let reply = fs::read(reply).unwrap_or_else(|error| panic!("no reply ({error}): {} {errors}", output.status));
        let exit = postcard::from_bytes(&reply).expect("a reply");
        Done { exit, output: text(output.stdout), errors }
    }
}

/// By another process: while this one had it open to write, a child of another test could inherit that, and nobody could execute it.
fn copy_program(to: &Path) {
    assert!(Command::new("cp").args([Path::new(PROGRAM), to]).status().expect("cp").success());
}

fn applets() -> &'static [String] {
    static APPLETS: OnceLock<Vec<String>> = OnceLock::new();
    APPLETS.get_or_init(|| {
        let list = Command::new("/bin/busybox").arg("--list").output().expect("the package busybox-static");
        String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox").map(str::to_owned).collect()
    })
}

/// A test of any rung: what a command says and how it ends arrives as it is.
pub(crate) fn output_and_statuses_are_exact(sandbox: fn(&str) -> Option<Sandbox>) {
    for (script, exit) in [
        ("echo out; echo err >&2", Exit::Status(0)),
        ("exit 7", Exit::Status(7)),
        ("exit 255", Exit::Status(255)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("yes | head -n 1 > /dev/null", Exit::Status(0)),
        ("exec /nowhere", Exit::Status(127)),
    ] {
        let Some(sandbox) = sandbox(script) else { return eprintln!("skipped: this place doesn't give the rung") };
        let done = sandbox.run();
        assert_eq!(done.exit, Ok(exit), "{script}: {done:?}");
        if script.starts_with("echo") {
            assert_eq!((done.output.as_str(), done.errors.as_str()), ("out\n", "err\n"));
        }
    }
}

/// A test of the rungs that keep owners on the files: what a command makes is as it made it.
pub(crate) fn owners_and_modes_are_real(sandbox: fn(&str) -> Option<Sandbox>) {
    let script = "cd /tmp; touch a b; chown 12:34 a; chmod 4711 b; mkdir d; chgrp 65534 d; mkfifo f; ln b c; ln -s a l; su app -c 'touch /tmp/by-app'";
    let Some(sandbox) = sandbox(script) else { return eprintln!("skipped: this place doesn't give the rung") };
    sandbox.write("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:500:501::/:/bin/sh\n");
    sandbox.write("etc/group", "app:x:501:\n");
    let done = sandbox.run();
    assert_eq!(done.exit, Ok(Exit::Status(0)), "{done:?}");
    let stat = |name: &str| fs::symlink_metadata(sandbox.root().join("tmp").join(name)).expect(name);
    assert_eq!((stat("a").uid(), stat("a").gid()), (12, 34));
    assert_eq!((stat("b").mode() & 0o7777, stat("b").nlink()), (0o4711, 2));
    assert_eq!(stat("d").gid(), 65534);
    assert_eq!((stat("by-app").uid(), stat("by-app").gid()), (500, 501));
    assert!(stat("l").is_symlink());
}

/// A test of any rung: what a command leaves running is ended.
pub(crate) fn nothing_is_left_behind(sandbox: fn(&str) -> Option<Sandbox>) {
    let marker = marker();
    // A daemon that forked twice, one that ignores hang-ups, one in another session.
    let script = format!(
        "(sh -c ': {marker}; while :; do sleep 1; done' &) & nohup sleep {marker} > /dev/null 2>&1 & setsid sleep {marker} > /dev/null 2>&1 & \
        echo done"
    );
    let Some(sandbox) = sandbox(&script) else { return eprintln!("skipped: this place doesn't give the rung") };
    let done = sandbox.run();
    assert_eq!((done.exit, done.output.as_str()), (Ok(Exit::Status(0)), "done\n"));
    assert!(!is_alive(&marker));
}

/// Seconds that are no other test's: an argument of `sleep` by which its process is found.
pub(crate) fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("7{:07}{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether a process of this machine has the marker among its arguments.
pub(crate) fn is_alive(marker: &str) -> bool {
    fs::read_dir("/proc").expect("/proc").flatten().any(|entry| {
        fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
    })
}

/// Whether this place has the namespaces that the tests need: as the machine says, not as the code under test does.
pub(crate) fn namespaces_allowed() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let map = if root { "--user" } else { "--map-auto" };
    let arguments = ["--map-root-user", map, "--mount", "--pid", "--fork", "--mount-proc", "true"];
    Command::new("unshare").args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What the probe prints, with arguments for setpriv(1).
pub(crate) fn probe(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("program");
    copy_program(&program);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    let output = Command::new("setpriv").args(arguments).arg(&program).arg(directory.path()).output().expect("setpriv");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> =
        fs::read_dir(directory.path()).expect("there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["program"], "what was made is removed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ranges of ids for `nobody`, for as long as it lives.
pub(crate) struct Ranges(());

const LINE: &str = "nobody:1000000000:65536\n";

impl Ranges {
    /// Gives them; none where that isn't possible, or `nobody` has some already.
    pub(crate) fn of_nobody() -> Option<Self> {
        let installed = Path::new("/usr/bin/newuidmap").exists();
        let has = |file: &str| fs::read_to_string(file).is_ok_and(|text| text.contains("nobody"));
        if !installed || FILES.iter().any(|file| has(file)) {
            return None;
        }
        for file in FILES {
            OpenOptions::new().append(true).create(true).open(file).ok()?.write_all(LINE.as_bytes()).ok()?;
        }
        Some(Self(()))
    }

    /// The first id of the range.
    pub(crate) fn first(&self) -> u32 {
        1_000_000_000
    }
}

const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

impl Drop for Ranges {
    fn drop(&mut self) {
        for file in FILES {
            if let Ok(text) = fs::read_to_string(file) {
                let _ = fs::write(file, text.replace(LINE, ""));
            }
        }
    }
}
