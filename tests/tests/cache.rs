//! The cache of builds, in the store and in a registry.

use std::fs;

use serde_json::Value;
use steprun_tests::{Base, Context, Inside, Layer, Outcome, Place, Registry, User, raw_manifest, rootfs};

fn base(registry: &Registry) -> String {
    let layer = Layer::new().directory("etc", 0o755, (0, 0)).file("etc/issue", 0o644, (0, 0), b"base\n");
    Base::new(serde_json::json!({})).layer(layer).push(registry, "base:1");
    registry.image("base:1")
}

fn build(user: &User, registry: &Registry, context: &Context, more: &[&str]) -> Outcome {
    let image = registry.image("app:1");
    let words = ["build", "-c", context.path().to_str().unwrap(), "-d", &image, "--progress", "plain"];
    user.succeeds(words.iter().chain(more).copied())
}

/// How many instructions were taken from a cache.
fn cached(outcome: &Outcome) -> usize {
    outcome.stderr.lines().filter(|line| line.contains(": cached")).count()
}

#[test]
fn row_115_what_did_not_change_is_not_done_again() {
    let (user, registry) = (User::new(), Registry::plain());
    let dockerfile = format!("FROM {}\nWORKDIR /w\nCOPY a b /w/\nCOPY dir /d\nADD t.tar /t\n", base(&registry));
    let tar = {
        let mut tar = vec![0; 1024];
        tar.extend([0; 512]);
        tar
    };
    let context =
        Context::with_dockerfile(&dockerfile).file("a", "1").file("b", "2").file("dir/c", "3").file("t.tar", tar);
    let first = build(&user, &registry, &context, &[]);
    let second = build(&user, &registry, &context, &[]);
    assert_eq!((cached(&first), cached(&second)), (0, 4), "{}", second.stderr);
    assert_eq!(first.digest(), second.digest());
    // Times are none of the inputs, contents and modes are.
    let context = context.modified("a", 1_000_000_000);
    assert_eq!(cached(&build(&user, &registry, &context, &[])), 4);
    let context = context.file("dir/c", "4");
    let changed = build(&user, &registry, &context, &["--explain-cache"]);
    assert_eq!(cached(&changed), 2, "{}", changed.stderr);
    assert!(changed.stderr.contains("not cached: [stage-0] COPY dir /d: file dir/c has changed"), "{}", changed.stderr);
    assert_eq!(cached(&build(&user, &registry, &context.mode("b", 0o600), &[])), 1);
}

#[test]
fn a_store_that_lost_a_layer_makes_it_again() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile(&format!("FROM {}\nCOPY a /\n", base(&registry))).file("a", "1");
    let first = build(&user, &registry, &context, &[]);
    let manifest: Value = serde_json::from_slice(&raw_manifest(&registry, "app:1")).unwrap();
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().replace(':', "/");
    fs::remove_file(user.home().join(".cache/steprun/blobs").join(layer)).unwrap();
    let again = build(&user, &registry, &context, &[]);
    assert_eq!((first.digest(), cached(&again)), (again.digest(), 0));
}

/// What a new runner downloads is what nobody can do without: manifests, configs, and the cache's own records.
#[test]
fn a_new_runner_downloads_no_layer() {
    let registry = Registry::plain();
    rootfs::busybox().push(&registry, "busybox:1");
    let text = format!(
        "FROM {0} AS build\nWORKDIR /src\nCOPY . .\nRUN cat a > made\nFROM {0}\nCOPY --from=build /src/made /made\nRUN echo two > /two\n",
        registry.image("busybox:1")
    );
    let context = Context::with_dockerfile(&text).file("a", "1");
    let cache = registry.image("team/cache");
    let build = |inside: &Inside, image: &str, more: &[&str]| {
        inside
            .build(context.path(), &registry.image(image), &[&["--progress", "plain"], more].concat())
            .run()
            .succeeded()
    };
    let inside = Place::Machine.enter(&[context.path()]);
    let first = build(&inside, "app:1", &["--cache-repo", &cache]);
    assert_eq!(registry.tags("team/cache").len(), 1);
    let other = Place::Machine.enter(&[context.path()]);
    let second = build(&other, "app:1", &["--cache-repo", &cache]);
    assert_eq!((first.digest(), cached(&second)), (second.digest(), 5), "{}", second.stderr);
    let blobs = other.store().join("blobs/sha256");
    let sizes: Vec<u64> = fs::read_dir(&blobs).unwrap().map(|blob| blob.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size < 20_000), "a layer was downloaded: {sizes:?}");
    // Without leave to run anything, too.
    let image = registry.image("app:2");
    let third = User::new();
    let words = ["build", "-c", context.path().to_str().unwrap(), "-d", &image, "--cache-from", &cache];
    assert_eq!(third.succeeds(words).digest(), first.digest());
}

#[test]
fn a_cache_beside_the_image_uploads_nothing_twice() {
    let (registry, user) = (Registry::plain(), User::new());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "1");
    build(&user, &registry, &context, &["--cache=true"]);
    let tags = registry.tags("app");
    assert_eq!(tags.len(), 2, "{tags:?}");
    let next = build(&User::new(), &registry, &context, &["--cache"]);
    assert_eq!(cached(&next), 1, "{}", next.stderr);
    let failed = user.fails(2, ["build", "-c", context.path().to_str().unwrap(), "--no-push", "--cache"]);
    failed.says(&["--cache-repo"]);
}

#[test]
fn a_cache_that_can_not_be_used_is_no_failure() {
    let (registry, user) = (Registry::plain(), User::new());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "1");
    let nobody = format!("{}/cache", steprun_tests::fake::nobody());
    let outcome = build(&user, &registry, &context, &["--cache-repo", &nobody, "--registry-tries", "1"]);
    assert!(
        outcome.stderr.contains("can't be read") && outcome.stderr.contains("can't be written"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_store_can_be_kept_small_and_whole() {
    let (registry, user) = (Registry::plain(), User::new());
    let context = Context::with_dockerfile(&format!("FROM {}\nCOPY a /\n", base(&registry))).file("a", "1");
    let first = build(&user, &registry, &context, &[]);
    let bytes = |user: &User| {
        let printed = user.succeeds(["store", "du", "--json"]);
        serde_json::from_str::<Value>(printed.text()).unwrap()["bytes"].as_u64().unwrap()
    };
    assert!(bytes(&user) > 0);
    user.succeeds(["store", "verify"]).prints_nothing();
    user.succeeds(["store", "gc"]);
    assert_eq!(cached(&build(&user, &registry, &context, &[])), 1);

    let manifest: Value = serde_json::from_slice(&raw_manifest(&registry, "app:1")).unwrap();
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().replace(':', "/");
    let path = user.home().join(".cache/steprun/blobs").join(layer);
    fs::write(&path, "broken").unwrap();
    user.fails(4, ["store", "verify"]).says(&["did not have their digests"]);
    assert!(!path.exists());
    let again = build(&user, &registry, &context, &[]);
    assert_eq!((first.digest(), cached(&again)), (again.digest(), 0));

    user.succeeds(["store", "gc", "--max-size", "1B"]);
    assert!(bytes(&user) <= 1);
    user.fails(2, ["store", "gc", "--max-age", "soon"]);
    assert_eq!(build(&user, &registry, &context, &[]).digest(), first.digest());
}
