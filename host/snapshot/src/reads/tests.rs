use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{Change, ChangeEntry, Timestamp};

/// A file system of these paths: `dir/` is a directory, `link -> target` a symlink, `name = content` a file, `other <- name` another name of it.
fn files(lines: &[&str]) -> Snapshot {
    let entries = lines.iter().map(|line| {
        let (path, change) = if let Some((path, target)) = line.split_once(" -> ") {
            (path, Change::Symlink(target.to_owned()))
        } else if let Some((path, other)) = line.split_once(" <- ") {
            (path, Change::HardLink(other.to_owned()))
        } else if let Some((path, content)) = line.split_once(" = ") {
            (path, Change::Inline(content.as_bytes().to_vec()))
        } else {
            (line.trim_end_matches('/'), Change::Directory)
        };
        entry(path, change)
    });
    Snapshot::scratch().extend(&[], entries.collect()).unwrap()
}

fn entry(path: &str, change: Change) -> ChangeEntry {
    let mode = if matches!(change, Change::Directory) { 0o755 } else { 0o644 };
    ChangeEntry { path: path.to_owned(), change, mode, uid: 0, gid: 0, modified: Timestamp::default() }
}

fn looks(all: &[(&str, Reach)]) -> Looks {
    let mut looks = Looks::default();
    all.iter().for_each(|(path, reach)| looks.add(path.as_bytes().to_vec(), *reach));
    looks
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// Where `after` differs from `before`, to a command that made the look-ups.
fn difference_of(before: &Snapshot, after: &Snapshot, looked: &[(&str, Reach)]) -> Option<(String, DifferenceKind)> {
    let (_directory, store) = store();
    let reads = before.reads(&store, &looks(looked)).unwrap();
    assert_eq!(before.differs(&store, &reads).unwrap(), None);
    let reads = Reads::decode(&reads.encode().unwrap()).unwrap();
    after.differs(&store, &reads).unwrap().map(|Difference { path, kind }| (path, kind))
}

#[test]
fn what_was_seen_counts_and_nothing_else() {
    use DifferenceKind::{Changed, Entries, Gone, New};
    use Reach::{Below, Entries as Listed, Itself};
    let before = ["d/", "d/a = 1", "d/b = 2", "d/sub/", "d/sub/c = 3", "l -> d"];
    let with = |change: &str, line: &str| -> Snapshot {
        let lines = before.iter().copied().filter(|known| !change.split(',').any(|gone| *known == gone));
        files(&lines.chain([line]).filter(|line| !line.is_empty()).collect::<Vec<_>>())
    };
    for (gone, new, looked, expected) in [
        ("d/b = 2", "d/b = x", &[("d/a", Itself)][..], None),
        ("d/a = 1", "d/a = x", &[("d/a", Itself)], Some(("d/a", Changed))),
        ("d/a = 1", "d/a -> b", &[("d/a", Itself)], Some(("d/a", Changed))),
        ("d/a = 1", "", &[("d/a", Itself)], Some(("d/a", Gone))),
        ("", "d/new = x", &[("d/new", Itself)], Some(("d/new", New))),
        ("", "new = x", &[("new/below/it", Itself)], Some(("new", New))),
        ("", "d/new = x", &[("d", Itself)], None),
        ("", "d/new = x", &[("d", Listed)], Some(("d", Entries))),
        ("d/a = 1", "d/a = x", &[("d", Listed)], None),
        ("d/a = 1", "d/a -> b", &[("d", Listed)], Some(("d", Entries))),
        ("d/sub/c = 3", "d/sub/c = x", &[("d", Below)], Some(("d/sub/c", Changed))),
        ("d/sub/c = 3", "", &[("d", Below)], Some(("d/sub", Entries))),
        ("l -> d", "l -> d/sub", &[("l", Itself)], Some(("l", Changed))),
        ("d/a = 1", "d/a = x", &[("l", Below)], None),
        ("d/a = 1", "d/a/", &[("d/a/x", Itself)], Some(("d/a", Changed))),
        ("", "e/", &[("", Listed)], Some(("", Entries))),
    ] {
        let expected = expected.map(|(path, kind): (&str, DifferenceKind)| (path.to_owned(), kind));
        assert_eq!(difference_of(&files(&before), &with(gone, new), looked), expected, "{gone} {new} {looked:?}");
    }
}

#[test]
fn modes_owners_and_attributes_count_and_times_do_not() {
    let before = files(&["d/", "d/a = 1"]);
    let changed = |change: &dyn Fn(&mut ChangeEntry)| {
        let mut entry = entry("d", Change::Directory);
        change(&mut entry);
        difference_of(&before, &before.extend(&[], vec![entry]).unwrap(), &[("d/a", Reach::Itself)]).is_some()
    };
    assert!(changed(&|entry| entry.mode = 0o700));
    assert!(changed(&|entry| entry.uid = 1));
    assert!(changed(&|entry| entry.gid = 1));
    assert!(!changed(&|entry| entry.modified.seconds = 1));
}

/// Who writes a file by one name changes what others have by another.
#[test]
fn other_names_of_a_file_count() {
    let before = files(&["d/", "d/a = 1", "e <- d/a"]);
    let look = [("d/a", Reach::Itself)];
    assert_eq!(difference_of(&before, &files(&["d/", "d/a = 1", "e <- d/a"]), &look), None);
    for other in [&["d/", "d/a = 1", "e = 1"][..], &["d/", "d/a = 1", "e <- d/a", "f <- d/a"], &["d/", "d/a = 1"]] {
        let found = difference_of(&before, &files(other), &look);
        assert_eq!(found, Some(("d/a".to_owned(), DifferenceKind::Changed)), "{other:?}");
    }
    // With one name left it is a file like any other.
    let alone = before.extend(&[], vec![entry("e", Change::Removed)]).unwrap();
    assert_eq!(difference_of(&alone, &files(&["d/", "d/a = 1"]), &look), None);
}

#[test]
fn content_is_the_same_wherever_it_lies() {
    let (_directory, store) = store();
    let before = files(&["a = 1", "b = 2"]);
    let reads = before.reads(&store, &looks(&[("a", Reach::Itself)])).unwrap();
    let layered = |lines: &[&str]| {
        let links = files(lines).links(&store).unwrap();
        Snapshot::from_links(&store, &links).unwrap()
    };
    assert_eq!(layered(&["a = 1", "b = 3"]).differs(&store, &reads).unwrap(), None);
    assert!(layered(&["a = 2"]).differs(&store, &reads).unwrap().is_some());
    let reads = layered(&["a = 1", "b = 2"]).reads(&store, &looks(&[("a", Reach::Itself)])).unwrap();
    assert_eq!(before.differs(&store, &reads).unwrap(), None);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_taken_for_what_was_read() {
    let (_directory, store) = store();
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("a"), "1").unwrap();
    let source = crate::Source::Directory(crate::Directory::open(context.path(), "context").unwrap());
    let change = Change::File { source: 0, path: "a".to_owned() };
    let copied = Snapshot::scratch().extend(&[source], vec![entry("a", change)]).unwrap();
    let look = looks(&[("a", Reach::Itself)]);
    let reads = copied.reads(&store, &look).unwrap();
    assert_eq!(files(&["a = 1"]).differs(&store, &reads).unwrap(), None);
    std::fs::write(context.path().join("a"), "other").unwrap();
    assert!(copied.reads(&store, &look).is_err());
}

#[test]
fn trails_name_each_link_and_what_dots_leave() {
    let tree = files(&["a/", "a/l -> ../b/m", "b/", "b/m -> /c", "c/", "c/x = 1"]);
    let trail = |path: &str| -> Vec<String> {
        let trail = tree.trail(path.as_bytes()).unwrap();
        trail.into_iter().map(|at| String::from_utf8(at).unwrap()).collect()
    };
    assert_eq!(trail("/a/l/x"), ["a/l", "a", "b/m", "c/x"]);
    assert_eq!(trail("none/../c"), ["none", "c"]);
    assert_eq!(trail("/"), [""]);
}

#[test]
fn what_is_no_record_is_told() {
    assert!(Reads::decode(b"").is_err() && Reads::decode(b"steprun reads 0\n").is_err());
    assert!(Reads::decode(b"steprun reads 1\n\xff").is_err());
}

/// What a look-up of a literal path gives: all that a command could learn by it.
fn learned(tree: &Snapshot, path: &[u8], reach: Reach) -> Vec<String> {
    let mut learned = Vec::new();
    let mut at = Vec::new();
    let mut here = tree.tree().get(b"");
    for component in name::components(path) {
        learned.push(told(here));
        at = name::join(&at, component);
        here = match here {
            Some(Node::Directory(directory)) => directory.children.get(component),
            _ => None,
        };
    }
    learned.push(told(here));
    if let (Some(Node::Directory(directory)), Reach::Entries | Reach::Below) = (here, reach) {
        for (child, node) in &directory.children {
            let kind = format!("{:?}", node.stat().kind);
            learned.push(format!("{} {kind}", String::from_utf8_lossy(child)));
            if reach == Reach::Below {
                learned.extend(self::learned(tree, &name::join(&at, child), reach));
            }
        }
    }
    learned
}

fn told(node: Option<&Node>) -> String {
    let Some(node) = node else { return "nothing".to_owned() };
    let stat = node.stat();
    let content = crate::snapshot::regular(node).map(|(content, _)| content);
    format!("{:?} {:o} {} {:?} {content:?}", stat.kind, stat.mode, stat.uid, stat.target)
}

/// A tree of a few names, so that two of them often have something in common.
fn trees() -> impl Strategy<Value = Snapshot> {
    let path = prop_oneof![Just("a"), Just("b"), Just("a/a"), Just("a/b"), Just("b/a"), Just("a/a/a")];
    let change = prop_oneof![
        2 => Just(Change::Directory),
        2 => "[12]".prop_map(|content| Change::Inline(content.into_bytes())),
        1 => prop_oneof![Just("a"), Just("b")].prop_map(|target: &str| Change::Symlink(target.to_owned())),
    ];
    let mode = prop_oneof![4 => Just(0o755), 1 => Just(0o700)];
    proptest::collection::vec((path, change, mode), 0..8).prop_map(|entries| {
        let mut tree = Snapshot::scratch();
        for (path, change, mode) in entries {
            let entry = ChangeEntry { mode, ..entry(path, change) };
            if let Ok(next) = tree.extend(&[], vec![entry]) {
                tree = next;
            }
        }
        tree
    })
}

fn some_looks() -> impl Strategy<Value = Vec<(&'static str, Reach)>> {
    let path = prop_oneof![Just(""), Just("a"), Just("b"), Just("a/a"), Just("a/b"), Just("a/a/a"), Just("b/a/b")];
    let reach = prop_oneof![3 => Just(Reach::Itself), 1 => Just(Reach::Entries), 1 => Just(Reach::Below)];
    proptest::collection::vec((path, reach), 0..4)
}

proptest! {
    /// What tells two trees apart for a command is a difference, and nothing else is.
    #[test]
    fn a_difference_is_what_can_be_learned(before in trees(), after in trees(), looked in some_looks()) {
        let all = |tree: &Snapshot| -> BTreeSet<(String, Vec<String>)> {
            let one = |(path, reach): &(&str, Reach)| (format!("{path} {reach:?}"), learned(tree, path.as_bytes(), *reach));
            looked.iter().map(one).chain([(String::new(), vec![told(tree.tree().get(b""))])]).collect()
        };
        let differs = difference_of(&before, &after, &looked).is_some();
        prop_assert_eq!(differs, all(&before) != all(&after));
    }
}
