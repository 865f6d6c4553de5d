//! Paths as strings of bytes.

/// The components of a path: without empty ones and `.`.
pub(super) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|component| !component.is_empty() && *component != b".")
}

/// An absolute path in its shortest form without looking at the disk: `..` stays. The root is empty.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut cleaned = Vec::with_capacity(path.len());
    for component in components(path) {
        cleaned.push(b'/');
        cleaned.extend_from_slice(component);
    }
    cleaned
}

/// Whether a component leads upwards.
pub(super) fn goes_up(path: &[u8]) -> bool {
    components(path).any(|component| component == b"..")
}

/// Whether only a directory can be meant.
pub(super) fn wants_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || path.ends_with(b"/.") || path.ends_with(b"/..") || path == b"." || path == b".."
}

/// The path below a directory: empty for the directory itself, else with a leading slash. The root directory is empty.
pub(super) fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Directory and last component, which may be `.` or `..`. None for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Some((&path[..start], &path[start..end]))
}

/// A path relative to a directory's descriptor: without leading slashes, `.` for the directory itself.
pub(super) fn relative(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    if start == path.len() { b"." } else { &path[start..] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        let table: [(&[u8], &[u8]); 5] =
            [(b"/", b""), (b"//a/./b/", b"/a/b"), (b"/a/../b", b"/a/../b"), (b"/.", b""), (b"/...", b"/...")];
        for (path, cleaned) in table {
            assert_eq!(clean(path), cleaned);
        }
        assert!(goes_up(b"/a/../b") && !goes_up(b"/a..b/...") && wants_directory(b"/a/.") && !wants_directory(b"/a."));
    }

    #[test]
    fn paths_are_split() {
        let table: [(&[u8], &[u8], &[u8]); 4] =
            [(b"/a", b"/", b"a"), (b"/a/b//", b"/a/", b"b"), (b"/a/..", b"/a/", b".."), (b"//x", b"//", b"x")];
        for (path, directory, name) in table {
            assert_eq!(split(path), Some((directory, name)));
        }
        assert_eq!(split(b"//"), None);
        assert_eq!((relative(b"//a/b"), relative(b"/"), relative(b"")), (&b"a/b"[..], &b"."[..], &b"."[..]));
    }

    #[test]
    fn below_is_by_component() {
        assert_eq!(below(b"/a/b", b"/a"), Some(&b"/b"[..]));
        assert_eq!(below(b"/a", b"/a"), Some(&b""[..]));
        assert_eq!(below(b"/ab", b"/a"), None);
        assert_eq!(below(b"/x", b""), Some(&b"/x"[..]));
    }
}
