//! What RUN writes, byte for byte: the layers of all rungs are equal, and hold what the commands did.

use steprun_tests::{Context, Outcome, Place, Registry, layout_of, raw_manifest, rootfs::Debian, scan, sha256, unpack};

const EPOCH: &str = "1600000000";

/// Times below are those of `touch`, or the epoch.
const DOCKERFILE: &str = r#"
RUN mkdir -p /t/moved/deep /t/replaced /t/turned && cd /t && echo old > gone && echo old > replaced/old && echo old > swapped && echo kept > moved/deep/kept
RUN <<EOF
set -e
cd /t
rm gone
rm -r replaced && mkdir replaced && echo new > replaced/new
mv moved renamed
rmdir turned && echo file > turned
rm swapped && mkdir -m 0700 swapped
EOF
RUN <<EOF
set -e
cd /t
echo content > file && chmod 0640 file && chown 12:34 file && touch -d @1000000000 file
ln file other
ln -s file link
mkfifo -m 0600 fifo
cp /bin/true suid && chown 5:6 suid && chmod 6755 suid
cp /bin/true capable && setcap cap_net_raw+ep capable
echo x > tagged && setfattr -n user.note -v value tagged
truncate -s 1M sparse && printf end >> sparse
mkdir -m 1777 sticky
(umask 077 && touch private)
touch 'a name' 'ünïcode'
chmod 0600 /etc/issue
echo more >> /etc/issue.net
ln /etc/debian_version version
EOF
WORKDIR /t/sticky
USER 1000:1001
RUN echo mine > mine && mkdir own && ! chown 0 mine
USER 0
RUN true
"#;

/// A part of what must be there; the rest is Debian's.
const EXPECTED: [&str; 20] = [
    "f 0755 0:0 1600000000 t/capable",
    "f 0640 12:34 1000000000 t/file \"content\\n\"",
    "f 0640 12:34 1000000000 t/other = t/file",
    "l 0777 0:0 1600000000 t/link -> file",
    "p 0600 0:0 1600000000 t/fifo",
    "f 6755 5:6 1600000000 t/suid",
    "f 0644 0:0 1600000000 t/tagged \"x\\n\" user.note=\"value\"",
    "f 0644 0:0 1600000000 t/sparse 1048579 bytes",
    "d 1777 0:0 1600000000 t/sticky",
    "f 0600 0:0 1600000000 t/private",
    "f 0644 0:0 1600000000 t/a name",
    "f 0644 0:0 1600000000 t/ünïcode",
    "d 0755 0:0 1600000000 t/replaced",
    "f 0644 0:0 1600000000 t/replaced/new \"new\\n\"",
    "d 0755 0:0 1600000000 t/renamed/deep",
    "f 0644 0:0 1600000000 t/renamed/deep/kept \"kept\\n\"",
    "f 0644 0:0 1600000000 t/turned \"file\\n\"",
    "d 0700 0:0 1600000000 t/swapped",
    "f 0644 1000:1001 1600000000 t/sticky/mine \"mine\\n\"",
    "d 0755 1000:1001 1600000000 t/sticky/own",
];

/// What must not be there.
const GONE: [&str; 4] = ["t/gone", "t/moved", "t/replaced/old", "t/turned/"];

#[test]
fn all_places_make_the_same_image() {
    let registry = Registry::plain();
    Debian::get().push(&registry, "debian:1");
    let context = Context::with_dockerfile(&format!("FROM {}{DOCKERFILE}", registry.image("debian:1")));
    let build = |place: Place| -> Outcome {
        let inside = place.enter(&[context.path()]);
        let image = registry.image(&format!("app:{place:?}").to_lowercase());
        inside.build(context.path(), &image, &[]).env("SOURCE_DATE_EPOCH", EPOCH).run().succeeded()
    };
    let digests = Place::ALL.map(|place| build(place).digest());
    // Which layer differs says more than that one does.
    let manifests = Place::ALL.map(|place| {
        let manifest = raw_manifest(&registry, &format!("app:{place:?}").to_lowercase());
        assert!(digests.contains(&sha256(&manifest)));
        String::from_utf8(manifest).unwrap()
    });
    for (place, manifest) in Place::ALL.iter().zip(&manifests) {
        assert_eq!(*manifest, manifests[0], "{place:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let root = unpack(&layout_of(&registry, "app:machine", directory.path()), "image", directory.path());
    let lines: Vec<String> = scan(&root).iter().map(ToString::to_string).collect();
    for expected in EXPECTED {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "no {expected:?}");
    }
    for gone in GONE {
        assert!(!lines.iter().any(|line| line.contains(&format!(" {gone}"))), "{gone:?} is there");
    }
    let capable = lines.iter().find(|line| line.contains("t/capable")).unwrap();
    assert!(capable.contains("security.capability="), "{capable}");
}
