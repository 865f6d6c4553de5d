//! A RUN that hunts for what it must not see, on each rung; docs/run.md makes the claims.
//!
//! What is to be found is planted by the test and has `canary` in it; the hunter spells that word so that its own text is no find.

use std::io::ErrorKind;
use std::net::TcpListener;

use steprun_tests::{Context, Inside, Outcome, Place, Registry, each, rootfs};

/// Looks wherever a path, a process or a variable may lead; `$@` are paths of the host. Prints `loot` and a number for each find.
const HUNTER: &str = r#"
word='can''ary'
found() { echo "lo""ot: $1"; }
env | grep -q "$word" && found environment
for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do
    grep -q "$word" "$file" 2>/dev/null && found "$file"
done
for process in /proc/[0-9]*; do
    for way in root cwd; do
        for path in "$@"; do
            grep -q -r "$word" "$process/$way$path" 2>/dev/null && found "$process/$way$path"
        done
    done
    for file in "$process"/fd/*; do
        case "$(readlink "$file")" in /*) test -f "$file" && grep -q "$word" "$file" 2>/dev/null && found "$file" ;; esac
    done
    # Process 1 is the sandbox's own, a fork of the supervisor.
    if test "$process" != /proc/1; then
        tr '\0' ' ' < "$process/cmdline" 2>/dev/null | grep -q 'sandbox-super''visor' && found "$process: the host's process"
    fi
done
for path in "$@" /kaniko /root/.docker "$HOME/.docker" "$DOCKER_CONFIG/config.json" /run/secrets /run/containers; do
    for up in '' /proc/self/root /.. /proc/self/cwd/../../../../.. /tmp/../../..; do
        grep -q -r "$word" "$up$path" 2>/dev/null && found "$up$path"
    done
done
for top in /*; do
    case "$top" in /proc | /sys | /dev) ;; *) grep -q -r "$word" "$top" 2>/dev/null && found "$top" ;; esac
done
# Of its own process: what it reads the directory with is among them, but where the supervisor reads it for the command.
descriptors=$(/bin/busybox ls /proc/self/fd | tr '\n' ' ')
case "$descriptors" in '' | '0 1 2 ' | '0 1 2 3 ') ;; *) found "descriptors $descriptors" ;; esac
true
"#;

/// A registry, a context with the hunter and a canary, and a registry login with one.
struct Scene {
    registry: Registry,
    context: Context,
}

impl Scene {
    /// `lines` stand after a FROM; `HUNT` is a RUN of the hunter.
    fn new(lines: &str) -> Self {
        let registry = Registry::plain();
        rootfs::busybox().push(&registry, "busybox:1");
        let context = Context::new()
            .file("secret", "canary of the context")
            .file("token", "canary of a secret")
            .file("hunt", HUNTER);
        let paths = format!("{0} /var/lib/steprun {0}/secret", context.path().display());
        let hunt = format!("RUN --mount=type=bind,source=hunt,target=/tmp/hunt sh /tmp/hunt {paths} $HOMES");
        let dockerfile =
            format!("FROM {} AS base\nARG HOMES\n{}\n", registry.image("busybox:1"), lines.replace("HUNT", &hunt));
        Self { context: context.file("Dockerfile", dockerfile), registry }
    }

    fn hunt(&self, inside: &Inside, more: &[&str]) -> Outcome {
        let docker = inside.home().join(".docker");
        std::fs::create_dir_all(&docker).unwrap();
        std::fs::write(docker.join("config.json"), r#"{"auths":{"canary.example":{"auth":"Y2FuYXJ5OmNhbmFyeQ=="}}}"#)
            .unwrap();
        std::os::unix::fs::chown(&docker, Some(inside.uid()), Some(inside.uid())).unwrap();
        let homes = format!("HOMES={}", inside.home().display());
        let secret = format!("id=token,src={}/token", self.context.path().display());
        let words = ["--build-arg", &homes, "--secret", &secret, "--progress", "plain"];
        inside
            .build(self.context.path(), &self.registry.image("app:1"), &[&words[..], more].concat())
            .env("STEPRUN_TEST_SECRET", "canary of the environment")
            .env("DOCKER_CONFIG", docker)
            .run()
            .succeeded()
    }
}

#[test]
fn the_hunter_finds_what_is_there() {
    let scene = Scene::new("RUN echo can''ary > /found\nHUNT");
    let inside = Place::Machine.enter(&[scene.context.path()]);
    scene.hunt(&inside, &[]).says(&["loot: /found"]);
}

#[test]
fn nothing_of_the_host_is_found() {
    let scene = Scene::new(
        "FROM base AS other\nRUN echo can''ary of a stage > /found\n\
         FROM base\nARG HOMES\nCOPY --from=other /bin/busybox /copied\nRUN --mount=type=secret,id=token true\nHUNT",
    );
    each(Place::ALL, |place| {
        let inside = place.enter(&[scene.context.path()]);
        let outcome = scene.hunt(&inside, &[]);
        assert!(!outcome.stderr.contains("loot: "), "{place:?}:\n{}", outcome.stderr);
    });
}

#[test]
fn without_leave_there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connects = format!("nc -w 2 127.0.0.1 {port} < /dev/null");
    let scene = Scene::new(&format!("RUN if {connects}; then exit 9; fi"));
    each(Place::ALL, |place| {
        scene.hunt(&place.enter(&[scene.context.path()]), &[]);
    });
    let refused = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::WouldBlock), "somebody came through");
    // With leave the same command gets through: the test can fail.
    let scene = Scene::new(&format!("RUN {connects}"));
    let inside = Place::Machine.enter(&[scene.context.path()]);
    listener.set_nonblocking(false).unwrap();
    let host = std::thread::spawn(move || drop(listener.accept().unwrap()));
    scene.hunt(&inside, &["--allow-net"]);
    host.join().unwrap();
}

/// What a command tries against the place that it runs in, as root where it can be: each line must fail, or do nothing.
const ATTACKS: [(&str, &str); 7] = [
    ("mount", "mount -t tmpfs none /tmp"),
    ("mount of proc", "mkdir /p; mount -t proc none /p"),
    ("a block device", "mknod /disk b 254 0 && head -c 1 /disk"),
    ("a kernel parameter", "echo 1 > /proc/sys/kernel/panic"),
    ("chroot out", "mkdir -p /a && chroot /a/../../../.. /usr/bin/env"),
    ("trace process 1", "head -c 1 /proc/1/mem"),
    ("a module", "insmod /bin/busybox"),
];

#[test]
fn the_place_is_not_changed() {
    each(Place::RUNGS, |place| {
        each(ATTACKS, |(name, line)| {
            let scene = Scene::new(&format!("RUN if {line}; then exit 9; fi"));
            let inside = place.enter(&[scene.context.path()]);
            let mounts = inside.mounts();
            let outcome = scene.hunt(&inside, &[]);
            assert_eq!(outcome.status, Some(0), "{name} in {place:?}");
            assert_eq!(inside.mounts(), mounts, "{name} in {place:?}");
        });
    });
}

#[test]
fn signals_reach_nobody_outside() {
    let scene = Scene::new("RUN kill -9 -1; for id in $(seq 2 400); do kill -9 $id 2>/dev/null; done; true");
    each(Place::RUNGS, |place| {
        let inside = place.enter(&[scene.context.path()]);
        // It waits for a file of ours, as no descriptor of it is open to be closed by accident.
        let line = "echo alive >&2; until test -e go; do sleep 0.05; done; exit 7";
        let bystander = inside.program("sh", ["-c", line]).spawn();
        bystander.until("alive");
        let _ = inside.build(scene.context.path(), &scene.registry.image("app:1"), &[]).run();
        std::fs::write(inside.home().join("go"), "").unwrap();
        assert_eq!(bystander.wait().status, Some(7), "{place:?}");
    });
}

#[test]
fn files_of_the_host_are_as_before() {
    // Only what the test made is tried, in case that it works.
    let scene = Scene::new(
        "RUN for up in '' /proc/1/root /proc/self/root /../../..; do rm -f $up$HOMES/kept; echo x 2>/dev/null >> $up$HOMES/kept; done; true",
    );
    each(Place::RUNGS, |place| {
        let inside = place.enter(&[scene.context.path()]);
        std::fs::write(inside.home().join("kept"), "kept").unwrap();
        scene.hunt(&inside, &[]);
        assert_eq!(std::fs::read_to_string(inside.home().join("kept")).unwrap(), "kept");
    });
}
