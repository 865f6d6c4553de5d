//! RUN, on each rung of the ladder: the same Dockerfile means the same everywhere.

use std::path::Path;

use steprun_tests::{Call, Context, Inside, Outcome, Place, Registry, each, layers, layout_of, rootfs, scan, unpack};

/// The exit statuses of the README.
const FAILED: i32 = 1;
const DENIED: i32 = 3;
const TIMED_OUT: i32 = 124;
const INTERRUPTED: i32 = 130;

/// A registry with `busybox:1`, and a context.
struct Scene {
    registry: Registry,
    context: Context,
}

impl Scene {
    /// The lines stand after a FROM, as those from 2 on.
    fn new(lines: &str) -> Self {
        let registry = Registry::plain();
        rootfs::busybox().push(&registry, "busybox:1");
        let dockerfile = format!("FROM {} AS base\n{lines}\n", registry.image("busybox:1"));
        let context = Context::with_dockerfile(&dockerfile).file("dir/file", "content\n").file("token", "hunter2");
        Self { registry, context }
    }

    fn enter(&self, place: Place) -> Inside {
        place.enter(&[self.context.path()])
    }

    fn image(&self) -> String {
        self.registry.image("app:1")
    }

    fn call<'a>(&self, inside: &'a Inside, more: &[&str]) -> Call<'a> {
        inside.build(self.context.path(), &self.image(), more)
    }

    /// Builds it on each rung.
    #[track_caller]
    fn each(&self, more: &[&str], check: impl Fn(&Inside, Outcome)) {
        each(Place::RUNGS, |place| {
            let inside = self.enter(place);
            check(&inside, self.call(&inside, more).run());
        });
    }
}

/// Nothing of a RUN is left.
#[track_caller]
fn assert_clean(inside: &Inside, mounts: &[String]) {
    inside.comes_to_rest();
    assert_eq!(inside.mounts(), mounts, "{:?}", inside.place());
    assert_eq!(inside.leftovers(), [""; 0].map(Path::new), "{:?}", inside.place());
}

/// What a RUN is, by name: each line that is not true fails its build.
const MATRIX: [(&str, &str); 28] = [
    ("shell form", r#"RUN echo "a  b" > /x && test "$(cat /x)" = "a  b""#),
    ("exec form", r#"RUN ["sh", "-c", "test \"$0\" = '$HOME'", "$HOME"]"#),
    ("SHELL", "SHELL [\"sh\", \"-c\", \"test \\\"$1\\\" = 'any  thing'\", \"x\"]\nRUN any  thing"),
    ("continued lines", "RUN echo a > /x \\\n  # a comment\n  && test \"$(cat /x)\" = a"),
    (
        "files of the system",
        "RUN grep -q localhost /etc/hosts && test -f /etc/resolv.conf && test -d /sys && test -e /proc/self/status && test -c /dev/null",
    ),
    ("heredoc as script", "RUN <<EOF\nset -e\nA=1\ntest $A = 1\necho $A > /x\nEOF\nRUN test \"$(cat /x)\" = 1"),
    (
        "heredoc with an interpreter",
        "RUN <<EOF\n#!/bin/busybox sh\ntest \"$0\" != sh && echo 2 > /x\nEOF\nRUN test \"$(cat /x)\" = 2",
    ),
    ("heredoc as input", "RUN cat > /x <<EOF && test \"$(cat /x)\" = body\nbody\nEOF"),
    ("ARG and ENV", "ARG A=1\nENV B=2\nRUN test \"$A$B\" = 12"),
    ("WORKDIR", "WORKDIR /made/here\nRUN test \"$PWD\" = /made/here && touch y\nRUN test -f /made/here/y"),
    (
        "USER by name",
        "USER app\nRUN test \"$(id -u):$(id -g):$(id -G)\" = '1000:1000:1000 50' && test $HOME = /home/app",
    ),
    ("USER by number", "USER 1234\nRUN test \"$(id -u):$(id -g)\" = 1234:0"),
    ("USER with group", "USER app:staff\nRUN test \"$(id -u):$(id -g)\" = 1000:50"),
    ("permissions", "USER app\nRUN if touch /etc/x; then exit 1; fi; touch /home/app/x"),
    ("umask", "RUN test \"$(umask)\" = 0022 && touch /x && test $(stat -c %a /x) = 644"),
    ("owners", "RUN touch /x && chown 12:34 /x && chmod 4711 /x\nRUN test \"$(stat -c %u:%g:%a /x)\" = 12:34:4711"),
    (
        "bind of the context",
        "RUN --mount=type=bind,source=dir,target=/tmp test \"$(cat /tmp/file)\" = content\nRUN test ! -e /tmp/file",
    ),
    (
        "bind of a stage",
        "RUN echo made > /x\nFROM base\nRUN rm /x\nRUN --mount=type=bind,from=base,source=/x,target=/tmp/x test \"$(cat /tmp/x)\" = made",
    ),
    (
        "writes to a bind are dropped",
        "RUN --mount=type=bind,rw,source=dir,target=/tmp touch /tmp/new\nRUN --mount=type=bind,source=dir,target=/tmp test ! -e /tmp/new",
    ),
    ("tmpfs", "RUN --mount=type=tmpfs,target=/tmp touch /tmp/x\nRUN test ! -e /tmp/x"),
    (
        "cache",
        "RUN --mount=type=cache,target=/tmp touch /tmp/x\nRUN test ! -e /tmp/x\nRUN --mount=type=cache,target=/tmp test -e /tmp/x",
    ),
    (
        "secret",
        "RUN --mount=type=secret,id=token,mode=0400 test \"$(cat /run/secrets/token)\" = hunter2\nRUN test ! -s /run/secrets/token",
    ),
    (
        "secret as a variable",
        "RUN --mount=type=secret,id=token,env=TOKEN test \"$TOKEN\" = hunter2\nRUN test -z \"$TOKEN\"",
    ),
    ("no input", "RUN test -z \"$(cat)\""),
    (
        "devices",
        "RUN echo x > /dev/null && test $(head -c 4 /dev/urandom | wc -c) = 4 && test -c /dev/zero && echo x > /dev/stdout && touch /dev/shm/x",
    ),
    ("proc", "RUN test \"$(readlink /proc/self/exe)\" = /bin/busybox && grep -q ^Name: /proc/self/status"),
    ("nothing of these is recorded", "RUN touch /dev/shm/x\nRUN test ! -e /dev/shm/x"),
    ("fifo between processes", "RUN mkfifo /tmp/p && (echo through > /tmp/p &) && test \"$(cat /tmp/p)\" = through"),
];

#[test]
fn row_63_means_the_same_on_each_rung() {
    let registry = Registry::plain();
    rootfs::busybox().push(&registry, "busybox:1");
    each(Place::RUNGS.into_iter().chain([Place::Supervised]), |place| {
        each(MATRIX, |(name, lines)| {
            let dockerfile = format!("FROM {} AS base\n{lines}\n", registry.image("busybox:1"));
            let context = Context::with_dockerfile(&dockerfile).file("dir/file", "content\n").file("token", "hunter2");
            let inside = place.enter(&[context.path()]);
            let secret = format!("id=token,src={}/token", context.path().display());
            let outcome = inside.build(context.path(), &registry.image("app:1"), &["--secret", &secret]).run();
            assert_eq!(outcome.status, Some(0), "{name} in {place:?}:\n{}", outcome.stderr);
        });
    });
}

#[test]
fn rows_63_68_system_directories_stay_empty_and_mount_points_go() {
    let mounts = "--mount=type=cache,target=/cache/deep --mount=type=tmpfs,target=/memory --mount=target=/bound/here \
                  --mount=type=secret,id=token --mount=type=secret,id=token,target=/file";
    let scene = Scene::new(&format!(
        "FROM scratch\nCOPY --from=base /bin/busybox /bin/\nRUN {mounts} [\"/bin/busybox\", \"touch\", \"/made\"]"
    ));
    let secret = format!("id=token,src={}/token", scene.context.path().display());
    scene.each(&["--secret", &secret], |_, outcome| {
        outcome.succeeded();
        let directory = tempfile::tempdir().unwrap();
        let layout = layout_of(&scene.registry, "app:1", directory.path());
        let tree = scan(&unpack(&layout, "image", directory.path()));
        let paths: Vec<&str> = tree.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["bin", "bin/busybox", "dev", "made", "proc", "sys"]);
        for system in ["dev", "proc", "sys"] {
            let entry = tree.iter().find(|entry| entry.path == system).unwrap();
            assert_eq!(entry.to_string(), format!("d 0755 0:0 0 {system}"));
        }
    });
}

#[test]
fn the_strongest_rung_is_taken_and_told() {
    let scene = Scene::new("RUN true");
    each(Place::ALL, |place| {
        let inside = scene.enter(place);
        let told = format!("RUN in a sandbox of kind {}", place.rung());
        scene.call(&inside, &["--progress", "plain"]).run().succeeded().says(&[&told]);
        let doctor = inside.steprun(["doctor"]).run().succeeded();
        assert!(doctor.text().contains(place.rung()), "{}", doctor.text());
    });
}

#[test]
fn a_rung_that_is_asked_for_is_taken_or_refused() {
    let scene = Scene::new("RUN true");
    let inside = scene.enter(Place::Machine);
    let told = "RUN in a sandbox of kind supervised";
    scene.call(&inside, &["--isolation", "supervised", "--progress", "plain"]).run().succeeded().says(&[told]);
    let inside = scene.enter(Place::Restricted);
    each(["userns", "chroot"], |rung| {
        scene.call(&inside, &["--isolation", rung]).run().exited(FAILED).says(&[rung]);
    });
}

#[test]
fn without_leave_it_is_denied() {
    let scene = Scene::new("RUN true");
    let inside = scene.enter(Place::Machine);
    let words = ["build", "-c", scene.context.path().to_str().unwrap(), "-d", &scene.image()];
    inside.steprun(words).run().exited(DENIED).says(&["--allow-run"]);
    assert_eq!(scene.registry.repositories(), ["busybox"]);
}

#[test]
fn a_failing_command_is_shown_with_its_place_and_output() {
    let scene = Scene::new("RUN true\nRUN echo about to fail; exit 42");
    scene.each(&[], |_, outcome| {
        outcome.exited(42).prints_nothing().says(&["Dockerfile:3", "about to fail"]);
    });
    assert_eq!(scene.registry.repositories(), ["busybox"]);
}

#[test]
fn a_secret_that_is_required_and_missing_is_named() {
    let scene = Scene::new("RUN --mount=type=secret,id=absent,required=true true");
    scene.each(&[], |_, outcome| {
        outcome.exited(FAILED).says(&["absent"]);
    });
}

#[test]
fn row_64_what_it_leaves_behind_is_killed() {
    let lines = "RUN (setsid sleep 1000 &) && (nohup sleep 1000 > /dev/null 2>&1 &)\n\
                 RUN sh -c 'while true; do sh -c \"sleep 1 & sleep 2\" & sleep 0.01; done' & sleep 0.1";
    let scene = Scene::new(lines);
    each(Place::RUNGS, |place| {
        let inside = scene.enter(place);
        let mounts = inside.mounts();
        scene.call(&inside, &[]).run().succeeded();
        assert_clean(&inside, &mounts);
    });
}

#[test]
fn the_time_limit_ends_the_tree() {
    let scene = Scene::new("RUN (setsid sleep 1000 &); sleep 1000");
    each(Place::RUNGS, |place| {
        let inside = scene.enter(place);
        let mounts = inside.mounts();
        scene.call(&inside, &["--timeout", "2s"]).run().exited(TIMED_OUT);
        assert_clean(&inside, &mounts);
    });
}

#[test]
fn an_interrupt_leaves_nothing() {
    let scene = Scene::new("RUN (setsid sleep 1000 &); echo it is rea''dy; sleep 1000");
    each(Place::RUNGS, |place| {
        let inside = scene.enter(place);
        let mounts = inside.mounts();
        let running = scene.call(&inside, &["--progress", "plain"]).spawn();
        running.until("it is ready");
        running.signal(rustix::process::Signal::INT);
        running.wait().exited(INTERRUPTED);
        assert_clean(&inside, &mounts);
    });
    assert_eq!(scene.registry.repositories(), ["busybox"]);
}

#[test]
fn one_that_changes_nothing_makes_no_layer() {
    let scene = Scene::new("RUN true\nRUN touch /tmp/x && rm /tmp/x && touch -d @1700000000 /tmp");
    scene.each(&[], |_, outcome| {
        outcome.succeeded();
        assert_eq!(layers(&scene.registry, "app:1"), layers(&scene.registry, "busybox:1"));
    });
}

#[test]
fn a_cache_outlives_the_build() {
    let scene = Scene::new("ARG N\nRUN --mount=type=cache,target=/tmp echo $N >> /tmp/all && cp /tmp/all /all");
    each(Place::RUNGS, |place| {
        let inside = scene.enter(place);
        scene.call(&inside, &["--build-arg", "N=1"]).run().succeeded();
        let directory = tempfile::tempdir().unwrap();
        scene.call(&inside, &["--build-arg", "N=2"]).run().succeeded();
        let layout = layout_of(&scene.registry, "app:1", directory.path());
        let root = unpack(&layout, "image", directory.path());
        assert_eq!(std::fs::read_to_string(root.join("all")).unwrap(), "1\n2\n");
    });
}

/// A base stays unpacked in the store: what a command did to it, a failing one too, is undone for the next build.
#[test]
fn a_base_is_what_it_was_for_the_next_build() {
    const DAMAGE: [(&str, bool); 2] = [
        (
            "echo x >> /etc/passwd && chmod 700 /etc && chown 5:6 /home && rm -r /root && ln -s /etc /root && mkdir /new",
            true,
        ),
        ("rm /bin/ls && echo half > /bin/ls && exit 9", false),
    ];
    let scene = Scene::new(
        "RUN ls -lnR /bin /home /root > /list && stat -c %a:%u:%g /etc >> /list\nRUN cat /etc/passwd /bin/ls > /all",
    );
    let damage = DAMAGE.map(|(line, works)| (Scene::new(&format!("RUN {line}")), works));
    let damaged: Vec<_> = damage.iter().map(|(scene, _)| scene.context.path()).collect();
    each(Place::RUNGS, |place| {
        let build = |inside: &Inside| {
            let call = scene.call(inside, &[]).env("SOURCE_DATE_EPOCH", "1600000000");
            call.run().succeeded();
            layers(&scene.registry, "app:1")
        };
        let fresh = build(&scene.enter(place));
        let sees: Vec<&Path> = damaged.iter().copied().chain([scene.context.path()]).collect();
        let inside = place.enter(&sees);
        for (damage, works) in &damage {
            let outcome = damage.call(&inside, &[]).run();
            if *works {
                outcome.succeeded()
            } else {
                outcome.exited(9)
            };
            assert_eq!(build(&inside), fresh, "{place:?}");
        }
    });
}
