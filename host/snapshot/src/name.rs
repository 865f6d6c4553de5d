//! File names are bytes; the contract's paths are strings. This module goes between the two (`types.path` in the contract).

use crate::{Error, Result};

/// Where the characters that stand for single bytes begin.
const BASE: u32 = 0x10_FF00;

/// The contract's string for the bytes of a path or name: a byte that is not part of valid UTF-8 stands as U+10FF00 + byte, and
/// a character of that range has each of its bytes written so.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if u32::from(character) >= BASE {
                let mut buffer = [0; 4];
                text.extend(character.encode_utf8(&mut buffer).bytes().map(escaped));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(escaped));
    }
    text
}

/// The bytes that a contract's string stands for. Fails with [`Error::Invalid`] on a NUL, and on an escape for an ASCII byte, which
/// [`encode`] never makes (and which could hide a `/`).
pub fn decode(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character) {
            0 => {
                return Err(Error::Invalid(format!("the path `{}` has a NUL", text.escape_debug())));
            }
            code @ BASE.. => match u8::try_from(code - BASE) {
                Ok(byte) if byte >= 0x80 => bytes.push(byte),
                _ => {
                    return Err(Error::Invalid(format!(
                        "the path `{}` has an escape for an ASCII byte",
                        text.escape_unicode()
                    )));
                }
            },
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(bytes)
}

/// The components of a path that is taken literally: no `..`, and empty ones and `.` left out.
/// Fails with [`Error::Invalid`] on `..` and on a NUL.
pub(crate) fn literal(text: &str) -> Result<Vec<u8>> {
    let bytes = decode(text)?;
    literal_bytes(&bytes)
        .ok_or_else(|| Error::Invalid(format!("the path `{text}` has a component `..`, and it is taken literally")))
}

/// The same of bytes; none if there is a `..`.
pub(crate) fn literal_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut clean = Vec::with_capacity(bytes.len());
    for component in components(bytes) {
        if component == b".." {
            return None;
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(component);
    }
    Some(clean)
}

/// The components of a path without empty ones and `.`; `..` stays.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|component| !component.is_empty() && *component != b".")
}

/// A clean path's parent and last component; none for the root.
pub(crate) fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None => Some((b"", path)),
    }
}

/// `directory/name`, or `name` in the root.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn escaped(byte: u8) -> char {
    // All 256 results lie at the end of Unicode's last plane, where no surrogates are.
    char::from_u32(BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_strings() {
        let table: &[(&[u8], &str)] = &[
            (b"a/b", "a/b"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            (b"\xff", "\u{10ffff}"),
            (b"x\xc3(", "x\u{10ffc3}("),
            ("\u{10ff41}".as_bytes(), "\u{10fff4}\u{10ff8f}\u{10ffbd}\u{10ff81}"),
            ("\u{10feff}".as_bytes(), "\u{10feff}"),
        ];
        for (bytes, text) in table {
            assert_eq!(encode(bytes), *text);
            assert_eq!(decode(text).unwrap(), *bytes);
        }
    }

    #[test]
    fn escapes_cannot_hide_a_slash_or_nul() {
        for text in ["a\0b", "\u{10ff2f}", "\u{10ff00}", "\u{10ff2e}\u{10ff2e}"] {
            assert!(matches!(decode(text), Err(Error::Invalid(_))), "{text:?}");
        }
    }

    #[test]
    fn literal_paths() {
        assert_eq!(literal("/a//./b/").unwrap(), b"a/b");
        assert_eq!(literal("").unwrap(), b"");
        assert_eq!(literal("/").unwrap(), b"");
        assert!(matches!(literal("a/../b"), Err(Error::Invalid(_))));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(bytes in prop::collection::vec(1u8.., 0..40)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn the_end_of_unicode_is_kept(characters in prop::collection::vec(0x10_FE00u32..=0x10_FFFF, 0..8)) {
            let name: String = characters.into_iter().filter_map(char::from_u32).collect();
            prop_assert_eq!(decode(&encode(name.as_bytes())).unwrap(), name.as_bytes());
        }

        #[test]
        fn different_names_differ(a in prop::collection::vec(0xf0u8.., 0..6), b in prop::collection::vec(0xf0u8.., 0..6)) {
            prop_assert_eq!(encode(&a) == encode(&b), a == b);
        }
    }
}
