//! Rows of the checklist that need a test of their own.

use serde_json::{Value, json};
use steprun_ports::memory::{FileTree, MemoryHost};
use steprun_ports::{FailureKind, MountSource};

use crate::support::{Build, dockerfile};

fn runtime(lines: &str) -> Value {
    dockerfile(&format!("FROM scratch\n{lines}\n")).built().runtime()
}

#[test]
fn row_30_what_is_expanded_and_what_is_not() {
    for (lines, field, wanted) in [
        ("ENV R=$V", "/Env/2", json!("R=value")),
        ("LABEL $V=$V", "/Labels", json!({ "value": "value" })),
        ("EXPOSE $P/udp", "/ExposedPorts", json!({ "80/udp": {} })),
        ("STOPSIGNAL SIG$S", "/StopSignal", json!("SIGTERM")),
        ("USER $V", "/User", json!("value")),
        ("VOLUME /$V", "/Volumes", json!({ "/value": {} })),
        ("WORKDIR /$V", "/WorkingDir", json!("/value")),
        ("CMD [\"$V\"]", "/Cmd", json!(["$V"])),
        ("CMD $V", "/Cmd", json!(["/bin/sh", "-c", "$V"])),
        ("ENTRYPOINT [\"$V\"]", "/Entrypoint", json!(["$V"])),
        ("SHELL [\"$V\"]", "/Shell", json!(["$V"])),
        ("HEALTHCHECK CMD $V", "/Healthcheck/Test", json!(["CMD-SHELL", "$V"])),
        ("ONBUILD LABEL a=$V", "/OnBuild", json!(["LABEL a=$V"])),
    ] {
        let runtime = runtime(&format!("ENV V=value\nARG P=80\nARG S=TERM\n{lines}"));
        assert_eq!(runtime.pointer(field), Some(&wanted), "{lines}: {runtime}");
    }
    let text = "FROM scratch\nARG V=value\nADD $V /add-$V\nCOPY $V /copy-$V\nRUN $V\n";
    let built = dockerfile(text).context(|tree| tree.file("value", "")).running().built();
    assert_eq!(built.tree().paths(), ["add-value", "copy-value", "ran"]);
    assert_eq!(built.command().arguments[2], "$V");
}

#[test]
fn row_32_a_port_with_blanks_is_several() {
    let runtime = runtime("ARG PORTS=\"80 443/udp  8000-8001\"\nEXPOSE $PORTS 22");
    let ports: Vec<&String> = runtime["ExposedPorts"].as_object().unwrap().keys().collect();
    assert_eq!(ports, ["22/tcp", "443/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
    // A value in quotes is one word.
    let failure = dockerfile("FROM scratch\nARG PORTS=\"80 443\"\nEXPOSE \"$PORTS\"\n").fails();
    assert_eq!(failure.message, "`80 443` is no port: write `80`, `53/udp` or `8000-8010`");
}

#[test]
fn row_33_which_flags_have_variables() {
    let built = dockerfile("FROM scratch\nARG O=1:2 M=600\nCOPY --chown=$O --chmod=$M Dockerfile /\n").built();
    assert!(built.listing()[0].ends_with(" 600 1:2 0"), "{:?}", built.listing());
    for (lines, message) in [
        ("COPY --from=$S / /", "variable expansion is not supported for --from, define a new stage"),
        ("RUN --mount=from=$S,target=/t a", "'from' doesn't support variable expansion, define alias stage instead"),
    ] {
        let failure = dockerfile(&format!("ARG S=s\nFROM scratch AS s\nFROM scratch\n{lines}\n")).running().fails();
        assert!(failure.message.starts_with(message), "{failure}");
        assert_eq!(failure.position.map(|position| position.line), Some(4), "{lines}");
    }
}

#[test]
fn row_78_mounts_within_each_other() {
    let text = "FROM scratch\nRUN --mount=type=bind,source=a,target=/m/in/deep --mount=type=tmpfs,target=/m --mount=type=cache,target=/m/in a\n";
    let built = dockerfile(text).context(|tree| tree.file("a", "")).running().built();
    let mounts: Vec<String> = built
        .command()
        .mounts
        .iter()
        .map(|mount| {
            let kind = match mount.source {
                MountSource::Bind(_) => "bind",
                MountSource::Cache(_) => "cache",
                MountSource::Tmpfs(_) => "tmpfs",
                _ => "other",
            };
            format!("{} {kind}", mount.target)
        })
        .collect();
    assert_eq!(mounts, ["/m tmpfs", "/m/in cache", "/m/in/deep bind"]);
}

#[test]
fn row_118_long_and_odd_names_are_kept() {
    let long = "l".repeat(200);
    let path = format!("{long}/{long}");
    // How the contract writes a byte that is no UTF-8.
    let odd = "odd \u{10ffff} ü";
    let built = dockerfile("FROM scratch\nCOPY . /\n").context(|_| {
        FileTree::new()
            .file("Dockerfile", "FROM scratch\nCOPY l* odd* /\n")
            .file(&path, "deep")
            .file(odd, "odd")
            .file(&format!("{long}/in {odd}"), "in")
    });
    let tree = built.built().tree();
    assert_eq!((tree.content(&long), tree.content(odd)), (Some(&b"deep"[..]), Some(&b"odd"[..])));
    assert_eq!(tree.content(&format!("in {odd}")), Some(&b"in"[..]));
}

#[test]
fn row_120_empty_arrays_reset() {
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Cmd": ["c"], "Entrypoint": ["e"] } });
    for (lines, cmd, entrypoint) in [
        ("LABEL a=b", json!(["c"]), json!(["e"])),
        ("CMD []", Value::Null, json!(["e"])),
        // It clears the base's CMD, as every ENTRYPOINT does.
        ("ENTRYPOINT []", Value::Null, Value::Null),
        ("ENTRYPOINT []\nCMD [\"x\"]", json!(["x"]), Value::Null),
        ("CMD [\"x\"]\nENTRYPOINT []", json!(["x"]), Value::Null),
    ] {
        let text = format!("FROM registry.test/base\n{lines}\n");
        let built = dockerfile(&text).base("registry.test/base", FileTree::new(), config.clone()).built();
        assert_eq!((&built.runtime()["Cmd"], &built.runtime()["Entrypoint"]), (&cmd, &entrypoint), "{lines}");
    }
}

#[test]
fn row_125_working_directories_give_the_same_layer_every_time() {
    let build = |arguments: &[&str]| dockerfile("FROM scratch\nWORKDIR /a/b\nWORKDIR c\n").arguments(arguments).built();
    let plain = build(&[]);
    assert_eq!(plain.listing(), ["a dir 755 0:0 0", "a/b dir 755 0:0 0", "a/b/c dir 755 0:0 0"]);
    assert_eq!(plain.digest(), build(&[]).digest());
    let epoch = build(&["--source-date-epoch", "1000"]);
    assert_eq!(epoch.listing(), ["a dir 755 0:0 1000", "a/b dir 755 0:0 1000", "a/b/c dir 755 0:0 1000"]);
    assert_eq!(epoch.digest(), build(&["--source-date-epoch", "1000"]).digest());
}

#[test]
fn row_127_a_user_is_stored_as_written() {
    for (lines, user) in [
        ("USER 0", "0"),
        ("USER me:staff", "me:staff"),
        ("ARG U=me\nUSER ${U}:${G:-7}", "me:7"),
        ("USER one\nUSER two", "two"),
    ] {
        assert_eq!(runtime(lines)["User"], user, "{lines}");
    }
    assert_eq!(dockerfile("FROM scratch\nUSER $none\n").fails().message, "USER has an empty value");
}

#[test]
fn row_130_a_shell_holds_for_what_follows_it() {
    let text = "FROM scratch AS a\nRUN one\nSHELL [\"bash\", \"-ec\"]\nRUN two\nCMD c\nENTRYPOINT e\nHEALTHCHECK CMD h\nFROM a\nRUN three\nFROM scratch\nRUN four\n";
    let built = dockerfile(text).arguments(&["--target", "1"]).running().built();
    let shells: Vec<String> = built.host.commands().iter().map(|process| process.arguments.join(" ")).collect();
    assert_eq!(shells, ["/bin/sh -c one", "bash -ec two", "bash -ec three"]);
    let runtime = built.runtime();
    assert_eq!((&runtime["Cmd"], &runtime["Entrypoint"]), (&json!(["bash", "-ec", "c"]), &json!(["bash", "-ec", "e"])));
    assert_eq!(runtime["Shell"], json!(["bash", "-ec"]));
    let built = dockerfile(text).running().built();
    assert_eq!(built.command().arguments, ["/bin/sh", "-c", "four"]);
    let failure = dockerfile("FROM scratch\nSHELL bash -c\n").fails();
    assert!(failure.message.contains("JSON"), "{failure}");
}

#[test]
fn row_135_fields_of_the_config() {
    let base = json!({
        "os": "linux", "architecture": "arm", "variant": "v6", "os.version": "1", "created": "2001-02-03T04:05:06Z",
        "history": [{ "created": "2001-02-03T04:05:06Z", "created_by": "base" }],
    });
    let text = "FROM registry.test/base\nCOPY new /\nENV a=b\nCOPY old /\nRUN true\n";
    let built = dockerfile(text)
        .base("registry.test/base", FileTree::new().file("f", ""), base)
        .context(|tree| tree.file("new", "").modified("new", 2_000_000_000).file("old", "").modified("old", 1))
        .commands(|_, files| Ok(steprun_ports::memory::MemoryOutcome::left(files.clone())))
        .arguments(&["--platform", "linux/arm/v6"])
        .built();
    let config = built.config();
    assert_eq!(config["created"], "2033-05-18T03:33:20Z");
    for (field, wanted) in [("os", "linux"), ("architecture", "arm"), ("variant", "v6"), ("os.version", "1")] {
        assert_eq!(config[field], wanted, "{field}");
    }
    let history = config["history"].as_array().unwrap();
    let with_layer = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap().len();
    let layers = built.manifest()["layers"].as_array().unwrap().len();
    assert_eq!((history.len(), with_layer, diff_ids, layers), (5, 3, 3, 3));
    assert_eq!(config["rootfs"]["type"], "layers");
    assert!(history[1..].iter().all(|entry| entry["created"] == config["created"]));
}

#[test]
fn row_148_what_can_not_be_read_and_is_ignored_is_no_error() {
    let build = |ignore: &str| {
        dockerfile("FROM scratch\nCOPY . /\nRUN --mount=target=/c true\n").running().context(|tree| {
            tree.file("a", "")
                .file("secret", "")
                .mode("secret", 0)
                .file("locked/in", "")
                .mode("locked", 0)
                .file(".dockerignore", ignore)
        })
    };
    let tree = build("secret\nlocked\n.docker*\nDockerfile\n").built().tree();
    assert_eq!(tree.paths(), ["a", "ran"]);
    for ignore in ["secret\n", "locked\n"] {
        let failure = build(ignore).fails();
        assert_eq!(failure.kind, FailureKind::Failed);
        assert!(failure.to_string().contains("permission denied"), "{failure}");
    }
}

/// With a file of build arguments.
fn with_file(build: Build, content: &str) -> Build {
    let host: MemoryHost = build.host.clone().with_file("args", content);
    Build { host, ..build }.arguments(&["--build-arg-file", "args"])
}

#[test]
fn row_45_build_arguments_of_files() {
    let build = || dockerfile("FROM scratch\nARG A=0\nARG B=0\nARG C=0\nLABEL v=$A,$B,$C\n");
    let built = with_file(build().arguments(&["--build-arg", "B=2"]), "# these\nA=1\nB=1\n").built();
    assert_eq!(built.runtime()["Labels"]["v"], "1,2,0");
    let failure = with_file(build(), "A=1\nHOME\n").fails();
    assert_eq!(failure.message, "the build argument `HOME` has no value");
    assert_eq!(failure.position.map(|position| (position.file, position.line)), Some(("args".into(), 2)));
    let failure = build().arguments(&["--build-arg-file", "none"]).fails();
    assert_eq!(failure.message, "could not read none");
    let built = with_file(build(), "D=1\n").built();
    assert_eq!(built.warnings(), ["no ARG asks for the build argument `D`"]);
}

#[test]
fn row_45_a_bare_name_that_the_environment_lacks_is_not_given() {
    let built = dockerfile("FROM scratch\nARG A=default\nLABEL v=$A\n").arguments(&["--build-arg", "A"]).built();
    assert_eq!(built.runtime()["Labels"]["v"], "default");
}

#[test]
fn row_40_of_stages_with_one_name_the_last_one_before_counts() {
    let text = "FROM scratch AS a\nLABEL n=1\nFROM a AS a\nLABEL m=$n n=2\nFROM a AS last\n";
    for (target, labels) in
        [("last", json!({ "m": "", "n": "2" })), ("a", json!({ "m": "", "n": "2" })), ("0", json!({ "n": "1" }))]
    {
        let built = dockerfile(text).arguments(&["--target", target]).built();
        assert_eq!(built.runtime()["Labels"], labels, "{target}");
    }
}

#[test]
fn row_8_values_are_escaped_as_the_directive_says() {
    let built = dockerfile("# escape=`\nFROM scratch\nENV V=1\nLABEL a=`$V b=\\$V\n").built();
    assert_eq!(built.runtime()["Labels"], json!({ "a": "$V", "b": "\\1" }));
}

#[test]
fn row_11_a_syntax_is_noted_and_not_used() {
    let built = dockerfile("# syntax=registry.test/none:1\nFROM scratch\n").built();
    let lines = built.host.log_lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].message, "`# syntax=registry.test/none:1` has no effect: the Dockerfile language is built in");
}
