//! All files of a file system.

use std::collections::BTreeMap;

use steprun_ports::{Change, ChangeEntry, Error, FileKind, SourceFile, Stat, Tree};

/// A file at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Without leading `/`.
    pub(crate) path: String,
    pub(crate) stat: Stat,
    /// The path of an earlier file that this is another name of.
    pub(crate) link: Option<String>,
}

/// All files below the root. Directories stand before what they hold, and the names of each are sorted.
pub(crate) async fn walk<T: Tree>(tree: &T) -> Result<Vec<File>, Error> {
    let (mut found, mut groups) = (Vec::new(), BTreeMap::new());
    let mut pending = below(tree, "").await?;
    while let Some((path, stat)) = pending.pop() {
        if stat.kind == FileKind::Directory {
            pending.extend(below(tree, &path).await?);
        }
        let link = stat.link_group.and_then(|group| match groups.get(&group) {
            Some(first) => Some(String::clone(first)),
            None => {
                groups.insert(group, path.clone());
                None
            }
        });
        found.push(File { path, stat, link });
    }
    Ok(found)
}

/// The entries of a directory with their paths, last first: they are taken from the end.
async fn below<T: Tree>(tree: &T, directory: &str) -> Result<Vec<(String, Stat)>, Error> {
    let entries = tree.list(directory).await?;
    let path = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    Ok(entries.into_iter().rev().map(|entry| (path(&entry.name), entry.stat)).collect())
}

impl File {
    /// The change that puts the same file into another file system, which has this one's as its source number `source`. None for
    /// sockets, which no layer can hold.
    pub(crate) fn into_change(self, source: u32) -> Option<ChangeEntry> {
        let Self { path, stat, link } = self;
        let change = match (link, stat.kind) {
            (Some(first), _) => Change::HardLink(first),
            (None, FileKind::Directory) => Change::Directory,
            (None, FileKind::Symlink) => Change::Symlink(stat.target.unwrap_or_default()),
            (None, FileKind::Fifo) => Change::Fifo,
            (None, FileKind::Socket) => return None,
            (None, FileKind::Regular | FileKind::CharacterDevice | FileKind::BlockDevice) => {
                Change::File(SourceFile { source, path: path.clone() })
            }
        };
        let Stat { mode, uid, gid, modified, .. } = stat;
        Some(ChangeEntry { path, change, mode, uid, gid, modified })
    }
}

/// A path's bytes: those that are no UTF-8 stand as U+10FF00 and the byte (`wit/types.wit`, `path`).
pub(crate) fn bytes(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    for character in path.chars() {
        match u8::try_from((character as u32).wrapping_sub(0x10_FF00)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}
