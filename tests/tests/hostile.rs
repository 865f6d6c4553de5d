//! Components that want more than they were granted are stopped, each with its error and exit status.

use std::fs;

use steprun_tests::fake::{Fake, Response};
use steprun_tests::{Base, Context, Layer, Outcome, Registry, User, components};

/// The exit statuses of the README.
const FAILED: i32 = 1;
const DENIED: i32 = 3;
const TRAP: i32 = 6;
const TIMED_OUT: i32 = 124;

/// A directory with a context, and beside it what must stay out of reach.
struct Scene {
    directory: Context,
    user: User,
}

impl Scene {
    fn new() -> Self {
        let directory = Context::new()
            .file("outside/secret", "top secret")
            .file("context/inside", "inside")
            .file("context/secret", "hunter2")
            .symlink("context/up", "../outside/secret")
            .symlink("context/directory", "../outside")
            .symlink("context/fine", "inside");
        let absolute = directory.path().join("outside/secret");
        let directory = directory.symlink("context/absolute", absolute.to_str().unwrap());
        Self { directory, user: User::new() }
    }

    fn context(&self) -> String {
        self.directory.path().join("context").to_str().unwrap().to_owned()
    }

    /// `steprun hostile.wasm ARGUMENTS`.
    #[track_caller]
    fn hostile(&self, arguments: &[&str]) -> Outcome {
        let step = components::hostile().to_str().unwrap().to_owned();
        let outcome = self.user.steprun([step.as_str()].iter().chain(arguments)).run();
        assert!(!outcome.text().contains("loot"), "it got away with {arguments:?}: {}", outcome.text());
        for secret in ["top secret", "hunter2"] {
            assert!(
                !outcome.stderr.contains(secret) && !outcome.text().contains(secret),
                "{arguments:?} told a secret"
            );
        }
        outcome
    }

    /// `steprun wasi-hello.wasm`, with the context mounted.
    fn wasi(&self, arguments: &[&str]) -> Outcome {
        let step = components::wasi_hello().to_str().unwrap().to_owned();
        let context = self.context();
        let words = ["--context-dir", &context, &step].into_iter().chain(arguments.iter().copied());
        self.user.steprun(words).env("STEPRUN_TEST_SECRET", "hunter2").run()
    }
}

fn registry_with(image: &str) -> Registry {
    let registry = Registry::plain();
    Base::new(serde_json::json!({})).layer(Layer::new().file("f", 0o644, (0, 0), b"")).push(&registry, image);
    registry
}

#[test]
fn reads_what_was_granted() {
    let scene = Scene::new();
    for path in ["inside", "/inside", "fine", "../inside"] {
        let outcome = scene.hostile(&["read", "--context", &scene.context(), path]).exited(0);
        assert_eq!(outcome.text(), "inside", "{path}");
    }
}

#[test]
fn reading_outside_finds_nothing() {
    let scene = Scene::new();
    for path in ["../outside/secret", "../../../../etc/passwd", "/etc/passwd", "x/../../outside/secret"] {
        scene.hostile(&["read", "--context", &scene.context(), path]).exited(FAILED).prints_nothing();
    }
}

#[test]
fn links_out_of_the_context_are_denied() {
    let scene = Scene::new();
    for path in ["up", "absolute", "directory/secret"] {
        scene
            .hostile(&["read", "--context", &scene.context(), path])
            .exited(DENIED)
            .prints_nothing()
            .says(&["denied", "outside"]);
    }
    scene.hostile(&["list", "--context", &scene.context(), "directory"]).exited(DENIED).prints_nothing();
}

#[test]
fn pushing_where_no_argument_points_is_denied() {
    let (scene, registry) = (Scene::new(), registry_with("granted:1"));
    let (granted, other) = (registry.image("granted:1"), registry.image("other"));
    scene.hostile(&["push", "--image", &granted, &other]).exited(DENIED).says(&["denied", "other"]);
    scene.hostile(&["push-pulled", "--image", &granted]).exited(DENIED).says(&["denied", "granted"]);
    scene.hostile(&["delete-pushed", "--image", &granted, "1"]).exited(DENIED).says(&["denied"]);
    assert_eq!(registry.repositories(), ["granted"]);
    assert_eq!(scene.user.succeeds(["promote", "ls", &registry.image("granted")]).line(), "1");
}

#[test]
fn names_carry_no_data_out() {
    let (scene, registry) = (Scene::new(), registry_with("granted:1"));
    let evil = Fake::serve(|_| Response::error(404, "MANIFEST_UNKNOWN"));
    let granted = registry.image("granted:1");
    scene.hostile(&["resolve", "--image", &granted, &evil.image("x:anything")]).exited(DENIED).says(&[
        "denied",
        evil.address(),
        "--allow-pull",
    ]);
    let context = scene.context();
    scene.hostile(&["resolve-secret", "--context", &context, &evil.image("x")]).exited(DENIED);
    assert!(evil.requests().is_empty(), "{:?}", evil.requests());
}

#[test]
fn tags_carry_no_data_out() {
    let scene = Scene::new();
    let watched = Fake::serve(|_| Response::error(404, "MANIFEST_UNKNOWN"));
    let granted = watched.image("app:1");
    scene.hostile(&["tag", "--image", &granted, "carries-data"]).exited(DENIED).says(&["denied"]);
    scene.hostile(&["tags", "--image", &granted]).exited(DENIED);
    assert!(watched.requests().is_empty(), "{:?}", watched.requests());
}

#[test]
fn a_flag_of_the_caller_lets_names_be_asked_for() {
    let (scene, registry) = (Scene::new(), registry_with("granted:1"));
    let other = Fake::serve(|_| Response::error(404, "MANIFEST_UNKNOWN"));
    let step = components::hostile().to_str().unwrap().to_owned();
    let granted = registry.image("granted:1");
    let words = ["--allow-pull", other.address(), &step, "resolve", "--image", &granted, &other.image("x:1")];
    assert_eq!(scene.user.succeeds(words).line(), "loot: asked");
    assert!(!other.requests().is_empty());
}

#[test]
fn looping_ends_at_the_time_limit() {
    let scene = Scene::new();
    let outcome = scene.hostile(&["loop", "--timeout", "1s"]).exited(TIMED_OUT).says(&["--timeout"]);
    assert!(outcome.elapsed.as_secs() < 30, "{:?}", outcome.elapsed);
}

#[test]
fn memory_ends_at_its_limit() {
    let scene = Scene::new();
    scene.hostile(&["allocate"]).exited(TRAP).says(&["memory", "--max-memory"]);
    scene.hostile(&["allocate", "--max-memory", "64MiB"]).exited(TRAP).says(&["memory"]);
}

#[test]
fn handles_end_at_their_limit() {
    let scene = Scene::new();
    scene.hostile(&["handles", "--context", &scene.context()]).exited(TRAP);
}

#[test]
fn results_give_no_orders() {
    let outcome = Scene::new().hostile(&["orders"]);
    assert_harmless(outcome.text());
}

#[test]
fn crashes_are_traps() {
    let scene = Scene::new();
    scene.hostile(&["recurse"]).exited(TRAP);
    scene.hostile(&["panic"]).exited(TRAP).says(&["on purpose"]);
    scene.hostile(&["undescribed"]).exited(TRAP);
}

#[test]
fn messages_give_no_orders() {
    let outcome = Scene::new().hostile(&["escape"]).exited(FAILED);
    assert_harmless(&outcome.stderr);
    assert!(outcome.stderr.contains("over"), "{}", outcome.stderr);
}

/// No escape sequence, and no line that a CI runner obeys.
#[track_caller]
fn assert_harmless(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("::"), "{line:?}");
        for order in ["##[", "##vso[", "##teamcity["] {
            assert!(!line.contains(order), "{line:?}");
        }
    }
}

#[test]
fn an_own_step_writes_the_file_that_was_named() {
    let scene = Scene::new();
    let file = scene.user.home().join("result");
    scene.hostile(&["write", "--file", file.to_str().unwrap(), "content"]).exited(0);
    assert_eq!(fs::read_to_string(file).unwrap(), "content");
}

#[test]
fn wasi_commands_get_arguments_input_and_context() {
    let scene = Scene::new();
    assert_eq!(scene.wasi(&["echo", "one", "two"]).exited(0).line(), "one two");
    assert_eq!(scene.wasi(&["read", "/context/inside"]).exited(0).line(), "inside");
    assert_eq!(scene.wasi(&["list", "/context"]).exited(0).line(), "absolute directory fine inside secret up");
    let step = components::wasi_hello();
    let outcome = scene.user.steprun([step.to_str().unwrap(), "input"]).input("typed").run().exited(0);
    assert_eq!(outcome.line(), "typed");
}

#[test]
fn wasi_commands_see_no_environment() {
    let outcome = Scene::new().wasi(&["environment"]).exited(0);
    assert_eq!(outcome.text().trim(), "");
}

#[test]
fn wasi_commands_have_no_network() {
    let scene = Scene::new();
    let watched = Fake::serve(|_| Response::new(200));
    for arguments in
        [vec!["connect", watched.address()], vec!["listen"], vec!["datagram"], vec!["connect", "localhost:80"]]
    {
        let outcome = scene.wasi(&arguments).exited(FAILED);
        assert!(outcome.text().starts_with("refused"), "{arguments:?}: {}", outcome.text());
    }
    assert!(watched.requests().is_empty());
}

#[test]
fn wasi_commands_can_not_change_the_context_or_leave_it() {
    let scene = Scene::new();
    let deeds: [&[&str]; 11] = [
        &["write", "/context/inside"],
        &["write", "/context/new"],
        &["append", "/context/inside"],
        &["remove", "/context/inside"],
        &["make", "/context/new"],
        &["read", "/context/../outside/secret"],
        &["read", "/context/up"],
        &["read", "/context/absolute"],
        &["read", "/context/directory/secret"],
        &["read", "/etc/passwd"],
        &["list", "/"],
    ];
    for deed in deeds {
        let outcome = scene.wasi(deed).exited(FAILED);
        assert!(outcome.text().starts_with("refused"), "{deed:?}: {}", outcome.text());
    }
    let context = scene.directory.path().join("context");
    assert_eq!(fs::read_to_string(context.join("inside")).unwrap(), "inside");
    assert!(!context.join("new").exists());
}

#[test]
fn wasi_commands_give_no_orders() {
    let outcome = Scene::new().wasi(&["escape"]).exited(0);
    assert_harmless(outcome.text());
    assert_harmless(&outcome.stderr);
    assert!(outcome.text().contains("red"), "{}", outcome.text());
}

#[test]
fn wasi_commands_have_limits() {
    let scene = Scene::new();
    let step = components::wasi_hello().to_str().unwrap().to_owned();
    scene.user.fails(TIMED_OUT, ["--timeout", "1s", &step, "loop"]);
    scene.user.fails(TRAP, [&step, "allocate"]).says(&["memory"]);
}

#[test]
fn what_is_no_component_is_a_usage_error() {
    let user = User::new();
    let file = user.home().join("text.wasm");
    fs::write(&file, "not wasm").unwrap();
    user.fails(2, [file.to_str().unwrap()]).prints_nothing().says(&["text.wasm"]);
    user.fails(2, ["./missing.wasm"]).prints_nothing().says(&["missing.wasm"]);
    user.fails(2, ["biuld"]).prints_nothing().says(&["biuld", "build"]);
}
