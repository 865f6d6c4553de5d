use super::*;
use crate::*;

fn entry(path: &str, change: Change) -> ChangeEntry {
    ChangeEntry { path: path.into(), change, mode: 0o640, uid: 1, gid: 2, modified: Timestamp::default() }
}

fn base() -> FileTree {
    FileTree::new()
        .file("etc/passwd", "root")
        .symlink("bin", "usr/bin")
        .file("usr/bin/sh", "#!")
        .symlink("abs", "/etc")
        .symlink("loop", "loop")
        .symlink("up", "../../etc")
        .file("usr/bin-x", "x")
}

#[test]
fn paths_are_resolved_inside_the_root() {
    let host = MemoryHost::new();
    let directory = host.directory(".", base());
    for (path, resolved) in [
        ("", Ok("")),
        ("/", Ok("")),
        ("bin/sh", Ok("usr/bin/sh")),
        ("abs/passwd", Ok("etc/passwd")),
        ("/../bin/../bin/sh", Ok("usr/bin/sh")),
        ("up/passwd", Ok("etc/passwd")),
        ("bin/none", Err("`bin/none` does not exist")),
        ("etc/passwd/x", Err("`etc/passwd/x` does not exist")),
        ("loop", Err("`loop` leads through too many symlinks")),
        ("up/none", Err("context.read of `up/none` is denied: a symlink leads out of the directory")),
    ] {
        let found = block_on(directory.real_path(path)).map_err(|error| error.to_string());
        assert_eq!(found, resolved.map(str::to_owned).map_err(str::to_owned), "{path}");
    }
    assert_eq!(block_on(directory.stat("bin", false)).unwrap().kind, FileKind::Symlink);
    assert_eq!(block_on(directory.stat("bin", true)).unwrap().kind, FileKind::Directory);
    let names = |path| block_on(directory.list(path)).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    assert_eq!(names("usr"), ["bin", "bin-x"]);
    assert_eq!(names("bin"), ["sh"]);
    assert!(matches!(block_on(directory.list("etc/passwd")), Err(Error::Invalid(_))));
    assert!(matches!(block_on(directory.read("etc/passwd", 3)), Err(Error::Invalid(_))));
}

#[test]
fn a_snapshot_keeps_what_does_not_exist() {
    let host = MemoryHost::new();
    let snapshot = block_on(host.from_layers(&[host.store_layer(&base(), true)])).unwrap();
    assert_eq!(block_on(snapshot.real_path("bin/new/../x")).unwrap(), "usr/bin/new/../x");
    assert_eq!(snapshot.tree(), &base());
}

#[test]
fn a_packed_layer_holds_what_extend_changed() {
    let host = MemoryHost::new();
    let lower = host.store_layer(&base(), false);
    let snapshot = block_on(host.from_layers(std::slice::from_ref(&lower))).unwrap();
    let context = host.directory(".", FileTree::new().file("a", "one"));
    let entries = vec![
        entry("app", Change::Directory),
        entry("app/a", Change::File(SourceFile { source: 0, path: "a".into() })),
        entry("app/b", Change::HardLink("app/a".into())),
        entry("usr/bin", Change::Removed),
        entry("/etc/passwd", Change::Inline(b"new".to_vec())),
    ];
    let extended = block_on(snapshot.extend(&[Source::Directory(context)], entries)).unwrap();
    assert_eq!(extended.tree().content("app/b"), Some(&b"one"[..]));
    let groups = ["app/a", "app/b"].map(|path| extended.tree().get(path).unwrap().link_group);
    assert!(groups[0].is_some() && groups[0] == groups[1]);

    let upper = block_on(extended.pack(true)).unwrap().unwrap();
    assert_ne!(upper.diff_id, upper.blob.descriptor().digest);
    let again = block_on(host.from_layers(&[lower, upper])).unwrap();
    assert_eq!(again.tree(), extended.tree());
    assert!(again.tree().get("usr/bin/sh").is_none());

    let same = block_on(again.extend(&[], vec![entry("app", Change::Directory)])).unwrap();
    assert!(block_on(same.pack(true)).unwrap().is_none());
}

#[test]
fn extend_refuses_what_cannot_be() {
    let host = MemoryHost::new();
    let snapshot = host.scratch();
    for (path, change) in [
        ("a/b", Change::Directory),
        ("", Change::Fifo),
        ("../a", Change::Fifo),
        ("a", Change::HardLink("none".into())),
        ("a", Change::File(SourceFile { source: 0, path: "a".into() })),
    ] {
        let extended = block_on(snapshot.extend(&[], vec![entry(path, change)]));
        assert!(matches!(extended, Err(Error::Invalid(_))), "{path}");
    }
}

#[test]
fn a_registry_holds_a_step_to_the_rules() {
    let host = MemoryHost::new();
    let repository = host.repository("registry.test/app");
    let blob = host.store_blob("application/octet-stream", b"data");
    let descriptor = blob.descriptor();
    let manifest = format!(r#"{{"layers":[{{"digest":"{}"}}]}}"#, descriptor.digest);
    let put = |reference: &str| block_on(repository.put_manifest(reference, "m", manifest.as_bytes()));
    assert!(matches!(put("v1"), Err(Error::NotFound(_))));
    assert_eq!(block_on(repository.push(&blob)), Ok(PushOutcome::Uploaded));
    assert_eq!(block_on(repository.push(&blob)), Ok(PushOutcome::Existing));
    let near = host.repository("registry.test/other");
    assert_eq!(block_on(near.push(&repository.blob(&descriptor))), Ok(PushOutcome::Mounted));
    let digest = put("v1").unwrap();
    assert!(matches!(put(&descriptor.digest), Err(Error::Corrupt(_))));
    assert_eq!(block_on(repository.head("v1")).unwrap().unwrap().digest, digest);
    let pull_only = block_on(host.resolve("registry.test/app:v1")).unwrap();
    let refused = block_on(pull_only.repository.put_manifest("v2", "m", manifest.as_bytes()));
    assert!(matches!(refused, Err(Error::Denied(_))));
    repository.corrupt(&digest, b"{}");
    assert!(matches!(block_on(repository.manifest("v1")), Err(Error::Corrupt(_))));
}

#[test]
fn operations_run_side_by_side_up_to_the_limit() {
    for (limit, expected) in [(1, 1), (3, 3), (0, 1), (9, 5)] {
        let host = MemoryHost::new();
        let repository = host.repository("registry.test/app");
        let blobs: Vec<_> = (0..5u8).map(|n| host.store_blob("b", &[n])).collect();
        let outcomes = block_on(concurrently(limit, &blobs, |blob| repository.push(blob)));
        assert_eq!(outcomes.unwrap(), [PushOutcome::Uploaded; 5]);
        assert_eq!(host.most_transfers_at_once(), expected, "limit {limit}");
    }
}

#[test]
fn arguments_follow_the_description() {
    let command = Command {
        name: "copy",
        aliases: &["cp"],
        summary: "",
        details: "",
        parameters: vec![
            Parameter::flag("all", "").short('a'),
            Parameter::option("jobs", ValueKind::Integer, "N", "").default("4"),
            Parameter::option("label", ValueKind::Pair, "NAME=VALUE", "").repeated(),
            Parameter::operand("source", ValueKind::Image(RegistryAccess::Pull), "SRC", ""),
        ],
    };
    let step = Description { name: "promote", version: "1", summary: "", commands: vec![command] };
    let host = MemoryHost::new().with_arguments(&step, &["cp", "debian", "-a", "--label=a=b", "--label", "c"]);
    assert_eq!(host.command(), "copy");
    assert!(host.flag("all"));
    assert_eq!(host.integers("jobs"), [4]);
    assert_eq!(host.pairs("label"), [("a".into(), Some("b".into())), ("c".into(), None)]);
    let image = &host.images("source")[0];
    assert_eq!(image.repository.name(), "index.docker.io/library/debian");
    assert_eq!((image.reference(), image.typed.as_str()), ("latest", "debian"));
}

#[test]
#[should_panic(expected = "`source` is missing")]
fn a_missing_operand_is_refused() {
    let operand = Parameter::operand("source", ValueKind::Text, "SRC", "");
    let command = Command { name: "", aliases: &[], summary: "", details: "", parameters: vec![operand] };
    let step = Description { name: "x", version: "1", summary: "", commands: vec![command] };
    let _ = MemoryHost::new().with_arguments(&step, &[]);
}

#[test]
fn tasks_tell_how_they_ended() {
    let host = MemoryHost::new();
    host.task("a").finish("cached");
    drop(host.task("b"));
    let _running = host.task("c");
    let ends: Vec<_> = host.tasks().into_iter().map(|(_, end)| end).collect();
    assert_eq!(ends, [TaskEnd::Finished("cached".into()), TaskEnd::GivenUp, TaskEnd::Running]);
}
