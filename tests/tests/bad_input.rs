//! Bad input: a clear error that names what, where and what to do; the right exit status; nothing half written.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use steprun_tests::fake::{self, Fake, Response};
use steprun_tests::{Base, Context, Layer, Outcome, Registry, User, binary, each, sha256};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const VERIFICATION: i32 = 4;
const UNAVAILABLE: i32 = 5;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Builds a Dockerfile with the file `present` beside it; nothing is pushed.
fn build(dockerfile: &str, more: &[&str]) -> (User, Outcome) {
    let user = User::new();
    let context = Context::with_dockerfile(dockerfile).file("present", "x");
    let path = context.path().to_str().unwrap().to_owned();
    let outcome = user.steprun(["build", "--no-push", "-c", &path].iter().chain(more)).run();
    (user, outcome)
}

#[test]
fn dockerfiles() {
    let cases: &[(&str, i32, &[&str])] = &[
        ("", FAILED, &["Dockerfile", "empty", "FROM"]),
        ("# only a comment\n", FAILED, &["Dockerfile", "no instructions", "FROM"]),
        ("FROM scratch\nCOPPY a b\n", FAILED, &["Dockerfile:2", "COPPY", "did you mean", "COPY"]),
        ("FROM scratch\nCOPY --chwon=1 present /\n", FAILED, &["Dockerfile:2", "chwon", "did you mean", "--chown"]),
        ("FROM scratch\nCOPY missing /\n", FAILED, &["Dockerfile:2", "missing"]),
        ("FROM scratch\nCOPY presentt /\n", FAILED, &["Dockerfile:2", "presentt", "present"]),
        ("FROM scratch\nCOPY present\n", FAILED, &["Dockerfile:2", "COPY"]),
        ("FROM scratch\n\n\nEXPOSE nowhere\n", FAILED, &["Dockerfile:4", "nowhere"]),
        ("FROM scratch\nSTOPSIGNAL SIGNOPE\n", FAILED, &["Dockerfile:2", "SIGNOPE"]),
        ("FROM Bad/Reference:\n", FAILED, &["Dockerfile:1", "Bad/Reference"]),
        ("COPY present /\n", FAILED, &["Dockerfile:1", "FROM"]),
        ("FROM scratch\nENV\n", FAILED, &["Dockerfile:2", "ENV"]),
        ("FROM scratch\nHEALTHCHECK --interval=soon CMD x\n", FAILED, &["Dockerfile:2", "soon"]),
        ("FROM scratch\nCOPY --from=0 a b\n", FAILED, &["Dockerfile:2", "itself"]),
    ];
    each(cases, |(dockerfile, status, fragments)| {
        build(dockerfile, &[]).1.exited(*status).prints_nothing().says(fragments);
    });
}

#[test]
fn stage_that_is_taken_for_an_image() {
    // Nobody listens there.
    let dockerfile = "FROM scratch AS a\nFROM scratch\nCOPY --from=127.0.0.1:1/b present /\n";
    let (_, outcome) = build(dockerfile, &["--registry-tries", "1"]);
    outcome.exited(UNAVAILABLE).prints_nothing().says(&["Dockerfile:3", "127.0.0.1:1"]);
}

#[test]
fn missing_dockerfile() {
    let user = User::new();
    let context = Context::new().file("other", "");
    user.fails(FAILED, ["build", "--no-push", "-c", context.path().to_str().unwrap()])
        .prints_nothing()
        .says(&["Dockerfile"]);
    let arguments = ["build", "--no-push", "-c", context.path().to_str().unwrap(), "-f", "nowhere/Dockerfile"];
    user.fails(FAILED, arguments).prints_nothing().says(&["nowhere/Dockerfile"]);
}

#[test]
fn missing_context() {
    User::new()
        .fails(FAILED, ["build", "--no-push", "-c", "/nowhere/at/all"])
        .prints_nothing()
        .says(&["/nowhere/at/all"]);
}

#[test]
fn command_lines() {
    let user = User::new();
    let context = Context::with_dockerfile("FROM scratch\n");
    let path = context.path().to_str().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["build", "-c", path], &["--destination"]),
        (&["build", "-c", path, "--destinaton", "x"], &["--destinaton", "--destination"]),
        (&["build", "-c", path, "-d", "UPPER/case:1"], &["UPPER/case"]),
        (&["build", "-c", path, "-d", "registry.example/app:bad tag"], &["bad tag"]),
        (&["build", "-c", path, "--no-push", "--platform", "///"], &["///"]),
        (&["build", "-c", path, "--no-push", "--timeout", "soon"], &["soon"]),
        (&["promote"], &["copy"]),
        (&["promote", "cpoy", "a", "b"], &["cpoy", "copy"]),
        (&["promote", "copy", "registry.example/app:1"], &["DST"]),
        (&["promote", "digest", "::"], &["::"]),
        (&["registry", "serve", "--address", "nowhere"], &["nowhere"]),
        (&[], &["--help"]),
    ];
    each(cases, |(arguments, fragments)| {
        user.fails(USAGE, *arguments).prints_nothing().says(fragments);
    });
}

#[test]
fn unknown_target() {
    let (_, outcome) = build("FROM scratch AS release\n", &["--target", "relaese"]);
    outcome.exited(FAILED).prints_nothing().says(&["relaese", "release"]);
}

#[test]
fn registry_down() {
    let address = fake::nobody();
    let user = User::new();
    let outcome = user.fails(UNAVAILABLE, ["--registry-tries", "2", "promote", "digest", &format!("{address}/app:1")]);
    outcome.prints_nothing().says(&[&address]);
    let (_, outcome) = build(&format!("FROM {address}/base:1\n"), &["--registry-tries", "1"]);
    outcome.exited(UNAVAILABLE).prints_nothing().says(&["Dockerfile:1", &address]);
}

#[test]
fn registry_refuses() {
    let cases: [(u16, &str, i32, &[&str]); 4] = [
        (401, "UNAUTHORIZED", FAILED, &["credentials"]),
        (403, "DENIED", FAILED, &[]),
        (404, "MANIFEST_UNKNOWN", FAILED, &[]),
        (500, "UNKNOWN", UNAVAILABLE, &[]),
    ];
    for (status, code, exit, fragments) in cases {
        let registry = Fake::serve(move |request| match request.path.as_str() {
            "/v2/" if status != 401 => Response::new(200),
            _ => Response::error(status, code).header("WWW-Authenticate", "Basic realm=\"test\""),
        });
        let image = registry.image("app:1");
        let user = User::new();
        let outcome = user.fails(exit, ["--registry-tries", "1", "promote", "manifest", &image]);
        outcome.prints_nothing().says(&[registry.address()]).says(fragments);
    }
}

#[test]
fn busy_registry_is_asked_again() {
    let count = AtomicUsize::new(0);
    let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","layers":[]}}"#);
    let digest = sha256(manifest.as_bytes());
    let expected = digest.clone();
    let registry = Fake::serve(move |request| match request.path.as_str() {
        "/v2/" => Response::new(200),
        _ if count.fetch_add(1, Ordering::Relaxed) < 2 => {
            Response::error(503, "UNAVAILABLE").header("Retry-After", "1")
        }
        _ => Response::new(200)
            .header("Content-Type", OCI_MANIFEST)
            .header("Docker-Content-Digest", &digest)
            .body(manifest.clone()),
    });
    let outcome = User::new().succeeds(["promote", "manifest", &registry.image("app:1")]);
    assert_eq!(sha256(&outcome.stdout), expected);
    assert!(outcome.elapsed.as_millis() >= 2000, "it did not wait as long as it was told: {:?}", outcome.elapsed);
}

#[test]
fn busy_registry_is_given_up() {
    let registry = Fake::serve(|_| Response::error(503, "UNAVAILABLE").header("Retry-After", "0"));
    let image = registry.image("app:1");
    User::new()
        .fails(UNAVAILABLE, ["--registry-tries", "3", "promote", "digest", &image])
        .prints_nothing()
        .says(&["503"]);
}

#[test]
fn wrong_digest_from_the_registry() {
    let registry = Fake::serve(|request| match request.path.as_str() {
        "/v2/" => Response::new(200),
        _ => Response::new(200).header("Content-Type", OCI_MANIFEST).body(r#"{"schemaVersion":2}"#),
    });
    let asked = sha256(b"something else");
    let user = User::new();
    user.fails(VERIFICATION, ["promote", "manifest", &registry.image(&format!("app@{asked}"))])
        .prints_nothing()
        .says(&[&asked]);
    let (_, outcome) = build(&format!("FROM {}\n", registry.image(&format!("app@{asked}"))), &[]);
    outcome.exited(VERIFICATION).prints_nothing().says(&["Dockerfile:1", &asked]);
}

#[test]
fn wrong_layer_from_the_registry() {
    let (user, registry) = (User::new(), Registry::plain());
    let layer = Layer::new().directory("etc", 0o755, (0, 0)).file("etc/file", 0o644, (0, 0), b"content");
    Base::new(serde_json::json!({})).layer(layer).push(&registry, "base:1");
    let manifest: serde_json::Value =
        serde_json::from_slice(&steprun_tests::raw_manifest(&registry, "base:1")).unwrap();
    fs::write(registry.stored(manifest["layers"][0]["digest"].as_str().unwrap()), b"broken").unwrap();
    let context =
        Context::with_dockerfile(&format!("FROM {}\nCOPY a /etc/\n", registry.image("base:1"))).file("a", "A");
    let layout = user.home().join("layout");
    let arguments =
        ["build", "--no-push", "-c", context.path().to_str().unwrap(), "--oci-layout-path", layout.to_str().unwrap()];
    user.fails(VERIFICATION, arguments).prints_nothing();
    assert!(!layout.join("index.json").exists());
}

#[test]
fn unwritable_output() {
    let (user, outcome) = build("FROM scratch\nCOPY present /\n", &["--digest-file", "/nowhere/at/all/digest"]);
    outcome.exited(FAILED).prints_nothing().says(&["/nowhere/at/all/digest"]);
    let file = user.home().join("a-file");
    fs::write(&file, "kept").unwrap();
    let layout = file.join("layout");
    let (_, outcome) = build("FROM scratch\nCOPY present /\n", &["--oci-layout-path", layout.to_str().unwrap()]);
    outcome.exited(FAILED).prints_nothing().says(&[layout.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}

#[test]
fn failed_build_writes_no_output() {
    let user = User::new();
    let context = Context::with_dockerfile("FROM scratch\nCOPY present /\nCOPY missing /\n").file("present", "x");
    let file = |name: &str| user.home().join(name).to_str().unwrap().to_owned();
    fs::write(file("digest"), "old").unwrap();
    let arguments = [
        "build",
        "--no-push",
        "-c",
        context.path().to_str().unwrap(),
        "--digest-file",
        &file("digest"),
        "--tar-path",
        &file("tar"),
        "--oci-layout-path",
        &file("layout"),
        "--output-json",
        &file("json"),
    ];
    user.fails(FAILED, arguments);
    assert_eq!(fs::read_to_string(file("digest")).unwrap(), "old");
    for name in ["tar", "layout/index.json", "json"] {
        assert!(!user.home().join(name).exists(), "{name}");
    }
}

/// Runs a build in a mount namespace where `small` is a file system of one megabyte, and lists that afterwards.
fn on_a_full_disk(user: &User, arguments: &[&str]) -> (Option<i32>, String, String) {
    let small = user.home().join("small");
    fs::create_dir(&small).unwrap();
    let script = "mount -t tmpfs -o size=1m none \"$0\" || exit 99; \"$@\"; status=$?; ls -A \"$0\"; exit $status";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(&small)
        .arg(binary())
        .args(arguments)
        .env_clear()
        .env("HOME", user.home())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    let status = output.status.code();
    assert_ne!(
        status,
        Some(99),
        "this test needs to mount a tmpfs in a user namespace: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    (status, String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn full_disk() {
    let noise: Vec<u8> = (0..1_u32 << 19).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let context = Context::with_dockerfile("FROM scratch\nCOPY big /\n").file("big", noise);
    let path = context.path().to_str().unwrap();

    let user = User::new();
    let archive = user.home().join("small/image.tar").to_str().unwrap().to_owned();
    let (status, listed, said) =
        on_a_full_disk(&user, &["build", "--no-push", "-c", path, "--oci-archive-path", &archive]);
    assert_eq!((status, listed.as_str()), (Some(FAILED), ""), "{said}");
    assert!(said.contains(&archive) && said.contains("No space left"), "{said}");

    let user = User::new();
    let store = user.home().join("small").to_str().unwrap().to_owned();
    let (status, _, said) = on_a_full_disk(&user, &["--store", &store, "build", "--no-push", "-c", path]);
    assert_eq!(status, Some(FAILED), "{said}");
    assert!(said.contains("No space left"), "{said}");
}
