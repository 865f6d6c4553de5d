//! Bad command lines and sources that can't be copied: what is said, and where.

use steprun_ports::FailureKind;

use crate::support::dockerfile;

#[test]
fn command_lines_that_make_no_sense() {
    for (arguments, message) in [
        (&[][..], "nothing says where the image should go"),
        (
            &["-d", "registry.test/app@sha256:0000000000000000000000000000000000000000000000000000000000000000"],
            "the destination `registry.test/app@sha256:0000000000000000000000000000000000000000000000000000000000000000` has a digest",
        ),
        (&["--no-push", "--label", "a"], "`--label a` has no value"),
        (&["--no-push", "--annotation", "=x"], "a value of `--annotation` has no name"),
        (
            &["--no-push", "--platform", "linux"],
            "`linux` is no platform: it should look like `linux/amd64` or `linux/arm64/v8`",
        ),
        (
            &["--platform", "linux/amd64,linux/arm64", "--tar-path", "x.tar"],
            "x.tar can hold one platform, and several are built",
        ),
        (&["--check", "--plan"], "`--check` and `--plan` don't go together"),
        (&["--no-push", "--format", "json"], "`--format json` has nothing to print"),
        (&["--plan", "--format", "sarif"], "a plan can't be printed as SARIF"),
        (&["--no-push", "--build-context", "scratch=x"], "a named context can't be called `scratch`"),
    ] {
        let failure = dockerfile("FROM scratch\n").only_arguments(arguments).fails();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Usage, message));
    }
}

#[test]
fn missing_sources() {
    for (lines, message, hint) in [
        ("COPY aap.json /", "there is no `aap.json` in the context", Some("did you mean `app.json`?")),
        ("COPY scr/main.rs /", "there is no `scr/main.rs` in the context", Some("did you mean `src/main.rs`?")),
        ("COPY src/mian.rs /", "there is no `src/mian.rs` in the context", Some("did you mean `src/main.rs`?")),
        ("COPY nothing /", "there is no `nothing` in the context", None),
        ("ADD nothing /", "there is no `nothing` in the context", None),
        ("COPY --parents no/thing /", "there is no `no/thing` in the context", None),
        ("COPY --from=empty x /", "there is no `x` in the image that `--from` names", None),
        (
            "COPY dangling /",
            "there is no `dangling` in the context",
            Some("it is a symlink to `gone`, where nothing is"),
        ),
    ] {
        let text = format!("FROM scratch AS empty\nFROM scratch\n{lines}\n");
        let build = dockerfile(&text)
            .context(|tree| tree.file("app.json", "").file("src/main.rs", "").symlink("dangling", "gone"));
        let failure = build.fails();
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message, hint));
        assert_eq!(failure.position.map(|position| position.line), Some(3), "{lines}");
    }
}

#[test]
fn the_caret_stands_below_the_source() {
    let failure = dockerfile("FROM scratch\nCOPY --chmod=644 Dockerfile \\\n  missing /x/\n").fails();
    assert_eq!(failure.position.map(|position| (position.line, position.column)), Some((3, 3)));
    assert_eq!(failure.excerpt.as_deref(), Some("  |\n3 |   missing /x/\n  |   ^^^^^^^"));
}

#[test]
fn a_link_out_of_the_context_is_denied() {
    let failure = dockerfile("FROM scratch\nCOPY out /x\n").context(|tree| tree.symlink("out", "/etc/shadow")).fails();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert_eq!(failure.position.map(|position| position.line), Some(2));
    let link = dockerfile("FROM scratch\nCOPY d /x\n").context(|tree| tree.symlink("d/out", "/etc/shadow")).built();
    assert_eq!(link.listing()[1], "x/out -> /etc/shadow 777 0:0 0");
}

#[test]
fn a_mistyped_stage_is_told_from_an_image() {
    for lines in ["COPY --from=biulder / /", "FROM biulder"] {
        let failure = dockerfile(&format!("FROM scratch AS builder\nFROM scratch\n{lines}\n")).fails();
        assert_eq!(failure.hint.as_deref(), Some("did you mean the stage `builder`?"));
        assert_eq!(failure.position.map(|position| position.line), Some(3));
    }
}

#[test]
fn bad_patterns() {
    let failure = dockerfile("FROM scratch\nCOPY a[ /x/\n").fails();
    assert!(failure.to_string().contains("`a[` is no pattern"), "{failure}");
    let failure = dockerfile("FROM scratch\nCOPY --exclude=a[ Dockerfile /x/\n").fails();
    assert_eq!(failure.position.map(|position| position.line), Some(2));
}
