//! The format of the corpus: files in one text, each below a line `-- PATH ATTRIBUTES --`, as in Go's txtar.

/// A file, as a line describes it:
///
/// ```text
/// -- path mode=0640 owner=1:2 modified=86400 xattr=user.note:value --
/// -- directory/ mode=1777 --
/// -- link -> target --
/// -- second-name = first-name --
/// -- pipe fifo --
/// -- archive.tar.gz!path/in/it --
/// ```
///
/// Blanks in paths are written as `%20`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    /// In seconds since 1970.
    pub(super) modified: Option<i64>,
    /// Name and value.
    pub(super) xattr: Option<(String, String)>,
}

/// What a section is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    HardLink(String),
    Fifo,
}

/// The text above the first file, and the files.
pub(super) fn read(text: &str) -> (String, Vec<Section>) {
    let mut head = String::new();
    let mut sections: Vec<(&str, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --\n")), sections.last_mut()) {
            (Some(words), _) => sections.push((words, String::new())),
            (None, Some((_, body))) => body.push_str(line),
            (None, None) => head.push_str(line),
        }
    }
    (head, sections.into_iter().map(|(words, body)| section(words, &body)).collect())
}

fn section(words: &str, body: &str) -> Section {
    let mut words = words.split(' ');
    let path = decoded(words.next().unwrap());
    let kind = if path.ends_with('/') { Kind::Directory } else { Kind::File(body.as_bytes().to_vec()) };
    let mut section = Section { path, kind, mode: None, owner: None, modified: None, xattr: None };
    while let Some(word) = words.next() {
        section.attribute(word, &mut words);
    }
    section
}

impl Section {
    fn attribute<'a>(&mut self, word: &str, rest: &mut impl Iterator<Item = &'a str>) {
        let (name, value) = word.split_once('=').filter(|_| word != "=").unwrap_or((word, ""));
        match (name, &mut self.kind) {
            ("->", kind) => *kind = Kind::Symlink(decoded(rest.next().unwrap())),
            ("=", kind) => *kind = Kind::HardLink(decoded(rest.next().unwrap())),
            ("fifo", kind) => *kind = Kind::Fifo,
            ("mode", _) => self.mode = Some(u32::from_str_radix(value, 8).unwrap()),
            ("modified", _) => self.modified = Some(value.parse().unwrap()),
            ("owner", _) => {
                let (user, group) = value.split_once(':').unwrap();
                self.owner = Some((user.parse().unwrap(), group.parse().unwrap()));
            }
            ("xattr", _) => {
                let (name, value) = value.split_once(':').unwrap();
                self.xattr = Some((name.to_owned(), value.to_owned()));
            }
            // Bytes that editors hide or drop.
            ("bom", Kind::File(content)) => content.splice(..0, *b"\xef\xbb\xbf").for_each(drop),
            ("crlf", Kind::File(content)) => {
                *content = content.split_inclusive(|byte| *byte == b'\n').flat_map(with_carriage_return).collect();
            }
            _ => panic!("`{word}` is no attribute of {}", self.path),
        }
    }
}

fn with_carriage_return(line: &[u8]) -> Vec<u8> {
    match line.strip_suffix(b"\n") {
        Some(line) => [line, b"\r\n"].concat(),
        None => line.to_vec(),
    }
}

fn decoded(word: &str) -> String {
    word.replace("%20", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_and_attributes() {
        let text = "about\n-- a%20b mode=0600 owner=1:2 modified=3 xattr=user.x:y --\none\ntwo\n-- d/ --\n-- l -> a%20b --\n-- h = l --\n-- p fifo --\n-- w bom crlf --\nx\n";
        let (head, sections) = read(text);
        assert_eq!(head, "about\n");
        let kinds: Vec<Kind> = sections.iter().map(|section| section.kind.clone()).collect();
        let (file, other) = (Kind::File(b"one\ntwo\n".to_vec()), Kind::File(b"\xef\xbb\xbfx\r\n".to_vec()));
        let links = [Kind::Symlink("a b".to_owned()), Kind::HardLink("l".to_owned())];
        assert_eq!(kinds, [file, Kind::Directory, links[0].clone(), links[1].clone(), Kind::Fifo, other]);
        let Section { path, mode, owner, modified, xattr, .. } = &sections[0];
        assert_eq!((path.as_str(), *mode, *owner, *modified), ("a b", Some(0o600), Some((1, 2)), Some(3)));
        assert_eq!(xattr.as_ref().unwrap(), &("user.x".to_owned(), "y".to_owned()));
    }
}
