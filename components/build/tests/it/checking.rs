//! `--check`, and what a build says of lint rules.

use serde_json::{Value, json};
use steprun_ports::FailureKind;
use steprun_ports::memory::FileTree;

use crate::support::{Build, dockerfile};

/// Names of the rules that a Dockerfile breaks, sorted.
fn rules(build: Build, arguments: &[&str]) -> Vec<String> {
    let build = build.only_arguments(&["--check", "--format", "json"]).arguments(arguments);
    let host = build.host.clone();
    let succeeded = build.run().is_ok();
    let report: Value = serde_json::from_slice(&host.stdout()).unwrap();
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(succeeded, warnings.is_empty());
    let mut names: Vec<String> = warnings.iter().map(|one| one["ruleName"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn with_base(text: &str) -> Build {
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Env": ["BASE=1"] } });
    dockerfile(text).base("registry.test/base", FileTree::new(), config)
}

#[test]
fn row_138_each_rule_is_found_and_can_be_skipped() {
    for (rule, text) in [
        ("ConsistentInstructionCasing", "FROM scratch\nLABEL a=b\nlabel c=d\n"),
        ("CopyIgnoredFile", "FROM scratch\nARG P=ignored\nCOPY ${P} /\n"),
        ("DuplicateStageName", "FROM scratch AS a\nFROM scratch AS a\n"),
        ("ExposeInvalidFormat", "FROM scratch\nEXPOSE 127.0.0.1:80:80\n"),
        ("ExposeProtoCasing", "FROM scratch\nEXPOSE 80/TCP\n"),
        ("FromAsCasing", "FROM scratch as a\n"),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/amd64 registry.test/base\n"),
        ("InvalidBaseImagePlatform", "FROM --platform=linux/s390x registry.test/base AS s390x\n"),
        ("InvalidDefaultArgInFrom", "ARG IMAGE\nFROM ${IMAGE}\n"),
        ("InvalidDefinitionDescription", "# something else\nFROM scratch AS a\n"),
        ("JSONArgsRecommended", "FROM scratch\nCMD a\n"),
        ("LegacyKeyValueFormat", "FROM scratch\nENV a b\n"),
        ("MaintainerDeprecated", "FROM scratch\nMAINTAINER me\n"),
        ("MultipleInstructionsDisallowed", "FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]\n"),
        ("NoEmptyContinuation", "FROM scratch\nLABEL a=b \\\n\n  c=d\n"),
        ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM registry.test/base\n"),
        ("ReservedStageName", "FROM scratch AS context\n"),
        ("SecretsUsedInArgOrEnv", "FROM scratch\nARG PASSWORD\n"),
        ("StageNameCasing", "FROM scratch AS Big\n"),
        ("UndefinedArgInFrom", "FROM registry.test/base$NONE\n"),
        ("UndefinedVar", "FROM registry.test/base\nLABEL a=$BASE b=$BSAE\n"),
        ("WorkdirRelativePath", "FROM scratch\nWORKDIR a\n"),
    ] {
        let build = |directive: &str| {
            let build = with_base(&format!("# check=experimental=all{directive}\n\n{text}"));
            build.context(|tree| tree.file("ignored", "").file(".dockerignore", "ignored\n"))
        };
        let arguments = ["--build-arg", "IMAGE=registry.test/base"];
        assert!(rules(build(""), &arguments).contains(&rule.to_owned()), "{text}");
        assert!(!rules(build(&format!(";skip={rule}")), &arguments).contains(&rule.to_owned()), "{rule}");
    }
}

#[test]
fn row_138_what_is_right_breaks_no_rule() {
    let text = "ARG TAG=latest\nFROM registry.test/base:$TAG AS build\nARG V=1\nENV W=$V$BASE$PATH\nWORKDIR /w\nCOPY a b/\nFROM build\n\
                LABEL w=$W$V\nCMD [\"a\"]\n";
    let build =
        with_base(text).context(|tree| tree.file("a", "").file(".dockerignore", "x\n")).only_arguments(&["--check"]);
    let built = build.built();
    assert_eq!(built.stdout(), "Check complete, no warnings found.\n");
    assert_eq!(built.warnings(), [""; 0]);
    // Nothing was made.
    assert!(built.host.outputs().is_empty());
    assert!(built.host.tasks().iter().all(|(label, _)| label.starts_with("resolve ")), "{:?}", built.host.tasks());
}

#[test]
fn row_138_a_check_is_printed_as_text_json_and_sarif() {
    let check = |format: &str| {
        let build = dockerfile("FROM scratch as a\nLABEL b=$c\n").only_arguments(&["--check", "--format", format]);
        build.fails_with_output()
    };
    let (failure, text) = check("text");
    assert_eq!(failure.message, "lint violation found for rules: FromAsCasing, UndefinedVar");
    assert_eq!(failure.kind, FailureKind::Failed);
    assert!(text.starts_with("Check complete, 2 warnings have been found!\n\nWARNING: FromAsCasing"), "{text}");
    assert!(
        text.contains("Dockerfile:2\n--------------------\n   1 |     FROM scratch as a\n   2 | >>> LABEL b=$c\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&check("json").1).unwrap();
    assert_eq!(json["warnings"][1]["detail"], "Usage of undefined variable '$c'");
    let sarif: Value = serde_json::from_str(&check("sarif").1).unwrap();
    assert_eq!(sarif["runs"][0]["results"][1]["ruleId"], "UndefinedVar");
    assert_eq!(sarif["runs"][0]["results"][1]["level"], "warning");
    let strict =
        dockerfile("# check=error=true\nFROM scratch as a\n").only_arguments(&["--check", "--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&strict.fails_with_output().1).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");
}

#[test]
fn row_138_a_check_of_what_can_not_be_parsed() {
    let (failure, text) = dockerfile("FROM scratch\nCOPPY a b\n").only_arguments(&["--check"]).fails_with_output();
    assert_eq!(failure.hint.as_deref(), Some("did you mean `COPY`?"));
    assert!(text.starts_with("unknown instruction: COPPY") && text.contains("2 | >>> COPPY a b"), "{text}");
    let json = dockerfile("FROM scratch\nCOPPY a b\n").only_arguments(&["--check", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.fails_with_output().1).unwrap();
    assert_eq!(json["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
}

#[test]
fn row_138_a_check_looks_at_the_target_or_at_all_stages() {
    let text = "FROM scratch AS one\nCMD a\nFROM scratch AS two\nENV a b\nFROM one\n";
    let check = |arguments: &[&str]| rules(dockerfile(text), arguments);
    assert_eq!(check(&[]), ["JSONArgsRecommended", "LegacyKeyValueFormat"]);
    assert_eq!(check(&["--target", "two"]), ["LegacyKeyValueFormat"]);
    assert_eq!(check(&["--target", "one"]), ["JSONArgsRecommended"]);
    let failure =
        dockerfile("FROM scratch\nCOPY --from=later a /\nFROM scratch AS later\n").only_arguments(&["--check"]);
    assert_eq!(failure.fails().message, "the stage `later` is defined later");
}

#[test]
fn row_138_without_the_base_its_variables_are_left_out() {
    let build =
        dockerfile("FROM registry.test/none\nLABEL a=$b\nFROM scratch\nLABEL a=$c\n").only_arguments(&["--check"]);
    let host = build.host.clone();
    let (_, text) = build.fails_with_output();
    assert!(text.contains("'$c'") && !text.contains("'$b'"), "{text}");
    let lines = host.log_lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].message.contains("it is not known which variables it has"), "{}", lines[0].message);
    assert_eq!(lines[0].position.as_ref().map(|position| (position.line, position.column)), Some((1, 6)));
}

#[test]
fn row_12_findings_of_a_build_are_warnings_or_errors() {
    let text = "FROM scratch AS unused\nENV c d\nFROM scratch\nENV a b\n";
    let built = dockerfile(text).built();
    assert_eq!(
        built.warnings(),
        ["LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format"]
    );
    let lines = built.host.log_lines();
    assert_eq!(lines[0].position.as_ref().map(|position| position.line), Some(4));
    let build = dockerfile(&format!("# check=error=true\n{text}RUN a\n")).running();
    let host = build.host.clone();
    assert_eq!(build.fails().message, "lint violation found for rules: LegacyKeyValueFormat");
    assert!(host.commands().is_empty());
    assert!(dockerfile(&format!("# check=skip=all;error=true\n{text}")).built().warnings().is_empty());
}

#[test]
fn row_34_variables_of_triggers_are_told_when_they_run() {
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "OnBuild": ["LABEL a=$none"] } });
    let built = dockerfile("FROM registry.test/base\n").base("registry.test/base", FileTree::new(), config).built();
    assert_eq!(built.warnings(), ["UndefinedVar: Usage of undefined variable '$none'"]);
    let lines = built.host.log_lines();
    let position = lines[0].position.as_ref().expect("a place");
    assert_eq!((position.file.as_str(), position.line), ("ONBUILD of registry.test/base", 1));
}

#[test]
fn row_53_a_base_of_another_platform_is_a_warning() {
    let built = with_base("FROM registry.test/base\nCOPY --from=registry.test/base / /\n")
        .arguments(&["--platform", "linux/arm64"]);
    let message = "InvalidBaseImagePlatform: Base image registry.test/base was pulled with platform \"linux/amd64\", expected \
                   \"linux/arm64\" for current build";
    assert_eq!(built.built().warnings(), [message, message]);
}

#[test]
fn row_43_stages_and_contexts_are_no_invalid_images() {
    let text = "ARG B=Stage\nFROM scratch AS stage\nFROM $B\nFROM ${C:-A:B:C}\n";
    let check = |arguments: &[&str]| rules(dockerfile(&format!("# check=skip=StageNameCasing\n{text}")), arguments);
    assert_eq!(check(&["--target", "1"]), [""; 0]);
    // No image has a blank in its name, and a context may.
    let build = || dockerfile("ARG B=\"a b\"\nFROM $B\n");
    assert_eq!(rules(build(), &[]), ["InvalidDefaultArgInFrom"]);
    let host = build().host.with_context("dir", FileTree::new());
    assert_eq!(rules(Build { host, ..build() }, &["--build-context", "a b=dir"]), [""; 0]);
}
