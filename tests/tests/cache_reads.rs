//! `--cache-reads`: a RUN whose files have not changed is not done again, whatever else has.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use steprun_tests::{Context, Outcome, Registry, User, each, rootfs};

/// Times of RUN's files are these at most, so that two runs of one command make the same layer.
const EPOCH: &str = "1700000000";
/// What progress says of a RUN that was not done again for what it read.
const HIT: &str = "cached: it reads nothing that has changed";

/// What a RUN sees in `/app`, and all that the cases change.
fn files(dockerfile: &str) -> Context {
    Context::with_dockerfile(dockerfile)
        .file("read", "1\n")
        .file("other", "1\n")
        .file("dir/x", "x\n")
        .file("dir/sub/y", "y\n")
        .symlink("dir/xl", "x")
        .file("unread/z", "z\n")
        .directory("empty")
        .file("tool", "#!/app/interpreter\n")
        .mode("tool", 0o755)
        .file("interpreter", "#!/bin/sh\necho one\n")
        .mode("interpreter", 0o755)
        .symlink("link", "read")
        .symlink("dlink", "dir")
}

struct Scene {
    registry: Registry,
    user: User,
    context: Context,
}

impl Scene {
    /// The lines stand after a COPY of the context to `/app`, where they run.
    fn new(lines: &str) -> Self {
        let registry = Registry::plain();
        rootfs::busybox().push(&registry, "base:1");
        let text = format!("FROM {}\nCOPY . /app\nWORKDIR /app\n{lines}\n", registry.image("base:1"));
        Self { registry, user: User::new(), context: files(&text) }
    }

    fn build(&self, user: &User, more: &[&str]) -> Outcome {
        let image = self.registry.image("app:1");
        let context = self.context.path().to_str().unwrap();
        let words = ["build", "--allow-run", "--isolation", "supervised", "-c", context, "-d", &image];
        let times = ["--source-date-epoch", EPOCH, "--progress", "plain"];
        user.succeeds(words.iter().chain(&times).chain(more).copied())
    }

    fn with_reads(&self, more: &[&str]) -> Outcome {
        self.build(&self.user, &[&["--cache-reads"], more].concat())
    }

    /// What somebody makes who never built anything.
    fn afresh(&self) -> Outcome {
        self.build(&User::new(), &[])
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.context.path().join(path)
    }
}

/// How often a RUN was taken for what it read.
fn hits(outcome: &Outcome) -> usize {
    outcome.stderr.lines().filter(|line| line.contains(HIT)).count()
}

/// A change of the context.
type Change = fn(&Path);

fn write(path: &Path, content: &str) {
    let mode = fs::metadata(path).map(|found| found.permissions());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    if let Ok(mode) = mode {
        fs::set_permissions(path, mode).unwrap();
    }
}

fn retarget(link: &Path, target: &str) {
    fs::remove_file(link).unwrap();
    symlink(target, link).unwrap();
}

/// Command, change, and whether the result holds after it.
const CASES: [(&str, Change, bool); 46] = [
    ("cat read > out", |at| write(&at.join("other"), "2"), true),
    ("cat read > out", |at| write(&at.join("new"), "2"), true),
    ("cat read > out", |at| write(&at.join("unread/new"), "2"), true),
    ("cat read > out", |at| fs::remove_file(at.join("other")).unwrap(), true),
    ("cat read > out", |at| write(&at.join("read"), "2"), false),
    ("cat read > out || true", |at| fs::create_dir(at.join("out")).unwrap(), false),
    ("cat < read > out", |at| write(&at.join("read"), "2"), false),
    ("test -x other && touch yes || touch no", |at| mode(&at.join("other"), 0o755), false),
    ("stat -c %a other > out", |at| mode(&at.join("other"), 0o600), false),
    ("stat -c %s other > out", |at| write(&at.join("other"), "longer"), false),
    ("[ -e new ] && touch yes || touch no", |at| write(&at.join("new"), ""), false),
    ("[ -e no/such ] && touch yes || touch no", |at| write(&at.join("no/such"), ""), false),
    ("[ -e no/such ] && touch yes || touch no", |at| write(&at.join("unread/such"), ""), true),
    (
        "[ -d other/x ] && touch yes || touch no",
        |at| {
            fs::remove_file(at.join("other")).unwrap();
            write(&at.join("other/x/y"), "")
        },
        false,
    ),
    ("echo dir/* > out", |at| write(&at.join("dir/new"), ""), false),
    ("echo dir/* > out", |at| write(&at.join("dir/x"), "2"), true),
    ("echo dir/* > out", |at| fs::remove_file(at.join("dir/x")).unwrap(), false),
    (
        "echo dir/*/ > out",
        |at| {
            fs::remove_file(at.join("dir/x")).unwrap();
            fs::create_dir(at.join("dir/x")).unwrap()
        },
        false,
    ),
    ("ls -l dir > out", |at| write(&at.join("dir/x"), "longer"), false),
    ("cat link > out", |at| retarget(&at.join("link"), "other"), false),
    ("cat link > out", |at| write(&at.join("read"), "2"), false),
    ("readlink link > out", |at| retarget(&at.join("link"), "other"), false),
    ("readlink link > out", |at| write(&at.join("read"), "2"), true),
    ("cat dlink/x > out", |at| write(&at.join("dir/x"), "2"), false),
    ("cat dlink/x > out", |at| write(&at.join("dir/sub/y"), "2"), true),
    ("cat dlink/xl > out", |at| retarget(&at.join("dir/xl"), "sub/y"), false),
    (
        "cat dlink/sub/../x > out || true",
        |at| {
            fs::remove_dir_all(at.join("dir/sub")).unwrap();
            write(&at.join("dir/sub"), "")
        },
        false,
    ),
    ("ln -s /app/dir made && cat made/xl > out", |at| write(&at.join("dir/x"), "2"), false),
    ("ln -s /app/dir made && cat made/xl > out", |at| retarget(&at.join("dir/xl"), "sub/y"), false),
    ("ln -s other made && cat made && ln -sf read made && cat made > out", |at| write(&at.join("read"), "2"), false),
    ("cat dir/x; rm -r dir; ln -s unread dir; cat dir/z > out", |at| write(&at.join("unread/z"), "2"), false),
    ("./tool > out", |at| write(&at.join("interpreter"), "#!/bin/sh\necho two\n"), false),
    ("./tool > out", |at| write(&at.join("other"), "2"), true),
    ("find . -name y > out", |at| write(&at.join("unread/y"), ""), false),
    ("cp -r dir copy", |at| write(&at.join("dir/sub/y"), "2"), false),
    ("cp -r dir copy", |at| write(&at.join("other"), "2"), true),
    ("tar cf /out dir", |at| write(&at.join("dir/sub/y"), "2"), false),
    ("mv dir moved", |at| write(&at.join("dir/sub/y"), "2"), false),
    ("mv dir moved", |at| write(&at.join("dir/sub/new"), "2"), false),
    ("mv dir moved", |at| write(&at.join("unread/z"), "2"), true),
    ("rm -r dir", |at| write(&at.join("dir/sub/new"), "2"), false),
    ("rmdir empty || true", |at| write(&at.join("empty/new"), "2"), false),
    ("cd dir/sub && cat ../x > /out", |at| write(&at.join("dir/x"), "2"), false),
    ("cat /proc/self/cwd/read > /out", |at| write(&at.join("read"), "2"), false),
    ("chmod -R go-r dir", |at| write(&at.join("dir/sub/y"), "2"), false),
    ("ln read name && echo 2 >> name", |at| write(&at.join("read"), "3"), false),
];

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn what_a_run_saw_counts_and_nothing_else() {
    each(CASES.into_iter().enumerate(), |(number, (command, change, holds))| {
        let scene = Scene::new(&format!("RUN {command}"));
        scene.with_reads(&[]);
        change(scene.context.path());
        let again = scene.with_reads(&["--explain-cache"]);
        assert_eq!(hits(&again) == 1, holds, "case {number}, {command}:\n{}", again.stderr);
        assert_eq!(again.digest(), scene.afresh().digest(), "case {number}, {command}");
    });
}

#[test]
fn a_hit_is_remembered_and_a_miss_is_explained() {
    let scene = Scene::new("RUN cat read > out\nRUN cat out other > out2");
    scene.with_reads(&[]);
    write(&scene.at("unread/z"), "2");
    assert_eq!(hits(&scene.with_reads(&[])), 2);
    // By the ordinary key now: the option is not needed any more.
    let again = scene.build(&scene.user, &[]);
    assert_eq!((hits(&again), again.stderr.matches(": cached").count()), (0, 4), "{}", again.stderr);
    write(&scene.at("other"), "2");
    let told = scene.with_reads(&["--explain-cache"]);
    assert_eq!(hits(&told), 1, "{}", told.stderr);
    assert!(told.stderr.contains("it read /app/other, which has changed"), "{}", told.stderr);
    assert_eq!(told.digest(), scene.afresh().digest());
    assert_eq!(hits(&scene.with_reads(&["--no-cache"])), 0);
}

/// A stage that no image has, of which only a file is taken.
#[test]
fn commands_of_intermediate_stages_hit_too() {
    let scene = Scene::new("RUN cat read > out\nFROM scratch\nCOPY --from=0 /app/out /out");
    scene.with_reads(&[]);
    write(&scene.at("other"), "2");
    let again = scene.with_reads(&[]);
    assert_eq!(hits(&again), 1, "{}", again.stderr);
    assert_eq!(again.digest(), scene.afresh().digest());
    write(&scene.at("read"), "2");
    let again = scene.with_reads(&[]);
    assert_eq!((hits(&again), again.digest()), (0, scene.afresh().digest()));
}

#[test]
fn mounts_are_inputs_of_their_own() {
    let scene = Scene::new("RUN --mount=target=/m cat /m/read > out");
    scene.with_reads(&[]);
    // All that a mount shows is an input, read or not.
    write(&scene.at("other"), "2");
    assert_eq!(hits(&scene.with_reads(&[])), 0);
    let scene = Scene::new("RUN --mount=type=cache,target=/app/dir/cache --mount=type=tmpfs,target=/t cat read > out");
    scene.with_reads(&[]);
    write(&scene.at("other"), "2");
    assert_eq!(hits(&scene.with_reads(&[])), 1);
    // Where a mount goes, something has to be.
    retarget(&scene.at("dlink"), "unread");
    fs::remove_dir_all(scene.at("dir")).unwrap();
    symlink("unread", scene.at("dir")).unwrap();
    let again = scene.with_reads(&[]);
    assert_eq!((hits(&again), again.digest()), (0, scene.afresh().digest()));
}

#[test]
fn users_other_than_root_see_what_they_may() {
    let scene = Scene::new("USER app\nRUN cat dir/x > /tmp/out || touch /tmp/denied");
    scene.with_reads(&[]);
    write(&scene.at("other"), "2");
    assert_eq!(hits(&scene.with_reads(&[])), 1);
    mode(&scene.at("dir"), 0o700);
    let again = scene.with_reads(&[]);
    assert_eq!((hits(&again), again.digest()), (0, scene.afresh().digest()));
}

#[test]
fn libraries_and_loaders_are_read() {
    let registry = Registry::plain();
    let debian = rootfs::Debian::get();
    debian.push(&registry, "base:1");
    let library = fs::read_dir(debian.root().join("usr/lib/x86_64-linux-gnu")).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        entry.file_name().to_str().unwrap().starts_with("libselinux.so.").then(|| entry.path())
    });
    let name = library.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let text = format!("FROM {}\nCOPY . /app\nRUN LD_LIBRARY_PATH=/app/lib ls -d / > /out\n", registry.image("base:1"));
    let context = files(&text).file(&format!("lib/{name}"), fs::read(library.unwrap()).unwrap());
    let scene = Scene { registry, user: User::new(), context };
    scene.with_reads(&[]);
    write(&scene.at("other"), "2");
    assert_eq!(hits(&scene.with_reads(&[])), 1);
    // Bytes at the end change nothing, which nobody knows.
    let path = scene.at(&format!("lib/{name}"));
    let longer = [fs::read(&path).unwrap(), b"x".to_vec()].concat();
    fs::write(&path, longer).unwrap();
    let again = scene.with_reads(&["--explain-cache"]);
    assert_eq!(hits(&again), 0);
    assert!(again.stderr.contains(&format!("it read /app/lib/{name}, which has changed")), "{}", again.stderr);
}

/// A word of a command: it looks somewhere, or makes something.
fn commands() -> impl Strategy<Value = String> {
    let path = || {
        let names = [
            "read",
            "other",
            "dir",
            "dir/x",
            "dir/sub",
            "dir/sub/y",
            "dir/xl",
            "link",
            "dlink",
            "dlink/x",
            "unread/z",
            "a",
            "b",
            "a/x",
            "empty",
        ];
        prop_oneof![Just("."), proptest::sample::select(names.to_vec())].prop_map(str::to_owned)
    };
    prop_oneof![
        path().prop_map(|path| format!("cat {path} >> /out")),
        path().prop_map(|path| format!("test -e {path} && echo there >> /out")),
        path().prop_map(|path| format!("test -d {path} && echo directory >> /out")),
        path().prop_map(|path| format!("echo {path}/* >> /out")),
        path().prop_map(|path| format!("readlink {path} >> /out")),
        path().prop_map(|path| format!("find {path} >> /out")),
        path().prop_map(|path| format!("echo more >> {path}")),
        path().prop_map(|path| format!("mkdir {path}")),
        path().prop_map(|path| format!("rmdir {path}")),
        path().prop_map(|path| format!("rm -rf ./{path}x {path}")),
        (path(), path()).prop_map(|(from, to)| format!("mv {from} {to}")),
        (path(), path()).prop_map(|(from, to)| format!("cp -r {from} {to}")),
        (path(), path()).prop_map(|(from, to)| format!("ln {from} {to}")),
        (path(), path()).prop_map(|(from, to)| format!("ln -s {from} {to}")),
        (path(), path()).prop_map(|(from, to)| format!("cd {from} && cat {to} >> /out; cd /app")),
    ]
}

/// A change of one of the files that commands may or may not look at.
fn changes() -> impl Strategy<Value = (String, u8)> {
    let paths = [
        "read",
        "other",
        "dir/x",
        "dir/sub/y",
        "dir/new",
        "unread/z",
        "unread/new",
        "a",
        "b",
        "empty/new",
        "link",
        "dlink",
        "dir/xl",
    ];
    (proptest::sample::select(paths.to_vec()).prop_map(str::to_owned), 0u8..3)
}

fn apply(at: &Path, (path, how): &(String, u8)) {
    let path = at.join(path);
    let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    match how {
        _ if is_link => retarget(&path, "unread"),
        0 if path.exists() => fs::remove_file(&path).unwrap(),
        1 if path.exists() => mode(&path, 0o600),
        _ => write(&path, "changed\n"),
    }
}

/// Whatever a command does and whatever changes, a hit is what the command would make.
#[test]
fn no_hit_is_wrong() {
    let cases = std::env::var("STEPRUN_READS_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 20, ..Config::default() });
    let (taken, all) = (Cell::new(0), Cell::new(0));
    let strategy = (proptest::collection::vec(commands(), 1..5), changes());
    let outcome = runner.run(&strategy, |(commands, change)| {
        let scene = Scene::new(&format!("RUN {}; true", commands.join("; ")));
        scene.with_reads(&[]);
        apply(scene.context.path(), &change);
        let again = scene.with_reads(&["--explain-cache"]);
        all.set(all.get() + 1);
        if hits(&again) == 1 {
            taken.set(taken.get() + 1);
            prop_assert_eq!(again.digest(), scene.afresh().digest(), "{:?}", commands);
        }
        Ok(())
    });
    outcome.unwrap();
    eprintln!("{} of {} were hits", taken.get(), all.get());
    assert!(taken.get() > 0, "nothing was tried");
}

/// Where nothing tells what commands read, builds are as they always were.
#[test]
fn other_sandboxes_say_that_they_can_not_tell() {
    let scene = Scene::new("RUN cat read > out");
    let image = scene.registry.image("app:1");
    let context = scene.context.path().to_str().unwrap();
    let user = User::new();
    let outcome =
        user.steprun(["build", "--allow-run", "-c", context, "-d", &image, "--cache-reads"]).run().succeeded();
    if !outcome.stderr.contains("a sandbox of kind supervised") {
        assert!(outcome.stderr.contains("doesn't tell what RUN reads"), "{}", outcome.stderr);
    }
}
