use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn read_only_and_closed_directories_go() {
    let fixture = fixture();
    let root = fixture.directory("r");
    shell(
        &root,
        "mkdir -p a/b/c x; echo f >a/b/c/f; mkfifo a/p; ln -s /etc etc; chmod 0 a/b/c; chmod 555 a/b a; chmod 0 x",
    );
    let outside = fixture.directory("outside");
    fs::write(outside.join("kept"), "kept").unwrap();
    std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o500)).unwrap();
    remove(&root).unwrap();
    assert!(!root.exists() && outside.join("kept").exists());
    assert!(remove(&root).is_err());
}

#[test]
fn a_link_instead_of_the_root_is_not_followed() {
    let fixture = fixture();
    let outside = fixture.directory("outside");
    fs::write(outside.join("kept"), "kept").unwrap();
    let link = fixture.root.path().join("link");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    assert!(remove(&link).is_err());
    assert!(outside.join("kept").exists());
}

#[test]
fn names_that_are_in_the_way_do_not_matter() {
    let fixture = fixture();
    let root = fixture.directory("r");
    for (at, moved) in [("a/x/1", ".removed-1"), ("a/y/1", ".removed-2/z"), ("b/x", ".removed-3/deep/er")] {
        fs::create_dir_all(root.join(at)).unwrap();
        fs::create_dir_all(root.join(moved)).unwrap();
    }
    fs::write(root.join(".removed-4"), "a file").unwrap();
    remove(&root).unwrap();
    assert!(!root.exists());
}

/// Deeper than any path can say, and than any recursion or number of open files would bear.
#[test]
fn depth_does_not_matter() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let fixture = fixture();
    let root = fixture.directory("r");
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = openat(rustix::fs::CWD, &root, flags, Mode::empty()).unwrap();
    for _ in 0..3_000 {
        mkdirat(&here, "nested", Mode::RWXU).unwrap();
        here = openat(&here, "nested", flags, Mode::empty()).unwrap();
    }
    drop(here);
    remove(&root).unwrap();
    assert!(!root.exists());
}
