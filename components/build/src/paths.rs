//! Paths inside an image: `/` between components, `..` never leaves the root.

/// The path as the contract wants it: relative to the root, without `.`, `..` and empty components; empty for the root.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// A path below a directory; both in [`normal`] form.
pub(crate) fn join(directory: &str, path: &str) -> String {
    match (directory, path) {
        ("", path) => path.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, path) => format!("{directory}/{path}"),
    }
}

/// Parent and last component of a [`normal`] path; none for the root.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/') {
        Some(pair) => Some(pair),
        None if path.is_empty() => None,
        None => Some(("", path)),
    }
}

/// The last component of a path in any form; empty for the root.
pub(crate) fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit_once('/').map_or(trimmed, |(_, name)| name)
}

/// A path as written after a directory that it may be relative to, as an absolute path.
pub(crate) fn absolute(directory: &str, path: &str) -> String {
    let full = if path.starts_with('/') { normal(path) } else { normal(&format!("{directory}/{path}")) };
    format!("/{full}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form() {
        for (given, wanted) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("./", ""),
            ("/a/b/", "a/b"),
            ("a//b/./c", "a/b/c"),
            ("a/../b", "b"),
            ("../../x", "x"),
            ("/..", ""),
        ] {
            assert_eq!(normal(given), wanted, "{given:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_leads_out_of_the_root(path in "[ab./]{0,12}", directory in "[ab./]{0,6}") {
            let inside = normal(&path);
            proptest::prop_assert!(inside.split('/').all(|part| part != ".." && part != "."));
            proptest::prop_assert_eq!(&normal(&inside), &inside);
            let full = absolute(&directory, &path);
            proptest::prop_assert_eq!(format!("/{}", normal(&full)), full);
        }
    }

    #[test]
    fn absolute_paths_ignore_the_directory() {
        assert_eq!(absolute("/app", "/x/"), "/x");
        assert_eq!(absolute("/app", "x/../y"), "/app/y");
        assert_eq!(absolute("/app", "."), "/app");
        assert_eq!(absolute("/", "a"), "/a");
    }

    #[test]
    fn parents_and_names() {
        assert_eq!(split(""), None);
        assert_eq!(split("a"), Some(("", "a")));
        assert_eq!(split("a/b/c"), Some(("a/b", "c")));
        assert_eq!(base("/a/b/"), "b");
        assert_eq!(base("/"), "");
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", ""), "a");
        assert_eq!(join("a", "b"), "a/b");
    }
}
