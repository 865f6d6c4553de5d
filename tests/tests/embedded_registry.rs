//! `steprun registry serve`: peers' clients push to it and pull from it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use steprun_tests::{Base, Context, Layer, User, binary, crane, scan, skopeo_copy, tool, unpack};

struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn start(user: &User, arguments: &[&str]) -> Self {
        let call = user.steprun(["registry", "serve"].iter().chain(arguments));
        let mut process = call.into_command().stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim_end().to_owned() }
    }

    /// Ends it as a CI runner would, and waits.
    fn stop(&mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const FROM_PLAIN: &str = "--src-tls-verify=false";
const TO_PLAIN: &str = "--dest-tls-verify=false";

fn push(user: &User, served: &Served, image: &str) {
    let layout = user.home().join("pushed");
    Base::new(json!({})).layer(Layer::new().file("file", 0o640, (1, 2), &vec![b'x'; 5 << 20])).write(&layout);
    let target = format!("docker://{}/{image}", served.address);
    skopeo_copy(&format!("oci:{}:image", layout.display()), &target, &[TO_PLAIN.to_owned()]);
}

#[test]
fn skopeo_pushes_and_pulls() {
    let user = User::new();
    let mut served = Served::start(&user, &[]);
    push(&user, &served, "team/app:1");
    let back = user.home().join("back");
    let from = format!("docker://{}/team/app:1", served.address);
    skopeo_copy(&from, &format!("oci:{}:image", back.display()), &[FROM_PLAIN.to_owned()]);
    let entries = scan(&unpack(&back, "image", user.home()));
    assert_eq!((entries.len(), entries[0].path.as_str(), entries[0].mode, entries[0].uid), (1, "file", 0o640, 1));
    assert_eq!(served.stop(), Some(0));
}

#[test]
fn build_and_promote_use_it() {
    let user = User::new();
    let served = Served::start(&user, &["--address", "127.0.0.1:0"]);
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "A");
    let (testing, stable) = (format!("{}/testing/app:1", served.address), format!("{}/stable/app:1.0", served.address));
    let digest = user.succeeds(["build", "-c", context.path().to_str().unwrap(), "-d", &testing]).digest();
    user.succeeds(["promote", "copy", &testing, &stable]);
    user.succeeds(["promote", "tag", &stable, "latest"]);
    let latest = format!("{}/stable/app:latest", served.address);
    assert_eq!(user.succeeds(["promote", "digest", &latest]).line(), digest);
    let listed = user.succeeds(["promote", "ls", &format!("{}/stable/app", served.address)]);
    assert_eq!(listed.text().lines().collect::<Vec<_>>(), ["1.0", "latest"]);
    user.succeeds(["promote", "delete", &latest]);
    user.fails(1, ["promote", "digest", &latest]);
    assert_eq!(user.succeeds(["promote", "digest", &stable]).line(), digest);
}

/// A registry that deletes tags, unlike that of the other comparisons: the tag goes, its manifest and its other tag stay.
#[test]
fn tags_are_deleted_as_crane_deletes_them() {
    let user = User::new();
    let served = Served::start(&user, &[]);
    let ours: (_, &[&str]) = (binary(), &["promote"]);
    let theirs = crane().map(|crane| (crane, &[][..]));
    for (number, (program, before)) in [ours].into_iter().chain(theirs).enumerate() {
        let repository = format!("{}/app{number}", served.address);
        push(&user, &served, &format!("app{number}:1"));
        user.succeeds(["promote", "tag", &format!("{repository}:1"), "2"]);
        let digest = user.succeeds(["promote", "digest", &format!("{repository}:1")]).line().to_owned();
        let delete = |image: String| {
            let mut command = Command::new(&program);
            command.args(before).args(["delete", &image]).env_clear().env("HOME", user.home());
            let output = command.output().unwrap();
            assert!(output.stdout.is_empty());
            output.status.code()
        };
        assert_eq!(delete(format!("{repository}:2")), Some(0), "{}", program.display());
        assert_eq!(user.succeeds(["promote", "ls", &repository]).text(), "1\n");
        assert_eq!(user.succeeds(["promote", "digest", &format!("{repository}:1")]).line(), digest);
        assert_eq!(delete(format!("{repository}:2")), Some(1), "{}", program.display());
        assert_eq!(delete(format!("{repository}@{digest}")), Some(0), "{}", program.display());
        user.fails(1, ["promote", "digest", &format!("{repository}:1")]);
    }
}

#[test]
fn a_directory_keeps_images_between_runs() {
    let user = User::new();
    let root = user.home().join("registry");
    let arguments = ["--root", root.to_str().unwrap()];
    let mut first = Served::start(&user, &arguments);
    push(&user, &first, "app:1");
    assert_eq!(first.stop(), Some(0));
    let second = Served::start(&user, &arguments);
    let target = format!("docker://{}/app:1", second.address);
    let output = tool("skopeo").args(["inspect", "--tls-verify=false", &target]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_taken_directory_is_an_error() {
    let user = User::new();
    let root = user.home().join("registry");
    let arguments = ["--root", root.to_str().unwrap()];
    let _first = Served::start(&user, &arguments);
    user.fails(1, ["registry", "serve"].iter().chain(&arguments))
        .prints_nothing()
        .says(&["another registry", root.to_str().unwrap()]);
}
