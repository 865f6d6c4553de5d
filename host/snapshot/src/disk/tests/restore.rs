//! A directory that commands have worked in, made again what it was.

use super::*;

/// Overwrites, removes, replaces by other kinds, adds, links, and changes metadata.
const DAMAGE: &str = "
    printf X | dd of=big conv=notrunc bs=1 status=none
    rm old two; mkdir old; echo in > old/inner; ln one d/four
    rm -r d; echo file > d
    rm -r tmp; ln -s closed tmp
    mkdir -p new/deep; mkfifo new/deep/pipe
    mv empty moved; chmod 777 closed
    rm to-host; ln -s /etc/passwd to-host
";

/// Waits for nothing: the stamps of the past are settled when a directory was looked at later than a tick after.
fn index(root: &Path) -> Index {
    loop {
        let index = Index::of(root, &[]).unwrap();
        if index.iter().all(|(path, stamp)| index.is_unchanged(path, stamp)) {
            return index;
        }
    }
}

#[test]
fn what_was_not_touched_stays() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let snapshot = fixture.packed(&everything());
    let (path, mut table) = fixture.real("root", &snapshot);
    let before = index(&path);
    let owning = Owning::Real { table: &mut table, userns: false };
    assert!(restore(&snapshot, &before, &path, owning, Limits::default()).unwrap().is_none());
    let inode = |name: &str| fs::symlink_metadata(path.join(name)).unwrap().ino();
    let (fifo, closed) = (inode("fifo"), inode("closed/file"));
    shell(&path, DAMAGE);
    let owning = Owning::Real { table: &mut table, userns: false };
    let after = restore(&snapshot, &before, &path, owning, Limits::default()).unwrap().unwrap();
    assert_eq!(disk_listing(&path), listing(&snapshot));
    assert_eq!((inode("fifo"), inode("closed/file")), (fifo, closed));
    let owning = Owning::Real { table: &mut table, userns: false };
    let quiet = restore(&snapshot, &after, &path, owning, Limits::default()).unwrap();
    assert!(quiet.is_none_or(|_| disk_listing(&path) == listing(&snapshot)));
}

#[test]
fn attributes_of_directories_go_and_come_back() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let snapshot = everything();
    let (path, mut table) = fixture.real("root", &snapshot);
    let before = index(&path);
    let d = path.join("d");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&d, "user.new", b"1", flags).unwrap();
    rustix::fs::setxattr(&d, "trusted.new", b"1", flags).unwrap();
    std::os::unix::fs::chown(&d, Some(1), Some(2)).unwrap();
    let owning = Owning::Real { table: &mut table, userns: false };
    restore(&snapshot, &before, &path, owning, Limits::default()).unwrap().unwrap();
    assert_eq!(disk_listing(&path), listing(&snapshot));
    let mut names = [0; 64];
    assert_eq!(rustix::fs::listxattr(&d, &mut names[..]).unwrap(), 0);
}

#[test]
fn the_table_is_as_it_was_for_the_same_files_only() {
    let fixture = fixture();
    let snapshot = fixture.packed(&everything());
    let (path, table) = fixture.table("root", &snapshot);
    let before = index(&path);
    let owned = |table: &Owners, name: &str| {
        let metadata = fs::symlink_metadata(path.join(name)).unwrap();
        table.get(&(metadata.dev(), metadata.ino())).cloned()
    };
    shell(&path, DAMAGE);
    let (fifo, closed) = (owned(&table, "fifo"), owned(&table, "closed/file"));
    let mut now = table.clone();
    restore(&snapshot, &before, &path, Owning::Table(&mut now), Limits::default()).unwrap().unwrap();
    assert_eq!((owned(&now, "fifo"), owned(&now, "closed/file")), (fifo, closed));
    assert_eq!(owned(&now, "d/secret").map(|owner| (owner.uid, owner.mode)), Some((1000, Some(0))));
    assert_eq!(owned(&now, "d").map(|owner| owner.uid), Some(7));
    assert_eq!(owned(&now, "empty"), None);
    let (_, fresh) = fixture.table("fresh", &snapshot);
    assert_eq!(now.len(), fresh.len(), "nothing is said of files that are gone");
}

#[test]
fn a_link_that_a_command_left_is_not_followed() {
    let fixture = fixture();
    let snapshot = Snapshot::scratch().extend(&[], vec![directory("a"), inline("a/file", "mine")]).unwrap();
    let (path, mut table) = fixture.table("root", &snapshot);
    let before = index(&path);
    let outside = fixture.directory("outside");
    fs::write(outside.join("file"), "theirs").unwrap();
    fs::write(outside.join("other"), "theirs").unwrap();
    shell(&path, "rm -r a; ln -s ../outside a");
    restore(&snapshot, &before, &path, Owning::Table(&mut table), Limits::default()).unwrap().unwrap();
    assert_eq!(fs::read_to_string(path.join("a/file")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "theirs");
    assert!(outside.join("other").exists());
}
