//! open(2) of what is in `/proc`.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, accessat, open, openat2, readlink};
use rustix::io::Errno;

use super::follow::{Last, Place};
use super::listing::{Entries, Entry, read};
use super::{Asked, Done, Proc, Result};
use crate::rung::devices::harmless;
use crate::rung::file::{is, magic, stat, with_text};
use crate::rung::path::relative;
use crate::rung::procfs::{HIDDEN, LINKS, Node, listed, node};
use crate::rung::serve::Outcome;
use crate::sys::notify::Answer;

/// Mean nothing for what is there already.
const CREATION: OFlags = OFlags::CREATE.union(OFlags::EXCL).union(OFlags::NOFOLLOW);

/// A new descriptor of the caller.
pub(super) fn give(file: OwnedFd, flags: OFlags) -> Outcome {
    Outcome::Now(Answer::Descriptor { file, cloexec: flags.contains(OFlags::CLOEXEC) })
}

fn writes(flags: OFlags) -> bool {
    flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC)
}

impl Asked<'_> {
    pub(super) fn open(&self, place: Place, last: Last) -> Result<Done> {
        let (flags, mode) = self.flags()?;
        let gives = |file| Ok(Done::Outcome(give(file, flags)));
        match &place {
            Place::Root(path) => self.open_in_root(path, &place, last, flags, mode),
            Place::Proc(path, Node::Host(host)) => self.open_host(path, host, self.find(&place, last)?, flags),
            Place::Proc(_, Node::Text(_, text)) if !writes(flags) && !flags.contains(OFlags::DIRECTORY) => {
                gives(with_text(text)?)
            }
            Place::Proc(_, Node::Text(..)) if writes(flags) => Err(Errno::ROFS),
            Place::Proc(_, Node::Text(..)) => Err(Errno::NOTDIR),
            Place::Proc(_, Node::Descriptor(_)) if last == Last::Follow => {
                if flags.contains(OFlags::CREATE | OFlags::EXCL) {
                    return Err(Errno::EXIST);
                }
                let file = self.find(&place, last)?;
                if self.proc.names(&file)? { self.reopen(file, flags) } else { gives(self.share(&file)?) }
            }
            Place::Proc(_, Node::Absent) => Err(Errno::NOENT),
            Place::Proc(_, Node::Link(_) | Node::Descriptor(_)) => Err(Errno::LOOP),
        }
    }

    /// Only by a path that holds numbers: to the kernel `self` is nobody.
    pub(super) fn enter(&self, place: &Place) -> Result<Done> {
        let file = self.find(place, Last::Follow)?;
        match place {
            Place::Proc(path, Node::Host(host)) if is(&stat(&file)?, libc::S_IFDIR) => {
                Ok(Done::Enters(path.clone(), self.entries(host, &file)?))
            }
            _ => Ok(Done::Outcome(Outcome::Now(Answer::Continue))),
        }
    }

    fn flags(&self) -> Result<(OFlags, u32)> {
        let (flags, mode) = match self.number {
            libc::SYS_openat2 => self.memory.read_words(self.word(2)).map(|[flags, mode]| (flags, mode))?,
            _ => (u64::from(self.int(2) as u32), self.word(3)),
        };
        let flags = OFlags::from_bits_retain(flags as u32) | OFlags::NOCTTY;
        Ok((flags, mode as u32 & 0o7777 & !self.caller.mask))
    }

    fn open_in_root(&self, path: &[u8], place: &Place, last: Last, flags: OFlags, mode: u32) -> Result<Done> {
        let temporary = flags.contains(OFlags::TMPFILE);
        match self.find(place, last) {
            Ok(_) if flags.contains(OFlags::CREATE | OFlags::EXCL) && !temporary => Err(Errno::EXIST),
            Ok(file) if !temporary => self.reopen(file, flags),
            Err(Errno::NOENT) | Ok(_) if temporary || flags.contains(OFlags::CREATE) => {
                let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                // What has come to be there meanwhile could be anything, and is not opened.
                let new = if temporary { OFlags::empty() } else { OFlags::EXCL };
                let all = flags | new | OFlags::CLOEXEC;
                let file = openat2(&self.proc.root, relative(path), all, Mode::from_raw_mode(mode), resolve)?;
                Ok(Done::Outcome(give(file, flags)))
            }
            Err(error) => Err(error),
            Ok(_) => Err(Errno::INVAL),
        }
    }

    /// Of the kernel's own files, which can be read only: some are the whole machine's.
    fn open_host(&self, path: &[u8], host: &[u8], file: OwnedFd, flags: OFlags) -> Result<Done> {
        let found = stat(&file)?;
        if is(&found, libc::S_IFDIR) {
            if writes(flags) {
                return Err(Errno::ISDIR);
            }
            return Ok(Done::Lists(path.to_vec(), self.entries(host, &file)?, flags));
        }
        match () {
            () if !is(&found, libc::S_IFREG) => Err(Errno::ACCESS),
            () if flags.contains(OFlags::DIRECTORY) => Err(Errno::NOTDIR),
            () if writes(flags) => Err(Errno::ROFS),
            () => self.reopen(file, flags),
        }
    }

    /// Opens what is open with O_PATH, as the caller may.
    fn reopen(&self, file: OwnedFd, flags: OFlags) -> Result<Done> {
        let found = stat(&file)?;
        let is_directory = is(&found, libc::S_IFDIR);
        if flags.contains(OFlags::DIRECTORY) && !is_directory {
            return Err(Errno::NOTDIR);
        }
        if is(&found, libc::S_IFLNK) {
            return Err(Errno::LOOP);
        }
        // This process may have a controlling terminal, and rights to devices that the command has not.
        let is_harmless = || harmless(libc::major(found.st_rdev), libc::minor(found.st_rdev)).is_some();
        if is(&found, libc::S_IFBLK) || is(&found, libc::S_IFCHR) && !is_harmless() {
            return Err(Errno::NXIO);
        }
        if flags.contains(OFlags::PATH) {
            // The kernel hands on no descriptor that was opened with O_PATH, so the caller gets one that can be read as well.
            let here = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            return Ok(Done::Outcome(give(open(magic(file.as_fd()), here, Mode::empty())?, flags)));
        }
        if is(&found, libc::S_IFIFO) && !flags.intersects(OFlags::NONBLOCK | OFlags::RDWR) {
            // Opened later by root, so that the caller's rights are asked for now.
            let wanted = if flags.contains(OFlags::WRONLY) { Access::WRITE_OK } else { Access::READ_OK };
            accessat(CWD, magic(file.as_fd()), wanted, AtFlags::EACCESS)?;
            return Ok(Done::Outcome(Outcome::opens(file, flags)));
        }
        let here = flags.difference(CREATION) | OFlags::CLOEXEC;
        Ok(Done::Outcome(give(open(magic(file.as_fd()), here, Mode::empty())?, flags)))
    }

    /// What lies outside of the root is not opened anew: that could give more than was given. It can only be where this process' own output goes, which
    /// the command has inherited; the caller gets the same open file once more.
    fn share(&self, file: &OwnedFd) -> Result<OwnedFd> {
        let wanted = stat(file)?;
        for output in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let found = stat(output)?;
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino) {
                return rustix::io::fcntl_dupfd_cloexec(output, 0);
            }
        }
        Err(Errno::ACCESS)
    }

    /// What a directory of the host's `/proc` holds, as far as the command sees it.
    fn entries(&self, host: &[u8], directory: &OwnedFd) -> Result<Entries> {
        if host.is_empty() {
            return Ok(self.proc.top());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(magic(directory.as_fd()), flags, Mode::empty())?;
        let of_process = self.proc.process_at(host).is_some();
        let mut entries = Entries::new();
        for (name, kind) in read(directory.as_fd())? {
            let path = [host, b"/", name.as_bytes()].concat();
            let hidden = if of_process {
                name.as_bytes() == HIDDEN
            } else {
                node(&self.proc.tree, self.caller.asker, &path) == Node::Absent
            };
            if hidden {
                continue;
            }
            let entry = match kind {
                FileType::Directory => Entry::Directory,
                // Gone by now, perhaps.
                FileType::Symlink => Entry::Link(self.target(&path).unwrap_or_else(|_| b"(unreachable)".to_vec())),
                _ => Entry::File,
            };
            entries.insert(name, entry);
        }
        Ok(entries)
    }
}

impl Proc {
    /// Whether the command can name what is open.
    pub(super) fn names(&self, file: &OwnedFd) -> Result<bool> {
        let name = readlink(magic(file.as_fd()), Vec::new())?;
        Ok(self.tree.seen_as(name.as_bytes()).is_some())
    }

    /// What is listed in `/proc`.
    fn top(&self) -> Entries {
        let numbers = self.tree.numbers().into_iter().map(|number| (number.to_string().into_bytes(), Entry::Directory));
        let files = listed().map(|name| (name.to_vec(), Entry::File));
        let links = LINKS.map(|(name, target)| (name.as_bytes().to_vec(), Entry::Link(target.as_bytes().to_vec())));
        let all = numbers.chain(files).chain(links).chain([(b"sys".to_vec(), Entry::Directory)]);
        all.filter_map(|(name, entry)| Some((CString::new(name).ok()?, entry))).collect()
    }
}
