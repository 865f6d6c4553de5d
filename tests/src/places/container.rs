//! A container by runc, in the host's network, with a small Debian as its read-only root.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Place, seccomp};
use crate::rootfs::{BINARY, Debian};
use crate::tools::tool;
use crate::user::binary;

/// What Docker leaves to root in a container (<https://docs.docker.com/engine/containers/run/>, "Runtime privilege and Linux capabilities").
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What Docker hides of `/proc` and `/sys`.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// What Docker makes read-only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A container that runs until it is dropped; calls are executed in it, as a CI runner does.
#[derive(Debug)]
pub(crate) struct Container {
    place: Place,
    /// `config.json`, and the runtime's state.
    bundle: TempDir,
    process: u32,
}

impl Container {
    /// Starts it, with a home and what else it sees.
    pub(crate) fn start(place: Place, home: &Path, sees: &[&Path]) -> Self {
        let bundle = tempfile::Builder::new().prefix("steprun-container-").tempdir().unwrap();
        let words = ["sleep", "infinity"].map(OsString::from);
        let config = config(place, home, sees, &process(place, Path::new("/"), &words, &[]));
        fs::write(bundle.path().join("config.json"), config.to_string()).unwrap();
        let mut new = Self { place, bundle, process: 0 };
        let (pid, log) = (new.bundle.path().join("pid"), new.bundle.path().join("log"));
        let mut command = new.runtime("run");
        command.arg("--detach").arg("--pid-file").arg(&pid).arg("--bundle").arg(new.bundle.path()).arg(new.id());
        let log_file = fs::File::create(&log).unwrap();
        // Its process keeps the streams, so that they must not be a pipe that we read to its end.
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log_file).status().unwrap();
        assert!(status.success(), "{command:?}: {}", fs::read_to_string(&log).unwrap());
        new.process = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        new
    }

    pub(crate) fn uid(&self) -> u32 {
        uid(self.place)
    }

    /// Its process 1, as the machine sees it.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    fn id(&self) -> String {
        self.bundle.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn runtime(&self, verb: &str) -> Command {
        let mut command = tool("runc");
        command.arg("--root").arg(self.bundle.path().join("state")).arg(verb);
        command
    }

    pub(crate) fn command(&self, home: &Path, words: &[OsString], environment: &[(String, OsString)]) -> Command {
        let file = tempfile::Builder::new().prefix("process-").tempfile_in(self.bundle.path()).unwrap();
        fs::write(file.path(), process(self.place, home, words, environment).to_string()).unwrap();
        let mut command = self.runtime("exec");
        // The file goes with the bundle.
        command.arg("--process").arg(file.into_temp_path().keep().unwrap()).arg(self.id()).env_clear();
        command
    }

    /// All but process 1, in whatever namespaces below the container's.
    pub(crate) fn processes(&self) -> Vec<String> {
        let proc = PathBuf::from(format!("/proc/{}/root/proc", self.process));
        let others = super::processes(&proc).filter(|process| !process.ends_with("1"));
        others.filter_map(|process| super::living(&process)).collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may not have started.
        let _ = self.runtime("delete").arg("--force").arg(self.id()).output();
    }
}

fn uid(place: Place) -> u32 {
    if place == Place::Restricted { 1000 } else { 0 }
}

fn capabilities(place: Place) -> &'static [&'static str] {
    if place == Place::Restricted { &[] } else { &CAPABILITIES }
}

/// `process` of the runtime-spec.
fn process(place: Place, home: &Path, words: &[OsString], environment: &[(String, OsString)]) -> Value {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    let words: Vec<String> = words.iter().map(|word| text(word.as_bytes())).collect();
    let variable = |(name, value): &(String, OsString)| format!("{name}={}", text(value.as_bytes()));
    let mut environment: Vec<String> = environment.iter().map(variable).collect();
    if environment.is_empty() {
        environment.push(format!("PATH={}", crate::rootfs::PATH));
    }
    let capabilities = capabilities(place);
    json!({
        "user": { "uid": uid(place), "gid": uid(place), "additionalGids": [] },
        "args": words,
        "env": environment,
        "cwd": home,
        "noNewPrivileges": place == Place::Restricted,
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
    })
}

/// The runtime's configuration, with what `docker run` puts there.
fn config(place: Place, home: &Path, sees: &[&Path], process: &Value) -> Value {
    let mount = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let mut mounts = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        bind(Path::new("/sys"), Path::new("/sys"), "ro"),
        bind(Path::new("/etc/resolv.conf"), Path::new("/etc/resolv.conf"), "ro"),
        bind(Path::new("/etc/hosts"), Path::new("/etc/hosts"), "ro"),
        bind(&binary(), Path::new(BINARY), "ro"),
    ];
    let seen = sees.iter().map(|path| (*path, "ro")).chain([(home, "rw")]);
    // Mount points for these can be made in memory only: the root is shared, and read-only.
    let mut tops: Vec<PathBuf> = seen.clone().map(|(path, _)| path.iter().take(2).collect()).collect();
    tops.sort_unstable();
    tops.dedup();
    mounts.extend(tops.iter().map(|top| mount(top.to_str().unwrap(), "tmpfs", &["nosuid", "nodev", "mode=1777"])));
    mounts.extend(seen.map(|(path, option)| bind(path, path, option)));
    let mut linux = json!({
        "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
    });
    if place != Place::Unconfined {
        linux["seccomp"] = seccomp::docker(capabilities(place));
    }
    json!({
        "ociVersion": "1.0.2",
        "hostname": "place",
        "process": process,
        "root": { "path": Debian::get().root(), "readonly": true },
        "mounts": mounts,
        "linux": linux,
    })
}

fn bind(source: &Path, target: &Path, option: &str) -> Value {
    json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind", option] })
}
