use super::*;
use proptest::prelude::*;

fn matcher(text: &str) -> Matcher {
    Matcher::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn table(rows: &[(&str, &str, bool)]) {
    for (text, path, expected) in rows {
        assert_eq!(matcher(text).matches(path), *expected, "{text:?} {path}");
    }
}

#[test]
fn row_140_patterns() {
    table(&[
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir", false),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**file", "dir/xfile", true),
        ("**/file", "dir/file", true),
        ("**/file", "file", true),
        ("**/file", "dir/xfile", false),
        ("**file*", "xfiley", false),
        ("**a]", "xa]", false),
        ("**a]", "x/a]", true),
        ("**file*", "dir/filey", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("abc/**", "abc/def/ghi", true),
        ("abc/", "abc/x", true),
        ("**/.foo", "a.foo", false),
        ("**/.foo", "bar/.foo", true),
        ("file.txt", "fileXtxt", false),
        ("(a|b)+$", "(a|b)+$", true),
        (r"a\*b", "a*b", true),
        (r"a\*b", "axb", false),
        ("*", "a/b", true),
        ("?", "a", true),
        ("docs", "docs/x/y.md", true),
        ("docs", "mydocs", false),
        ("*.md", "a.md", true),
        ("*.md", "b/a.md", false),
        ("*/*.md", "b/a.md", true),
        ("node_modules", "web/node_modules", false),
        ("**/node_modules", "web/node_modules/x", true),
        ("안녕*", "안녕하세요", true),
    ]);
}

#[test]
fn row_140_lines() {
    table(&[
        ("\u{feff}a\n", "a", true),
        ("# a\n#b", "b", false),
        (" # a", "# a", true),
        ("  a  \r\n\tb\t\r\n", "b", true),
        ("  a  \r\n\tb\t\r\n", "a", true),
        ("/a/b", "a/b", true),
        ("./a//b/../c/", "a/c", true),
        ("a", "./a/", true),
        ("a", "/a", true),
        ("\n\n  \n", "a", false),
        (".", "a", false),
        ("/", "a", false),
        ("*", ".", false),
        ("*", "", false),
        ("*", "/", false),
        ("../a", "a", false),
    ]);
    assert!(matcher("#\n\n").is_empty());
}

#[test]
fn row_141_the_last_match_wins() {
    table(&[
        ("*\n!a", "a", false),
        ("!a\n*", "a", true),
        ("*\n!a/b/c", "a/b/c", false),
        ("*\n!a/b/c", "a/b/c/d", false),
        ("*\n!a/b/c", "a/b/d", true),
        ("*\n!a/b/c", "a", true),
        ("*\n!a/**/c", "a/x/y/c", false),
        ("docs\n!docs/README.md", "docs/README.md", false),
        ("docs\n!docs/README.md", "docs/x.md", true),
        ("docs\n!docs/README.md\ndocs/README*", "docs/README.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
        ("*.md\n!README*.md\nREADME-secret.md", "README.md", false),
        ("**\n! src ", "src/main.rs", false),
        ("**\n!/src", "src/main.rs", false),
        ("a\n!a/b\na/b/c", "a/b/c/d", true),
        ("a\n!a/b\na/b/c", "a/b/x", false),
    ]);
}

#[test]
fn row_142_bad_patterns() {
    for (text, start, end) in [("a\n!\n", 2, 3), ("a\n  ! \n", 4, 5), ("[", 0, 1), ("x\n!a[b", 2, 6), ("a\\", 0, 2)] {
        let error = Matcher::new(text).unwrap_err();
        assert_eq!(error.span, Span::new(start, end), "{text:?}");
    }
}

#[test]
fn the_deciding_pattern_is_told() {
    let matcher = matcher("*.md\n!README.md\nREADME*\n");
    let rule = matcher.excluded_by("README.md").unwrap();
    assert_eq!((rule.pattern.as_str(), rule.span), ("README*", Span::new(16, 23)));
    assert_eq!(matcher.excluded_by("x"), None);
}

#[test]
fn row_141_directories_to_descend() {
    let rows = [
        ("*\n!a/b/c", "a", true),
        ("*\n!a/b/c", "a/b", true),
        ("*\n!a/b/c", "b", false),
        ("*\n!a/b/c", "a/b/x", false),
        ("*\n!**/*.go", "any/where", true),
        ("*\n!a/*/c", "a/x", true),
        ("*\n!a/*/c", "a/x/y", false),
        ("*\n!a*", "ab", true),
        ("!a/b\n*", "a", false),
        ("docs", "docs", false),
        ("docs", "src", true),
        ("docs\n!docs/README.md", "docs", true),
        ("docs\n!docs/README.md\ndocs", "docs", false),
        ("*", "", true),
    ];
    for (text, path, expected) in rows {
        assert_eq!(matcher(text).may_contain_included(path), expected, "{text:?} {path}");
    }
}

#[test]
fn excludes_of_copy() {
    let words = [crate::Word::new("*.txt", Span::new(3, 8)), crate::Word::new("!a.txt", Span::new(9, 15))];
    let matcher = Matcher::from_words(&words).unwrap();
    assert!(matcher.matches("b.txt") && !matcher.matches("a.txt"));
    let bad = Matcher::from_words(&[crate::Word::new("!", Span::new(1, 2))]).unwrap_err();
    assert_eq!(bad.span, Span::new(1, 2));
}

/// Part by part, trying everything.
fn naive(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", [])) => !path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|skipped| naive(rest, &path[skipped..])),
        Some((part, rest)) => path
            .split_first()
            .is_some_and(|(first, more)| crate::glob::matches(part, first) == Ok(true) && naive(rest, more)),
    }
}

/// The definition of MatchesOrParentMatches, without short cuts.
fn naive_file(lines: &[(bool, Vec<&str>)], path: &[&str]) -> bool {
    let mut left_out = false;
    for (negated, pattern) in lines {
        if (1..=path.len()).any(|length| naive(pattern, &path[..length])) {
            left_out = !negated;
        }
    }
    left_out
}

fn part() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("ab"), Just("*"), Just("a*"), Just("?"), Just("**")]
}

fn rules() -> impl Strategy<Value = Vec<(bool, Vec<&'static str>)>> {
    prop::collection::vec((any::<bool>(), prop::collection::vec(part(), 1..4)), 0..5)
}

fn path() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("ab"), Just("ba")], 1..5)
}

fn text(rules: &[(bool, Vec<&str>)]) -> String {
    rules.iter().map(|(negated, parts)| format!("{}{}\n", if *negated { "!" } else { "" }, parts.join("/"))).collect()
}

/// A cleaned pattern as moby/patternmatcher reads it, by trying everything: what its regular expressions mean, and the short cut
/// for `**` in front of plain text.
fn moby(pattern: &str, path: &str) -> bool {
    if let Some(suffix) = pattern.strip_prefix("**").filter(|rest| !rest.contains(['*', '?', '[', ']', '\\'])) {
        return path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path);
    }
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    moby_from(&pattern, &path)
}

fn moby_from(pattern: &[char], path: &[char]) -> bool {
    let behind = |ends: &dyn Fn(&[char]) -> bool, rest: &[char]| {
        (0..=path.len()).any(|length| ends(&path[..length]) && moby_from(rest, &path[length..]))
    };
    let one = |taken: bool, rest: &[char]| taken && moby_from(rest, &path[1..]);
    let first = path.first().copied();
    match pattern {
        [] => path.is_empty(),
        ['*', '*'] | ['*', '*', '/'] => true,
        ['*', '*', '/', rest @ ..] | ['*', '*', rest @ ..] => {
            behind(&|text| text.last().is_none_or(|last| *last == '/'), rest)
        }
        ['*', rest @ ..] => behind(&|text| !text.contains(&'/'), rest),
        ['?', rest @ ..] => one(first.is_some_and(|next| next != '/'), rest),
        ['\\', own, rest @ ..] => one(first == Some(*own), rest),
        ['[', rest @ ..] => {
            let (takes, rest) = class(rest, first);
            one(takes, rest)
        }
        [own, rest @ ..] => one(first == Some(*own), rest),
    }
}

/// Whether a class, behind its `[`, takes a character, and what follows the class.
fn class(text: &[char], next: Option<char>) -> (bool, &[char]) {
    let (negated, mut rest) = match text {
        ['^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut takes = false;
    loop {
        let (low, high);
        (low, rest) = member(rest);
        (high, rest) = if let ['-', after @ ..] = rest { member(after) } else { (low, rest) };
        takes |= next.is_some_and(|next| (low..=high).contains(&next));
        if let [']', after @ ..] = rest {
            return (next.is_some() && takes != negated, after);
        }
    }
}

fn member(text: &[char]) -> (char, &[char]) {
    match text {
        ['\\', own, rest @ ..] | [own, rest @ ..] => (*own, rest),
        [] => panic!("the pattern is well formed"),
    }
}

proptest! {
    #[test]
    fn equals_what_moby_does(pattern in r"[ab*?/.\[\]^\\-]{1,8}", path in "[ab/.^\\]-]{1,8}") {
        let Ok(matcher) = Matcher::new(&pattern) else { return Ok(()) };
        let ([rule], Some(path)) = (matcher.rules(), relative(&path)) else { return Ok(()) };
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        let expected = parents.chain([&*path]).any(|path| moby(&rule.pattern, path));
        prop_assert_eq!(matcher.matches(&path), expected && !rule.negated);
    }

    #[test]
    fn equals_the_definition(rules in rules(), path in path()) {
        prop_assert_eq!(matcher(&text(&rules)).matches(&path.join("/")), naive_file(&rules, &path));
    }

    #[test]
    fn nothing_included_is_cut_off(rules in rules(), path in path()) {
        let matcher = matcher(&text(&rules));
        if !matcher.matches(&path.join("/")) {
            for length in 1..path.len() {
                prop_assert!(matcher.may_contain_included(&path[..length].join("/")), "{:?}", &path[..length]);
            }
        }
    }

    #[test]
    fn never_panics(text in "[\\PC\n]{0,60}", path in "\\PC{0,30}") {
        if let Ok(matcher) = Matcher::new(&text) {
            let _ = matcher.matches(&path);
            let _ = matcher.may_contain_included(&path);
        }
    }
}
