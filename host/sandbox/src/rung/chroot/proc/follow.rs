//! Which paths lead to `/proc`, and what they lead to.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use rustix::fs::{OFlags, ResolveFlags, readlinkat};
use rustix::io::Errno;

use super::Proc;
use crate::rung::file::open_at;
use crate::rung::path::{below, clean, components, relative, split};
use crate::rung::procfs::{Asker, Node, node};

/// As many symlinks as the kernel follows (MAXSYMLINKS).
const MOST_LINKS: u32 = 40;
/// As many of them as an image has behind each other on a way to `/proc`.
const MOST_TURNS: u32 = 5;
/// Symlinks that lead to `/proc` and are looked through by every call. Others are only where [`means_a_link`] says so: elsewhere they lead to an empty directory.
const LINKS: [&[u8]; 5] = [b"/dev/fd", b"/dev/stdin", b"/dev/stdout", b"/dev/stderr", b"/etc/mtab"];
/// How paths begin that may be served.
const STARTS: [&[u8]; 6] = [b"/proc", b"/dev/fd", b"/dev/std", b"/etc/mta", b"//", b"/./"];
/// How much of a path [`may_be_served`] wants to see.
pub(super) const START: usize = 8;

/// Whether a symlink at the end is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// It is.
    Follow,
    /// It is meant itself.
    Keep,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Something in `/proc`, and its path below that.
    Proc(Vec<u8>, Node),
    /// Something else in the root directory, by way of a link in `/proc`.
    Root(Vec<u8>),
}

/// Whether a path with this beginning, of [`START`] bytes unless it is shorter, has to be looked at.
pub(super) fn may_be_served(start: &[u8]) -> bool {
    STARTS.iter().any(|served| start.starts_with(served))
}

/// Whether a call is one of those that may mean the symlink at the end of any path: opening for writing. Images have their logs lead to /dev/stdout.
pub(super) fn means_a_link(number: libc::c_long, arguments: [u64; 6]) -> bool {
    let flags = arguments[2] as i32;
    let not_a_link = libc::O_EXCL | libc::O_NOFOLLOW | libc::O_PATH | libc::O_DIRECTORY;
    number == libc::SYS_openat && flags & libc::O_ACCMODE != libc::O_RDONLY && flags & not_a_link == 0
}

impl Proc {
    /// The absolute path in `/proc` that a path stands for, if it is one: literally, by way of [`LINKS`], or as a symlink itself.
    pub(super) fn served(&self, path: &[u8], last: Last) -> Option<Vec<u8>> {
        let mut path = clean(path);
        for _ in 0..MOST_TURNS {
            if below(&path, b"/proc").is_some() {
                return Some(path);
            }
            let known = LINKS.into_iter().find(|link| below(&path, link).is_some());
            let (link, rest) = path.split_at(known.map_or(path.len(), <[u8]>::len));
            if last == Last::Keep && rest.is_empty() {
                return None;
            }
            path = [&collapse(&self.target_of(link)?), rest].concat();
        }
        None
    }

    /// Where a symlink leads. The command may have put something else there.
    fn target_of(&self, link: &[u8]) -> Option<Vec<u8>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let found = open_at(self.root.as_fd(), relative(link), flags, ResolveFlags::IN_ROOT).ok()?;
        let target = readlinkat(found, c"", Vec::new()).ok()?.into_bytes();
        let (above, _) = split(link)?;
        Some(if target.starts_with(b"/") { target } else { [above, &target].concat() })
    }

    /// Where a served path leads.
    ///
    /// # Errors
    /// ENOENT, ELOOP.
    pub(super) fn follow(&self, asker: Asker, path: &[u8], last: Last) -> Result<Place, Errno> {
        let mut ahead = queue(path);
        let mut links = 0;
        ahead.pop_front();
        let mut walked = Vec::new();
        let mut found = Node::Host(Vec::new());
        while let Some(component) = ahead.pop_front() {
            if component == b".." {
                let Some(end) = walked.iter().rposition(|byte| *byte == b'/') else {
                    return self.leave(asker, b"/", ahead, last);
                };
                walked.truncate(end);
            } else {
                walked.push(b'/');
                walked.extend_from_slice(&component);
            }
            found = self.node(asker, &walked);
            let is_last = ahead.is_empty();
            let target = match &found {
                Node::Absent => return Err(Errno::NOENT),
                Node::Link(target) if !is_last || last == Last::Follow => target.clone(),
                // At the end it is the very file, whatever its name; before it, only a directory with a name makes sense.
                Node::Descriptor(link) if !is_last => self.tree.named_by(link).ok_or(Errno::ACCESS)?,
                _ => continue,
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            if target.starts_with(b"/") {
                return self.leave(asker, &target, ahead, last);
            }
            let end = walked.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            walked.truncate(end);
            for component in components(&target).rev() {
                ahead.push_front(component.to_vec());
            }
        }
        Ok(Place::Proc(walked, found))
    }

    /// The rest of a path goes on elsewhere. A program or working directory in `/proc` itself has no such link in it again.
    fn leave(&self, asker: Asker, to: &[u8], ahead: VecDeque<Vec<u8>>, last: Last) -> Result<Place, Errno> {
        let rest = Vec::from(ahead).join(&b'/');
        let path = if rest.is_empty() { clean(to) } else { clean(&[to, b"/", &rest].concat()) };
        match below(&path, b"/proc") {
            Some(inside) if components(inside).all(|component| component.iter().all(u8::is_ascii_digit)) => {
                self.follow(asker, &path, last)
            }
            _ => Ok(Place::Root(path)),
        }
    }

    fn node(&self, asker: Asker, path: &[u8]) -> Node {
        if path.is_empty() { Node::Host(Vec::new()) } else { node(&self.tree, asker, path) }
    }
}

fn queue(path: &[u8]) -> VecDeque<Vec<u8>> {
    components(path).map(<[u8]>::to_vec).collect()
}

/// An absolute path without `..`, where no directory before one is a symlink.
fn collapse(path: &[u8]) -> Vec<u8> {
    let mut collapsed = Vec::new();
    for component in components(path) {
        if component == b".." {
            collapsed.pop();
        } else {
            collapsed.push(component);
        }
    }
    collapsed.iter().flat_map(|component| [b"/", *component]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_paths_are_the_kernels() {
        for path in ["/proc", "/proc/self", "/dev/stdin", "/dev/fd/3", "//proc", "/./proc", "/etc/mtab"] {
            assert!(may_be_served(&path.as_bytes()[..path.len().min(START)]), "{path}");
        }
        for path in ["", "proc", "/usr/lib", "/dev/null", "/etc/passwd", "/", "/pro"] {
            assert!(!may_be_served(&path.as_bytes()[..path.len().min(START)]), "{path}");
        }
    }

    #[test]
    fn paths_collapse() {
        assert_eq!(collapse(b"/etc/../proc/self/mounts"), b"/proc/self/mounts");
        assert_eq!(collapse(b"/../../a/./b"), b"/a/b");
    }
}
