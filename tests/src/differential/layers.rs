//! The tree that layers make, read from the tars themselves (image-spec, layer.md): nothing is unpacked, so every owner and
//! attribute is what the layer says.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use tar::{Archive, EntryType};

use crate::tree::{Entry, shown};

/// Files by path. Those with the same number are one file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, (usize, Entry)>,
    count: usize,
}

impl Tree {
    /// Lays a layer over what is there, compressed by gzip or not.
    pub(super) fn apply(&mut self, layer: &[u8]) {
        let mut tar = Vec::new();
        match layer {
            [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(layer).read_to_end(&mut tar).map(drop).unwrap(),
            _ => tar.extend_from_slice(layer),
        }
        // What a layer takes away is of the layers below, wherever in it that stands.
        for taken in [true, false] {
            for entry in Archive::new(tar.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = normal(&entry.path_bytes());
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
                match name.strip_prefix(".wh.") {
                    Some(".wh..opq") if taken => self.remove_below(parent),
                    Some(name) if taken => self.remove(format!("{parent}/{name}").trim_start_matches('/')),
                    None if !taken && !path.is_empty() => self.add(path, &mut entry),
                    _ => {}
                }
            }
        }
    }

    /// All files, the second and later names of one as `= FIRST`.
    pub(super) fn entries(self) -> Vec<Entry> {
        let mut first: HashMap<usize, String> = HashMap::new();
        let entries = self.nodes.into_iter().map(|(path, (number, mut entry))| {
            if let Some(first) = first.get(&number) {
                entry.content = format!("= {first}");
            } else {
                first.insert(number, path.clone());
            }
            Entry { path, ..entry }
        });
        entries.collect()
    }

    fn add(&mut self, path: String, entry: &mut tar::Entry<'_, impl Read>) {
        let kind = entry.header().entry_type();
        if kind != EntryType::Directory {
            self.remove(&path);
        }
        let node = match kind {
            EntryType::Link => {
                let target = normal(&entry.link_name_bytes().unwrap());
                self.nodes
                    .get(&target)
                    .unwrap_or_else(|| panic!("{path} is a link of {target}, which isn't there"))
                    .clone()
            }
            _ => {
                self.count += 1;
                (self.count, read(entry))
            }
        };
        self.nodes.insert(path, node);
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, directory: &str) {
        let prefix = format!("{directory}/");
        self.nodes.retain(|path, _| !(directory.is_empty() || path.starts_with(&prefix)));
    }
}

fn read(entry: &mut tar::Entry<'_, impl Read>) -> Entry {
    let xattrs = xattrs(entry);
    let header = entry.header().clone();
    let link = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
    let (kind, content) = match header.entry_type() {
        EntryType::Directory => ('d', String::new()),
        EntryType::Symlink => ('l', format!("-> {}", link.unwrap_or_default())),
        EntryType::Fifo => ('p', String::new()),
        EntryType::Char => ('c', String::new()),
        EntryType::Block => ('b', String::new()),
        _ => {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            ('f', shown(&content))
        }
    };
    Entry {
        path: String::new(),
        kind,
        mode: header.mode().unwrap() & 0o7777,
        uid: header.uid().unwrap().try_into().unwrap(),
        gid: header.gid().unwrap().try_into().unwrap(),
        modified: header.mtime().unwrap().cast_signed(),
        content,
        xattrs,
    }
}

fn xattrs(entry: &mut tar::Entry<'_, impl Read>) -> Vec<(String, Vec<u8>)> {
    let extensions = entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
    let attribute = |extension: tar::PaxExtension<'_>| {
        let name = extension.key().unwrap().strip_prefix("SCHILY.xattr.")?;
        Some((name.to_owned(), extension.value_bytes().to_vec()))
    };
    let mut found: Vec<_> = extensions.filter_map(attribute).collect();
    found.sort_unstable();
    found
}

fn normal(path: &[u8]) -> String {
    let path = std::str::from_utf8(path).unwrap();
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::archive::archive;
    use crate::differential::section;

    #[test]
    fn later_layers_replace_and_remove() {
        let layers = [
            "-- d/ --\n-- d/a --\n1\n-- d/b = d/a --\n-- e/ --\n-- e/old --\n-- f/ --\n-- f/x --\n-- gone --\n",
            "-- e/new --\n-- e/.wh..wh..opq --\n-- .wh.gone --\n-- f -> d --\n-- d/c = d/b --\n-- d/ mode=0700 --\n",
            "-- ./d/a --\n2\n",
        ];
        let mut tree = Tree::default();
        for layer in layers {
            tree.apply(&archive("layer", &section::read(layer).1));
        }
        let lines: Vec<String> = tree.entries().iter().map(Entry::to_string).collect();
        let expected = [
            "d 0700 0:0 1700000000 d",
            "f 0644 0:0 1700000000 d/a \"2\\n\"",
            "f 0644 0:0 1700000000 d/b \"1\\n\"",
            "f 0644 0:0 1700000000 d/c = d/b",
            "d 0755 0:0 1700000000 e",
            "f 0644 0:0 1700000000 e/new \"\"",
            "l 0777 0:0 1700000000 f -> d",
        ];
        assert_eq!(lines, expected);
    }
}
