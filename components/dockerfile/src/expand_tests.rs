use super::*;
use proptest::prelude::*;

/// Looks names up in `PWD=/home`, `SHELL=bash`, `KOREAN=한국어`, `NULL=` and those given.
fn with<'a>(given: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| {
        let standard = [("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")];
        given.iter().chain(&standard).find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }
}

fn ok(raw: &str, given: &[(&str, &str)]) -> String {
    expand(raw, '\\', &with(given)).unwrap_or_else(|error| panic!("{raw}: {error}")).value
}

#[track_caller]
fn table(rows: &[(&str, &str)], given: &[(&str, &str)]) {
    for (raw, expected) in rows {
        assert_eq!(ok(raw, given), *expected, "{raw}");
    }
}

#[track_caller]
fn errors(rows: &[&str]) {
    for raw in rows {
        assert!(expand(raw, '\\', &with(&[])).is_err(), "{raw}");
    }
}

#[test]
fn row_23_plain_quotes_and_escapes() {
    table(
        &[
            ("", ""),
            ("hello", "hello"),
            ("he'll'o", "hello"),
            ("he'llo'", "hello"),
            (r"he\'llo", "he'llo"),
            (r"he\\'llo'", r"he\llo"),
            (r"abc\tdef", "abctdef"),
            (r#""abc\tdef""#, r"abc\tdef"),
            (r#""abc\\tdef""#, r"abc\tdef"),
            (r"'abc\tdef'", r"abc\tdef"),
            (r"hello\", "hello"),
            (r"hello\\", r"hello\"),
            (r#""hello""#, "hello"),
            (r#""hel'lo""#, "hel'lo"),
            (r#"'hello" there'"#, r#"hello" there"#),
            (r#""""#, ""),
            ("'  a'", "  a"),
            (r"' \''a'", r" \a"),
            (r#""he\"llo""#, r#"he"llo"#),
            ("$", "$"),
            ("he$1x", "hex"),
            ("he$.x", "he$.x"),
            ("he$pwd.", "he."),
            ("he$PWD", "he/home"),
            (r"he\$PWD", "he$PWD"),
            (r"he\\$PWD", r"he\/home"),
            (r#""he\$PWD""#, "he$PWD"),
            (r#""he\\$PWD""#, r"he\/home"),
            ("'$PWD'", "$PWD"),
            ("\"$PWD\"", "/home"),
            (r"\${}", "${}"),
            ("he${PWD}", "he/home"),
            ("he${hi}xx", "hexx"),
            ("he${PWD}-x", "he/home-x"),
            ("$KOREAN", "한국어"),
            ("안녕하세요 $KOREAN", "안녕하세요 한국어"),
            ("a<b<<c <<  d", "a<b<<c <<  d"),
            ("$$x", "x"),
            ("$@", ""),
        ],
        &[],
    );
}

#[test]
fn row_23_unfinished_quotes() {
    errors(&["he'llo", "\"hello", "\"hello\\\"", "'hello\\''", "\"$PWD", "'", "\""]);
}

#[test]
fn row_24_defaults() {
    table(
        &[
            ("${XXX:-000}xx", "000xx"),
            ("${PWD:-000}xx", "/homexx"),
            ("${NULL:-w}", "w"),
            ("${NULL-w}", ""),
            ("${XXX-w}", "w"),
            ("${XXX:-$PWD:YYY}xx", "/home:YYYxx"),
            ("${XXX:-${PWD}}", "/home"),
            ("${XXX:+${PWD}}z", "z"),
            ("${PWD:+w}", "w"),
            ("${NULL:+w}", ""),
            ("${NULL+w}", "w"),
            ("${XXX+w}", ""),
            ("${XXX:-}", ""),
            ("${XXX:-\"a } b\"}", "a } b"),
            (r"${XXX:-a\}b}", "a}b"),
            ("\"${XXX:-'q'}\"", "q"),
        ],
        &[],
    );
}

#[test]
fn row_25_required() {
    let given = [("VAR", "plain"), ("ARG", "x")];
    assert_eq!(ok("${VAR:?message here$ARG}", &given), "plain");
    assert_eq!(ok("${NULL?no}", &given), "");
    let message = |raw: &str| expand(raw, '\\', &with(&given)).unwrap_err().to_string();
    assert_eq!(message("${XXX?message here$ARG}"), "XXX: message herex");
    assert_eq!(message("${NULL:?message here$ARG}"), "NULL: message herex");
    assert_eq!(message("${XXX?}"), "XXX: is not allowed to be unset");
    assert_eq!(message("${NULL:?}"), "NULL: is not allowed to be empty");
}

#[test]
fn row_26_trimming() {
    let rows: &[(&str, &str, &str)] = &[
        (r"${FOO#()[]{\}^$.\*\?|\\}", r"()[]{}^$.*?|\x", "x"),
        (r"${FOO%%\**}", "xx**", "xx"),
        ("${FOO#*x*y}", "xxyy", "y"),
        ("${FOO##*x*y}", "xxyy", ""),
        ("${FOO#*}", "xxyy", "xxyy"),
        ("${FOO##*}", "xxyy", ""),
        ("${FOO#x}", "xxyy", "xyy"),
        ("${FOO#}", "xxyy", "xxyy"),
        ("${FOO##*x}", "xxyy", "yy"),
        (r"${FOO#?\?}", "???y", "?y"),
        ("${FOO%x}", "xxyy", "xxyy"),
        ("${FOO%y*}", "xxyy", "xxy"),
        ("${FOO%%y*}", "xxyy", "xx"),
        (r"${FOO%%\**\*}", "a***yy*", "a"),
        ("${FOO%}", "xxyy", "xxyy"),
        ("${FOO%.*}", "v1.2.3", "v1.2"),
        ("${FOO%%.*}", "v1.2.3", "v1"),
        ("${FOO##*/}", "ghcr.io/a/b", "b"),
        ("${FOO##*}", "a\nb", "\nb"),
    ];
    for (raw, value, expected) in rows {
        assert_eq!(ok(raw, &[("FOO", value)]), *expected, "{raw} of {value}");
    }
    assert_eq!(ok("${FOO#$BAR}", &[("FOO", "xxyy"), ("BAR", "x")]), "xyy");
    assert_eq!(ok("${FOO%%$BAR}", &[("FOO", "xxyy"), ("BAR", "")]), "xxyy");
    assert_eq!(ok("${NONE#x}", &[]), "");
}

#[test]
fn row_27_replacing() {
    let both = "${FOO/$NEEDLE/$R} - ${FOO//$NEEDLE/$R}";
    let rows: &[(&str, &str, &str, &str)] = &[
        ("/foo*/*/*.txt", r"\*/", ".", "/foo.*/*.txt - /foo..*.txt"),
        ("/tmp/tmp/bar.txt", "/tmp", "", "/tmp/bar.txt - /bar.txt"),
        ("/a/foo/b/c.txt", "/?/", "/", "/foo/b/c.txt - /foo/c.txt"),
        ("http://google.de", "http://", "https://", "https://google.de - https://google.de"),
        ("ab", "", "-", "-ab - -a-b-"),
        ("aab", "a*", "x", "x - x"),
        ("baa", "?", "x", "xaa - xxx"),
    ];
    for (value, needle, replacement, expected) in rows {
        assert_eq!(ok(both, &[("FOO", value), ("NEEDLE", needle), ("R", replacement)]), *expected, "{value} {needle}");
    }
    assert_eq!(ok(r"${FOO//\//\/}", &[("FOO", "/tmp/foo.txt")]), r"\/tmp\/foo.txt");
    assert_eq!(ok("${FOO///}", &[("FOO", "xxyy")]), "xxyy");
    assert_eq!(ok("${FOO///}", &[]), "");
}

#[test]
fn row_28_bad_substitutions() {
    errors(&[
        "${}",
        "${:x}",
        "${{x}",
        "${:}",
        "${",
        "${x",
        "${x:",
        "${x:-",
        "${x:-${y}",
        "${PWD:#}",
        "${PWD:%x}",
        "${PWD=x}",
        "${PWD:=x}",
        "${PWD:a}",
        "${PWD x}",
        "${PWD/x}",
        "${PWD//x}",
        "${PWD//}",
        "${PWD/x/y",
        r"${PWD#\x}",
        r"${PWD%a\}",
    ]);
}

#[test]
fn row_29_nesting() {
    table(&[("${x:-${y:-z}}", "z"), ("${x:-${PWD:+${y-deep}}}", "deep"), ("${x:-a$PWD}b", "a/homeb")], &[]);
    let deep = |n: usize| format!("{}x{}", "${a:-".repeat(n), "}".repeat(n));
    assert_eq!(ok(&deep(MAX_DEPTH - 1), &[]), "x");
    assert_eq!(expand(&deep(10_000), '\\', &with(&[])), Err(ExpandError::Depth));
}

#[test]
fn row_32_words_are_split_after_expansion() {
    let given = [("PORTS", "80  443/tcp"), ("E", "")];
    let split = |raw: &str| words(raw, '\\', &with(&given)).unwrap();
    assert_eq!(split("$PORTS"), ["80", "443/tcp"]);
    assert_eq!(split("8$PORTS\t9"), ["880", "443/tcp", "9"]);
    assert_eq!(split("\"$PORTS\" x"), ["80  443/tcp", "x"]);
    assert_eq!(split(r"a\ b 'c d'"), ["a b", "c d"]);
    assert_eq!(split("$E $NONE \"\""), Vec::<String>::new());
}

#[test]
fn row_34_undefined_variables_are_told() {
    let undefined = |raw: &str| expand(raw, '\\', &with(&[])).unwrap().undefined;
    assert_eq!(undefined("$a ${b:-x} $PWD $a \"${c}\""), ["a", "b", "c"]);
    assert_eq!(undefined("${x:-${y:-z}}"), ["y", "x"]);
    assert_eq!(undefined("'$a' \\$b"), Vec::<String>::new());
}

#[test]
fn row_35_quotes_in_values() {
    table(
        &[
            ("a\"b'c\"d", "ab'cd"),
            ("a'b\"c'd", "ab\"cd"),
            (r"a\ b\ c", "a b c"),
            (r#""a b"c"#, "a bc"),
            (r#"\"quoted\""#, "\"quoted\""),
        ],
        &[],
    );
}

#[test]
fn row_8_the_backtick_as_escape() {
    let tick = |raw: &str| expand(raw, '`', &with(&[])).unwrap().value;
    assert_eq!(tick("`$PWD"), "$PWD");
    assert_eq!(tick(r"\$PWD"), r"\/home");
    assert_eq!(tick(r"c:\windows"), r"c:\windows");
    assert_eq!(tick("\"`\"`$`n\""), "\"$`n");
}

#[test]
fn row_105_heredoc_bodies_have_no_quotes() {
    let body = |raw: &str| expand_heredoc(raw, '\\', &with(&[])).unwrap().value;
    assert_eq!(body("it's \"$PWD\"\n"), "it's \"/home\"\n");
    assert_eq!(body(r"\$PWD a\nb \\"), r"$PWD anb \");
    assert_eq!(body("${XXX:-it's}"), "it's");
}

#[test]
fn heredoc_words_stay_as_they_are() {
    assert_eq!(raw_words(r#"RUN "<<NO" <<  EO'F' a\ b $X"#).unwrap(), ["RUN", "\"<<NO\"", "<<  EO'F'", r"a\ b", "$X"]);
}

proptest! {
    #[test]
    fn never_panics(raw in "[\\PC\n]{0,60}", escape in prop_oneof![Just('\\'), Just('`')]) {
        let lookup = with(&[("a", "b*c"), ("x", "")]);
        let _ = expand(&raw, escape, &lookup);
        let _ = expand_heredoc(&raw, escape, &lookup);
        let _ = words(&raw, escape, &lookup);
        let _ = raw_words(&raw);
    }

    #[test]
    fn never_panics_on_substitutions(raw in "[$\\{\\}:a-c#%/\\\\*?'\"+\\- <`]{0,40}") {
        let _ = expand(&raw, '\\', &with(&[("a", "b*c"), ("b", "")]));
        let _ = words(&raw, '\\', &with(&[("a", "b c")]));
    }

    #[test]
    fn text_without_meaning_is_kept(raw in "[a-z0-9 .,:/_=-]{0,40}") {
        prop_assert_eq!(ok(&raw, &[]), raw);
    }

    #[test]
    fn single_quotes_keep_everything(raw in "[^']{0,40}") {
        prop_assert_eq!(ok(&format!("'{raw}'"), &[]), raw);
    }

    #[test]
    fn trimming_both_ways_agrees(value in "[ab*]{0,8}", pattern in "[ab?]{0,4}") {
        // Without stars the shortest match is the longest.
        let given = [("v", value.as_str()), ("p", pattern.as_str())];
        prop_assert_eq!(ok("${v#$p}", &given), ok("${v##$p}", &given));
        prop_assert_eq!(ok("${v%$p}", &given), ok("${v%%$p}", &given));
    }
}
