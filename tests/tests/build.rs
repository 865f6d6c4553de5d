//! `steprun build`: what a Dockerfile says stands in the image.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use steprun_tests::{
    Base, Context, Layer, Registry, User, inspect, layout_of, raw_manifest, scan, sha256, skopeo_copy, tool, unpack,
};

/// The lines of a tree.
fn lines(root: &Path) -> Vec<String> {
    scan(root).iter().map(ToString::to_string).collect()
}

/// Builds a context to a registry under `app:1`, and gives the digest.
#[track_caller]
fn build(user: &User, registry: &Registry, context: &Context, more: &[&str]) -> String {
    let image = registry.image("app:1");
    let path = context.path().to_str().unwrap().to_owned();
    let arguments = ["build", "-c", &path, "-d", &image].into_iter().chain(more.iter().copied());
    user.succeeds(arguments).digest()
}

/// The root file system of `app:1`.
fn rootfs(registry: &Registry, directory: &Path) -> Vec<String> {
    lines(&unpack(&layout_of(registry, "app:1", directory), "image", directory))
}

fn push_base(registry: &Registry, name: &str) -> String {
    let layer = Layer::new().directory("etc", 0o755, (0, 0)).file("etc/issue", 0o644, (0, 0), b"base\n");
    let config = json!({ "Env": ["PATH=/usr/bin:/bin", "BASE=yes"], "Cmd": ["/bin/base"], "Labels": { "of": "base" } });
    Base::new(config).layer(layer).push(registry, name)
}

#[test]
fn from_scratch() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY hello /\n").file("hello", "hello\n");
    let outcome = user.succeeds(["build", "-c", context.path().to_str().unwrap(), "-d", &registry.image("app:1")]);
    let digest = outcome.digest();
    assert_eq!(outcome.line(), format!("{}@{digest}", registry.image("app")));
    assert_eq!(sha256(&raw_manifest(&registry, "app:1")), digest);
    assert_eq!(inspect(&registry, "app:1", false)["Digest"], digest);
    assert_eq!(rootfs(&registry, user.home()), ["f 0644 0:0 1700000000 hello \"hello\\n\""]);
}

#[test]
fn from_an_image_keeps_its_layers_and_config() {
    let (user, registry) = (User::new(), Registry::plain());
    push_base(&registry, "base:1");
    let dockerfile = format!("FROM {}\nCOPY hello /etc/\nENV MORE=1\n", registry.image("base:1"));
    let context = Context::with_dockerfile(&dockerfile).file("hello", "hello");
    build(&user, &registry, &context, &[]);
    let base: Value = serde_json::from_slice(&raw_manifest(&registry, "base:1")).unwrap();
    let image: Value = serde_json::from_slice(&raw_manifest(&registry, "app:1")).unwrap();
    assert_eq!(image["layers"].as_array().unwrap().len(), 2);
    assert_eq!(image["layers"][0]["digest"], base["layers"][0]["digest"]);
    let config = inspect(&registry, "app:1", true);
    assert_eq!(config["config"]["Env"], json!(["PATH=/usr/bin:/bin", "BASE=yes", "MORE=1"]));
    assert_eq!(config["config"]["Cmd"], json!(["/bin/base"]));
    let expected = [
        "d 0755 0:0 1700000000 etc",
        "f 0644 0:0 1700000000 etc/hello \"hello\"",
        "f 0644 0:0 1700000000 etc/issue \"base\\n\"",
    ];
    assert_eq!(rootfs(&registry, user.home()), expected);
}

#[test]
fn from_a_digest() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = push_base(&registry, "base:1");
    let dockerfile = format!("FROM {}@{digest}\nLABEL a=b\n", registry.image("base"));
    build(&user, &registry, &Context::with_dockerfile(&dockerfile), &[]);
    let labels = inspect(&registry, "app:1", true)["config"]["Labels"].clone();
    assert_eq!(labels, json!({ "of": "base", "a": "b" }));
}

#[test]
fn stages_and_target() {
    let (user, registry) = (User::new(), Registry::plain());
    let dockerfile = "FROM scratch AS first\nCOPY a /made/a\n\nFROM scratch AS second\nCOPY --from=first /made/ /taken/\nCOPY b /\n\n\
                      FROM second AS third\nCOPY --from=0 /made/a /third\n";
    let context = Context::with_dockerfile(dockerfile).file("a", "A").file("b", "B");
    build(&user, &registry, &context, &[]);
    let paths = |lines: Vec<String>| {
        let path = |line: String| line.split(' ').nth(4).unwrap().to_owned();
        lines.into_iter().map(path).collect::<Vec<_>>()
    };
    assert_eq!(paths(rootfs(&registry, user.home())), ["b", "taken", "taken/a", "third"]);
    build(&user, &registry, &context, &["--target", "second"]);
    let other = tempfile::tempdir().unwrap();
    assert_eq!(paths(rootfs(&registry, other.path())), ["b", "taken", "taken/a"]);
}

#[test]
fn config_says_what_the_dockerfile_says() {
    let (user, registry) = (User::new(), Registry::plain());
    let dockerfile = r#"
ARG VERSION=1
FROM scratch
ARG VERSION
ARG GREETING=hi
ENV A=$VERSION B="two words" C=${GREETING:-no}${MISSING:+x}
LABEL version=$VERSION "with space"=yes
EXPOSE 80 53/udp
WORKDIR /srv
WORKDIR app
USER nobody:nogroup
VOLUME /data ["/more"]
STOPSIGNAL SIGQUIT
SHELL ["/bin/bash", "-c"]
HEALTHCHECK --interval=5s --retries=3 CMD curl -f localhost
ENTRYPOINT ["/entry", "$A"]
CMD echo hello
ONBUILD COPY . /src
MAINTAINER somebody
"#;
    let dockerfile = dockerfile.replace("VOLUME /data [\"/more\"]", "VOLUME [\"/data\", \"/more\"]");
    build(
        &user,
        &registry,
        &Context::with_dockerfile(&dockerfile),
        &["--build-arg", "VERSION=2", "--label", "extra=1"],
    );
    let image = inspect(&registry, "app:1", true);
    let expected = [
        ("Env", json!(["A=2", "B=two words", "C=hi"])),
        ("Labels", json!({ "version": "2", "with space": "yes", "extra": "1" })),
        ("ExposedPorts", json!({ "80/tcp": {}, "53/udp": {} })),
        ("User", json!("nobody:nogroup")),
        ("WorkingDir", json!("/srv/app")),
        ("Volumes", json!({ "/data": {}, "/more": {} })),
        ("StopSignal", json!("SIGQUIT")),
        ("Entrypoint", json!(["/entry", "$A"])),
        ("Cmd", json!(["/bin/bash", "-c", "echo hello"])),
    ];
    for (field, value) in expected {
        // Without a PATH in the base, Docker's default may stand before ours.
        let found = match field {
            "Env" => without_path(&image["config"]["Env"]),
            _ => image["config"][field].clone(),
        };
        assert_eq!(found, value, "{field}");
    }
    // skopeo drops what the image-spec does not know: these are read from the blob.
    let config = config_blob(&registry, &user);
    assert_eq!(config["config"]["Shell"], json!(["/bin/bash", "-c"]));
    assert_eq!(config["config"]["OnBuild"], json!(["COPY . /src"]));
    assert_eq!(config["config"]["Healthcheck"]["Test"], json!(["CMD-SHELL", "curl -f localhost"]));
    assert_eq!(config["config"]["Healthcheck"]["Interval"], json!(5_000_000_000_u64));
    assert_eq!(config["config"]["Healthcheck"]["Retries"], json!(3));
    assert_eq!(config["author"], "somebody");
}

fn without_path(environment: &Value) -> Value {
    environment
        .as_array()
        .unwrap()
        .iter()
        .filter(|value| !value.as_str().unwrap().starts_with("PATH="))
        .cloned()
        .collect()
}

/// The config of `app:1`, byte for byte as it is stored.
fn config_blob(registry: &Registry, user: &User) -> Value {
    let directory = tempfile::tempdir_in(user.home()).unwrap();
    let layout = layout_of(registry, "app:1", directory.path());
    let manifest: Value = serde_json::from_slice(&raw_manifest(registry, "app:1")).unwrap();
    let digest = manifest["config"]["digest"].as_str().unwrap().replace(':', "/");
    serde_json::from_slice(&fs::read(layout.join("blobs").join(digest)).unwrap()).unwrap()
}

#[test]
fn unknown_fields_of_a_base_survive() {
    let (user, registry) = (User::new(), Registry::plain());
    let config = json!({
        "Healthcheck": { "Test": ["CMD", "true"], "StartInterval": 7 },
        "Shell": ["/bin/ash", "-c"],
        "MacAddress": "02:00:00:00:00:01",
        "io.example.unknown": { "deep": [1, 2.5, null] },
    });
    let base =
        Base::new(config).field("container_config", json!({ "Hostname": "old" })).field("os.version", json!("7"));
    base.layer(Layer::new().file("x", 0o644, (0, 0), b"")).push(&registry, "base:1");
    let dockerfile = format!("FROM {}\nENV A=1\n", registry.image("base:1"));
    build(&user, &registry, &Context::with_dockerfile(&dockerfile), &[]);
    let made = config_blob(&registry, &user);
    assert_eq!(made["config"]["Healthcheck"], json!({ "Test": ["CMD", "true"], "StartInterval": 7 }));
    assert_eq!(made["config"]["Shell"], json!(["/bin/ash", "-c"]));
    assert_eq!(made["config"]["MacAddress"], "02:00:00:00:00:01");
    assert_eq!(made["config"]["io.example.unknown"], json!({ "deep": [1, 2.5, null] }));
    assert_eq!(made["os.version"], "7");
}

#[test]
fn history_matches_layers() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\nENV X=1\nCOPY b /\nLABEL l=1\n")
        .file("a", "A")
        .file("b", "B");
    build(&user, &registry, &context, &[]);
    let config = inspect(&registry, "app:1", true);
    let history = config["history"].as_array().unwrap();
    let of = |entry: &Value| (entry["created_by"].as_str().unwrap().to_owned(), entry["empty_layer"] == json!(true));
    let told: Vec<_> = history.iter().map(of).collect();
    let words: Vec<_> = told.iter().map(|(by, empty)| (by.split(' ').next().unwrap(), *empty)).collect();
    assert_eq!(words, [("COPY", false), ("ENV", true), ("COPY", false), ("LABEL", true)]);
    // Each diff ID is that of the layer's tar, so that a runtime accepts the image.
    let layout = layout_of(&registry, "app:1", user.home());
    let manifest: Value = serde_json::from_slice(&raw_manifest(&registry, "app:1")).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!((layers.len(), diff_ids.len()), (2, 2));
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        let path = layout.join("blobs").join(layer["digest"].as_str().unwrap().replace(':', "/"));
        let mut tar = Vec::new();
        let mut reader = flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap());
        std::io::Read::read_to_end(&mut reader, &mut tar).unwrap();
        assert_eq!(diff_id, &json!(sha256(&tar)));
    }
}

#[test]
fn layout_and_archives_hold_the_same_image() {
    let user = User::new();
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "A");
    let (layout, oci, docker) =
        (user.home().join("layout"), user.home().join("oci.tar"), user.home().join("docker.tar"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = [
        "build",
        "--no-push",
        "-c",
        &path(context.path()),
        "-d",
        "registry.invalid/app:1",
        "--oci-layout-path",
        &path(&layout),
        "--oci-archive-path",
        &path(&oci),
        "--tar-path",
        &path(&docker),
    ];
    user.succeeds(arguments);
    let expected = ["f 0644 0:0 1700000000 a \"A\""];
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let sources = [
        format!("oci:{}", layout.display()),
        format!("oci-archive:{}", oci.display()),
        format!("docker-archive:{}", docker.display()),
    ];
    for (number, source) in sources.iter().enumerate() {
        let copy = user.home().join(format!("copy-{number}"));
        skopeo_copy(source, &format!("oci:{}:image", copy.display()), &[]);
        assert_eq!(lines(&unpack(&copy, "image", &user.home().join(format!("root-{number}")))), expected, "{source}");
    }
    let archived: Value = {
        let copy = user.home().join("copy-1/index.json");
        serde_json::from_slice(&fs::read(copy).unwrap()).unwrap()
    };
    assert_eq!(archived["manifests"][0]["digest"], json!(digest), "archive and layout");
}

/// As with `docker build -o`.
#[test]
fn row_149_files_of_the_image_go_to_a_directory_and_a_tar() {
    let (user, registry) = (User::new(), Registry::plain());
    push_base(&registry, "library/base:1");
    let base = registry.image("library/base:1");
    let dockerfile = format!("FROM {base}\nCOPY --chown=7:7 --chmod=4750 a /bin/\n");
    let context = Context::with_dockerfile(&dockerfile).file("a", "A");
    let (out, tar) = (user.home().join("out"), user.home().join("files.tar"));
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine"), "mine").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = ["build", "-c", &path(context.path()), "-o", &path(&out), "--output-tar", &path(&tar)];
    for _ in 0..2 {
        user.succeeds(arguments);
        let names: Vec<String> = scan(&out).iter().map(|entry| entry.path.clone()).collect();
        assert_eq!(names, ["bin", "bin/a", "etc", "etc/issue", "mine"]);
    }
    let mode = fs::metadata(out.join("bin/a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
    let unpacked = user.home().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    assert!(tool("tar").arg("-xpf").arg(&tar).arg("-C").arg(&unpacked).status().unwrap().success());
    assert!(lines(&unpacked).contains(&"f 4750 7:7 1700000000 bin/a \"A\"".to_owned()));
}

#[test]
fn digests_and_metadata_go_to_files() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "A");
    let file = |name: &str| user.home().join(name).to_str().unwrap().to_owned();
    let (first, second) = (registry.image("app:1"), registry.image("team/app:2"));
    let arguments = [
        "build",
        "-c",
        context.path().to_str().unwrap(),
        "-d",
        &first,
        "-d",
        &second,
        "--digest-file",
        &file("digest"),
        "--image-name-with-digest-file",
        &file("names"),
        "--metadata-file",
        &file("metadata"),
        "--output-env",
        &file("env"),
        "--output-json",
        &file("json"),
    ];
    let outcome = user.succeeds(arguments);
    let digest = sha256(&raw_manifest(&registry, "app:1"));
    assert_eq!(sha256(&raw_manifest(&registry, "team/app:2")), digest);
    let expected = format!("{}@{digest}\n{}@{digest}\n", registry.image("app"), registry.image("team/app"));
    assert_eq!(outcome.text(), expected);
    assert_eq!(fs::read_to_string(file("digest")).unwrap().trim_end(), digest);
    assert_eq!(fs::read_to_string(file("names")).unwrap().trim_end(), expected.trim_end());
    let metadata: Value = serde_json::from_slice(&fs::read(file("metadata")).unwrap()).unwrap();
    assert!(metadata.to_string().contains(&digest), "{metadata}");
    assert!(fs::read_to_string(file("env")).unwrap().contains(&digest));
    let results: Value = serde_json::from_slice(&fs::read(file("json")).unwrap()).unwrap();
    assert_eq!(results["digest"], json!(digest));
}

#[test]
fn annotations_and_platform() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\n");
    build(&user, &registry, &context, &["--annotation", "org.example.a=b", "--platform", "linux/arm64/v8"]);
    let manifest: Value = serde_json::from_slice(&raw_manifest(&registry, "app:1")).unwrap();
    assert_eq!(manifest["annotations"]["org.example.a"], "b");
    let config = inspect(&registry, "app:1", true);
    assert_eq!((&config["architecture"], &config["config"]["Labels"]["arch"]), (&json!("arm64"), &json!("arm64")));
}

#[test]
fn a_directory_of_many_files_is_ignored_in_part() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY . /src/\n")
        .file(".dockerignore", "# notes\n*.log\n!keep.log\n**/tmp\nDockerfile\n.dockerignore\n")
        .file("keep.log", "")
        .file("drop.log", "")
        .file("a/tmp/x", "")
        .file("a/b", "b")
        .file("a/deep.log", "");
    build(&user, &registry, &context, &[]);
    let lines = rootfs(&registry, user.home());
    let paths: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(4).unwrap()).collect();
    assert_eq!(paths, ["src", "src/a", "src/a/b", "src/a/deep.log", "src/keep.log"]);
}

#[test]
fn a_wildcard_without_a_match_changes_nothing() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\nCOPY *.none /there/\n").file("a", "A");
    build(&user, &registry, &context, &[]);
    assert_eq!(rootfs(&registry, user.home()), ["f 0644 0:0 1700000000 a \"A\""]);
}

#[test]
fn run_is_denied_unless_granted() {
    let user = User::new();
    let context = Context::with_dockerfile("FROM scratch\n\nRUN make\n");
    user.fails(3, ["build", "--no-push", "-c", context.path().to_str().unwrap()]).prints_nothing().says(&[
        "Dockerfile:3",
        "RUN",
        "--allow-run",
    ]);
}

#[test]
fn run_in_a_stage_that_is_not_needed_is_no_error() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch AS test\nRUN make\n\nFROM scratch\nCOPY a /\n").file("a", "A");
    build(&user, &registry, &context, &[]);
}
