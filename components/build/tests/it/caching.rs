//! What earlier builds leave for later ones.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;
use steprun_ports::Repository;
use steprun_ports::memory::{FileTree, MemoryHost, MemoryOutcome, TaskEnd, block_on};

use crate::copying::archive;
use crate::support::{Build, Built, dockerfile};

/// A host whose commands write what they were called with, and count.
fn counting() -> (MemoryHost, Rc<Cell<usize>>) {
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    let host = MemoryHost::new().with_commands(move |process, files| {
        counter.set(counter.get() + 1);
        Ok(MemoryOutcome::left(files.clone().file("ran", format!("{:?}{:?}", process.arguments, process.environment))))
    });
    (host, count)
}

/// The same build on a host that has seen others.
fn on(host: &MemoryHost, build: Build) -> Build {
    Build { host: host.clone(), ..build }
}

fn with_base(host: &MemoryHost) -> &MemoryHost {
    drop(on(host, dockerfile("")).base(
        "registry.test/base",
        FileTree::new().file("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
        json!({}),
    ));
    host
}

fn cached(built: &Built) -> usize {
    built.host.tasks().iter().filter(|(_, end)| *end == TaskEnd::Finished("cached".into())).count()
}

const TWO_STAGES: &str = "FROM registry.test/base AS build\nWORKDIR /src\nCOPY a .\nRUN make\n\
    FROM registry.test/base\nCOPY --from=build /ran /app\nRUN check\n";

#[test]
fn row_150_a_second_build_does_nothing_again() {
    let (host, count) = counting();
    let build = || on(with_base(&host), dockerfile(TWO_STAGES).context(|tree| tree.file("a", "1")));
    let first = build().built();
    let (manifest, commands) = (first.manifest(), count.get());
    assert_eq!((cached(&first), commands), (0, 2));
    let second = build().built();
    assert_eq!((second.manifest(), count.get(), cached(&second)), (manifest, commands, 5));
    // Without it all is done, and the result is the same.
    let third = build().arguments(&["--no-cache"]).built();
    assert_eq!((third.manifest(), count.get()), (first.manifest(), 2 * commands));
}

#[test]
fn what_is_asked_for_again_is_done_again() {
    let (host, count) = counting();
    let build = |text: &str, file: &str| {
        on(with_base(&host), dockerfile(text).context(|tree| tree.file("a", file))).built();
        count.replace(0)
    };
    assert_eq!(build(TWO_STAGES, "1"), 2);
    assert_eq!(build(TWO_STAGES, "2"), 2);
    // Back to what was before.
    assert_eq!(build(TWO_STAGES, "1"), 0);
    assert_eq!(build(&TWO_STAGES.replace("RUN check", "RUN check twice"), "1"), 1);
}

#[test]
fn a_miss_in_the_middle_does_not_stop_look_ups() {
    let (host, count) = counting();
    let build = || on(with_base(&host), dockerfile("FROM registry.test/base\nRUN one\nRUN two\nRUN three\n"));
    let image = build().built().manifest();
    let second = image["layers"][2]["digest"].as_str().unwrap().to_owned();
    host.lose_blob(&second);
    assert_eq!(build().built().manifest()["layers"].as_array().unwrap().len(), 4);
    assert_eq!(count.get(), 4);
}

#[test]
fn the_target_of_one_build_is_a_stage_of_the_next() {
    let (host, count) = counting();
    let text =
        "FROM registry.test/base AS build\nCOPY a /a\nRUN make\nFROM registry.test/base\nCOPY --from=build /ran /\n";
    let build = |arguments: &[&str]| {
        on(with_base(&host), dockerfile(text).context(|tree| tree.file("a", "1"))).arguments(arguments).built()
    };
    build(&[]);
    // What was packed for its own sake has the bytes that an image needs.
    let compressed = build(&["--target", "build"]).manifest();
    assert_eq!(count.get(), 1);
    host.forget_remembered();
    assert_eq!(build(&["--target", "build"]).manifest(), compressed);
    assert!(
        compressed["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|layer| layer["mediaType"].as_str().unwrap().ends_with("gzip"))
    );
}

#[test]
fn a_new_runner_takes_all_from_a_repository() {
    let (host, count) = counting();
    let build = |arguments: &[&str]| {
        let build = dockerfile(TWO_STAGES).context(|tree| tree.file("a", "1"));
        on(with_base(&host), build).arguments(arguments).built()
    };
    let cache = ["--cache-repo", "registry.test/cache"];
    let image = build(&cache).manifest();
    host.forget_remembered();
    host.forget_events();
    count.set(0);
    let again = build(&cache);
    assert_eq!((again.manifest(), count.get()), (image.clone(), 0));
    let tags = block_on(host.repository("registry.test/cache").tags()).unwrap();
    assert_eq!(tags.len(), 1);
    // Nothing new, so nothing is written there.
    assert!(!format!("{:?}", host.events()).contains("registry.test/cache"), "{:?}", host.events());
    // Reading only.
    host.forget_remembered();
    assert_eq!(build(&["--cache-from", "registry.test/cache"]).manifest(), image);
    assert_eq!(count.get(), 0);
    host.forget_remembered();
    build(&["--cache-repo", "registry.test/other", "--no-push-cache"]);
    assert!(block_on(host.repository("registry.test/other").tags()).is_err());
}

#[test]
fn a_cache_beside_the_image() {
    let (host, count) = counting();
    let build = || on(with_base(&host), dockerfile("FROM registry.test/base\nRUN make\n")).arguments(&["--cache"]);
    build().built();
    host.forget_remembered();
    build().built();
    assert_eq!(count.get(), 1);
    let failure = build().arguments(&["--no-push"]).fails();
    assert!(failure.hint.unwrap().contains("--cache-repo"));
}

#[test]
fn commands_can_be_left_out() {
    let (host, count) = counting();
    let build = |value: &str| {
        on(with_base(&host), dockerfile("FROM registry.test/base\nRUN make\n"))
            .arguments(&["--cache-run-layers", value])
            .built();
        count.get()
    };
    assert_eq!([build("true"), build("true"), build("false"), build("true")], [1, 1, 2, 2]);
}

#[test]
fn a_failed_build_leaves_what_it_has_done() {
    let host = MemoryHost::new().with_commands(|process, files| match process.arguments[2].as_str() {
        "fail" => Ok(MemoryOutcome::failed(7, "")),
        _ => Ok(MemoryOutcome::left(files.clone().file("ran", "1"))),
    });
    let build =
        |last: &str| on(with_base(&host), dockerfile(&format!("FROM registry.test/base\nRUN make\nRUN {last}\n")));
    build("fail").fails();
    assert_eq!(cached(&build("true").built()), 1);
    // A failure is not remembered.
    build("fail").fails();
}

#[test]
fn misses_are_explained() {
    let (host, _) = counting();
    let build = |file: &str| {
        let build = dockerfile("FROM registry.test/base\nARG LEVEL\nCOPY . /src/\nRUN make\n");
        let build = build.context(|tree| tree.file("src/a", file).file("b", ""));
        let before = host.log_lines().len();
        on(with_base(&host), build).arguments(&["--explain-cache", "--build-arg", &format!("LEVEL=t{file}")]).built();
        host.log_lines().split_off(before).into_iter().map(|line| line.message).collect::<Vec<_>>().join("\n")
    };
    let first = build("1");
    assert_eq!(first.matches("no earlier build of it is known here").count(), 2, "{first}");
    assert_eq!(build("1"), "");
    let second = build("2");
    assert!(second.contains("COPY . /src/: file src/a has changed"), "{second}");
    assert!(second.contains("RUN make: variable LEVEL has changed, what is before it has changed"), "{second}");
    assert!(!second.contains("t2"), "{second}");
}

/// What a mutated build depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inputs {
    content: String,
    mode: u32,
    link: String,
    argument: String,
    heredoc: String,
    chown: u32,
    base: String,
    mounted: String,
}

impl Inputs {
    /// This with one of another's values, by its number; above those it stays as it is.
    fn with(&self, other: Self, field: usize) -> Self {
        let mut mixed = self.clone();
        match field {
            0 => mixed.content = other.content,
            1 => mixed.mode = other.mode,
            2 => mixed.link = other.link,
            3 => mixed.argument = other.argument,
            4 => mixed.heredoc = other.heredoc,
            5 => mixed.chown = other.chown,
            6 => mixed.base = other.base,
            7 => mixed.mounted = other.mounted,
            _ => {}
        }
        mixed
    }

    fn image(&self, host: &MemoryHost, noise: i64) -> serde_json::Value {
        let Self { content, mode, link, argument, heredoc, chown, base, mounted } = self;
        drop(on(host, dockerfile("")).base("registry.test/base", FileTree::new().file("base", base), json!({})));
        let text = format!(
            "FROM registry.test/base\nARG A\nCOPY --chown={chown} dir /dir/\nCOPY <<E /here\n{heredoc}\nE\n\
             RUN --mount=type=bind,source=mounted,target=/m make\n"
        );
        let build = dockerfile(&text).context(|tree| {
            let tree =
                tree.file("dir/a", content).mode("dir/a", *mode).symlink("dir/l", link).file("mounted/x", mounted);
            // What can't matter: times, and files that nothing takes.
            tree.modified("dir/a", noise).modified("mounted/x", noise).file("other", noise.to_string())
        });
        on(host, build).arguments(&["--build-arg", &format!("A={argument}")]).built().config()["rootfs"].clone()
    }
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let word = || "[ab]{1,2}";
    (word(), prop_oneof![Just(0o644u32), Just(0o755)], word(), word(), word(), 0u32..2, word(), word()).prop_map(
        |(content, mode, link, argument, heredoc, chown, base, mounted)| Inputs {
            content,
            mode,
            link,
            argument,
            heredoc,
            chown,
            base,
            mounted,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A change that could matter is a miss, one that can't is a hit; either way the image is the one that a build without cache makes.
    #[test]
    fn rows_115_150_no_hit_is_wrong(one in inputs(), other in inputs(), field in 0usize..9, noise in 0i64..3) {
        // Where much differs, what is forgotten doesn't show.
        let other = one.with(other, field);
        let (warm, count) = counting();
        let first = one.image(&warm, 7);
        let commands = count.replace(0);
        prop_assert_eq!(commands, 1);
        let second = other.image(&warm, noise);
        prop_assert_eq!(count.get() == 0, one == other);
        if one == other {
            prop_assert_eq!(&second, &first);
        } else {
            prop_assert_eq!(count.get(), 1);
        }
    }
}

/// Whatever was built before, each of these gives what it gives on a new host.
#[test]
fn row_115_no_word_of_a_copy_is_forgotten() {
    let build = |host: &MemoryHost, lines: &str, epoch: &str| {
        for (name, directory) in [("one", "/1"), ("two", "/2")] {
            let tree = FileTree::new().directory("real").symlink("link", "real");
            let config = json!({ "config": { "WorkingDir": directory } });
            drop(on(host, dockerfile("")).base(&format!("registry.test/{name}"), tree, config));
        }
        let files = |tree: FileTree| {
            let tree = tree.file("d/a", "A").modified("d/a", 50).file("d/b", "B").hard_link("d/c", "d/b");
            tree.file("a", "A").file("s/b", "B").file("s/c", "B").file("t.tar", archive(FileTree::new().file("in", "")))
        };
        let text = format!("FROM scratch AS x\nCOPY <<f /s/f\nx\nf\nFROM scratch AS y\nCOPY <<f /s/f\ny\nf\n{lines}\n");
        on(host, dockerfile(&text).context(files)).arguments(&["--source-date-epoch", epoch]).built().listing()
    };
    let warm = MemoryHost::new();
    for (lines, epoch) in [
        ("FROM registry.test/one\nCOPY d link/", "100"),
        ("FROM registry.test/two\nCOPY d link/", "100"),
        ("FROM registry.test/one\nCOPY d /link/", "100"),
        ("FROM registry.test/one\nCOPY d /link/", "20"),
        ("FROM registry.test/one\nCOPY --link d /link/", "100"),
        ("FROM registry.test/one\nCOPY --parents d /link/", "100"),
        ("FROM registry.test/one\nCOPY --chown=1:2 d /link/", "100"),
        ("FROM registry.test/one\nCOPY --chmod=600 d /link/", "100"),
        ("FROM registry.test/one\nCOPY --exclude=c d /link/", "100"),
        ("FROM scratch\nCOPY a /x", "100"),
        ("FROM scratch\nCOPY a /y", "100"),
        ("FROM scratch\nCOPY d /x", "100"),
        ("FROM scratch\nCOPY s /x", "100"),
        ("FROM scratch\nCOPY t.tar /x/", "100"),
        ("FROM scratch\nADD t.tar /x/", "100"),
        ("FROM scratch\nADD --unpack=false t.tar /x/", "100"),
        ("FROM scratch\nCOPY <<a /x/\nc\na", "100"),
        ("FROM scratch\nCOPY <<b /x/\nc\nb", "100"),
        ("FROM scratch\nCOPY --from=x s/f /x", "100"),
        ("FROM scratch\nCOPY --from=y s/f /x", "100"),
        ("FROM scratch\nCOPY --from=y --chmod=600 s/f /x", "100"),
        ("FROM scratch\nCOPY --from=y s/f /x/", "100"),
        ("FROM scratch\nCOPY --from=y --parents s/f /x/", "100"),
        ("FROM scratch\nCOPY --from=y / /x", "100"),
        ("FROM scratch\nCOPY --from=y --exclude=s / /x", "100"),
    ] {
        assert_eq!(build(&warm, lines, epoch), build(&MemoryHost::new(), lines, epoch), "{lines}");
    }
    let url = "http://x.test/f";
    for content in ["1", "2"] {
        let host = warm.clone().with_remote_file(url, content, None);
        let built = on(&host, dockerfile(&format!("FROM scratch\nADD {url} /f\n"))).built();
        assert_eq!(built.tree().content("f"), Some(content.as_bytes()));
    }
    for linked in [false, true] {
        let files = |tree: FileTree| {
            let tree = tree.file("d/a", "A");
            if linked { tree.hard_link("d/b", "d/a") } else { tree.file("d/b", "A") }
        };
        let built = on(&warm, dockerfile("FROM scratch\nCOPY d /linked\n").context(files)).built();
        assert_eq!(built.listing()[2].ends_with("= linked/a"), linked);
    }
}

#[test]
fn a_plan_shows_what_is_there() {
    let (host, count) = counting();
    let build = || on(with_base(&host), dockerfile(TWO_STAGES).context(|tree| tree.file("a", "1")));
    let plan = || String::from_utf8(build().arguments(&["--plan"]).built().host.stdout()).unwrap();
    assert!(!plan().contains("[cached]"));
    build().built();
    count.set(0);
    let shown = plan();
    assert_eq!((shown.matches("[cached]").count(), count.get()), (5, 0), "{shown}");
    host.forget_remembered();
    let shown = plan().split_off(shown.len());
    assert!(!shown.contains("[cached]"), "{shown}");
}

/// A host whose commands read these paths, write what the first of them holds, and count.
fn reading(paths: &'static [&'static str]) -> (MemoryHost, Rc<Cell<usize>>) {
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    let host = MemoryHost::new().with_commands(move |process, files| {
        counter.set(counter.get() + 1);
        let read = format!("{:?}", files.get(paths[0]).map(|node| node.kind.clone()));
        let left = MemoryOutcome::left(files.clone().file("made", read));
        Ok(if process.reads.is_some() { left.having_read(paths) } else { left })
    });
    (host, count)
}

const COPY_AND_RUN: &str = "FROM registry.test/base\nCOPY . /src\nRUN make\nRUN make more\n";

#[test]
fn what_a_command_never_read_may_change() {
    let (host, count) = reading(&["src/a"]);
    let build = |a: &str, readme: &str, more: &[&str]| {
        let build = dockerfile(COPY_AND_RUN).context(|tree| tree.file("a", a).file("README", readme));
        let built = on(with_base(&host), build).arguments(&[&["--cache-reads"], more].concat()).built();
        (built, count.replace(0))
    };
    assert_eq!(build("1", "1", &[]).1, 2);
    let (built, commands) = build("1", "2", &[]);
    assert_eq!(commands, 0, "{:?}", built.host.tasks());
    // The image has the new file, and what the command made of the old ones.
    let (again, _) = build("1", "2", &["--no-cache"]);
    assert_eq!(built.manifest(), again.manifest());
    assert_eq!(build("2", "2", &[]).1, 2);
    // Both states are known, whatever is beside them.
    assert_eq!((build("1", "3", &[]).1, build("2", "4", &[]).1), (0, 0));
    // Remembered under the ordinary key, too; without the option nothing else counts.
    let plain = |readme: &str| {
        let build = dockerfile(COPY_AND_RUN).context(|tree| tree.file("a", "1").file("README", readme));
        on(with_base(&host), build).built();
        count.replace(0)
    };
    assert_eq!((plain("3"), plain("5")), (0, 2));
    // What was asked for again is done again.
    assert_eq!(build("1", "6", &["--cache-run-layers=false"]).1, 2);
    assert_eq!(build("1", "6", &["--no-cache"]).1, 2);
}

#[test]
fn what_a_command_read_is_told_where_it_has_changed() {
    let (host, _) = reading(&["src/a", "src/missing"]);
    let build = |a: &str, more: &str| {
        let build = dockerfile("FROM registry.test/base\nCOPY . /src\nRUN make\n")
            .context(|tree| tree.file("a", a).file(more, ""));
        on(with_base(&host), build).arguments(&["--cache-reads", "--explain-cache"]).built();
        host.log_lines().into_iter().map(|line| line.message).rfind(|line| line.contains("RUN make"))
    };
    build("1", "other");
    let told = build("2", "other").unwrap();
    assert!(told.ends_with("what is before it has changed; it read /src/a, which has changed"), "{told}");
    let told = build("2", "missing").unwrap();
    assert!(told.ends_with("it looked for /src/missing, which is new"), "{told}");
}

/// The step itself looks accounts up.
#[test]
fn accounts_are_read_by_the_step() {
    let (host, count) = reading(&["nothing"]);
    let build = |passwd: &str| {
        let text = "FROM registry.test/base\nCOPY passwd /etc/passwd\nRUN make\n";
        on(with_base(&host), dockerfile(text).context(|tree| tree.file("passwd", passwd)))
            .arguments(&["--cache-reads"])
            .built();
        count.replace(0)
    };
    assert_eq!(build("root:x:0:0::/:/bin/sh\n"), 1);
    assert_eq!(build("root:x:0:0::/root:/bin/sh\n"), 1);
    assert_eq!(build("root:x:0:0::/:/bin/sh\n"), 0);
}

#[test]
fn other_inputs_count_whatever_is_read() {
    let (host, count) = reading(&["nothing"]);
    let build = |text: &str| {
        let build = dockerfile(&format!("FROM registry.test/base\n{text}\n"));
        on(with_base(&host), build.context(|tree| tree.file("a", "1"))).arguments(&["--cache-reads"]).built();
        count.replace(0)
    };
    assert_eq!(build("RUN make"), 1);
    assert_eq!(build("COPY a /\nRUN make"), 0);
    for other in
        ["ENV a=1\nRUN make", "USER 7\nRUN make", "WORKDIR /w\nRUN make", "RUN --network=none make", "RUN make 2"]
    {
        assert_eq!(build(other), 1, "{other}");
    }
    let bind = "RUN --mount=source=a,target=/m make";
    assert_eq!((build(bind), build(&format!("COPY a /\n{bind}"))), (1, 0));
}

#[test]
fn candidates_are_few() {
    let (host, count) = reading(&["src/a"]);
    let build = |a: usize, readme: &str| {
        let text = "FROM registry.test/base\nCOPY . /src\nRUN make\n";
        let build = dockerfile(text).context(|tree| tree.file("a", a.to_string()).file("README", readme));
        on(with_base(&host), build).arguments(&["--cache-reads"]).built();
        count.replace(0)
    };
    for a in 0..10 {
        assert_eq!(build(a, "1"), 1);
    }
    assert_eq!((2..10).map(|a| build(a, "2")).sum::<usize>(), 0);
    assert_eq!((build(1, "2"), build(2, "3"), build(9, "3")), (1, 1, 0));
}

#[test]
fn where_nothing_tells_what_is_read_that_is_said_once() {
    let (host, count) = counting();
    let build = || on(with_base(&host), dockerfile("FROM registry.test/base\nRUN one\nRUN two\n"));
    build().arguments(&["--cache-reads"]).built();
    let said = host.log_lines().iter().filter(|line| line.message.contains("--isolation supervised")).count();
    assert_eq!((said, count.get()), (1, 2));
}
