//! What a thread may do as root, and how it gives that up (capabilities(7)).

use std::io;

pub(crate) use rustix::thread::CapabilitySet as Set;
use rustix::thread::{
    CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set, no_new_privs,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What Docker gives to a container, and so to RUN: `DefaultCapabilities` of moby/daemon/pkg/oci/caps/defaults.go.
pub(crate) const DOCKER: Set =
    CHROOT.union(Set::MKNOD).union(Set::NET_RAW).union(Set::SETPCAP).union(Set::SYS_CHROOT).union(Set::AUDIT_WRITE);

/// What installing packages takes. Without SYS_CHROOT (a second chroot leads out of the first), MKNOD (a disk's node would be the host's
/// disk), NET_RAW (packets past the proxy, sockets off the loopback device) and SETPCAP.
pub(crate) const CHROOT: Set = Set::CHOWN
    .union(Set::DAC_OVERRIDE)
    .union(Set::FOWNER)
    .union(Set::FSETID)
    .union(Set::KILL)
    .union(Set::SETGID)
    .union(Set::SETUID)
    .union(Set::SETFCAP)
    .union(Set::NET_BIND_SERVICE);

/// Whether the calling thread has all of these in its effective set.
///
/// # Errors
/// The kernel's.
pub(crate) fn has(set: Set) -> io::Result<bool> {
    Ok(capabilities(None)?.effective.contains(set))
}

/// Gives up everything but `keep`, for the calling thread and what it starts, programs with file capabilities and setuid root included.
/// What the thread doesn't have it doesn't get.
///
/// # Errors
/// EPERM without SETPCAP, where the bounding set holds more than `keep`.
pub(crate) fn keep_only(keep: Set) -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = Set::from_bits_retain(1 << number);
        // EINVAL: the kernel knows no capability with this number, nor a higher one.
        let Ok(present) = capability_is_in_bounding_set(capability) else { break };
        if present && !keep.contains(capability) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    clear_ambient_capability_set()?;
    let permitted = capabilities(None)?.permitted.intersection(keep);
    set_capabilities(None, CapabilitySets { effective: permitted, permitted, inheritable: Set::empty() })?;
    Ok(())
}

/// Makes the kernel accept rules of Landlock and filters of seccomp from this thread. It wants either CAP_SYS_ADMIN or `no_new_privs`, so
/// that nobody confines a setuid program to harm it.
///
/// `no_new_privs` is set only where it must be, as it takes effect from setuid bits and file capabilities: root in an image may still become
/// any user (`su app -c ...`), but a command under `USER app` can't come back by `sudo`.
///
/// # Errors
/// The kernel's.
pub(crate) fn allow_confinement() -> io::Result<()> {
    if !no_new_privs()? && !has(Set::SYS_ADMIN)? {
        set_no_new_privs(true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_gives_fourteen() {
        assert_eq!((DOCKER.bits().count_ones(), DOCKER.bits()), (14, 0xa804_25fb));
        assert!(!CHROOT.intersects(Set::SYS_CHROOT | Set::MKNOD | Set::NET_RAW | Set::SYS_ADMIN));
    }

    #[test]
    fn what_is_given_up_is_gone() {
        if !has(CHROOT | Set::SETPCAP).expect("capabilities") {
            return eprintln!("skipped: not root");
        }
        let thread = std::thread::spawn(|| {
            keep_only(CHROOT).expect("SETPCAP");
            let now = capabilities(None).expect("capabilities");
            let bounding = (0..40).filter(|number| {
                capability_is_in_bounding_set(Set::from_bits_retain(1 << number)).expect("a known capability")
            });
            (now, bounding.fold(Set::empty(), |set, number| set | Set::from_bits_retain(1 << number)))
        });
        let (now, bounding) = thread.join().expect("no panic");
        assert_eq!((now.effective, now.permitted, now.inheritable), (CHROOT, CHROOT, Set::empty()));
        assert_eq!(bounding, CHROOT);
    }
}
