//! `steprun build`: checks, plans, several platforms, named contexts and build arguments, as a caller gives them.

use serde_json::{Value, json};
use steprun_tests::{Base, Context, Layer, Registry, User, inspect, raw_manifest, sha256};

const BOTH: &str = "linux/amd64,linux/arm64";

fn path(context: &Context) -> String {
    context.path().to_str().unwrap().to_owned()
}

fn push_base(registry: &Registry) {
    let layer = Layer::new().directory("etc", 0o755, (0, 0)).file("etc/issue", 0o644, (0, 0), b"base\n");
    Base::new(json!({ "Labels": { "of": "base" } })).layer(layer).push(registry, "base:1");
}

#[test]
fn row_138_a_check_prints_its_findings_and_fails() {
    let user = User::new();
    let context = Context::with_dockerfile("FROM scratch as a\nLABEL b=$c\n");
    let outcome = user.fails(1, ["build", "-c", &path(&context), "--check"]);
    assert!(outcome.text().starts_with("Check complete, 2 warnings have been found!\n"), "{}", outcome.text());
    outcome.says(&["lint violation found for rules: FromAsCasing, UndefinedVar"]);
    let outcome = user.fails(1, ["build", "-c", &path(&context), "--check", "--format", "sarif"]);
    let sarif: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 2);
    let context = Context::with_dockerfile("FROM scratch\nLABEL b=c\n");
    let outcome = user.succeeds(["build", "-c", &path(&context), "--check"]);
    assert_eq!(outcome.text(), "Check complete, no warnings found.\n");
}

#[test]
fn row_137_a_plan_builds_nothing() {
    let (user, registry) = (User::new(), Registry::plain());
    push_base(&registry);
    let text = format!("FROM {} AS one\nRUN make\nFROM scratch AS two\nFROM one\n", registry.image("base:1"));
    let context = Context::with_dockerfile(&text);
    let outcome = user.succeeds(["build", "-c", &path(&context), "-d", &registry.image("app:1"), "--plan"]);
    for line in ["   2 | RUN make  <- command\n", "not needed: two\n", "snapshots.run", "registry.push"] {
        assert!(outcome.text().contains(line), "{line} in:\n{}", outcome.text());
    }
    assert_eq!(registry.repositories(), ["base"]);
}

#[test]
fn row_53_two_platforms_are_an_index() {
    let (user, registry) = (User::new(), Registry::plain());
    let text = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY f /$TARGETARCH\n";
    let context = Context::with_dockerfile(text).file("f", "f");
    let image = registry.image("app:1");
    let outcome = user.succeeds(["build", "-c", &path(&context), "-d", &image, "--platform", BOTH]);
    let index = raw_manifest(&registry, "app:1");
    assert_eq!(outcome.digest(), sha256(&index));
    let index: Value = serde_json::from_slice(&index).unwrap();
    let platforms: Vec<&Value> = index["manifests"].as_array().unwrap().iter().map(|one| &one["platform"]).collect();
    let expected = ["amd64", "arm64"].map(|arch| json!({ "architecture": arch, "os": "linux" }));
    assert_eq!(platforms, expected.iter().collect::<Vec<_>>());
    for (child, architecture) in index["manifests"].as_array().unwrap().iter().zip(["amd64", "arm64"]) {
        let name = format!("app@{}", child["digest"].as_str().unwrap());
        let config = inspect(&registry, &name, true);
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["Labels"]["arch"], architecture);
    }
    let archive = user.home().join("x.tar");
    user.fails(2, ["build", "-c", &path(&context), "--platform", BOTH, "--tar-path", archive.to_str().unwrap()]);
}

#[test]
fn row_54_named_contexts_are_granted_by_their_names() {
    let (user, registry) = (User::new(), Registry::plain());
    push_base(&registry);
    let context = Context::with_dockerfile("FROM other\nCOPY --from=files f /\nLABEL a=b\n");
    let files = Context::new().file("f", "f").file("secret", "").file(".dockerignore", "secret\n");
    let image = registry.image("app:1");
    let named = [format!("files={}", path(&files)), format!("other=docker-image://{}", registry.image("base:1"))];
    let arguments =
        ["build", "-c", &path(&context), "-d", &image, "--build-context", &named[0], "--build-context", &named[1]];
    user.succeeds(arguments);
    assert_eq!(inspect(&registry, "app:1", true)["config"]["Labels"], json!({ "of": "base", "a": "b" }));
    let inspected = user.succeeds(["inspect"].into_iter().chain(arguments));
    for grant in [format!("context.read     {} (as files)", path(&files)), "(as other)".to_owned()] {
        assert!(inspected.text().contains(&grant), "{grant} in:\n{}", inspected.text());
    }
}

#[test]
fn row_45_build_arguments_come_from_the_environment_only_by_name() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nARG A=1\nARG B=2\nARG C=3\nLABEL v=$A,$B,$C\n")
        .file("args", "C=file\n");
    let file = context.path().join("args");
    let call = user.steprun(["build", "-c", &path(&context), "-d", &registry.image("app:1"), "--build-arg", "A"]);
    call.arg("--build-arg-file").arg(file).env("A", "named").env("B", "unnamed").run().succeeded();
    assert_eq!(inspect(&registry, "app:1", true)["config"]["Labels"]["v"], "named,2,file");
}
