//! `/proc` as the command sees it, where it can't be mounted: its own processes, and what of the machine is harmless. All else does not exist.

use super::path::{below, components, relative, split};

/// Files and directories of the whole machine that may be read. The kernel's command line isn't here: people put secrets there.
const OF_THE_MACHINE: &[&[u8]] = &[
    b"cpuinfo",
    b"devices",
    b"filesystems",
    b"loadavg",
    b"meminfo",
    b"stat",
    b"swaps",
    b"sys/fs",
    b"sys/kernel",
    b"sys/net",
    b"sys/vm",
    b"uptime",
    b"version",
    b"vmstat",
];

/// What the command doesn't see of a process: magic links to files, which would have to be followed.
pub(super) const HIDDEN: &[u8] = b"map_files";

/// What is at a path below `/proc`. Host paths are relative to the host's `/proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing.
    Absent,
    /// The host's file or directory.
    Host(Vec<u8>),
    /// A file with other content than the host's at that path.
    Text(Vec<u8>, Vec<u8>),
    /// A symlink to this path of the command.
    Link(Vec<u8>),
    /// A link to an open file, which the kernel follows whatever the name says.
    Descriptor(Vec<u8>),
}

/// The command's processes, as a rung knows them.
pub(super) trait Tree {
    /// The process of a thread of the command's. None for any other.
    fn process_of(&self, thread: i32) -> Option<i32>;

    /// Where the program of a process lies, as the command names it.
    fn program(&self, process: i32) -> Option<Vec<u8>>;

    /// The working directory of a process, as the command names it.
    fn directory(&self, process: i32) -> Option<Vec<u8>>;

    /// A file that the kernel has for a process, or for one of its threads: its last name, and its path on the host.
    fn file(&self, process: i32, name: &[u8], host: Vec<u8>) -> Node;
}

/// Who looks at `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    /// Its process.
    pub(super) process: i32,
    /// The thread.
    pub(super) thread: i32,
}

/// What the files that list mounts hold: one file system, of a kind that says nothing (proc(5)).
fn mounts(name: &[u8]) -> &'static [u8] {
    match name {
        b"mountinfo" => b"1 0 0:1 / / rw,relatime - overlay overlay rw\n",
        b"mountstats" => b"device overlay mounted on / with fstype overlay\n",
        _ => b"overlay / overlay rw,relatime 0 0\n",
    }
}

/// What is listed in `/proc` besides processes: files and directories of the machine.
pub(super) fn listed() -> impl Iterator<Item = &'static [u8]> {
    OF_THE_MACHINE.iter().copied().filter(|name| !name.contains(&b'/'))
}

/// The symlinks that are listed in `/proc`, with targets that serve for nothing: a look-up never comes to them.
pub(super) const LINKS: [(&str, &str); 4] =
    [("self", "1"), ("thread-self", "1/task/1"), ("mounts", "self/mounts"), ("net", "self/net")];

/// What is at a path without symlinks before its last component, relative to `/proc` and not empty.
pub(super) fn node(tree: &impl Tree, asker: Asker, path: &[u8]) -> Node {
    let parts: Vec<_> = components(path).collect();
    let Asker { process, thread } = asker;
    match parts.as_slice() {
        [b"self"] => Node::Link(process.to_string().into_bytes()),
        [b"thread-self"] => Node::Link(format!("{process}/task/{thread}").into_bytes()),
        [name @ (b"mounts" | b"net")] => Node::Link([b"self/", *name].concat()),
        [number, rest @ ..] if number.iter().all(u8::is_ascii_digit) => of_process(tree, number, rest),
        parts => {
            let path = parts.join(&b'/');
            let parent_of_some = OF_THE_MACHINE.iter().any(|some| below(some, &path).is_some());
            let below_some = OF_THE_MACHINE.iter().any(|some| below(&path, some).is_some());
            if parent_of_some || below_some { Node::Host(path) } else { Node::Absent }
        }
    }
}

/// Of the file that stands for a link whose text is ours: stat(2) has to say that it is a symlink, and no more.
pub(super) fn own_link(path: &[u8]) -> Vec<u8> {
    let host = relative(path);
    match split(host) {
        Some((_, b"exe" | b"cwd" | b"root")) => host.to_vec(),
        _ => b"self".to_vec(),
    }
}

fn of_process(tree: &impl Tree, number: &[u8], rest: &[&[u8]]) -> Node {
    let known = |number: &[u8]| tree.process_of(std::str::from_utf8(number).ok()?.parse().ok()?);
    let Some(process) = known(number) else { return Node::Absent };
    let host = [&[number], rest].concat().join(&b'/');
    let rest = match rest {
        [b"task", thread, rest @ ..] if known(thread) == Some(process) => rest,
        [b"task", _, ..] => return Node::Absent,
        rest => rest,
    };
    let link = |target: Option<Vec<u8>>| target.map_or(Node::Absent, Node::Link);
    match rest {
        [b"exe"] => link(tree.program(process)),
        [b"root"] => Node::Link(b"/".to_vec()),
        [b"cwd"] => link(tree.directory(process)),
        [b"fd", _] => Node::Descriptor(host),
        [HIDDEN, ..] => Node::Absent,
        [name @ (b"mounts" | b"mountinfo" | b"mountstats")] => Node::Text(host, mounts(name).to_vec()),
        [name] => tree.file(process, name, host),
        _ => Node::Host(host),
    }
}
