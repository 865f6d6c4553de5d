//! What a snapshot is made of, for another process.

use super::*;
use crate::{Error, Link, sha256};

#[test]
fn links_bring_the_same_tree_and_are_prefixes() {
    let fixture = fixture();
    let base = fixture.packed(&everything());
    let one = base.extend(&[], vec![inline("new", "1"), entry("old", Change::Removed)]).unwrap();
    let same = one.extend(&[], vec![inline("new", "1")]).unwrap();
    let nothing = same.extend(&[], Vec::new()).unwrap();
    let two = nothing.extend(&[], vec![entry("four", Change::HardLink("one".into())), directory("e")]).unwrap();
    let links = two.links(&fixture.store).unwrap();
    assert_eq!(links.len(), 3);
    assert!(links[0].layer.is_some() && links[1..].iter().all(|link| link.layer.is_none()));
    let mut before = 0;
    for snapshot in [&base, &one, &same, &nothing, &two] {
        let own = snapshot.links(&fixture.store).unwrap();
        assert_eq!(own[..], links[..own.len()]);
        assert!(own.len() >= before);
        before = own.len();
        let again = Snapshot::from_links(&fixture.store, &own).unwrap();
        assert_eq!(listing(&again), listing(snapshot));
        assert_eq!(again.links(&fixture.store).unwrap(), own);
    }
    assert_eq!(nothing.links(&fixture.store).unwrap().len(), 2);
    assert_eq!(Snapshot::scratch().links(&fixture.store).unwrap(), []);
}

#[test]
fn a_lost_or_broken_link_is_an_error() {
    let fixture = fixture();
    let links = everything().links(&fixture.store).unwrap();
    let lost = Link { layer: None, diff_id: sha256(b"lost") };
    assert!(matches!(Snapshot::from_links(&fixture.store, &[lost]), Err(Error::NotFound(_))));
    let tar = fixture.store.blob_path(&links[0].diff_id).unwrap();
    let mut bytes = fs::read(&tar).unwrap();
    let last = bytes.len() - 1;
    bytes[last] = 1;
    fs::write(&tar, bytes).unwrap();
    assert!(matches!(Snapshot::from_links(&fixture.store, &links), Err(Error::Corrupt(_))));
}

#[test]
fn a_file_that_changed_is_no_link() {
    let fixture = fixture();
    let context = fixture.directory("context");
    fs::write(context.join("f"), "before").unwrap();
    let source = crate::Source::Directory(crate::Directory::open(&context, ".").unwrap());
    let file = entry("f", Change::File { source: 0, path: "f".into() });
    let snapshot = Snapshot::scratch().extend(&[source], vec![file]).unwrap();
    fs::write(context.join("f"), "after that").unwrap();
    assert!(snapshot.links(&fixture.store).unwrap_err().to_string().contains("has changed"));
    assert_eq!(fs::read_dir(fixture.store.root().join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn a_run_is_packed_as_the_archive_that_it_is() {
    let fixture = fixture();
    // Not the bytes that this crate would write.
    let directory = fixture.directory("changed");
    shell(&directory, "echo a >a; ln a b; mkdir c; touch c/.wh.gone .wh.old");
    let output = Command::new("tar").args(["--format=gnu", "-cf-", "."]).current_dir(&directory).output().unwrap();
    let diff_id = crate::layer::write_tar(&fixture.store, output.stdout.as_slice()).unwrap();
    let before = everything();
    let after = before.after_run(&fixture.store, &diff_id).unwrap();
    assert_eq!(after.read("b", 9).unwrap(), b"a\n");
    assert!(matches!(after.stat("old", true), Err(Error::NotFound(_))));
    for compression in [Compression::None, Compression::Gzip] {
        let layer = after.pack(&fixture.store, compression).unwrap().unwrap();
        assert_eq!(layer.diff_id, diff_id);
        assert_eq!(fixture.store.contains(&layer.descriptor.digest), Some(layer.descriptor.size));
    }
    let links = after.links(&fixture.store).unwrap();
    assert_eq!(links[..1], before.links(&fixture.store).unwrap());
    assert_eq!(links[1], Link { layer: None, diff_id: diff_id.clone() });
    assert_eq!(listing(&Snapshot::from_links(&fixture.store, &links).unwrap()), listing(&after));
    assert!(matches!(before.after_run(&fixture.store, &sha256(b"lost")), Err(Error::NotFound(_))));
}
