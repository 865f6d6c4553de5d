//! RUN: what is run, as whom, with which variables, and what becomes of it.

use serde_json::json;
use steprun_ports::memory::{FileTree, MemoryOutcome, MemoryProcess, TaskEnd};
use steprun_ports::{Error, FailureKind, Network, Timestamp, User};

use crate::support::{Build, dockerfile, push_image};

/// The environment as `NAME=VALUE`.
fn environment(process: &MemoryProcess) -> Vec<String> {
    process.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn value<'a>(process: &'a MemoryProcess, name: &str) -> Option<&'a str> {
    process.environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// A base with users: `ada` is in the group `wheel`.
fn with_users(build: Build) -> Build {
    let tree = FileTree::new()
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n")
        .file("etc/group", "root:x:0:\nwheel:x:10:root,ada\nada:x:1000:\n");
    build.base("registry.test/base", tree, json!({ "os": "linux", "architecture": "amd64" }))
}

#[test]
fn rows_56_57_58_60_79_80_arguments() {
    for (lines, arguments) in [
        ("RUN echo $x \"a  b\"", &["/bin/sh", "-c", "echo $x \"a  b\""][..]),
        ("RUN [\"/bin/a\", \"$x\", \"b c\"]", &["/bin/a", "$x", "b c"]),
        ("RUN a \\\n  # comment\n  && b", &["/bin/sh", "-c", "a   && b"]),
        ("SHELL [\"bash\", \"-euc\"]\nRUN a", &["bash", "-euc", "a"]),
        ("ENTRYPOINT [\"/e\"]\nCMD [\"/c\"]\nRUN a", &["/bin/sh", "-c", "a"]),
        ("RUN <<EOF\na $x\nb\nEOF", &["/bin/sh", "-c", "a $x\nb\n"]),
        ("RUN <<-EOF\n\ta\n\t\tb\nEOF", &["/bin/sh", "-c", "a\nb\n"]),
        ("RUN cat <<A <<\"B\" > f\n1\nA\n$2\nB", &["/bin/sh", "-c", "cat <<A <<\"B\" > f\n1\nA\n$2\nB"]),
        ("RUN python3 <<EOF\nprint(1)\nEOF", &["/bin/sh", "-c", "python3 <<EOF\nprint(1)\nEOF"]),
        ("RUN echo \"<<EOF\"", &["/bin/sh", "-c", "echo \"<<EOF\""]),
        ("RUN cat <<< EOF", &["/bin/sh", "-c", "cat <<< EOF"]),
    ] {
        let built = dockerfile(&format!("FROM scratch\n{lines}\n")).running().built();
        assert_eq!(built.command().arguments, arguments, "{lines}");
    }
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Shell": ["/bin/ash", "-c"] } });
    let built = dockerfile("FROM registry.test/base\nRUN a\n")
        .base("registry.test/base", FileTree::new(), config)
        .running()
        .built();
    assert_eq!(built.command().arguments, ["/bin/ash", "-c", "a"]);
}

#[test]
fn row_79_a_heredoc_with_an_interpreter_is_a_file() {
    let built = dockerfile("FROM scratch\nRUN <<-EOF\n\t#!/usr/bin/env python3\n\tprint($x)\nEOF\n").running().built();
    let command = built.command();
    // BuildKit looks for `#!` before it takes tabs away.
    assert_eq!(command.arguments, ["/bin/sh", "-c", "#!/usr/bin/env python3\nprint($x)\n"]);
    assert!(command.mounts.is_empty());

    let built = dockerfile("FROM scratch\nRUN <<EOF\n#!/usr/bin/env python3\nprint($x)\nEOF\n").running().built();
    let command = built.command();
    assert_eq!(command.arguments, ["/bin/sh", "-c", "/dev/pipes/EOF"]);
    let [mount] = &command.mounts[..] else { panic!("{:?}", command.mounts.len()) };
    let steprun_ports::MountSource::Bind(bind) = &mount.source else { panic!("it is no bind mount") };
    assert_eq!((mount.target.as_str(), bind.path.as_str(), bind.writable), ("/dev/pipes", "", false));
    let node = bind.snapshot.tree().get("EOF").expect("the script");
    assert_eq!((node.content(), node.mode), (Some(&b"#!/usr/bin/env python3\nprint($x)\n"[..]), 0o755));
    assert_eq!(built.history(), ["RUN /bin/sh -c /dev/pipes/EOF # buildkit"]);
}

#[test]
fn rows_48_50_59_62_variables() {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (lines, arguments, wanted) in [
        ("", &[][..], &["HOME=/", path][..]),
        ("ENV A=1 B=\"x y\"\nARG C=3\nARG D", &[], &["A=1", "B=x y", "C=3", "HOME=/", path]),
        ("ARG A=1\nENV A=2", &["--build-arg", "A=3"], &["A=2", "HOME=/", path]),
        ("ENV A=2\nARG A=1", &["--build-arg", "A=3"], &["A=3", "HOME=/", path]),
        ("ENV HOME=/h PATH=/p", &[], &["HOME=/h", "PATH=/p"]),
        ("", &["--build-arg", "UNDECLARED=1"], &["HOME=/", path]),
        ("", &["--build-arg", "HTTPS_PROXY=p"], &["HOME=/", "HTTPS_PROXY=p", path, "https_proxy=p"]),
        ("", &["--source-date-epoch", "7"], &["HOME=/", path]),
        ("ARG SOURCE_DATE_EPOCH", &["--source-date-epoch", "7"], &["HOME=/", path, "SOURCE_DATE_EPOCH=7"]),
        ("ARG TARGETARCH", &[], &["HOME=/", path, "TARGETARCH=amd64"]),
    ] {
        let built = dockerfile(&format!("FROM scratch\n{lines}\nRUN a\n")).arguments(arguments).running().built();
        assert_eq!(environment(&built.command()), wanted, "{lines}");
    }
    // By another proxy it is the same command.
    let by = |proxy| dockerfile("FROM scratch\nRUN a\n").arguments(&["--build-arg", proxy]).running();
    let built = by("http_proxy=one").built();
    let built = Build { host: built.host.clone(), ..by("http_proxy=two") }.built();
    assert_eq!(value(&built.command(), "http_proxy"), Some("one"));
}

#[test]
fn rows_50_66_history() {
    for (lines, arguments, wanted) in [
        ("RUN a b", &[][..], "RUN /bin/sh -c a b # buildkit"),
        ("RUN [\"a\", \"b\"]", &[], "RUN a b # buildkit"),
        ("ARG x=1\nARG y\nRUN a", &[], "RUN |2 x=1 y= /bin/sh -c a # buildkit"),
        ("ARG x=1\nARG y=2\nARG x=3\nRUN a", &[], "RUN |2 x=3 y=2 /bin/sh -c a # buildkit"),
        ("ARG x=1\nENV x=2\nRUN a", &[], "RUN |1 x=2 /bin/sh -c a # buildkit"),
        ("RUN a", &["--build-arg", "http_proxy=u:p@h"], "RUN /bin/sh -c a # buildkit"),
        ("ARG http_proxy\nRUN a", &["--build-arg", "http_proxy=h"], "RUN |1 http_proxy=h /bin/sh -c a # buildkit"),
        ("RUN --mount=type=secret,id=s --network=none a", &["--secret", "id=s"], "RUN /bin/sh -c a # buildkit"),
        ("RUN cat <<A\n1\nA", &[], "RUN /bin/sh -c cat <<A\n1\nA # buildkit"),
    ] {
        let built = dockerfile(&format!("FROM scratch\n{lines}\n")).arguments(arguments).running().built();
        assert_eq!(built.history().last().map(String::as_str), Some(wanted), "{lines}");
    }
    let built = dockerfile("FROM scratch AS one\nARG x=1\nFROM one\nARG y=2\nRUN a\n").running().built();
    assert_eq!(built.history().last().unwrap(), "RUN |2 x=1 y=2 /bin/sh -c a # buildkit");
}

#[test]
fn rows_62_82_user_home_and_directory() {
    for (lines, uid, groups, home, directory) in [
        ("", 0, &[0, 10][..], "/root", "/"),
        ("USER ada\nWORKDIR /w/x", 1000, &[1000, 10], "/home/ada", "/w/x"),
        ("USER ada:wheel", 1000, &[10], "/home/ada", "/"),
        ("USER 1000:7", 1000, &[7], "/home/ada", "/"),
        ("USER 5", 5, &[0], "/", "/"),
        ("ARG u=ada\nUSER $u", 1000, &[1000, 10], "/home/ada", "/"),
    ] {
        let build = with_users(dockerfile(&format!("FROM registry.test/base\n{lines}\nRUN a\n")));
        let command = build.running().built().command();
        let user = User { uid, gid: groups[0], groups: groups.to_vec() };
        assert_eq!((&command.user, value(&command, "HOME")), (&user, Some(home)), "{lines}");
        assert_eq!(command.working_directory, directory);
    }
    let failure = with_users(dockerfile("FROM registry.test/base\nUSER eve\nRUN a\n")).running().fails();
    assert_eq!(failure.message, "there is no user `eve` in /etc/passwd of this stage");
    assert_eq!(failure.position.map(|position| position.line), Some(3));
}

#[test]
fn users_that_an_earlier_run_made_are_known() {
    let built = dockerfile("FROM scratch\nRUN adduser\nUSER new\nRUN a\n")
        .commands(|_, files| Ok(MemoryOutcome::left(files.clone().file("etc/passwd", "new:x:9:9::/n:\n"))))
        .built();
    assert_eq!(built.host.commands()[1].user.uid, 9);
}

#[test]
fn row_65_layers_and_runs_that_change_nothing() {
    let built = dockerfile("FROM scratch\nCOPY Dockerfile /d\nRUN one\nRUN true\nRUN two\n")
        .commands(|process, files| {
            let files = files.clone();
            Ok(MemoryOutcome::left(match process.arguments[2].as_str() {
                "true" => files,
                name => files.file(name, name).modified(name, 2_000_000_000),
            }))
        })
        .built();
    assert_eq!(built.tree().paths(), ["d", "one", "two"]);
    assert_eq!(
        built.history(),
        [
            "COPY Dockerfile /d # buildkit",
            "RUN /bin/sh -c one # buildkit",
            "RUN /bin/sh -c true # buildkit (empty)",
            "RUN /bin/sh -c two # buildkit",
        ]
    );
    assert_eq!(built.config()["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(3));
    // The time of day, which files of commands have, isn't that of the image.
    assert_eq!(built.config()["created"], "1970-01-01T00:00:00Z");
}

#[test]
fn row_136_an_epoch_limits_times() {
    let latest = |arguments: &[&str]| {
        dockerfile("FROM scratch\nRUN a\n").arguments(arguments).running().built().command().latest
    };
    assert_eq!(latest(&[]), None);
    let epoch = Some(Timestamp { seconds: 100, nanoseconds: 0 });
    assert_eq!(latest(&["--source-date-epoch", "100"]), epoch);
    assert_eq!(latest(&["--build-arg", "SOURCE_DATE_EPOCH=100"]), epoch);
}

#[test]
fn row_81_network_security_and_devices() {
    for (flag, network) in [
        ("", Network::Default),
        ("--network=default", Network::Default),
        ("--network=none", Network::None),
        ("--network=host --security=sandbox", Network::Host),
    ] {
        let built = dockerfile(&format!("FROM scratch\nRUN {flag} a\n")).running().built();
        assert_eq!(built.command().network, network, "{flag}");
    }
    for (flag, message, column) in [
        (
            "--security=insecure",
            "`RUN --security=insecure` is refused: commands never get the builder's own privileges",
            1,
        ),
        (
            "--device=nvidia.com/gpu=all",
            "the device `nvidia.com/gpu=all` can't be given: RUN has no access to devices",
            14,
        ),
    ] {
        let failure = dockerfile(&format!("FROM scratch\n\nRUN {flag} a\n")).running().fails();
        assert_eq!(failure.message, message);
        let position = failure.position.expect("a place");
        assert_eq!((position.line, position.column), (3, column));
    }
}

#[test]
fn row_61_a_failing_command() {
    let build = dockerfile("FROM scratch AS base\nLABEL a=b\nRUN apt-get \\\n  foo\n").commands(|_, _| {
        let failed = MemoryOutcome::failed(100, "one\n\u{1b}[31mtwo\u{1b}[0m\n");
        Ok(MemoryOutcome { remedy: Some("--allow-net deb.test".into()), ..failed })
    });
    let host = build.host.clone();
    let failure = build.fails();
    assert_eq!((failure.kind, failure.exit_status), (FailureKind::Failed, Some(100)));
    assert_eq!(failure.message, "`RUN apt-get   foo` did not complete: exit status 100");
    assert_eq!(failure.causes, ["its last output:\n    one\n    two"]);
    assert_eq!(failure.hint.as_deref(), Some("--allow-net deb.test"));
    assert_eq!(failure.position.map(|position| (position.line, position.column)), Some((3, 1)));
    assert!(failure.excerpt.is_some_and(|excerpt| excerpt.contains("3 | RUN apt-get \\") && excerpt.contains("^^^")));
    assert_eq!(host.tasks().last(), Some(&("[base] RUN apt-get   foo".to_owned(), TaskEnd::GivenUp)));
}

#[test]
fn a_command_that_a_signal_or_the_limit_ended() {
    let failure = dockerfile("FROM scratch\nRUN a\n")
        .commands(|_, _| {
            Ok(MemoryOutcome { reason: Some("killed by signal 9".into()), ..MemoryOutcome::failed(137, "") })
        })
        .fails();
    assert_eq!((failure.exit_status, failure.causes), (Some(137), vec!["killed by signal 9".to_owned()]));
}

#[test]
fn runs_that_are_not_granted_or_not_possible() {
    let failure = dockerfile("FROM scratch\nRUN a\n").fails();
    assert_eq!((failure.kind, failure.exit_status), (FailureKind::Denied, None));
    assert_eq!(failure.message, "`RUN a` could not be run");
    assert_eq!(failure.hint.as_deref(), Some("--allow-run"));
    assert_eq!(failure.position.map(|position| (position.line, position.column)), Some((2, 1)));
    let failure = dockerfile("FROM scratch\nRUN a\n")
        .commands(|_, _| Err(Error::Unsupported("this place has no sandbox".into())))
        .fails();
    assert_eq!(
        (failure.kind, &failure.causes[..]),
        (FailureKind::Failed, &["this place has no sandbox".to_owned()][..])
    );
    assert_eq!(dockerfile("FROM scratch\nRUN []\n").running().fails().message, "RUN has no command");
}

#[test]
fn a_command_for_other_machines_that_fails_says_so() {
    let failure = dockerfile("FROM scratch\nRUN a\n")
        .arguments(&["--platform", "linux/arm64"])
        .commands(|_, _| Ok(MemoryOutcome::failed(1, "exec format error")))
        .fails();
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "the image is made for linux/arm64 and this machine is linux/amd64: without an emulator its programs can't run here"
        )
    );
}

#[test]
fn labels_and_tasks() {
    let built = dockerfile("FROM scratch AS builder\nRUN a\nFROM scratch\nCOPY --from=builder /ran /\nRUN b\n")
        .running()
        .built();
    let labels: Vec<String> = built.host.commands().into_iter().map(|command| command.label).collect();
    assert_eq!(labels, ["builder", "stage-1"]);
    let tasks: Vec<String> = built.host.tasks().into_iter().map(|(label, _)| label).collect();
    assert!(tasks.contains(&"[builder] RUN a".to_owned()), "{tasks:?}");
    assert_eq!(built.tree().content("ran"), Some(&b"[\"/bin/sh\", \"-c\", \"a\"]\n[\"/bin/sh\", \"-c\", \"b\"]\n"[..]));
}

#[test]
fn stages_that_do_not_depend_on_each_other_run_side_by_side() {
    let text = "FROM scratch AS a\nRUN a\nFROM scratch AS b\nRUN b\nFROM scratch\nCOPY --from=a /ran /a\nCOPY --from=b /ran /b\n";
    let built = dockerfile(text).running().built();
    assert_eq!((built.host.most_commands_at_once(), built.host.commands().len()), (2, 2));
    let chain = "FROM scratch AS a\nRUN a\nFROM a AS b\nRUN b\nFROM b\nCOPY --from=a /ran /a\n";
    let built = dockerfile(chain).running().built();
    assert_eq!((built.host.most_commands_at_once(), built.host.commands().len()), (1, 2));
}

#[test]
fn a_failure_ends_the_stages_beside_it() {
    let text = "FROM scratch AS a\nRUN fail\nFROM scratch AS b\nRUN b\nRUN c\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n";
    let build = dockerfile(text).commands(|process, files| {
        Ok(match process.arguments[2].as_str() {
            "fail" => MemoryOutcome::failed(3, ""),
            _ => MemoryOutcome::left(files.clone()),
        })
    });
    let host = build.host.clone();
    assert_eq!(build.fails().exit_status, Some(3));
    assert!(host.commands().iter().all(|command| command.arguments[2] != "c"));
}

#[test]
fn chains_of_stages_may_be_long() {
    // Each stage needs the one before it as its base or as a source. A component has a megabyte of stack, and larger frames than this one.
    let links = (0..2_000).map(|n| match n % 2 {
        0 => format!("FROM s{n} AS s{}\n", n + 1),
        _ => format!("FROM scratch AS s{}\nCOPY --from=s{n} / /\n", n + 1),
    });
    let text = format!("FROM scratch AS s0\nRUN a\n{}", links.collect::<String>());
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let built = thread.spawn(move || dockerfile(&text).running().built().tree().paths().join(" "));
    assert_eq!(built.expect("a thread").join().expect("no overflow"), "ran");
}

#[test]
fn row_41_stages_that_are_not_needed_do_not_run() {
    let built = dockerfile("FROM scratch AS a\nRUN a\nFROM scratch\nRUN b\n").running().built();
    assert_eq!(built.command().arguments[2], "b");
}

#[test]
fn row_132_133_triggers_run() {
    let config = json!({
        "os": "linux", "architecture": "amd64",
        "config": { "OnBuild": ["ARG V", "RUN <<EOF\necho $V\nEOF", "RUN --mount=from=tools,target=/t use"] },
    });
    let build = dockerfile("FROM scratch AS tools\nCOPY Dockerfile /d\nFROM registry.test/base\nRUN own\n");
    push_image(&build.host, "registry.test/base", "latest", &FileTree::new(), config);
    let built = build.arguments(&["--build-arg", "V=1"]).running().built();
    let commands = built.host.commands();
    let shown: Vec<&str> = commands.iter().map(|command| command.arguments[2].as_str()).collect();
    assert_eq!(shown, ["echo $V\n", "use", "own"]);
    assert_eq!(value(&commands[0], "V"), Some("1"));
    assert_eq!(commands[1].mounts.len(), 1);
    assert_eq!(built.history()[1], "RUN |1 V=1 /bin/sh -c echo $V\n # buildkit");
}
