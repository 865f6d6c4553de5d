//! Docker's default seccomp profile, made from the one that Debian's `golang-github-containers-common` installs for Podman.
//!
//! Podman's lets a process without CAP_SYS_ADMIN make namespaces and mount in them, which Docker's does not: that is what is taken away
//! here (<https://docs.docker.com/engine/security/seccomp/>, "Significant syscalls blocked by the default profile").

use std::fs;

use serde_json::{Value, json};

const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// What Podman's profile allows to all and Docker's only to who has a capability that its containers lack.
const TAKEN: [&str; 23] = [
    "clone",
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_mempolicy",
    "keyctl",
    "mbind",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pidfd_getfd",
    "pivot_root",
    "reboot",
    "set_mempolicy",
    "setns",
    "socket",
    "syslog",
    "umount",
    "umount2",
    "unshare",
];

/// The flags of clone(2) that make a namespace: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACES: u32 = 0x7e02_0000;

/// AF_VSOCK reaches the host of a virtual machine.
const VSOCK: u32 = 40;

/// `linux.seccomp` of an OCI runtime's configuration, for a container with these capabilities (`CAP_...`).
pub(crate) fn docker(capabilities: &[&str]) -> Value {
    let profile = fs::read_to_string(PROFILE)
        .unwrap_or_else(|error| panic!("{PROFILE}: {error}: install the package golang-github-containers-common"));
    let profile: Value = serde_json::from_str(&profile).unwrap();
    let mut rules: Vec<Value> = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        // All that is not allowed fails with EPERM by default.
        .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && applies(rule, capabilities))
        .map(allowed)
        .collect();
    let only = |name: &str, index: u32, value: u32, other: u32, operation: &str| {
        let argument = json!({ "index": index, "value": value, "valueTwo": other, "op": operation });
        json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument] })
    };
    rules.extend([
        only("clone", 0, NAMESPACES, 0, "SCMP_CMP_MASKED_EQ"),
        only("socket", 0, VSOCK, 0, "SCMP_CMP_NE"),
        // A C library takes that as "an old kernel", and calls clone, whose flags a filter can read.
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS }),
    ]);
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": [if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }],
        "syscalls": rules,
    })
}

/// Whether a rule is for such a container on this machine.
fn applies(rule: &Value, capabilities: &[&str]) -> bool {
    let list = |side: &str, key: &str| {
        let items = rule[side][key].as_array().cloned().unwrap_or_default();
        items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let (caps, not_caps) = (list("includes", "caps"), list("excludes", "caps"));
    let (arches, not_arches) = (list("includes", "arches"), list("excludes", "arches"));
    caps.iter().all(|cap| capabilities.contains(&cap.as_str()))
        && !not_caps.iter().any(|cap| capabilities.contains(&cap.as_str()))
        && (arches.is_empty() || arches.iter().any(|arch| arch == machine))
        && !not_arches.iter().any(|arch| arch == machine)
}

/// A rule in the form of the runtime-spec, without what Docker takes away.
fn allowed(rule: &Value) -> Value {
    let names = rule["names"].as_array().unwrap().iter();
    let names: Vec<&Value> = names.filter(|name| !TAKEN.iter().any(|taken| *name == taken)).collect();
    json!({ "names": names, "action": "SCMP_ACT_ALLOW", "args": rule["args"].as_array().cloned().unwrap_or_default() })
}
