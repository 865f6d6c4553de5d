//! Which processes are the command's: nobody keeps a table of them, the kernel is asked.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::readlinkat;

use crate::rung::path::below;
use crate::rung::procfs::{self, Node};

/// More generations than any process has.
const MOST_GENERATIONS: u32 = 1 << 16;

/// The processes below the supervisor, which inherits their orphans, so that all ways up lead to it.
#[derive(Debug)]
pub(super) struct Tree {
    /// The supervisor's number.
    pub(super) supervisor: i32,
    /// `/proc` of the host.
    pub(super) proc: OwnedFd,
    /// Where the root directory lies on the host, without symlinks.
    pub(super) root: Vec<u8>,
}

impl Tree {
    /// How the command names what the kernel calls this. What lies outside of its root has no name, but for what no path leads to.
    pub(super) fn seen_as(&self, host: &[u8]) -> Option<Vec<u8>> {
        if !host.starts_with(b"/") || host.starts_with(b"/memfd:") {
            return Some(host.to_vec());
        }
        let inside = below(host, &self.root)?;
        Some(if inside.is_empty() { b"/".to_vec() } else { inside.to_vec() })
    }

    /// The command's name for what a magic link leads to.
    pub(super) fn named_by(&self, link: &[u8]) -> Option<Vec<u8>> {
        self.seen_as(readlinkat(&self.proc, link, Vec::new()).ok()?.as_bytes())
    }

    /// All processes.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|number| procfs::Tree::process_of(self, *number) == Some(*number)).collect()
    }
}

impl procfs::Tree for Tree {
    fn process_of(&self, thread: i32) -> Option<i32> {
        let (process, mut parent) = family(thread)?;
        for _ in 0..MOST_GENERATIONS {
            if parent == self.supervisor {
                return Some(process);
            }
            (_, parent) = family(parent)?;
        }
        None
    }

    fn program(&self, process: i32) -> Option<Vec<u8>> {
        self.named_by(format!("{process}/exe").as_bytes())
    }

    fn directory(&self, process: i32) -> Option<Vec<u8>> {
        self.named_by(format!("{process}/cwd").as_bytes())
    }

    fn file(&self, _: i32, _: &[u8], host: Vec<u8>) -> Node {
        Node::Host(host)
    }
}

/// The process of a thread, and that one's parent. Process 1 has none.
fn family(thread: i32) -> Option<(i32, i32)> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((value("Tgid:")?, value("PPid:").filter(|parent| *parent != 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::Tree as _;

    fn tree() -> Tree {
        let proc = rustix::fs::open("/proc", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).expect("/proc");
        Tree { supervisor: std::process::id() as i32, proc, root: b"/store/root".to_vec() }
    }

    #[test]
    fn only_descendants_are_known() {
        let tree = tree();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let number = child.id() as i32;
        assert_eq!(tree.process_of(number), Some(number));
        assert!(tree.numbers().contains(&number));
        assert_eq!((tree.process_of(tree.supervisor), tree.process_of(1)), (None, None));
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(tree.process_of(number), None);
    }

    #[test]
    fn names_are_the_commands() {
        let seen = |host: &[u8]| tree().seen_as(host);
        assert_eq!(seen(b"/store/root"), Some(b"/".to_vec()));
        assert_eq!(seen(b"/store/root/bin/sh"), Some(b"/bin/sh".to_vec()));
        assert_eq!(seen(b"pipe:[7]"), Some(b"pipe:[7]".to_vec()));
        assert_eq!((seen(b"/store/roots"), seen(b"/var/log")), (None, None));
    }
}
