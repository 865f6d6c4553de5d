//! What the command's processes are told of themselves in `/proc`, and what is listed there.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::procfs::{self, Node, Tree};
use super::world::World;

/// Longest name of a thread (TASK_COMM_LEN without its NUL).
const LONGEST_NAME: usize = 15;

impl Tree for World {
    fn process_of(&self, thread: i32) -> Option<i32> {
        self.processes.of(thread).map(|process| process.id)
    }

    fn program(&self, process: i32) -> Option<Vec<u8>> {
        self.processes.of(process).map(|process| process.program().path.clone())
    }

    fn directory(&self, process: i32) -> Option<Vec<u8>> {
        self.seen_as(&self.host_path(process, libc::AT_FDCWD).ok()?)
    }

    fn file(&self, process: i32, name: &[u8], host: Vec<u8>) -> Node {
        if !matches!(name, b"comm" | b"cmdline" | b"status" | b"stat") {
            return Node::Host(host);
        }
        let Some(process) = self.processes.of(process) else { return Node::Absent };
        let Ok(text) = fs::read(Path::new("/proc").join(std::ffi::OsStr::from_bytes(&host))) else {
            return Node::Absent;
        };
        let program = process.program().clone();
        let ids = process.ids().clone();
        Node::Text(host, translate(name, text, &program, &ids))
    }
}

/// Fills the directory that is listed where the command lists `/proc`, with what never changes. The entries serve for their names and kinds only: a
/// look-up never comes to them.
///
/// # Errors
/// Of the disk.
pub(super) fn make_listing(at: &Path) -> io::Result<()> {
    for (name, target) in procfs::LINKS {
        std::os::unix::fs::symlink(target, at.join(name))?;
    }
    fs::create_dir(at.join("sys"))?;
    for name in procfs::listed() {
        fs::write(at.join(std::ffi::OsStr::from_bytes(name)), "")?;
    }
    Ok(())
}

/// Brings the directory of process numbers up to date.
///
/// # Errors
/// Of the disk.
pub(super) fn list(at: &Path, numbers: &[i32]) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if number.is_some_and(|number| !numbers.contains(&number)) {
            fs::remove_dir(entry.path()).or_else(absent_is_fine)?;
        }
    }
    for number in numbers {
        fs::create_dir(at.join(number.to_string())).or_else(present_is_fine)?;
    }
    Ok(())
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn present_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// What a process says of itself: the loader's name and arguments are taken out, users and groups are those it believes in.
fn translate(name: &[u8], text: Vec<u8>, program: &super::process::Program, ids: &super::ids::Ids) -> Vec<u8> {
    if name == b"cmdline" {
        let skipped = text.split_inclusive(|byte| *byte == 0).take(program.loader_arguments).map(<[u8]>::len).sum();
        return text.get(skipped..).unwrap_or_default().to_vec();
    }
    let own_name = program.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let own_name = &own_name[..own_name.len().min(LONGEST_NAME)];
    match name {
        b"comm" if program.loader_arguments > 0 && is_loader(text.trim_ascii_end()) => [own_name, b"\n"].concat(),
        b"stat" if program.loader_arguments > 0 => {
            let open = text.iter().position(|byte| *byte == b'(');
            let close = text.iter().rposition(|byte| *byte == b')');
            match (open, close) {
                (Some(open), Some(close)) if is_loader(&text[open + 1..close]) => {
                    [&text[..=open], own_name, &text[close..]].concat()
                }
                _ => text,
            }
        }
        b"status" => status(&text, own_name, ids),
        _ => text,
    }
}

/// Whether a thread has still the name that execve(2) gave it for the loader.
fn is_loader(name: &[u8]) -> bool {
    name.starts_with(b"ld-") || name.starts_with(b"ld.so") || name.starts_with(b"ld64")
}

fn status(text: &[u8], own_name: &[u8], ids: &super::ids::Ids) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + 64);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let identity = |identity: super::ids::Identity| {
            format!("\t{}\t{}\t{}\t{}", identity.real, identity.effective, identity.saved, identity.files).into_bytes()
        };
        let value = match name {
            b"Name" if is_loader(line[5..].trim_ascii()) => [b"\t", own_name].concat(),
            b"Uid" => identity(ids.user),
            b"Gid" => identity(ids.group),
            b"Groups" => {
                let groups: Vec<_> = ids.groups.iter().map(u32::to_string).collect();
                format!("\t{} ", groups.join(" ")).into_bytes()
            }
            b"TracerPid" => b"\t0".to_vec(),
            _ => {
                lines.extend_from_slice(line);
                continue;
            }
        };
        lines.extend_from_slice(name);
        lines.push(b':');
        lines.extend_from_slice(&value);
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::ids::Ids;
    use super::super::process::Program;
    use super::*;
    use crate::request::User;

    #[test]
    fn the_loader_is_taken_out() {
        let program = Program { path: b"/usr/bin/a-name-that-is-long".to_vec(), loader_arguments: 3 };
        let ids = Ids::of(&User { uid: 5, gid: 6, groups: vec![7, 8] });
        let seen = |name: &[u8], text: &[u8]| translate(name, text.to_vec(), &program, &ids);
        assert_eq!(seen(b"cmdline", b"/ld.so\0--argv0\0x\0x\0-v\0"), b"x\0-v\0");
        assert_eq!(seen(b"comm", b"ld-linux-x86-64\n"), b"a-name-that-is-\n");
        assert_eq!(seen(b"comm", b"own\n"), b"own\n");
        assert_eq!(seen(b"stat", b"1 (ld-linux-x86-64) S 0"), b"1 (a-name-that-is-) S 0");
        let status = b"Name:\tld-linux-x86-64\nUid:\t1\t1\t1\t1\nGroups:\t1 \nVmPeak:\t1 kB\n";
        let expected = b"Name:\ta-name-that-is-\nUid:\t5\t5\t5\t5\nGroups:\t7 8 \nVmPeak:\t1 kB\n";
        assert_eq!(seen(b"status", status), expected);
    }

    #[test]
    fn listings_follow_the_processes() {
        let at = tempfile::tempdir().expect("a directory");
        let at = at.path();
        make_listing(at).expect("a listing");
        list(at, &[3, 4]).expect("listed");
        list(at, &[4]).expect("listed");
        assert!(at.join("4").exists() && !at.join("3").exists() && at.join("meminfo").exists());
    }
}
