use super::*;
use crate::{Source, parse};

/// Rule and text of each finding.
#[track_caller]
fn found(text: &str) -> Vec<(Rule, String)> {
    let source = Source::new("Dockerfile", text);
    let parsed = parse(&source).unwrap_or_else(|errors| panic!("{errors:?}"));
    lint(&parsed).into_iter().map(|one| (one.rule, source.slice(one.span).to_owned())).collect()
}

#[track_caller]
fn table(rows: &[(&str, &[(Rule, &str)])]) {
    for (text, expected) in rows {
        let expected: Vec<_> = expected.iter().map(|(rule, place)| (*rule, (*place).to_owned())).collect();
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn row_138_a_clean_file() {
    let text = "ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V AS build\nWORKDIR /x\nWORKDIR y\nENV A=b\nCMD [\"a\"]\nHEALTHCHECK NONE\nEXPOSE 80/tcp $P\nFROM --platform=linux/amd64 a AS x-amd64\n";
    table(&[(text, &[])]);
}

#[test]
fn row_5_13_casing_and_lines() {
    use Rule::*;
    table(&[
        ("FROM a\nRUN b \\\n\n c", &[(NoEmptyContinuation, "")]),
        ("FROM a\nrun b\nRUN c\nRun d", &[(ConsistentInstructionCasing, "run"), (ConsistentInstructionCasing, "Run")]),
        ("from a\nrun b\nRUN c", &[(ConsistentInstructionCasing, "RUN")]),
        ("FROM a AS Base", &[(StageNameCasing, "Base")]),
        ("FROM a as b", &[(FromAsCasing, "as")]),
        ("from a AS b", &[(FromAsCasing, "AS")]),
        ("From a as b", &[(ConsistentInstructionCasing, "From")]),
    ]);
}

#[test]
fn row_40_stage_names() {
    use Rule::*;
    table(&[
        ("FROM a AS b\nFROM a AS c\nFROM a AS b", &[(DuplicateStageName, "b")]),
        ("FROM a AS scratch", &[(ReservedStageName, "scratch")]),
        ("FROM a AS context", &[(ReservedStageName, "context")]),
    ]);
}

#[test]
fn row_43_53_from() {
    use Rule::*;
    table(&[
        ("ARG VERSION=1\nFROM a:$VERSIO", &[(UndefinedArgInFrom, "a:$VERSIO")]),
        ("FROM --platform=$x a:$TARGETARCH", &[(UndefinedArgInFrom, "$x")]),
        ("FROM --platform=$TARGETPLATFORM a", &[(RedundantTargetPlatform, "$TARGETPLATFORM")]),
        ("FROM --platform=${TARGETPLATFORM} a", &[(RedundantTargetPlatform, "${TARGETPLATFORM}")]),
        ("FROM --platform=linux/arm64 a", &[(FromPlatformFlagConstDisallowed, "linux/arm64")]),
        ("FROM --platform=linux/arm64 a AS b_arm64", &[]),
        ("FROM --platform=linux/$TARGETARCH a", &[]),
    ]);
    let source = Source::new("x", "ARG VERSION=1\nFROM a:$VERSIO");
    let message = &lint(&parse(&source).unwrap())[0].message;
    assert_eq!(message, "FROM argument 'VERSIO' is not declared (did you mean VERSION?)");
}

#[test]
fn row_18_119_129_131_instructions() {
    use Rule::*;
    table(&[
        ("FROM a\nMAINTAINER b", &[(MaintainerDeprecated, "MAINTAINER b")]),
        ("FROM a\nCMD b", &[(JSONArgsRecommended, "CMD b")]),
        ("FROM a AS b\nSHELL [\"c\"]\nCMD d\nFROM b\nENTRYPOINT e", &[]),
        ("FROM a\nENTRYPOINT e\nSHELL [\"c\"]", &[(JSONArgsRecommended, "ENTRYPOINT e")]),
        ("FROM a\nCMD [\"b\"]\nRUN x\nCMD [\"c\"]", &[(MultipleInstructionsDisallowed, "CMD [\"b\"]")]),
        ("FROM a\nHEALTHCHECK NONE\nFROM a\nHEALTHCHECK NONE", &[]),
        ("FROM a\nENV b c\nLABEL d=e", &[(LegacyKeyValueFormat, "ENV b c")]),
        ("FROM a\nWORKDIR b", &[(WorkdirRelativePath, "b")]),
        ("FROM a AS x\nWORKDIR /b\nFROM X\nWORKDIR b", &[]),
        ("FROM a\nWORKDIR $b/c\nWORKDIR d", &[]),
        ("# escape=`\nFROM a\nWORKDIR c:\\x", &[]),
    ]);
}

#[test]
fn row_138_comments_that_describe_nothing() {
    use Rule::InvalidDefinitionDescription as Stray;
    let on = "# check=experimental=InvalidDefinitionDescription\n";
    let rows: &[(&str, &[&str])] = &[
        ("# a is this\nARG a=1\n# b is that\nFROM x AS b\n", &[]),
        ("# this\nARG a=1\nFROM x\n", &["ARG a=1"]),
        ("# this\n\nARG a=1\n# that\n#\nFROM x AS b\n", &[]),
        ("FROM x\n# that\nRUN y\n# this\nARG a b\n# b\nARG a b\n", &["ARG a b"]),
        ("# B is that\nFROM x AS b\n# no name, no description\nFROM x\n", &["FROM x AS b"]),
        // The last line counts.
        ("# a is this\n# and more\nARG a\nFROM x\n", &["ARG a"]),
    ];
    for (text, places) in rows {
        let expected: Vec<_> = places.iter().map(|place| (Stray, (*place).to_owned())).collect();
        assert_eq!(found(&format!("{on}{text}")), expected, "{text}");
        assert_eq!(found(text).iter().filter(|(rule, _)| *rule == Stray).count(), 0, "it is off: {text}");
    }
    let messages = |text: &str| {
        let parsed = parse(&Source::new("Dockerfile", format!("{on}{text}"))).unwrap();
        lint(&parsed).into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    let expected = [
        "ARG should follow the format: `# a",
        "ARG should follow the format: `# <arg_key>",
        "FROM should follow the format: `# x",
    ];
    let expected = expected.map(|middle| format!("Comment for {middle} <description>`"));
    assert_eq!(messages("# no\nARG a\n# no\nARG b c\n# no\nFROM y AS x"), expected);
}

#[test]
fn row_75_secrets() {
    use Rule::SecretsUsedInArgOrEnv as Secret;
    table(&[
        ("FROM a\nARG GITHUB_TOKEN DATABASE_PASSWORD=x", &[(Secret, "GITHUB_TOKEN"), (Secret, "DATABASE_PASSWORD")]),
        ("FROM a\nENV secret_MESSAGE=x AUTH=y", &[(Secret, "secret_MESSAGE"), (Secret, "AUTH")]),
        ("FROM a\nENV PUBLIC_KEY=x TOKEN_FILE=/run/x KEYBOARD=y author=z", &[]),
    ]);
}

#[test]
fn row_122_ports() {
    use Rule::*;
    table(&[
        ("FROM a\nEXPOSE 80/TCP", &[(ExposeProtoCasing, "80/TCP")]),
        ("FROM a\nEXPOSE 127.0.0.1:80:80", &[(ExposeInvalidFormat, "127.0.0.1:80:80")]),
    ]);
}

#[test]
fn row_12_rules_can_be_turned_off() {
    table(&[
        ("# check=skip=JSONArgsRecommended, maintainerdeprecated\nFROM a\nMAINTAINER b\nCMD c", &[]),
        ("# check=skip=all\nFROM a\nMAINTAINER b", &[]),
        ("# check=skip=Other;error=true\nFROM a\nMAINTAINER b", &[(Rule::MaintainerDeprecated, "MAINTAINER b")]),
    ]);
    assert!(!Rule::CopyIgnoredFile.is_on(None));
    let check = Check { experimental: vec!["CopyIgnoredFile".into()], ..Check::default() };
    assert!(Rule::CopyIgnoredFile.is_on(Some(&check)));
    assert!(!Rule::InvalidDefinitionDescription.is_on(Some(&check)));
    let check = Check { experimental_all: true, skip: vec!["copyignoredfile".into()], ..Check::default() };
    assert!(!Rule::CopyIgnoredFile.is_on(Some(&check)));
    assert!(Rule::InvalidDefinitionDescription.is_on(Some(&check)));
}

#[test]
fn names_and_pages() {
    assert_eq!(Rule::JSONArgsRecommended.name(), "JSONArgsRecommended");
    let page = |rule: Rule| rule.url().unwrap();
    assert!(page(Rule::JSONArgsRecommended).ends_with("/rule/json-args-recommended/"));
    assert!(page(Rule::SecretsUsedInArgOrEnv).ends_with("/rule/secrets-used-in-arg-or-env/"));
    assert!(page(Rule::NoEmptyContinuation).ends_with("/rule/no-empty-continuation/"));
    assert_eq!(Rule::InvalidBaseImagePlatform.url(), None);
}
