//! A big file costs no memory.

use std::fs::File;
use std::io::Write;

use steprun_tests::{Context, Registry, User, inspect, max_rss};

/// Not compressible, so that nothing gets smaller on the way: xorshift64*.
fn noise(file: &mut File, bytes: usize) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = vec![0_u8; 1 << 20];
    for _ in 0..bytes >> 20 {
        for word in block.chunks_exact_mut(8) {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            word.copy_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
        }
        file.write_all(&block).unwrap();
    }
}

#[test]
fn a_gibibyte_within_a_hundred_mebibytes() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY big /\n").file("big", "");
    let path = context.path().to_owned();
    noise(&mut File::create(path.join("big")).unwrap(), 1 << 30);
    let image = registry.image("app:1");
    let build =
        user.steprun(["--progress", "quiet", "build", "-c", path.to_str().unwrap(), "-d", &image]).into_command();
    let measured = max_rss(build);
    assert_eq!(measured.status, Some(0));
    assert!(measured.max_rss <= 100 << 20, "build took {} MiB", measured.max_rss >> 20);
    assert!(inspect(&registry, "app:1", false)["Digest"].is_string());

    let other = Registry::plain();
    let copy = user.steprun(["--progress", "quiet", "promote", "copy", &image, &other.image("app:1")]).into_command();
    let measured = max_rss(copy);
    assert_eq!(measured.status, Some(0));
    assert!(measured.max_rss <= 100 << 20, "copy took {} MiB", measured.max_rss >> 20);
}
