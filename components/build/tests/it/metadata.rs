//! ARG, ENV and the instructions that only change the config, by the rows of the Dockerfile checklist.

use crate::support::{APP, dockerfile};
use serde_json::{Value, json};
use steprun_ports::FailureKind;
use steprun_ports::memory::FileTree;

/// `config` of an image that `FROM scratch` and these lines make.
fn runtime(lines: &str) -> Value {
    dockerfile(&format!("FROM scratch\n{lines}\n")).built().runtime()
}

fn history(lines: &str) -> Vec<String> {
    dockerfile(&format!("FROM scratch\n{lines}\n")).built().history()
}

/// Env without PATH.
fn env(text: &str, arguments: &[&str]) -> Vec<String> {
    let runtime = dockerfile(text).arguments(arguments).built().runtime();
    let all = runtime["Env"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned());
    all.filter(|variable| !variable.starts_with("PATH=")).collect()
}

#[test]
fn row_55_scratch_has_path_and_working_directory() {
    let built = dockerfile("FROM scratch\n").built();
    assert_eq!(
        built.runtime(),
        json!({ "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/" })
    );
    let config = built.config();
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    assert_eq!(config["rootfs"], json!({ "type": "layers", "diff_ids": [] }));
}

#[test]
fn rows_42_to_52_variables() {
    for (row, text, arguments, wanted) in [
        ("42 global ARG is imported", "ARG V=1\nFROM scratch\nARG V\nENV R=$V", &[][..], "R=1"),
        ("42 global ARG is not seen without", "ARG V=1\nFROM scratch\nENV R=x$V", &[], "R=x"),
        ("42 FROM sees a global ARG", "ARG B=scratch\nFROM $B\nENV R=1", &[], "R=1"),
        ("42 own default wins over global", "ARG V=1\nFROM scratch\nARG V=2\nENV R=$V", &[], "R=2"),
        (
            "43 an overridden default is not evaluated",
            "ARG V=${X?}\nFROM scratch\nARG V\nENV R=$V",
            &["--build-arg", "V=3"],
            "R=3",
        ),
        ("44 several in a line, quoted", "ARG A=1 B=\"$A 2\"\nFROM scratch\nARG B\nENV R=$B", &[], "R=1 2"),
        ("45 without value it is unset", "FROM scratch\nARG V\nENV R=${V-unset}", &[], "R=unset"),
        ("45 with an empty value it is set", "FROM scratch\nARG V=\nENV R=${V-unset}", &[], "R="),
        ("45 a build argument gives it one", "FROM scratch\nARG V\nENV R=$V", &["--build-arg", "V=4"], "R=4"),
        ("46 a default uses what is before", "FROM scratch\nENV E=1\nARG A=a$E B=b$A\nENV R=$B", &[], "E=1 R=ba1"),
        ("47 from its line on", "FROM scratch\nENV R=x$V\nARG V=1\nENV S=$V", &[], "R=x S=1"),
        ("47 inherited by child stages", "FROM scratch AS a\nARG V=1\nFROM a\nENV R=$V", &[], "R=1"),
        ("47 not by siblings", "FROM scratch AS a\nARG V=1\nFROM scratch\nENV R=x$V", &[], "R=x"),
        ("48 ENV after ARG wins", "FROM scratch\nARG V=1\nENV V=2\nENV R=$V", &["--build-arg", "V=3"], "V=2 R=2"),
        ("48 ARG after ENV wins", "FROM scratch AS a\nENV V=2\nFROM a\nARG V=1\nENV R=$V", &[], "V=2 R=1"),
        (
            "51 platform",
            "FROM scratch\nARG TARGETPLATFORM\nARG BUILDARCH\nENV R=$TARGETPLATFORM,$BUILDARCH",
            &["--platform", "linux/arm/v7"],
            "R=linux/arm/v7,amd64",
        ),
        (
            "51 parts of the platform",
            "FROM scratch\nARG TARGETOS TARGETARCH TARGETVARIANT\nENV R=$TARGETOS-$TARGETARCH-$TARGETVARIANT",
            &["--platform", "linux/arm64"],
            "R=linux-arm64-",
        ),
        (
            "51 variant",
            "FROM scratch\nARG TARGETVARIANT BUILDVARIANT TARGETOSVERSION\nENV R=$TARGETVARIANT-$BUILDVARIANT-${TARGETOSVERSION-none}",
            &["--platform", "linux/arm/v7"],
            "R=v7--",
        ),
        ("51 stage", "FROM scratch AS one\nARG TARGETSTAGE\nENV R=$TARGETSTAGE", &[], "R=one"),
        (
            "52 a platform ARG with itself as default",
            "ARG BUILDPLATFORM=${BUILDPLATFORM:-x}\nFROM scratch\nARG BUILDPLATFORM\nENV R=$BUILDPLATFORM",
            &[],
            "R=linux/amd64",
        ),
        (
            "31 one instruction sees the values before it",
            "FROM scratch\nENV abc=hello\nENV abc=bye def=$abc",
            &[],
            "abc=bye def=hello",
        ),
        ("123 in place, in order", "FROM scratch\nENV A=1 B=2\nENV C=3 A=4", &[], "A=4 B=2 C=3"),
        ("35 quotes inside", "FROM scratch\nENV R=a\"b'c\"", &[], "R=ab'c"),
        ("18 old form", "FROM scratch\nENV R some words", &[], "R=some words"),
    ] {
        assert_eq!(env(text, arguments).join(" "), wanted, "{row}");
    }
    // 43: a default that can't be had.
    let failure = dockerfile("ARG V=${X?none}\nFROM scratch\nARG V\n").fails();
    assert_eq!(failure.message, "X: none");
    assert_eq!(failure.position.map(|position| position.line), Some(1));
}

#[test]
fn row_49_an_unused_build_argument_is_a_warning() {
    let build = |arguments: &[&str]| dockerfile("FROM scratch\nARG VERSION\n").arguments(arguments).built().warnings();
    assert_eq!(
        build(&["--build-arg", "VERSIN=1"]),
        ["no ARG asks for the build argument `VERSIN` (did you mean `VERSION`?)"]
    );
    assert!(build(&["--build-arg", "VERSION=1", "--build-arg", "http_proxy=p"]).is_empty());
}

#[test]
fn row_34_an_undefined_variable_is_a_warning_with_its_place() {
    let built = dockerfile("FROM scratch\nENV NAME=1\nLABEL a=$NMAE\n").built();
    let lines = built.host.log_lines();
    let line = lines.iter().find(|line| line.message.contains("$NMAE")).expect("a warning");
    assert_eq!(line.message, "UndefinedVar: Usage of undefined variable '$NMAE' (did you mean $NAME?)");
    assert_eq!(line.position.as_ref().map(|position| position.line), Some(3));
    assert_eq!(built.runtime()["Labels"]["a"], "");
}

#[test]
fn row_119_command_and_entrypoint() {
    for (row, lines, cmd, entrypoint) in [
        ("the last one wins", "CMD [\"a\"]\nCMD [\"b\"]", json!(["b"]), Value::Null),
        ("shell form", "CMD a b", json!(["/bin/sh", "-c", "a b"]), Value::Null),
        ("58 with SHELL", "SHELL [\"/bin/bash\", \"-c\"]\nCMD a", json!(["/bin/bash", "-c", "a"]), Value::Null),
        ("ENTRYPOINT keeps CMD of the stage", "CMD [\"a\"]\nENTRYPOINT [\"e\"]", json!(["a"]), json!(["e"])),
        ("120 empty resets", "CMD [\"a\"]\nCMD []", Value::Null, Value::Null),
        ("120 empty resets", "ENTRYPOINT [\"a\"]\nENTRYPOINT []", Value::Null, Value::Null),
        ("30 not expanded", "ENV X=1\nCMD [\"$X\"]", json!(["$X"]), Value::Null),
    ] {
        let runtime = runtime(lines);
        assert_eq!((&runtime["Cmd"], &runtime["Entrypoint"]), (&cmd, &entrypoint), "{row}");
    }
    // A stage that is built on is a base as any other.
    let text = "FROM scratch AS base\nCMD [\"a\"]\nFROM base\nENTRYPOINT [\"e\"]\n";
    assert_eq!(dockerfile(text).built().runtime()["Cmd"], Value::Null);
}

#[test]
fn row_119_entrypoint_clears_the_command_of_the_base() {
    let config = json!({ "os": "linux", "architecture": "amd64", "config": { "Cmd": ["base"], "Env": ["PATH=/x"] } });
    let build = |lines: &str| {
        let text = format!("FROM registry.test/base\n{lines}\n");
        dockerfile(&text).base("registry.test/base", FileTree::new(), config.clone()).built().runtime()
    };
    assert_eq!(build("")["Cmd"], json!(["base"]));
    assert_eq!(build("ENTRYPOINT [\"e\"]")["Cmd"], Value::Null);
    assert_eq!(build("CMD [\"own\"]\nENTRYPOINT [\"e\"]")["Cmd"], json!(["own"]));
    assert_eq!(build("ENV A=1")["Env"], json!(["PATH=/x", "A=1"]));
}

#[test]
fn rows_121_to_131_fields() {
    for (row, lines, field, wanted) in [
        ("121", "ENV V=1\nLABEL a=b c=\"d $V\"", "Labels", json!({ "a": "b", "c": "d 1" })),
        ("121 override", "LABEL a=b\nLABEL a=c", "Labels", json!({ "a": "c" })),
        ("122", "EXPOSE 80 53/UDP", "ExposedPorts", json!({ "53/udp": {}, "80/tcp": {} })),
        ("122 adds up", "EXPOSE 1\nEXPOSE 2", "ExposedPorts", json!({ "1/tcp": {}, "2/tcp": {} })),
        ("122 range", "EXPOSE 8000-8001", "ExposedPorts", json!({ "8000/tcp": {}, "8001/tcp": {} })),
        ("32", "ENV P=\"1 2/udp\"\nEXPOSE $P", "ExposedPorts", json!({ "1/tcp": {}, "2/udp": {} })),
        ("126 words", "ENV D=/d\nVOLUME /a $D", "Volumes", json!({ "/a": {}, "/d": {} })),
        ("126 JSON", "VOLUME [\"/a b\"]", "Volumes", json!({ "/a b": {} })),
        ("127", "ENV U=me\nUSER $U:grp", "User", json!("me:grp")),
        ("128", "STOPSIGNAL SIGTERM", "StopSignal", json!("SIGTERM")),
        ("128 number", "STOPSIGNAL 9", "StopSignal", json!("9")),
        (
            "129",
            "HEALTHCHECK --interval=30s --retries=3 CMD a b",
            "Healthcheck",
            json!({ "Test": ["CMD-SHELL", "a b"], "Interval": 30_000_000_000_u64, "Retries": 3 }),
        ),
        (
            "129 each duration",
            "HEALTHCHECK --interval=1ms --timeout=2ms --start-period=3ms --start-interval=4ms CMD a",
            "Healthcheck",
            json!({
                "Test": ["CMD-SHELL", "a"], "Interval": 1_000_000, "Timeout": 2_000_000, "StartPeriod": 3_000_000,
                "StartInterval": 4_000_000,
            }),
        ),
        ("129 exec", "HEALTHCHECK CMD [\"a\"]", "Healthcheck", json!({ "Test": ["CMD", "a"] })),
        ("129 none", "HEALTHCHECK NONE", "Healthcheck", json!({ "Test": ["NONE"] })),
        ("130", "SHELL [\"/bin/bash\", \"-ec\"]", "Shell", json!(["/bin/bash", "-ec"])),
        ("132", "ONBUILD COPY a $b", "OnBuild", json!(["COPY a $b"])),
    ] {
        assert_eq!(runtime(lines)[field], wanted, "{row}");
    }
    assert_eq!(dockerfile("FROM scratch\nMAINTAINER me <me@x>\n").built().config()["author"], "me <me@x>");
    // 126: what goes there later is kept.
    assert_eq!(dockerfile("FROM scratch\nVOLUME /v\nCOPY Dockerfile /v/f\n").built().tree().paths(), ["v", "v/f"]);
}

#[test]
fn row_66_history_is_what_buildkit_writes() {
    assert_eq!(
        history(
            "ARG V=1 W\nENV A=\"b c\" D=e\nLABEL x=y\nEXPOSE 80 53/udp\nVOLUME /a /b\nUSER u\nSTOPSIGNAL 9\nSHELL [\"/bin/bash\", \"-c\"]\n\
             HEALTHCHECK --interval=90s CMD a\nCMD a \"b\"\nENTRYPOINT [\"e\"]\nONBUILD USER x\nMAINTAINER me"
        ),
        [
            "ARG V=1 W (empty)",
            "ENV A=b c D=e (empty)",
            "LABEL x=y (empty)",
            "EXPOSE [80/tcp 53/udp] (empty)",
            "VOLUME [/a /b] (empty)",
            "USER u (empty)",
            "STOPSIGNAL 9 (empty)",
            "SHELL [/bin/bash -c] (empty)",
            "HEALTHCHECK {Test:[CMD-SHELL a] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0} (empty)",
            "CMD [\"/bin/bash\" \"-c\" \"a \\\"b\\\"\"] (empty)",
            "ENTRYPOINT [\"e\"] (empty)",
            "MAINTAINER me (empty)",
        ]
    );
    let config = dockerfile("FROM scratch\nENV A=1\n").built().config();
    assert_eq!(
        config["history"][0],
        json!({ "created": "1970-01-01T00:00:00Z", "created_by": "ENV A=1", "comment": "buildkit.dockerfile.v0", "empty_layer": true })
    );
}

#[test]
fn row_66_history_of_copies_shows_flags_and_expanded_values() {
    let built = dockerfile(
        "FROM scratch\nARG D=/d\nCOPY --chown=1:2 --chmod=600 a $D/\nCOPY --parents a /p/\nCOPY <<one <<two /h/\n1\none\n2\ntwo\nWORKDIR /w\nWORKDIR x\nADD a /z\n",
    )
    .context(|tree| tree.file("a", "a"))
    .built();
    assert_eq!(
        built.history()[1..],
        [
            "COPY --chown=1:2 --chmod=600 a /d/ # buildkit",
            "COPY --parents a /p/ # buildkit",
            "COPY <<one <<two /h/ # buildkit",
            "WORKDIR /w",
            "WORKDIR /w/x",
            "ADD a /z # buildkit",
        ]
    );
    let layers = built.manifest()["layers"].as_array().unwrap().len();
    assert_eq!(layers, 6);
}

#[test]
fn row_55_unknown_and_docker_only_fields_of_a_base_survive() {
    let config = json!({
        "os": "linux", "architecture": "amd64", "variant": "v2", "docker_version": "1", "x": { "z": 1, "a": [null] },
        "author": "them",
        "config": {
            "Env": ["PATH=/bin"], "Healthcheck": { "Test": ["CMD", "x"], "New": 1 }, "Shell": ["/s"], "OnBuild": null,
            "StopTimeout": 7, "MacAddress": "m", "Labels": { "a": "b" }, "WorkingDir": "srv",
        },
        "history": [{ "created": "2020-01-01T00:00:00Z", "created_by": "base", "x": 1 }],
    });
    let tree = FileTree::new().file("f", "f");
    let built =
        dockerfile("FROM registry.test/base\nLABEL c=d\n").base("registry.test/base", tree, config.clone()).built();
    let made = built.config();
    for field in ["docker_version", "x", "author", "variant"] {
        assert_eq!(made[field], config[field], "{field}");
    }
    for field in ["Healthcheck", "Shell", "StopTimeout", "MacAddress", "Env"] {
        assert_eq!(made["config"][field], config["config"][field], "{field}");
    }
    assert_eq!(made["config"]["Labels"], json!({ "a": "b", "c": "d" }));
    // As BuildKit has it.
    assert_eq!(made["config"]["WorkingDir"], "/srv");
    assert_eq!(made["history"][0], config["history"][0]);
    assert_eq!(made["history"].as_array().unwrap().len(), 2);
}

#[test]
fn annotations_of_an_index_and_its_entries() {
    let built = dockerfile("FROM scratch\nCMD [\"x\"]\n")
        .arguments(&["--platform", "linux/amd64,linux/arm64"])
        .arguments(&["--annotation", "all=1", "--annotation", "index,manifest:both=2"])
        .arguments(&[
            "--annotation",
            "manifest-descriptor[linux/arm64]:entry=3",
            "--annotation",
            "manifest[linux/amd64]:all=4",
        ])
        .built();
    let index = built.manifest();
    assert_eq!(index["annotations"], json!({ "both": "2" }));
    assert_eq!(index["manifests"][0]["annotations"], Value::Null);
    assert_eq!(index["manifests"][1]["annotations"], json!({ "entry": "3" }));
    let annotations = |entry: usize| {
        let digest = index["manifests"][entry]["digest"].as_str().unwrap();
        let manifest = built.host.repository(APP).find(digest).unwrap();
        serde_json::from_slice::<Value>(&manifest.content).unwrap()["annotations"].clone()
    };
    assert_eq!(annotations(0), json!({ "all": "4", "both": "2" }));
    assert_eq!(annotations(1), json!({ "all": "1", "both": "2" }));
}

#[test]
fn annotations_that_have_no_place() {
    for (typed, platforms, message) in [
        (
            "index:a=1",
            "linux/amd64",
            "an annotation can't be put on `index`: one platform is built, so there is no index",
        ),
        (
            "manifest-descriptor:a=1",
            "linux/amd64",
            "an annotation can't be put on `manifest-descriptor`: one platform is built, so there is no index",
        ),
        (
            "index-descriptor:a=1",
            "linux/amd64,linux/arm64",
            "an annotation can't be put on `index-descriptor`: registries keep no such thing",
        ),
        (
            "index[linux/amd64]:a=1",
            "linux/amd64,linux/arm64",
            "an annotation can't be put on `index[linux/amd64]`: the index is for all platforms",
        ),
        ("manifest[linux/arm64]:a=1", "linux/amd64", "an annotation is for linux/arm64, which is not built"),
        ("org.example:a=1", "linux/amd64", "an annotation can't be put on `org.example`"),
        ("manifest:=1", "linux/amd64", "a value of `--annotation` has no name"),
        ("manifest:no.such.variable", "linux/amd64", "`--annotation manifest:no.such.variable` has no value"),
    ] {
        let failure = dockerfile("FROM scratch\n").arguments(&["--annotation", typed, "--platform", platforms]).fails();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Usage, message));
    }
}

#[test]
fn labels_and_annotations_of_the_command_line() {
    let built = dockerfile("FROM scratch\nLABEL a=1 b=2\n")
        .arguments(&["--label", "a=3", "--label", "c=4", "--annotation", "z=1", "--annotation", "y=2"])
        .built();
    assert_eq!(built.runtime()["Labels"], json!({ "a": "3", "b": "2", "c": "4" }));
    assert_eq!(built.manifest()["annotations"], json!({ "y": "2", "z": "1" }));
}

#[test]
fn wrong_values_are_failures_with_their_place() {
    for (lines, message) in [
        ("STOPSIGNAL nope", "there is no signal `nope`"),
        ("EXPOSE x", "`x` is no port: write `80`, `53/udp` or `8000-8010`"),
        ("VOLUME $nothing", "VOLUME has an empty value"),
        ("ENV A=\"${x?no x}\"", "x: no x"),
        ("ENV A=${", "syntax error: missing '}'"),
    ] {
        let failure = dockerfile(&format!("FROM scratch\n{lines}\n")).fails();
        assert_eq!(failure.message, message);
        assert_eq!(failure.position.map(|position| position.line), Some(2), "{lines}");
        assert!(failure.excerpt.is_some(), "{lines}");
    }
}
