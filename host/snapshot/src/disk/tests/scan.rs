//! What a scan finds, judged by the disk itself: a snapshot with the found changes must list as the disk does.

use proptest::prelude::*;

use super::*;
use crate::Error;

/// A tree on disk, and what a scan needs of the time before.
pub(super) struct Tree<'f> {
    pub(super) fixture: &'f Fixture,
    pub(super) base: Snapshot,
    pub(super) path: PathBuf,
    pub(super) table: Owners,
    before: Index,
}

impl<'f> Tree<'f> {
    pub(super) fn real(fixture: &'f Fixture, name: &str, base: &Snapshot) -> Self {
        let (path, table) = fixture.real(name, base);
        Self { fixture, base: base.clone(), before: Index::of(&path, &[]).unwrap(), path, table }
    }

    fn table(fixture: &'f Fixture, name: &str, base: &Snapshot) -> Self {
        let (path, table) = fixture.table(name, base);
        Self { fixture, base: base.clone(), before: Index::of(&path, &[]).unwrap(), path, table }
    }

    pub(super) fn changes(&self, owned: Owned<'_>, skip: &[Vec<u8>]) -> Result<Changes> {
        let state = State::Plain { root: &self.path, before: &self.before };
        changes(Scan { base: &self.base, state, owned, skip, latest: Some(LATEST) })
    }

    /// Diff ID of what changed.
    pub(super) fn tar(&self) -> Option<oci_spec::image::Digest> {
        let changes = self.changes(Owned::Real(&self.table), &[]).unwrap();
        changes.write_tar(&self.fixture.store).unwrap()
    }

    /// Paths in the layer, and the snapshot with it.
    pub(super) fn layer(&self) -> (Vec<String>, Snapshot) {
        let Some(diff_id) = self.tar() else { return (Vec::new(), self.base.clone()) };
        let after = self.base.after_run(&self.fixture.store, &diff_id).unwrap();
        let tar = self.fixture.store.blob_path(&diff_id).unwrap();
        let items = crate::layer::Toc::read(fs::File::open(tar).unwrap()).unwrap().items;
        (items.into_iter().map(|item| crate::name::encode(&item.path)).collect(), after)
    }
}

/// The disk's listing, with times as a layer has them.
pub(super) fn clamped(listing: Listing) -> Listing {
    let clamp = |text: String| {
        let mut words: Vec<_> = text.splitn(5, ' ').map(str::to_owned).collect();
        let at = words.len() - 2;
        words[at] = words[at].parse::<i64>().map_or(words[at].clone(), |seconds| seconds.min(LATEST).to_string());
        words.join(" ")
    };
    listing.into_iter().map(|(path, text)| (path, clamp(text))).collect()
}

#[test]
fn what_is_only_touched_is_no_change() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let tree = Tree::real(&fixture, "r", &fixture.packed(&everything()));
    assert_eq!(tree.tar(), None);
    shell(
        &tree.path,
        "chmod 644 one; chown 0:0 one; touch -d @1 big; touch -d @1700000000 big; cp -p empty e2; mv e2 empty; cp -p one x; mv x one; touch -d @1700000000.5 empty; touch -d @1700000000 .",
    );
    assert_eq!(tree.tar(), None);
}

#[test]
fn each_change_has_its_entries() {
    if !is_root() {
        return;
    }
    let table: &[(&str, &[&str])] = &[
        ("echo x >new", &["new"]),
        ("echo X >d/su", &["d", "d/su"]),
        // Same size, and the time put back.
        ("printf 9123456789 | dd of=big conv=notrunc 2>/dev/null; touch -d @1700000000 big", &["big"]),
        ("chmod 600 empty", &["empty"]),
        ("chown 5 dangling -h", &["dangling"]),
        ("rm fifo", &[".wh.fifo"]),
        ("rm -r d", &[".wh.d"]),
        (
            "rm -r closed; mkdir -m 0 closed; chown nobody:nogroup closed; touch -d @1700000000 closed",
            &["closed", "closed/.wh.file"],
        ),
        ("rm -r closed; echo f >closed", &["closed"]),
        ("rm empty; mkdir empty", &["empty"]),
        ("chmod 640 one", &["d", "d/three", "one", "two"]),
        ("ln empty tmp/e", &["empty", "tmp", "tmp/e"]),
        ("ln one d/four", &["d", "d/four", "d/three", "one", "two"]),
        ("rm two; touch -d @1700000000 one d", &[".wh.two"]),
        ("mv tmp t2", &[".wh.tmp", "t2"]),
        ("ln -sf other to-host", &["to-host"]),
        ("mknod null c 1 3", &["null"]),
        ("rm tty; mknod tty c 4 2", &["tty"]),
        ("chmod 700 .", &["."]),
        ("mkdir tmp/a; rmdir tmp/a", &["tmp"]),
    ];
    let fixture = fixture();
    let base = fixture.packed(&everything());
    for (number, (script, expected)) in table.iter().enumerate() {
        let tree = Tree::real(&fixture, &number.to_string(), &base);
        shell(&tree.path, script);
        let (paths, after) = tree.layer();
        let expected: Vec<_> = expected.iter().map(|path| path.trim_start_matches('.').to_owned()).collect();
        let paths: Vec<_> = paths.iter().map(|path| path.trim_start_matches('.').to_owned()).collect();
        assert_eq!(paths, expected, "{script}");
        assert_eq!(listing(&after), clamped(disk_listing(&tree.path)), "{script}");
    }
}

#[test]
fn extended_attributes_are_found() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let tree = Tree::real(&fixture, "r", &everything());
    let set = |name: &str, attribute: &str, value: &[u8]| {
        rustix::fs::lsetxattr(tree.path.join(name), attribute, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set("one", "user.x", b"1\n");
    set("tmp", "trusted.y", b"2");
    set("empty", "user.overlay.origin", b"none of ours");
    set("big", "security.selinux", b"the host's");
    let (paths, after) = tree.layer();
    assert_eq!(paths, ["d", "d/three", "one", "tmp", "two"]);
    let xattrs = |path: &str| after.tree().get(path.as_bytes()).unwrap().attributes().xattrs.clone();
    assert_eq!(xattrs("two"), [(b"user.x".to_vec(), b"1\n".to_vec())].into());
    assert_eq!(xattrs("tmp"), [(b"trusted.y".to_vec(), b"2".to_vec())].into());
}

#[test]
fn skipped_paths_are_as_they_were() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let base =
        everything().extend(&[], vec![directory("etc"), inline("etc/hosts", "base"), directory("etc/x")]).unwrap();
    let (path, table) = fixture.real("r", &base);
    shell(&path, "mkdir proc etc/m; echo old >proc/a; touch etc/resolv.conf");
    let skip = [&b"proc"[..], b"etc/hosts", b"etc/resolv.conf", b"d", b"cache/pip"].map(<[u8]>::to_vec);
    shell(&path, "mkdir -p cache/pip; rmdir etc/m");
    let tree = Tree { fixture: &fixture, base, before: Index::of(&path, &skip).unwrap(), path, table };
    let tar = || tree.changes(Owned::Real(&tree.table), &skip).unwrap().write_tar(&fixture.store).unwrap();
    shell(&tree.path, "echo new >proc/b; echo new >etc/hosts; rm -r d/su; touch etc; rm cache/pip -r");
    assert_eq!(tar(), None);
    // What is made beside a mount point needs the directories above, which the base does not have.
    shell(&tree.path, "touch cache/new");
    let after = tree.base.after_run(&fixture.store, &tar().unwrap()).unwrap();
    assert_eq!(after.list("cache").unwrap().len(), 1);
    assert_eq!(after.read("etc/hosts", 9).unwrap(), b"base");
}

#[test]
fn names_of_whiteouts_and_sockets() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let tree = Tree::real(&fixture, "r", &everything());
    drop(std::os::unix::net::UnixListener::bind(tree.path.join("tmp/socket")).unwrap());
    let found = tree.changes(Owned::Real(&tree.table), &[]).unwrap();
    assert_eq!(found.sockets(), [b"tmp/socket"]);
    fs::create_dir(tree.path.join("d/.wh.d")).unwrap();
    let error = tree.changes(Owned::Real(&tree.table), &[]).unwrap().write_tar(&fixture.store).unwrap_err();
    assert!(matches!(&error, Error::Invalid(message) if message.contains("`d/.wh.d`")), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let tree = Tree::real(&fixture, "r", &everything());
    shell(&tree.path, "echo before >f");
    let found = tree.changes(Owned::Real(&tree.table), &[]).unwrap();
    shell(&tree.path, "echo after that >f");
    assert!(found.write_tar(&fixture.store).unwrap_err().to_string().contains("has changed"));
}

#[test]
fn devices_of_a_table_are_devices() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let base = everything();
    let mut tree = Tree::table(&fixture, "t", &base);
    let tar =
        |tree: &Tree<'_>| tree.changes(Owned::Table(&tree.table), &[]).unwrap().write_tar(&fixture.store).unwrap();
    assert_eq!(tar(&tree), None);
    shell(&tree.path, "mv tty moved; touch null");
    let metadata = fs::metadata(tree.path.join("null")).unwrap();
    let owner = Owner { uid: 3, mode: Some(0o4666), device: Some((false, 1, 3)), ..Owner::default() };
    tree.table.insert((metadata.dev(), metadata.ino()), owner);
    let after = base.after_run(&fixture.store, &tar(&tree).unwrap()).unwrap();
    let listed = listing(&after);
    assert_eq!(listed[&b"null"[..]], format!("false-1:3 4666 3:0 {LATEST}  None"));
    assert_eq!(listed[&b"moved"[..]], listing(&base)[&b"tty"[..]]);
}

/// Commands of a random build step; none waits for the other end of a fifo. Names that begin with `n` are new ones.
pub(super) fn command(owners: bool) -> impl Strategy<Value = String> {
    let old = "(d/a|d/b|d/e/f|g|d|d/e|l)".prop_map(|path: String| path);
    let new = "(n1|d/n2|d/e/n3|n4/n5)".prop_map(|path: String| path);
    let any = prop_oneof![old, new.clone()];
    let change = prop_oneof![
        (any.clone(), "[xy]{0,2}").prop_map(|(path, text)| format!("test -p {path} || printf '{text}' >{path}")),
        (any.clone(), "[xy]{0,2}").prop_map(|(path, text)| format!("test -p {path} || printf '{text}' >>{path}")),
        any.clone().prop_map(|path| format!("rm -r {path}")),
        any.clone().prop_map(|path| format!("mkdir {path}")),
        any.clone().prop_map(|path| format!("rm -r {path} && mkdir -p {path}")),
        any.clone().prop_map(|path| format!("ln -s target {path}")),
        any.clone().prop_map(|path| format!("mkfifo {path}")),
        (any.clone(), new.clone()).prop_map(|(from, to)| format!("test ! -e {to} && mv -T {from} {to}")),
        (new.clone(), new).prop_map(|(from, to)| format!("test -f {from} && ln {from} {to}")),
        (any.clone(), 0o600u32..0o777).prop_map(|(path, mode)| format!("chmod {:o} {path}", mode | 0o700)),
        (any.clone(), 1_600_000_000u32..1_700_000_003).prop_map(|(path, time)| format!("touch -hd @{time} {path}")),
    ];
    let owner = (any, 0u32..3).prop_map(|(path, uid)| format!("chown -h {uid} {path}"));
    if owners { prop_oneof![9 => change, 1 => owner].boxed() } else { change.boxed() }
}

/// A script of them: what fails is left out, and the same commands fail everywhere.
pub(super) fn script(commands: &[String]) -> String {
    commands.iter().map(|command| format!("{{ {command}; }} 2>/dev/null || true\n")).collect()
}

pub(super) fn small() -> Snapshot {
    let entries = vec![
        directory("d"),
        inline("d/a", "x"),
        inline("d/b", "xy"),
        directory("d/e"),
        inline("d/e/f", ""),
        inline("g", "y"),
        entry("l", Change::Symlink("d".into())),
    ];
    Snapshot::scratch().extend(&[], entries).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_scan_finds_what_the_disk_says(commands in prop::collection::vec(command(true), 0..12)) {
        if is_root() {
            let fixture = fixture();
            let tree = Tree::real(&fixture, "r", &fixture.packed(&small()));
            shell(&tree.path, &script(&commands));
            let (_, after) = tree.layer();
            prop_assert_eq!(listing(&after), clamped(disk_listing(&tree.path)));
        }
    }

    #[test]
    fn a_table_gives_the_same_layer_as_real_owners(commands in prop::collection::vec(command(false), 0..12)) {
        if is_root() {
            let fixture = fixture();
            let real = Tree::real(&fixture, "r", &small());
            let table = Tree::table(&fixture, "t", &small());
            shell(&real.path, &script(&commands));
            shell(&table.path, &script(&commands));
            let found = table.changes(Owned::Table(&table.table), &[]).unwrap().write_tar(&fixture.store).unwrap();
            prop_assert_eq!(found, real.tar());
        }
    }
}
