//! Writer and reader against each other, and both against GNU tar.

use proptest::prelude::*;

use super::super::input::{Input, Seeking};
use super::super::read::TarReader;
use super::super::{Body, Item};
use super::*;
use crate::Error;
use crate::meta::Timestamp;

/// Read on, and with a file's content left out.
fn items(archive: &[u8]) -> crate::Result<Vec<Item>> {
    let read = items_of(archive, archive.len());
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, archive).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let sought = items_of(Seeking::new(file).unwrap(), archive.len());
    assert_eq!(read.as_ref().map_err(ToString::to_string), sought.as_ref().map_err(ToString::to_string));
    read
}

fn items_of(input: impl Input, size: usize) -> crate::Result<Vec<Item>> {
    let mut reader = TarReader::new(input);
    let items = reader.items()?;
    assert_eq!(reader.drain()?, size as u64);
    Ok(items)
}

fn shape(body: &Body) -> Shape<'_> {
    match body {
        Body::Regular { size, .. } => Shape::Regular { size: *size },
        Body::Directory => Shape::Directory,
        Body::Symlink(target) => Shape::Symlink(target),
        Body::HardLink(target) => Shape::HardLink(target),
        Body::Fifo => Shape::Fifo,
        Body::Device { block, major, minor } => Shape::Device { block: *block, major: *major, minor: *minor },
    }
}

fn path_bytes() -> impl Strategy<Value = Vec<u8>> {
    let component = prop::collection::vec(prop::sample::select(&b"ab.\xff\xc3\n "[..]), 1..130)
        .prop_filter("special", |name| name != b"." && name != b"..");
    prop::collection::vec(component, 1..5).prop_map(|parts| parts.join(&b'/'))
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (0u64..2000).prop_map(|size| Body::Regular { size, offset: 0, map: None }),
        Just(Body::Directory),
        path_bytes().prop_map(Body::Symlink),
        path_bytes().prop_map(Body::HardLink),
        Just(Body::Fifo),
        (any::<bool>(), 0u32..4096, 0u32..1 << 20).prop_map(|(block, major, minor)| Body::Device {
            block,
            major,
            minor
        }),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let modified = (-(1i64 << 40)..1 << 40, prop_oneof![Just(0), 0u32..1_000_000_000]);
    let xattrs = prop::collection::btree_map(
        "user\\.[a-z]{1,9}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        0..3,
    );
    (0u32..0o10000, any::<u32>(), 0u32..5, modified, xattrs).prop_map(
        |(mode, uid, gid, (seconds, nanoseconds), xattrs)| Attributes {
            mode,
            uid,
            gid,
            modified: Timestamp { seconds, nanoseconds },
            xattrs,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec((path_bytes(), attributes(), body()), 0..6)) {
        let mut archive = Vec::new();
        let mut expected = Vec::new();
        for (path, attributes, mut body) in entries {
            push_header(&mut archive, &path, &attributes, shape(&body));
            if let Body::Regular { size, offset, .. } = &mut body {
                *offset = archive.len() as u64;
                archive.resize(archive.len() + *size as usize + padding(*size), 7);
            }
            expected.push(Item { path, attributes, body });
        }
        archive.extend_from_slice(&END);
        prop_assert_eq!(items(&archive).unwrap(), expected);
    }

    #[test]
    fn any_change_of_an_archive_is_read_or_refused(at in 0usize..4096, to in any::<u8>(), length in 0usize..4096) {
        let mut archive = Vec::new();
        let attributes = Attributes { xattrs: [(b"user.x".to_vec(), b"y\n".to_vec())].into(), ..Attributes::default() };
        push_header(&mut archive, &[b'x'; 200], &attributes, Shape::Regular { size: 3 });
        archive.resize(4096, 0);
        archive[at] = to;
        archive.truncate(length);
        let mut reader = TarReader::new(archive.as_slice());
        while let Ok(Some(_)) = reader.next() {}
    }
}

fn one(path: &[u8], shape: Shape<'_>) -> Vec<u8> {
    let mut archive = Vec::new();
    push_header(&mut archive, b"x", &Attributes::default(), shape);
    archive[..100].fill(0);
    archive[..path.len()].copy_from_slice(path);
    let mut header = Header::from_byte_slice(&archive[..512]).clone();
    header.set_cksum();
    [header.as_bytes().as_slice(), &END].concat()
}

#[test]
fn names_that_lead_out_are_refused_and_absolute_ones_clamped() {
    for path in [&b"../x"[..], b"a/../../x", b".."] {
        assert!(matches!(items(&one(path, Shape::Fifo)), Err(Error::Invalid(_))));
    }
    assert_eq!(items(&one(b"/etc//passwd", Shape::Fifo)).unwrap()[0].path, b"etc/passwd");
    assert_eq!(items(&one(b"./", Shape::Directory)).unwrap()[0].path, b"");
    assert!(matches!(items(&one(b"x", Shape::HardLink(b"../../etc/shadow"))), Err(Error::Invalid(_))));
    assert!(matches!(items(&one(b"x", Shape::Symlink(b""))), Err(Error::Invalid(_))));
}

#[test]
fn only_files_have_content_and_blank_numbers_are_zero() {
    let mut archive = one(b"link", Shape::HardLink(b"x"));
    let mut header = Header::from_byte_slice(&archive[..512]).clone();
    header.set_size(1024);
    let old = header.as_old_mut();
    (old.mode, old.uid, old.mtime) = (*b"        ", [0; 8], [0; 12]);
    header.set_cksum();
    archive.splice(..512, header.as_bytes().iter().copied());
    archive.splice(512..512, one(b"after", Shape::Fifo)[..512].iter().copied());
    let items = items(&archive).unwrap();
    assert_eq!(items.iter().map(|item| item.path.as_slice()).collect::<Vec<_>>(), [&b"link"[..], b"after"]);
    assert_eq!((items[0].attributes.mode, items[0].attributes.uid), (0, 0));
}

#[test]
fn announced_sizes_cost_no_memory() {
    let mut archive = one(b"x", Shape::Regular { size: MAX_LONG });
    assert!(matches!(items(&archive), Err(Error::Invalid(message)) if message.contains("ends within a file")));
    archive[156] = b'x';
    let mut header = Header::from_byte_slice(&archive[..512]).clone();
    header.set_cksum();
    archive[..512].copy_from_slice(header.as_bytes());
    assert!(matches!(items(&archive), Err(Error::Invalid(message)) if message.contains("extension header of")));
}

#[test]
fn row_118_sizes_that_no_field_of_a_header_holds() {
    for size in [MAX_LONG, MAX_LONG + 1, 9 << 40] {
        let mut archive = Vec::new();
        push_header(&mut archive, b"big", &Attributes::default(), Shape::Regular { size });
        assert_eq!(archive.len() > 512, size > MAX_LONG);
        let mut tar = std::process::Command::new("tar")
            .arg("-tvf-")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut tar.stdin.take().unwrap(), &archive).unwrap();
        // It misses the content, and says before what it should be.
        let listing = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
        assert!(listing.contains(&format!(" {size} ")), "{size} in {listing:?}");
        assert!(matches!(items(&archive), Err(Error::Invalid(message)) if message.contains("ends within a file")));
    }
}

#[test]
fn what_is_no_archive() {
    assert!(matches!(items(&[b'x'; 600]), Err(Error::Invalid(_))));
    assert!(matches!(items(&one(b"x", Shape::Fifo)[..300]), Err(Error::Invalid(_))));
    assert_eq!(items(b"").unwrap(), []);
}

/// GNU tar's archives of a directory with odd files, in each of its formats.
#[test]
fn row_118_archives_of_gnu_tar_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let long = "l".repeat(180);
    std::fs::create_dir_all(root.join(format!("t/{long}"))).unwrap();
    std::fs::write(root.join(format!("t/{long}/{long}")), "deep").unwrap();
    std::os::unix::fs::symlink(&long, root.join("t/link")).unwrap();
    std::fs::write(root.join("t/one"), "1").unwrap();
    std::fs::hard_link(root.join("t/one"), root.join("t/two")).unwrap();
    let sparse = std::fs::File::create(root.join("t/sparse")).unwrap();
    for at in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", at * 200_000).unwrap();
    }
    sparse.set_len(40 * 200_000).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=posix"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=0.0"],
    ] {
        let output = std::process::Command::new("tar")
            .args(format)
            .args(["-cS", "--sort=name", "t"])
            .current_dir(root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let items = items(&output.stdout).unwrap();
        let named = |path: &str| {
            &items.iter().find(|item| item.path == path.as_bytes()).unwrap_or_else(|| panic!("{format:?} {path}")).body
        };
        assert!(matches!(named(&format!("t/{long}/{long}")), Body::Regular { size: 4, .. }));
        assert_eq!(named("t/link"), &Body::Symlink(long.clone().into_bytes()));
        assert_eq!(named("t/two"), &Body::HardLink(b"t/one".to_vec()));
        let Body::Regular { size, offset, map: Some(map) } = named("t/sparse") else { panic!("{format:?}") };
        assert_eq!((*size, map.len()), (40 * 200_000, 40), "{format:?}");
        assert_eq!(map[3].at, 600_000 / 4096 * 4096);
        let first = *offset as usize;
        assert_eq!(&output.stdout[first..first + 4], b"data");
    }
}
