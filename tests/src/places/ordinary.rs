//! An ordinary user of the machine, who exists in a mount namespace only: no file of the machine is changed for it.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::tools::{path_of, tool};
use crate::user::binary;

/// Users, and the ranges behind them, begin above what machines give to people.
const FIRST_UID: u32 = 2_000_000;
const FIRST_SUBORDINATE: u32 = 1 << 24;
const RANGE: u32 = 1 << 16;

/// How many ranges fit below 2^32.
const RANGES: u32 = 60_000;

/// A user with a range of subordinate ids.
#[derive(Debug)]
pub(crate) struct Ordinary {
    number: u32,
    /// The machine's files with a line more, and the binary where the user can read it.
    files: TempDir,
}

/// The machine's files that name users, and where this place's versions lie.
const FILES: [&str; 4] = ["passwd", "group", "subuid", "subgid"];

/// Covers the files by ours, then runs the rest of its arguments.
const COVER: &str = "files=$1; shift; for file in passwd group subuid subgid; do mount --bind \"$files/$file\" \"/etc/$file\"; done; exec \"$@\"";

impl Ordinary {
    pub(crate) fn new() -> Self {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        // Tests run at the same time, in one process or several: each place has a user of its own, so that its processes can be told.
        let number = (std::process::id() * 31 + CALLS.fetch_add(1, Ordering::Relaxed)) % RANGES;
        let new = Self { number, files: tempfile::tempdir().unwrap() };
        let at = new.files.path();
        fs::set_permissions(at, Permissions::from_mode(0o755)).unwrap();
        let (uid, first) = (new.uid(), new.subordinates().start);
        let lines = [
            format!("steprun-test:x:{uid}:{uid}::/nonexistent:/bin/sh\n"),
            format!("steprun-test:x:{uid}:\n"),
            format!("steprun-test:{first}:{RANGE}\n"),
            format!("steprun-test:{first}:{RANGE}\n"),
        ];
        for (file, line) in FILES.iter().zip(lines) {
            let machine = fs::read_to_string(Path::new("/etc").join(file));
            let machine = machine.unwrap_or_else(|error| panic!("/etc/{file}: {error}: install the package uidmap"));
            fs::write(at.join(file), machine + &line).unwrap();
        }
        if fs::hard_link(binary(), new.binary()).is_err() {
            fs::copy(binary(), new.binary()).unwrap();
        }
        path_of("newuidmap");
        new
    }

    pub(crate) fn uid(&self) -> u32 {
        FIRST_UID + self.number
    }

    pub(crate) fn binary(&self) -> PathBuf {
        self.files.path().join("steprun")
    }

    fn subordinates(&self) -> Range<u32> {
        let first = FIRST_SUBORDINATE + self.number * RANGE;
        first..first + RANGE
    }

    /// Each step replaces the one before it, so that the child is the program in the end.
    pub(crate) fn command(&self, home: &Path, words: &[OsString], environment: &[(String, OsString)]) -> Command {
        let uid = self.uid();
        let mut command = tool("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-euc", COVER, "cover"])
            .arg(self.files.path())
            .arg(path_of("setpriv"))
            .args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()])
            .args(words)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(home);
        command
    }

    /// The command lines of what the user and its subordinates run.
    pub(crate) fn processes(&self) -> Vec<String> {
        self.directories().filter_map(|process| super::living(&process)).collect()
    }

    /// In `/proc`.
    fn directories(&self) -> impl Iterator<Item = PathBuf> {
        let (uid, subordinates) = (self.uid(), self.subordinates());
        let is_ours = move |process: &PathBuf| {
            process.metadata().is_ok_and(|process| process.uid() == uid || subordinates.contains(&process.uid()))
        };
        super::processes(Path::new("/proc")).filter(is_ours)
    }
}

impl Drop for Ordinary {
    /// Nobody else has these users, so that all of it was started here.
    fn drop(&mut self) {
        for process in self.directories() {
            let id = process.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
            // It may have ended by itself.
            let _ = id.map(|id| kill_process(id, Signal::KILL));
        }
    }
}
