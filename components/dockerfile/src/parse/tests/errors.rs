//! What is refused, with which words and at which place.

use super::*;

#[track_caller]
fn table(rows: &[(&str, &str, &str)]) {
    for (text, message, place) in rows {
        let (actual, under) = refused(text);
        assert_eq!((actual.as_str(), under.as_str()), (*message, *place), "{text}");
    }
}

#[test]
fn row_14_unknown_instructions() {
    table(&[
        ("COPPY a b", "unknown instruction: COPPY (did you mean `COPY`?)", "COPPY"),
        ("  rnu a", "unknown instruction: rnu (did you mean `RUN`?)", "rnu"),
        ("frobnicate", "unknown instruction: frobnicate", "frobnicate"),
        ("FROM\u{a0}a", "unknown instruction: FROM\u{a0}a (did you mean `FROM`?)", "FROM\u{a0}a"),
    ]);
}

#[test]
fn row_17_wrong_flags() {
    table(&[
        ("COPY --form=a b c", "unknown flag: --form (did you mean `--from`?)", "--form=a"),
        ("ADD --from=a b c", "unknown flag: --from", "--from=a"),
        ("COPY --chown a b", "missing a value on flag: --chown", "--chown"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x", "--link=x"),
        ("COPY --link= a b", "missing a value on flag: --link", "--link="),
        ("COPY --from=a --from=b c d", "duplicate flag specified: --from", "--from=b"),
        ("ENV --x a=b", "unknown flag: --x", "--x"),
        ("ARG --required a", "unknown flag: --required", "--required"),
        ("CMD --x", "unknown flag: --x", "--x"),
        ("RUN --mont=type=ssh x", "unknown flag: --mont (did you mean `--mount`?)", "--mont=type=ssh"),
        ("COPY --From=a b c", "unknown flag: --From", "--From=a"),
    ]);
}

#[test]
fn row_18_wrong_pairs() {
    table(&[
        ("ENV", "ENV requires at least one argument", "ENV"),
        ("ENV a", "ENV must have two arguments", "a"),
        ("ENV =b", "ENV names can not be blank", "=b"),
        (
            "LABEL a=b c",
            "Syntax error - can't find = in \"c\". Must be of the form: name=value (quote values that have spaces: LABEL name=\"a value\")",
            "c",
        ),
        ("ARG", "ARG requires at least one argument", "ARG"),
        ("ARG =b", "ARG names can not be blank", "=b"),
    ]);
}

#[test]
fn row_33_variables_in_from() {
    let (message, place) = refused("COPY --from=$x a b");
    assert!(message.starts_with("variable expansion is not supported for --from"), "{message}");
    assert_eq!(place, "$x");
    let (message, place) = refused("RUN --mount=type=cache,from=a$x,target=/b c");
    assert!(message.starts_with("'from' doesn't support variable expansion"), "{message}");
    assert_eq!(place, "from=a$x");
}

#[test]
fn row_38_wrong_stages() {
    let rule = "name can't start with a number or contain symbols";
    for name in ["1a", "a/b", "ü", "-a", "$x"] {
        let text = format!("FROM a AS {name}");
        assert_eq!(wrong(&text)[0].message, format!("invalid name for build stage: \"{name}\", {rule}"));
    }
    for text in ["FROM", "FROM a b", "FROM a AS", "FROM a b c", "FROM a AS b c", "FROM a # b"] {
        assert_eq!(wrong(text)[0].message, "FROM requires either one or three arguments", "{text}");
    }
    let error = &wrong("RUN a\nFROM b")[0];
    assert_eq!((error.message.as_str(), error.span), ("no build stage in current context", Span::new(0, 5)));
}

#[test]
fn row_77_wrong_mounts() {
    let key = "(`size` needs `type=tmpfs` before it)";
    table(&[
        ("RUN --mount=typ=ssh x", "unexpected key 'typ' in 'typ=ssh' (did you mean `type`?)", "typ=ssh"),
        ("RUN --mount=type=tmp x", "unsupported mount type \"tmp\" (did you mean `tmpfs`?)", "type=tmp"),
        ("RUN --mount=type=bind x", "missing mount target (add `target=` with a path below `/`)", "type=bind"),
        ("RUN --mount=target=/ x", "invalid mount target \"/\" (add `target=` with a path below `/`)", "target=/"),
        ("RUN --mount=target x", "invalid field 'target' must be a key=value pair", "target"),
        ("RUN --mount=target=/a,size=1 x", &format!("unexpected key 'size' for mount type 'bind' {key}"), "size=1"),
        ("RUN --mount=target=/a,mode=1 x", "mode not allowed for \"bind\" type mounts", "target=/a,mode=1"),
        ("RUN --mount=type=cache,target=/a,mode=8 x", "invalid value 8 for mode", "mode=8"),
        ("RUN --mount=type=cache,target=/a,uid=-1 x", "invalid value -1 for uid", "uid=-1"),
        ("RUN --mount=type=secret x", "invalid secret mount. one of source, target required", "type=secret"),
        ("RUN --mount=type=secret,id=a,src=b x", "both source and id can't be set", "type=secret,id=a,src=b"),
        ("RUN --mount=target=/a,ro=2 x", "invalid value for readonly: 2", "ro=2"),
        (
            "RUN --mount=type=tmpfs,target=/a,sharing=locked x",
            "invalid cache sharing set for tmpfs mount",
            "type=tmpfs,target=/a,sharing=locked",
        ),
        (
            "RUN --mount=type=cache,target=/a,sharing=lock x",
            "unsupported sharing value \"lock\" (did you mean `locked`?)",
            "sharing=lock",
        ),
    ]);
    // Keys are looked at even when there are variables.
    assert!(refused("RUN --mount=typ=$x,target=/a x").0.starts_with("unexpected key 'typ'"));
}

#[test]
fn row_81_wrong_modes() {
    table(&[
        ("RUN --network=non x", "invalid network mode \"non\" (did you mean `none`?)", "non"),
        ("RUN --security=all x", "security \"all\" is not valid (use one of sandbox, insecure)", "all"),
        ("RUN --device=a,b x", "invalid field 'b' must be a key=value pair", "a,b"),
    ]);
}

#[test]
fn row_106_wrong_heredocs() {
    table(&[
        ("RUN <<EOF\na\n EOF", "unterminated heredoc (a line with nothing but `EOF` must follow)", "<<EOF"),
        ("COPY <<A <<B /x\nA\n", "unterminated heredoc (a line with nothing but `B` must follow)", "<<B"),
        ("COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as a destination", "<<EOF"),
        (
            "COPY << EOF /x\nEOF",
            "the delimiter of a heredoc can't have white space here (write it right after `<<`, as one word)",
            "<< EOF",
        ),
    ]);
    // A heredoc that isn't recognised leaves its lines to be instructions.
    assert_eq!(refused("RUN cat<<EOF\nEOF").0, "unknown instruction: EOF");
}

#[test]
fn arguments_that_are_missing() {
    let copy = "requires at least two arguments, but only one was provided. Destination could not be determined";
    table(&[
        ("COPY a", &format!("COPY {copy}"), "COPY a"),
        ("ADD [\"a\"]", &format!("ADD {copy}"), "ADD [\"a\"]"),
        ("COPY", &format!("COPY {copy}"), "COPY"),
        ("EXPOSE", "EXPOSE requires at least one argument", "EXPOSE"),
        ("USER", "USER requires exactly one argument", "USER"),
        ("WORKDIR  ", "WORKDIR requires exactly one argument", "WORKDIR"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", "STOPSIGNAL"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument", "MAINTAINER"),
        ("VOLUME []", "VOLUME requires at least one argument", "VOLUME []"),
        ("VOLUME [\" \"]", "VOLUME specified can not be an empty string", "\" \""),
        ("SHELL []", "SHELL requires at least one argument", "SHELL []"),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form (SHELL [\"/bin/bash\", \"-c\"])", "bash -c"),
    ]);
}

#[test]
fn row_129_wrong_healthchecks() {
    let hint = "(write `30s`, `1m30s` or `500ms`)";
    table(&[
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", "HEALTHCHECK"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "HEALTHCHECK CMD"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", "x"),
        ("HEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)", "curl"),
        ("HEALTHCHECK --interval=5 CMD x", &format!("invalid duration \"5\" {hint}"), "5"),
        ("HEALTHCHECK --timeout=1us CMD x", "Interval \"timeout\" cannot be less than 1ms", "1us"),
        ("HEALTHCHECK --timeout=-1s CMD x", "Interval \"timeout\" cannot be less than 1ms", "-1s"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)", "-1"),
        ("HEALTHCHECK --retries=x CMD x", "invalid number \"x\" of --retries", "x"),
        ("HEALTHCHECK --interval=1s NONE", "HEALTHCHECK NONE takes no flags", "--interval=1s"),
    ]);
}

#[test]
fn row_134_triggers_that_are_refused() {
    table(&[
        ("ONBUILD", "ONBUILD requires at least one argument", "ONBUILD"),
        ("ONBUILD onbuild RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "onbuild"),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger", "FROM"),
        ("ONBUILD maintainer a", "MAINTAINER isn't allowed as an ONBUILD trigger", "maintainer"),
    ]);
}

#[test]
fn all_errors_are_told_in_order() {
    let errors = wrong("FROM a\nCOPPY a b\nRUN ok\nENV x\nHEALTHCHECK foo\n");
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    let expected =
        ["unknown instruction: COPPY", "ENV must have two arguments", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)"];
    assert_eq!(messages, expected);
}
