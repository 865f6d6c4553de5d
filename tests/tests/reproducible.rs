//! The same inputs give the same digest: again, from another place, for another user, with a cold or a warm store.

use std::path::Path;
use std::process::Command;

use steprun_tests::{Context, User};

fn context() -> Context {
    let mut context =
        Context::with_dockerfile("FROM scratch\nCOPY . /src/\nWORKDIR /work\nENV A=1\nLABEL z=1 y=2 x=3\n");
    for number in 0..200 {
        context = context.file(&format!("d{}/f{number}", number % 7), format!("content {number}"));
    }
    context.hard_link("d0/link", "d1/f1").symlink("s", "d0")
}

#[track_caller]
fn digest(user: &User, context: &Path, epoch: Option<&str>) -> String {
    let file = user.home().join("digest");
    let mut call =
        user.steprun(["build", "--no-push", "-c", context.to_str().unwrap(), "--digest-file", file.to_str().unwrap()]);
    if let Some(epoch) = epoch {
        call = call.env("SOURCE_DATE_EPOCH", epoch);
    }
    call.run().succeeded();
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn again_and_elsewhere() {
    let (first, second) = (User::new(), User::new());
    let context = context();
    let expected = digest(&first, context.path(), None);
    assert_eq!(digest(&first, context.path(), None), expected, "with a warm store");
    assert_eq!(digest(&second, context.path(), None), expected, "with a cold store");
    let copy = tempfile::tempdir().unwrap();
    let target = copy.path().join("copy");
    let copied = Command::new("cp").arg("-a").arg(context.path()).arg(&target).status().unwrap();
    assert!(copied.success());
    assert_eq!(digest(&second, &target, None), expected, "from a copy of the context");
}

#[test]
fn source_date_epoch_takes_the_place_of_newer_times() {
    let (one, other) = (context(), context().modified("d1/f8", 1_750_000_000));
    // Without a store that has seen the other one: times are no inputs of the cache.
    let fresh = |context: &steprun_tests::Context, epoch| digest(&User::new(), context.path(), epoch);
    let epoch = Some("1600000000");
    assert_ne!(fresh(&one, None), fresh(&other, None));
    assert_eq!(fresh(&one, epoch), fresh(&other, epoch));
}

#[test]
fn content_counts() {
    let user = User::new();
    let (one, other) = (context(), context().file("d1/f8", "content x"));
    assert_ne!(digest(&user, one.path(), None), digest(&user, other.path(), None));
}
