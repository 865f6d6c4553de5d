use super::*;
use crate::lint::keep;
use crate::{Source, parse};

/// Messages and the text under them, with a base that has `BASE`; `FROM unknown` has a base that isn't known.
#[track_caller]
fn undefined(text: &str) -> Vec<(String, String)> {
    let source = Source::new("Dockerfile", text);
    let dockerfile = parse(&source).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let inherited = |index: usize| {
        let image = &dockerfile.stages[index].from.image.raw;
        match (image.as_str(), dockerfile.stage(image)) {
            (_, Some(parent)) => Inherited::Stage(parent),
            ("scratch", None) => Inherited::Names(Vec::new()),
            ("unknown", None) => Inherited::Unknown,
            _ => Inherited::Names(vec!["BASE".to_owned()]),
        }
    };
    let found = undefined_variables(&dockerfile, &inherited);
    found.into_iter().map(|lint| (lint.message, source.slice(lint.span).to_owned())).collect()
}

#[track_caller]
fn names(text: &str) -> Vec<String> {
    undefined(text).into_iter().map(|(_, place)| place).collect()
}

#[test]
fn row_30_31_34_names_and_places() {
    let rows: &[(&str, &[&str])] = &[
        ("FROM a\nCOPY $x$BASE $PATH/", &["$x$BASE"]),
        ("FROM a\nENV a=$b b=1\nENV c=$b", &["$b"]),
        ("FROM a\nARG b\nARG c=$b d=$e\nLABEL x=$b$c$d$e", &["$e", "$b$c$d$e"]),
        ("FROM a\nUSER $u\nWORKDIR /$w\nVOLUME $v\nEXPOSE $e\nSTOPSIGNAL $s", &["$u", "/$w", "$v", "$e", "$s"]),
        ("FROM a\nCOPY --chown=$u --chmod=$m a b\nADD --checksum=$c a b", &["$u", "$m", "$c"]),
        ("FROM a\nRUN --mount=type=cache,target=$t,id=$BASE x $y", &["target=$t"]),
        ("FROM a\nCOPY <<A <<'B' /x\n1 $y\nA\n$z\nB\n", &["1 $y\n"]),
        ("FROM a\nCMD $x\nRUN $x\nENTRYPOINT [\"$x\"]\nONBUILD ENV a=$x\nHEALTHCHECK CMD $x", &[]),
        ("FROM a\nENV b=${c:-d}", &["${c:-d}"]),
        // What is malformed is the build's business.
        ("FROM a\nENV b=${c", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(names(text), *expected, "{text}");
    }
}

#[test]
fn row_34_47_what_stages_inherit() {
    assert_eq!(names("FROM scratch\nENV a=$BASE$PATH"), ["$BASE$PATH"]);
    assert_eq!(names("ARG g=1\nFROM a\nENV b=$g\nARG g\nENV c=$g"), ["$g"]);
    assert_eq!(names("FROM a AS One\nARG x=1\nENV y=2\nFROM one\nENV z=$x$y$BASE"), Vec::<String>::new());
    assert_eq!(names("FROM a AS one\nARG x=1\nFROM a\nENV z=$x"), ["$x"]);
    assert_eq!(names("FROM unknown AS one\nENV z=$x\nFROM one\nENV z=$x\nFROM a\nENV z=$y"), ["$y"]);
}

#[test]
fn row_34_near_names_are_told() {
    let (message, _) = &undefined("FROM a\nENV VERSION=1\nLABEL v=$VERSON")[0];
    assert_eq!(message, "Usage of undefined variable '$VERSON' (did you mean $VERSION?)");
    assert_eq!(undefined("FROM a\nLABEL v=$x")[0].0, "Usage of undefined variable '$x'");
    assert!(undefined("# check=skip=UndefinedVar\nFROM a\nLABEL v=$x").is_empty());
}

#[test]
fn row_43_defaults_that_make_no_image() {
    let found = |text: &str| {
        let dockerfile = parse(&Source::new("Dockerfile", text)).unwrap();
        let automatic = |name: &str| (name == "TARGETARCH").then(|| "amd64".to_owned());
        let bases = default_bases(&dockerfile, &automatic);
        bases.into_iter().map(|(word, name)| format!("{} is {name}", word.raw)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(found("ARG T\nFROM a:$T"), "a:$T is a:");
    assert_eq!(found("ARG I\nFROM ${I}"), "${I} is ");
    assert_eq!(found("ARG T=1 U=$T\nFROM a:$U"), "a:$U is a:1");
    assert_eq!(
        found("ARG T\nFROM a:${T:-1}\nFROM a:$TARGETARCH\nFROM scratch"),
        "a:${T:-1} is a:1, a:$TARGETARCH is a:amd64"
    );
    assert_eq!(found("ARG T=${U?}\nFROM a:$T"), "");
    let lint = Lint::invalid_default_arg(&Word::new("a:$T", Span::new(5, 9)));
    assert_eq!(lint.message, "Default value for ARG a:$T results in empty or invalid base image name");
    assert_eq!((lint.rule, lint.span), (Rule::InvalidDefaultArgInFrom, Span::new(5, 9)));
}

#[test]
fn row_12_findings_of_a_plan_are_kept_by_the_directive() {
    let dockerfile = parse(&Source::new("Dockerfile", "# check=skip=UndefinedVar\nFROM a\n")).unwrap();
    let undefined = Lint::undefined_variable(Span::new(1, 2), "x", []);
    let invalid = |start: usize| Lint::invalid_default_arg(&Word::new("$y", Span::new(start, start + 2)));
    assert_eq!(keep(&dockerfile, [invalid(8), undefined, invalid(4), invalid(8)]), [invalid(4), invalid(8)]);
}
