//! Rows 15 to 18, 35, 36 and what instructions mean.

use super::*;
use crate::instruction::{Device, Healthcheck, KeyValue, Network, Script, Security};
use crate::mount::{Mount, Sharing};

#[test]
fn row_15_not_json() {
    for text in ["['a','b']", "[\"a\"", "[\"a\"] # c", "[ab", "[\"c:\\x\"]", "[a, \"b\"]", "{\"a\": 1}", "x [\"a\"]"] {
        assert_eq!(run(&format!("RUN {text}")).command, shell(text));
    }
    assert_eq!(raws(&copy("COPY ['a', 'b']").sources), ["['a',"]);
    for text in ["[1]", "[\"a\", [\"b\"]]", "[null]", "[{}]"] {
        let (message, _) = refused(&format!("CMD {text}"));
        assert_eq!(message, "when using JSON array syntax, arrays must be comprised of strings only", "{text}");
    }
}

#[test]
fn row_16_36_json() {
    let rows: &[(&str, &[&str])] = &[
        (r#"["a"]"#, &["a"]),
        ("  [ \"a\" ,\t\"b c\" ]  ", &["a", "b c"]),
        (r#"["a\"b\\c\n\u00e9\ud83d\ude00"]"#, &["a\"b\\c\né😀"]),
        (r#"["한국어"]"#, &["한국어"]),
        ("[]", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(run(&format!("RUN {text}")).command, exec(expected), "{text}");
        assert_eq!(kind(&format!("CMD {text}")), Kind::Cmd(exec(expected)));
    }
    assert_eq!(run("RUN [\"a\", \\\n \"b\"]").command, exec(&["a", "b"]));
}

#[test]
fn row_17_flags() {
    let one = copy("COPY --from=a   --chown=\"b c\" --link=false --chmod=644 x y");
    assert_eq!((one.from.unwrap().raw, one.chown.unwrap().raw), ("a".into(), "b c".into()));
    assert!(!one.link);
    assert!(copy("COPY --link --parents x y").parents);
    assert_eq!(raws(&copy("COPY -- --x y").sources), ["--x"]);
    assert_eq!(raws(&copy("COPY --exclude=a --exclude=!b x y").exclude), ["a", "!b"]);
    assert_eq!(run("RUN -- --mount=x").command, shell("--mount=x"));
    assert_eq!(run("RUN a --mount=x").command, shell("a --mount=x"));
    let add = copy("ADD --checksum=sha256:0 --keep-git-dir=true --unpack=FALSE x y");
    assert_eq!((add.keep_git_dir, add.unpack), (true, Some(false)));
    assert_eq!(copy("ADD x y").unpack, None);
}

fn pairs(text: &str) -> Vec<(String, String, bool)> {
    let (Kind::Env(pairs) | Kind::Label(pairs)) = kind(text) else { panic!("{text}") };
    pairs.into_iter().map(|KeyValue { key, value, legacy }| (key.raw, value.raw, legacy)).collect()
}

#[test]
fn row_18_35_keys_and_values() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("a=b", &[("a", "b")]),
        ("a=b c=\"d e\"   f='g h'", &[("a", "b"), ("c", "\"d e\""), ("f", "'g h'")]),
        (r"a=b\ c d=", &[("a", r"b\ c"), ("d", "")]),
        ("a=\"b'c\" d='e\"f'", &[("a", "\"b'c\""), ("d", "'e\"f'")]),
        (r#"a="b\"c d" e='f\' g=h"#, &[("a", r#""b\"c d""#), ("e", r"'f\'"), ("g", "h")]),
        ("a=b=c", &[("a", "b=c")]),
        ("\"a b\"=c", &[("\"a b\"", "c")]),
        ("a=$b${c:-d e}", &[("a", "$b${c:-d")]),
    ];
    for (text, expected) in &rows[..7] {
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned(), false)).collect();
        assert_eq!(pairs(&format!("ENV {text}")), expected, "{text}");
        assert_eq!(pairs(&format!("LABEL {text}")), expected, "{text}");
    }
    // White space in `${...}` separates words, as in BuildKit.
    assert!(refused(&format!("ENV {}", rows[7].0)).0.starts_with("Syntax error - can't find = in \"e}\""));
    let legacy = |k: &str, v: &str| vec![(k.to_owned(), v.to_owned(), true)];
    assert_eq!(pairs("ENV a some  words = \"x\""), legacy("a", "some  words = \"x\""));
    assert_eq!(pairs("LABEL a\tb"), legacy("a", "b"));
}

#[test]
fn row_37_38_44_45_stages_and_arguments() {
    let text =
        "ARG A=1 B=\"x y\" C\nFROM --platform=$BUILDPLATFORM a:$A@sha256:0 AS Base-1.x_y\nFROM base-1.x_y\nARG D= E";
    let parsed = file(text);
    let args: Vec<_> = parsed.global_args.iter().map(|arg| (arg.name.raw.as_str(), raws(&arg.default))).collect();
    assert_eq!(args, [("A", vec!["1"]), ("B", vec!["\"x y\""]), ("C", vec![])]);
    assert_eq!(parsed.stages[0].name.as_deref(), Some("base-1.x_y"));
    assert_eq!(parsed.stages[0].from.platform.as_ref().unwrap().raw, "$BUILDPLATFORM");
    assert_eq!(parsed.stages[0].from.image.raw, "a:$A@sha256:0");
    assert_eq!((parsed.stage("BASE-1.x_y"), parsed.stage("other")), (Some(0), None));
    let Kind::Arg(args) = &parsed.stages[1].instructions[0].kind else { panic!() };
    assert_eq!((raws(&args[0].default), args[1].default.is_none()), (vec![""], true));
}

#[test]
fn row_56_57_120_130_commands() {
    assert_eq!(kind("CMD echo  $x"), Kind::Cmd(shell("echo  $x")));
    assert_eq!(kind("CMD"), Kind::Cmd(shell("")));
    assert_eq!(kind("ENTRYPOINT [\"a\", \"b\"]"), Kind::Entrypoint(exec(&["a", "b"])));
    assert_eq!(kind("CMD []"), Kind::Cmd(exec(&[])));
    assert_eq!(kind("ENTRYPOINT [ ]"), Kind::Entrypoint(exec(&[])));
    assert_eq!(kind("SHELL [\"bash\", \"-c\"]"), Kind::Shell(vec!["bash".into(), "-c".into()]));
    assert!(refused("SHELL bash -c").0.starts_with("SHELL requires the arguments to be in JSON form"));
}

/// Resolves the only mount of a RUN with a variable `x` that is `1`.
#[track_caller]
fn mount(text: &str) -> Mount {
    let run = run(&format!("RUN --mount={text} x"));
    let lookup = |name: &str| (name == "x").then(|| "1".to_owned());
    let mut expand = |raw: &str| Ok(crate::expand::expand(raw, '\\', &lookup)?.value);
    run.mounts[0].resolve(&mut expand).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn row_67_69_71_73_78_mounts() {
    let bind = |from: Option<&str>, source: &str, writable| Mount::Bind {
        from: from.map(str::to_owned),
        source: source.to_owned(),
        target: "/t".to_owned(),
        writable,
    };
    assert_eq!(mount("target=/t"), bind(None, "", false));
    assert_eq!(mount("type=bind,dst=/t,rw,src=a"), bind(None, "a", true));
    assert_eq!(mount("TYPE=Bind,destination=/t,readonly=false,from=b"), bind(Some("b"), "", true));
    assert_eq!(mount("target=/t,rw=0"), bind(None, "", false));
    let (from, source) = (None, String::new());
    let cache = Mount::Cache {
        id: Some("k-1".into()),
        from,
        source,
        target: "/c".into(),
        writable: true,
        sharing: Sharing::Locked,
        mode: Some(0o755),
        uid: Some(1000),
        gid: None,
    };
    assert_eq!(mount("type=cache,id=k-${x},target=/c,sharing=locked,mode=0755,uid=1000"), cache);
    let size = Some(64 << 20);
    assert_eq!(mount("type=tmpfs,target=/t,size=64m"), Mount::Tmpfs { target: "/t".into(), size });
    assert_eq!(mount("type=tmpfs,\"target=/t\""), Mount::Tmpfs { target: "/t".into(), size: None });
    assert_eq!(run("RUN --mount=type=cache,target=/a --mount=type=tmpfs,target=/b x").mounts.len(), 2);
    assert_eq!(run("RUN --mount=from=a,target=/b x").mounts[0].from().unwrap().raw, "a");
}

#[test]
fn row_74_76_secrets_and_agents() {
    let secret = |id: &str, target: Option<&str>, env: Option<&str>, required, mode| Mount::Secret {
        id: id.to_owned(),
        target: target.map(str::to_owned),
        env: env.map(str::to_owned),
        required,
        mode,
        uid: None,
        gid: None,
    };
    assert_eq!(mount("type=secret,id=a"), secret("a", Some("/run/secrets/a"), None, false, None));
    assert_eq!(mount("type=secret,target=/x/b"), secret("b", Some("/x/b"), None, false, None));
    assert_eq!(mount("type=secret,source=a,required"), secret("a", Some("/run/secrets/a"), None, true, None));
    assert_eq!(mount("type=secret,id=a,env=TOKEN"), secret("a", None, Some("TOKEN"), false, None));
    let both = "type=secret,id=a,env=T,target=/t,mode=0440,required=true";
    assert_eq!(mount(both), secret("a", Some("/t"), Some("T"), true, Some(0o440)));
    let ssh = Mount::Ssh { id: None, target: None, required: false, mode: None, uid: None, gid: None };
    assert_eq!(mount("type=ssh"), ssh);
}

#[test]
fn row_77_mounts_that_are_wrong_once_expanded() {
    let run = run("RUN --mount=type=cache,target=$x,sharing=$y z");
    let mut empty = |_: &str| Ok(String::new());
    assert!(run.mounts[0].resolve(&mut empty).is_err());
}

#[test]
fn row_79_heredocs_of_run() {
    let one = run("RUN <<EOF\n# kept\necho \"a\" \\\n\nEOF\n");
    assert_eq!(one.script(), Script::Shell("# kept\necho \"a\" \\\n\n".into()));
    // Tabs alone go.
    let chomped = run("RUN <<-EOF\n\techo\n\t\tx\n\t  y\n \tz\n\tEOF");
    assert_eq!(chomped.script(), Script::Shell("echo\nx\n  y\n \tz\n".into()));
    let file = run("RUN <<eof\n#!/usr/bin/env python3\nprint(1)\neof");
    assert_eq!(
        file.script(),
        Script::File { name: "eof".into(), content: "#!/usr/bin/env python3\nprint(1)\n".into() }
    );
    let piped = run("RUN --network=none cat <<A <<'B C' > /x\na\nA\nb\nB C\n");
    assert_eq!(piped.script(), Script::Shell("cat <<A <<'B C' > /x\na\nA\nb\nB C".into()));
    assert_eq!((piped.heredocs[0].expand, piped.heredocs[1].expand), (true, false));
    assert_eq!(run("RUN a").script(), Script::Shell("a".into()));
    assert_eq!(run("RUN [\"a\"]").script(), Script::Exec(vec!["a".into()]));
    assert_eq!(run("RUN <<  EOF  > foo\nEOF").heredocs[0].name, "EOF");
    assert_eq!(run("RUN 3<<EOF\nEOF").heredocs[0].descriptor, 3);
    assert_eq!(run("RUN a \\\n  <<EOF\nEOF").heredocs.len(), 1);
}

#[test]
fn heredoc_delimiters() {
    let rows = [
        ("EOF", "EOF", true),
        ("'EOF'", "EOF", false),
        ("eo'f'", "eof", false),
        (r"eo\'f", "eo'f", true),
        (r"'e'o\'f", "eo'f", false),
        ("'one two'", "one two", false),
        ("$EOF", "$EOF", true),
        ("\"a\"", "a", false),
        ("file.txt", "file.txt", true),
    ];
    for (written, name, expand) in rows {
        let one = run(&format!("RUN <<{written}\nx\n{name}"));
        assert_eq!((one.heredocs[0].name.as_str(), one.heredocs[0].expand), (name, expand), "{written}");
        assert_eq!(one.heredocs[0].content, "x\n");
    }
}

#[test]
fn row_80_no_heredocs() {
    for text in ["\"<<EOF\"", "'<<EOF'", "cat <<<EOF", "a<<EOF", "<<", "<<-", "echo it's <<EOF", "<<A<B"] {
        assert!(run(&format!("RUN {text}")).heredocs.is_empty(), "{text}");
    }
    assert!(run("RUN [\"<<EOF\"]").heredocs.is_empty());
    assert_eq!(kind("USER <<EOF"), Kind::User(crate::Word::new("<<EOF", Span::new(18, 23))));
    assert_eq!(kind("CMD cat <<EOF"), Kind::Cmd(shell("cat <<EOF")));
    assert_eq!(raws(&copy("COPY [\"<<EOF\", \"/x\"]").sources), ["<<EOF"]);
}

#[test]
fn row_81_network_security_device() {
    let one = run("RUN --network=none --security=insecure --device=vendor.com/a=b,required --device=name=c x");
    assert_eq!((one.network, one.security), (Network::None, Security::Insecure));
    let devices: Vec<_> =
        one.devices.iter().map(|Device { name, required, .. }| (name.raw.as_str(), *required)).collect();
    assert_eq!(devices, [("vendor.com/a=b", true), ("c", false)]);
    assert_eq!(run("RUN --network=host x").network, Network::Host);
    assert_eq!(run("RUN x").network, Network::Default);
}

#[test]
fn row_88_paths_of_copy() {
    let one = copy("COPY [\"a b\", \"ü\", \"/dest dir/\"]");
    assert_eq!((raws(&one.sources), one.destination.raw), (vec!["a b", "ü"], "/dest dir/".into()));
    let one = copy("COPY a\t b*   $c/ ./");
    assert_eq!((raws(&one.sources), one.destination.raw), (vec!["a", "b*", "$c/"], "./".into()));
    assert_eq!(raws(&copy("ADD https://x.org/a?b=c#d git@x.org:a/b.git#main:dir /").sources).len(), 2);
}

#[test]
fn row_105_heredocs_of_copy() {
    let one = copy("COPY --chmod=755 <<a.sh x <<-'b' /dest/\necho $a\na.sh\n\t\tb $b\n\tb\n");
    assert_eq!(raws(&one.sources), ["x"]);
    let bodies: Vec<_> = one.heredocs.iter().map(|h| (h.name.as_str(), h.content.as_str(), h.expand)).collect();
    assert_eq!(bodies, [("a.sh", "echo $a\n", true), ("b", "b $b\n", false)]);
    assert_eq!(copy("COPY <<X <<Y /dest\nY\nX\nX\nY").heredocs[1].content, "X\n");
    assert_eq!(copy("ADD <<EOF /a\r\nx\r\nEOF\r\n").heredocs[0].content, "x\r\n");
    let source = Source::new("x", "FROM a\nCOPY <<EOF /b\nc\nEOF\nRUN d");
    let parsed = parse(&source).unwrap();
    let copy = &parsed.stages[0].instructions[0];
    assert_eq!(source.slice(copy.span), "COPY <<EOF /b\nc\nEOF");
    let Kind::Copy(inner) = &copy.kind else { panic!() };
    assert_eq!((source.slice(inner.heredocs[0].span), source.slice(inner.heredocs[0].content_span)), ("<<EOF", "c\n"));
    assert_eq!(copy.original, "COPY <<EOF /b");
}

#[test]
fn row_122_124_126_to_128_131_metadata() {
    let Kind::Expose(ports) = kind("EXPOSE 80/tcp  $P 8000-8010/UDP") else { panic!() };
    assert_eq!(raws(&ports), ["80/tcp", "$P", "8000-8010/UDP"]);
    let word = |text: &str| match kind(text) {
        Kind::Workdir(word) | Kind::User(word) | Kind::StopSignal(word) => word.raw,
        other => panic!("{other:?}"),
    };
    assert_eq!(word("WORKDIR  /a b\\ c/ "), "/a b\\ c/");
    assert_eq!(word("USER $u:g"), "$u:g");
    assert_eq!(word("STOPSIGNAL SIGKILL"), "SIGKILL");
    let volumes = |text: &str| match kind(text) {
        Kind::Volume(words) => words.into_iter().map(|word| word.raw).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(volumes("VOLUME /a $b"), ["/a", "$b"]);
    assert_eq!(volumes("VOLUME [\" /a b \"]"), ["/a b"]);
    assert_eq!(kind("MAINTAINER A B <a@b>"), Kind::Maintainer("A B <a@b>".into()));
}

#[test]
fn row_129_healthcheck() {
    assert_eq!(kind("HEALTHCHECK none"), Kind::Healthcheck(Healthcheck::None));
    let text = "HEALTHCHECK --interval=5m --timeout=3s --start-period=0 --start-interval=1.5s --retries=2 CMD curl -f x || exit 1";
    let second = 1_000_000_000;
    let expected = Healthcheck::Check {
        command: shell("curl -f x || exit 1"),
        interval: 300 * second,
        timeout: 3 * second,
        start_period: 0,
        start_interval: second / 2 * 3,
        retries: 2,
    };
    assert_eq!(kind(text), Kind::Healthcheck(expected));
    let Kind::Healthcheck(Healthcheck::Check { command, .. }) = kind("HEALTHCHECK cmd  [\"a\", \"b\"]") else {
        panic!()
    };
    assert_eq!(command, exec(&["a", "b"]));
}

#[test]
fn row_132_133_triggers() {
    let trigger = |text: &str| match kind(text) {
        Kind::Onbuild(onbuild) => onbuild.trigger,
        other => panic!("{other:?}"),
    };
    assert_eq!(trigger("onbuild  COPY --from=x  . $d \\\n  "), "COPY --from=x  . $d");
    let heredoc = trigger("ONBUILD RUN <<-EOF cat\n\tx\nEOF\n");
    assert_eq!(heredoc, "RUN <<-EOF cat\n\tx\nEOF");
    let again = parse_instruction(&Source::new("ONBUILD of base", heredoc)).unwrap();
    let Kind::Run(run) = again.kind else { panic!() };
    assert_eq!(run.script(), Script::Shell("<<-EOF cat\n\tx\nEOF".into()));
}

#[test]
fn triggers_that_will_fail_are_warned_of() {
    let parsed = file("FROM a\nONBUILD RUNN x\nONBUILD COPY a\nONBUILD RUN x");
    assert_eq!(parsed.warnings.len(), 2);
    assert!(parsed.warnings[0].message.ends_with("unknown instruction: RUNN"), "{:?}", parsed.warnings);
    assert_eq!(parsed.warnings[0].hint.as_deref(), Some("did you mean `RUN`?"));
}

#[test]
fn single_instructions() {
    let one = |text: &str| parse_instruction(&Source::new("ONBUILD of x", text));
    assert_eq!(one("  run a").unwrap().original, "run a");
    for text in ["", "RUN a\nRUN b", "FROM a", "RUNN x", "# a"] {
        assert!(one(text).is_err(), "{text}");
    }
    // Directives have no place in a trigger.
    assert_eq!(one("# escape=`\nRUN a `").unwrap().original, "RUN a `");
}
