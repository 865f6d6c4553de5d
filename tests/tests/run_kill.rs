//! A build that is killed at any moment leaves nothing that disturbs the next one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use steprun_tests::{Context, Inside, Place, Registry, each, layers, rootfs, sha256};

/// Over all rungs.
const KILLS: u32 = 100;

/// The moments are the same on each run of the test, as far as a machine repeats itself.
const SEED: u64 = 0x5eed_5eed_5eed_5eed;

/// A layer of the base, two of RUN (one with something in the background), one of COPY.
const LINES: &str = "RUN seq 20000 > /numbers && (setsid sleep 1000 &)\nCOPY file /\nRUN --mount=type=cache,target=/tmp cp /numbers /tmp/ && rm /numbers && mkdir /made";

/// Numbers in `0..limit` (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Each file of the store's blobs has the digest that it is named after.
#[track_caller]
fn assert_whole(store: &Path) {
    let blobs: Vec<_> = fs::read_dir(store.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!blobs.is_empty());
    for blob in blobs {
        let name = blob.file_name().unwrap().to_str().unwrap();
        assert_eq!(sha256(&fs::read(&blob).unwrap()), format!("sha256:{name}"), "half-written");
    }
}

#[test]
fn a_killed_build_leaves_nothing() {
    let registry = Registry::plain();
    rootfs::busybox().push(&registry, "busybox:1");
    let dockerfile = format!("FROM {}\n{LINES}\n", registry.image("busybox:1"));
    let context = Context::with_dockerfile(&dockerfile).file("file", "content");
    let image = registry.image("app:1");
    let build = |inside: &Inside, flags: &[&str]| {
        let call = inside.build(context.path(), &image, flags).env("SOURCE_DATE_EPOCH", "1600000000");
        call.spawn()
    };
    each(Place::RUNGS, |place| {
        let inside = place.enter(&[context.path()]);
        let mounts = inside.mounts();
        let first = build(&inside, &[]).wait().succeeded();
        let (digest, expected) = (first.digest(), layers(&registry, "app:1"));
        let mut random = Random(SEED);
        for _ in 0..KILLS.div_ceil(Place::RUNGS.len() as u32) {
            // Half of them begin with an empty store, where the base is unpacked.
            if random.below(2) == 0 {
                inside.comes_to_rest();
                match fs::remove_dir_all(inside.store()) {
                    // Killed before it made one.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    outcome => outcome.unwrap(),
                }
            }
            // Some take what there is from the cache, which earlier ones were writing when they were killed.
            let flags: &[&str] = if random.below(3) == 0 { &[] } else { &["--no-cache"] };
            let running = build(&inside, flags);
            let moment = random.below(u64::try_from(first.elapsed.as_micros()).unwrap());
            // The moment is what is tested: nothing is waited for.
            std::thread::sleep(Duration::from_micros(moment));
            running.signal(Signal::KILL);
            running.wait();
            inside.comes_to_rest();
            assert_eq!(inside.mounts(), mounts, "{place:?}");
        }
        for flags in [[].as_slice(), &["--no-cache"]] {
            assert_eq!(build(&inside, flags).wait().succeeded().digest(), digest, "{place:?}");
        }
        assert_eq!(layers(&registry, "app:1"), expected, "{place:?}");
        inside.comes_to_rest();
        let workspaces = fs::read_dir(inside.store().join("runs")).into_iter().flatten().count();
        assert_eq!(workspaces, 0, "{place:?}");
        assert_whole(&inside.store());
    });
}
