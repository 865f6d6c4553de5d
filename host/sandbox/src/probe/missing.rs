//! What lacks in a place, and what would help.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Something that a place doesn't allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What lacks: a sentence without a full stop.
    pub lacks: String,
    /// What would help: as above. None where nobody can help, or nobody knows.
    pub help: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{}; {help}", self.lacks),
            None => f.write_str(&self.lacks),
        }
    }
}

impl std::error::Error for Missing {}

impl From<Missing> for io::Error {
    fn from(missing: Missing) -> Self {
        Self::new(io::ErrorKind::Unsupported, missing)
    }
}

impl From<io::Error> for Missing {
    /// The one that is inside of the error, else its words.
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(missing) => missing.clone(),
            None => Self { lacks: error.to_string(), help: None },
        }
    }
}

/// Advice for containers whose seccomp filter refuses a system call.
const UNCONFINED: &str = "run the container with `--security-opt seccomp=unconfined` \
    (Kubernetes: `securityContext.seccompProfile.type: Unconfined`)";

impl Missing {
    pub(crate) fn new(lacks: impl Into<String>, help: Option<&str>) -> Self {
        Self { lacks: lacks.into(), help: help.map(str::to_owned) }
    }

    /// unshare(CLONE_NEWUSER) failed.
    pub(crate) fn user_namespace(error: &io::Error) -> Self {
        let help = if sysctl("user/max_user_namespaces") == Some(0) {
            "sysctl user.max_user_namespaces is 0: set it to 10000 or more"
        } else if sysctl("kernel/unprivileged_userns_clone") == Some(0) {
            "sysctl kernel.unprivileged_userns_clone is 0: set it to 1"
        } else {
            match error.raw_os_error() {
                Some(libc::EPERM) if is_filtered() => UNCONFINED,
                Some(libc::EPERM) => "the process is in a chroot, or a security module forbids it",
                Some(libc::ENOSPC) => "there are too many: raise sysctl user.max_user_namespaces",
                Some(libc::EUSERS) => "they are nested too deeply",
                Some(libc::EINVAL | libc::ENOSYS) => "the kernel is built without CONFIG_USER_NS",
                _ => return Self::new(format!("a user namespace can't be made: {error}"), None),
            }
        };
        Self::new(format!("a user namespace can't be made: {error}"), Some(help))
    }

    /// The new user namespace was made, and its root has no rights.
    pub(crate) fn rights_inside(error: &io::Error) -> Self {
        let lacks = format!("root of a new user namespace can't change users or mounts: {error}");
        Self::new(lacks, Some(restriction().unwrap_or(UNCONFINED)))
    }

    /// Root's own id map is too small.
    pub(crate) fn few_ids(have: u32, want: u32) -> Self {
        let help = "run as root of the machine, or in a container whose user namespace has all ids";
        Self::new(format!("root has {have} user or group ids here, and images use {want}"), Some(help))
    }

    /// Root couldn't write a map.
    pub(crate) fn map_by_root(map: &str, error: &io::Error) -> Self {
        let help = restriction().unwrap_or("root needs the capabilities SETUID, SETGID and SETFCAP for that");
        Self::new(format!("root can't write {map} of a new user namespace: {error}"), Some(help))
    }

    /// newuidmap or newgidmap isn't there.
    pub(crate) fn program(name: &str) -> Self {
        let help = "install the package uidmap (Fedora: shadow-utils), and give the user ranges in /etc/subuid and /etc/subgid";
        Self::new(format!("{name} is not installed, without which a user namespace has one id"), Some(help))
    }

    /// The user has no range.
    pub(crate) fn range(file: &str, who: &str) -> Self {
        let flag = if file.ends_with("gid") { "--add-subgids" } else { "--add-subuids" };
        let help = format!("as root: `usermod {flag} 100000-165535 {who}`, with a range that nobody else has");
        Self { lacks: format!("{file} gives no range of 65535 ids to {who}"), help: Some(help) }
    }

    /// newuidmap or newgidmap refused.
    pub(crate) fn program_failed(program: &Path, said: &str) -> Self {
        let help = restriction().unwrap_or(
            "it must be setuid root (or have file capabilities), which a container with no_new_privs \
            (`allowPrivilegeEscalation: false`) makes ineffective",
        );
        Self::new(format!("{} failed: {said}", program.display()), Some(help))
    }

    /// A new /proc can't be mounted.
    pub(crate) fn process_files(error: &io::Error) -> Self {
        let help = "a container hides parts of its own /proc: run it with `--security-opt systempaths=unconfined` \
            (Podman: `unmask=ALL`; Kubernetes: `securityContext.procMount: Unmasked` with `hostUsers: false`)";
        let help = (error.raw_os_error() == Some(libc::EPERM)).then_some(help);
        Self::new(format!("/proc can't be mounted in new namespaces: {error}"), help)
    }

    /// A system call that only root may make.
    pub(crate) fn root(doing: &str, capability: &str, error: &io::Error) -> Self {
        let help = format!("run as root, in a container with the capability {capability} (Docker gives it)");
        Self { lacks: format!("{doing}: {error}"), help: Some(help) }
    }

    /// A system call that any process may make, unless it is filtered or the kernel is old.
    pub(crate) fn call(doing: &str, since: &str, error: &io::Error) -> Self {
        let help = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) if is_filtered() => Some(UNCONFINED.to_owned()),
            Some(libc::ENOSYS | libc::EINVAL) => {
                Some(format!("it takes Linux {since} or newer, and a filter that lets it pass"))
            }
            _ => None,
        };
        Self { lacks: format!("{doing}: {error}"), help }
    }
}

/// The number in a file below /proc/sys; none where there is no such file.
fn sysctl(path: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?.trim().parse().ok()
}

/// Whether a seccomp filter is in force (proc_pid_status(5)).
fn is_filtered() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
    })
}

/// Ubuntu 23.10 and later make user namespaces without rights, unless a profile names the program.
fn restriction() -> Option<&'static str> {
    (sysctl("kernel/apparmor_restrict_unprivileged_userns") == Some(1)).then_some(
        "AppArmor forbids it to programs without a profile: sysctl kernel.apparmor_restrict_unprivileged_userns=0, \
        or a profile for this program with the rule `userns,`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_an_error() {
        let missing = Missing::range("/etc/subgid", "app");
        assert_eq!(
            missing.to_string(),
            "/etc/subgid gives no range of 65535 ids to app; as root: `usermod --add-subgids 100000-165535 app`, \
            with a range that nobody else has"
        );
        assert_eq!(Missing::from(io::Error::from(missing.clone())), missing);
        assert_eq!(Missing::from(io::Error::other("words")), Missing::new("words", None));
    }

    #[test]
    fn a_filter_is_blamed_where_there_is_one() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        let missing = Missing::call("trying", "5.9", &error);
        assert_eq!(missing.help.is_some(), is_filtered(), "{missing}");
        let old = Missing::call("trying", "5.9", &io::Error::from_raw_os_error(libc::ENOSYS));
        assert!(old.to_string().contains("Linux 5.9"), "{old}");
    }
}
