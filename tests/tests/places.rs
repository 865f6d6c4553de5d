//! The places themselves, without our binary: each gives and refuses what the real one does.

use steprun_tests::{Context, Place, each};

/// What a shell line does in [`Place::Machine`], [`Place::Unconfined`], [`Place::Docker`], [`Place::Restricted`].
const FACILITIES: [(&str, [bool; 4]); 9] = [
    ("unshare --user --map-root-user true", [true, true, false, false]),
    ("unshare --user --map-root-user --mount true", [true, true, false, false]),
    ("unshare --mount true", [false, false, false, false]),
    ("chroot / true", [false, true, true, false]),
    ("mknod node c 1 3 && : > node", [false, true, true, false]),
    ("mkfifo fifo", [true, true, true, true]),
    ("touch file && chown 12:12 file", [false, true, true, false]),
    ("grep -q 'NoNewPrivs:.*0' /proc/self/status", [true, true, true, false]),
    ("command -v newuidmap", [true, false, false, false]),
];

#[test]
fn each_gives_what_the_real_one_gives() {
    let inside = Place::ALL.map(|place| place.enter(&[]));
    each(FACILITIES, |(line, expected)| {
        let found: Vec<bool> =
            inside.iter().map(|inside| inside.program("sh", ["-c", line]).run().status == Some(0)).collect();
        assert_eq!(found, expected, "{line}");
    });
}

#[test]
fn each_has_its_user_and_environment() {
    each(Place::ALL, |place| {
        let inside = place.enter(&[]);
        let said = inside.program("sh", ["-c", "id -u; env; echo fine > made; pwd"]).env("A", "b c").run().succeeded();
        let lines: Vec<&str> = said.text().lines().collect();
        match place {
            Place::Machine => assert!(lines[0].parse::<u32>().unwrap() > 1_000_000),
            Place::Unconfined | Place::Docker | Place::Supervised => assert_eq!(lines[0], "0"),
            Place::Restricted => assert_eq!(lines[0], "1000"),
        }
        assert!(lines.contains(&"A=b c"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
        assert_eq!(lines.last().copied(), inside.home().to_str());
        assert_eq!(std::fs::read_to_string(inside.home().join("made")).unwrap(), "fine\n");
    });
}

#[test]
fn each_sees_what_is_named_and_cannot_write_it() {
    let context = Context::new().file("file", "content");
    each(Place::ALL, |place| {
        let inside = place.enter(&[context.path()]);
        let line = format!("cd {} && cat file && if touch x; then exit 1; fi", context.path().display());
        assert_eq!(inside.program("sh", ["-c", &line]).run().succeeded().text(), "content");
    });
}

#[test]
fn processes_that_are_left_are_seen() {
    each(Place::ALL, |place| {
        let inside = place.enter(&[]);
        assert_eq!(inside.processes(), [""; 0]);
        let mounts = inside.mounts();
        inside.program("sh", ["-c", "setsid sleep 100 > /dev/null 2>&1 &"]).run().succeeded();
        let left = inside.processes();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].contains("sleep 100"), "{left:?}");
        assert_eq!(inside.mounts(), mounts);
    });
}
