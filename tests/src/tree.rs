//! A tree of files as a list of lines, with all that a layer can record.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Files up to this many bytes of text are shown as text.
const SHOWN: usize = 80;

/// A file below the root of a tree. It prints as one line:
///
/// ```text
/// f 0644 0:0 1700000000 etc/motd "hello" user.note="x"
/// f 0644 0:0 1700000000 etc/issue = etc/motd         (a hard link of the first name)
/// l 0777 0:0 1700000000 bin -> usr/bin
/// d 0755 0:0 1700000000 usr
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root.
    pub path: String,
    /// `f`, `d`, `l`, `p`, `c`, `b` or `s`.
    pub kind: char,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// In seconds since 1970.
    pub modified: i64,
    /// Content or target, in the notation of the line.
    pub content: String,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, kind, mode, uid, gid, modified, content, xattrs } = self;
        write!(f, "{kind} {mode:04o} {uid}:{gid} {modified} {path}")?;
        if !content.is_empty() {
            write!(f, " {content}")?;
        }
        xattrs.iter().try_for_each(|(name, value)| write!(f, " {name}={}", shown(value)))
    }
}

/// All entries below a directory, without itself, sorted by path.
pub fn scan(root: &Path) -> Vec<Entry> {
    let mut paths = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                pending.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let mut names = BTreeMap::new();
    paths.iter().map(|path| entry(root, path, &mut names)).collect()
}

/// `names` knows the first name of each file with several.
fn entry(root: &Path, full: &Path, names: &mut BTreeMap<u64, String>) -> Entry {
    let metadata = full.symlink_metadata().unwrap();
    let path = full.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let kind = metadata.file_type();
    let (kind, content) = match () {
        () if kind.is_dir() => ('d', String::new()),
        () if kind.is_symlink() => ('l', format!("-> {}", fs::read_link(full).unwrap().display())),
        () if kind.is_fifo() => ('p', String::new()),
        () if kind.is_socket() => ('s', String::new()),
        () if kind.is_char_device() => ('c', device(metadata.rdev())),
        () if kind.is_block_device() => ('b', device(metadata.rdev())),
        () => match names.get(&metadata.ino()) {
            Some(first) => ('f', format!("= {first}")),
            None => ('f', shown(&fs::read(full).unwrap())),
        },
    };
    if metadata.nlink() > 1 && kind == 'f' {
        names.entry(metadata.ino()).or_insert_with(|| path.clone());
    }
    Entry {
        path,
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified: metadata.mtime(),
        content,
        xattrs: xattrs(full),
    }
}

fn device(number: u64) -> String {
    format!("{},{}", rustix::fs::major(number), rustix::fs::minor(number))
}

/// Content as a line has it: text if it is short, else its digest.
pub(crate) fn shown(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if content.len() <= SHOWN => format!("{text:?}"),
        _ => format!("{} bytes {}", content.len(), crate::sha256(content)),
    }
}

fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list = vec![0_u8; 64 * 1024];
    let length = rustix::fs::llistxattr(path, list.as_mut_slice()).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut found: Vec<_> = names
        .map(|name| {
            let name = std::str::from_utf8(name).unwrap().to_owned();
            let mut value = vec![0_u8; 64 * 1024];
            let length = rustix::fs::lgetxattr(path, &name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (name, value)
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, MTIME};

    #[test]
    fn every_property_shows() {
        let context = Context::new()
            .file("a/file", "text\n")
            .mode("a/file", 0o600)
            .hard_link("a/other", "a/file")
            .symlink("link", "a/file")
            .fifo("pipe")
            .file("owned", [0xff])
            .owner("owned", 1000, 1001)
            .mode("owned", 0o4755)
            .modified("owned", 12)
            .file("tagged", "")
            .xattr("tagged", "user.note", b"x")
            .directory("empty");
        let lines: Vec<String> = scan(context.path()).iter().map(Entry::to_string).collect();
        let digest = crate::sha256(&[0xff]);
        let expected = [
            format!("d 0755 0:0 {MTIME} a"),
            format!("f 0600 0:0 {MTIME} a/file \"text\\n\""),
            format!("f 0600 0:0 {MTIME} a/other = a/file"),
            format!("d 0755 0:0 {MTIME} empty"),
            format!("l 0777 0:0 {MTIME} link -> a/file"),
            format!("f 4755 1000:1001 12 owned 1 bytes {digest}"),
            format!("p 0644 0:0 {MTIME} pipe"),
            format!("f 0644 0:0 {MTIME} tagged \"\" user.note=\"x\""),
        ];
        assert_eq!(lines, expected);
    }
}
