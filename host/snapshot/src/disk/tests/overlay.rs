//! The upper directory of a real overlay against a plain directory, after the same commands.

use proptest::prelude::*;

use super::scan::{Tree, command, script, small};
use super::*;
use crate::Error;

/// Runs commands in an overlay over `lower`, in a mount namespace of their own; gives the upper directory. None where there is no overlay.
fn overlay(fixture: &Fixture, lower: &Path, name: &str, commands: &str) -> Option<PathBuf> {
    let upper = fixture.directory(&format!("{name}-upper"));
    let (work, merged) = (fixture.directory(&format!("{name}-work")), fixture.directory(&format!("{name}-merged")));
    let mount = format!(
        "mount -t overlay overlay -o userxattr,lowerdir={},upperdir={},workdir={} {} || exit 77\ncd {}\n{commands}",
        lower.display(),
        upper.display(),
        work.display(),
        merged.display(),
        merged.display()
    );
    let status = Command::new("unshare").args(["-m", "sh", "-e", "-c", &mount]).stderr(Stdio::null()).status().unwrap();
    if status.code() == Some(77) {
        eprintln!("skipped: no overlay can be mounted here");
        return None;
    }
    assert!(status.success(), "{commands}");
    Some(upper)
}

fn scan(fixture: &Fixture, base: &Snapshot, upper: &Path) -> Result<Option<oci_spec::image::Digest>> {
    let (state, table) = (State::Upper(upper), Owners::new());
    changes(Scan { base, state, owned: Owned::Real(&table), skip: &[], latest: Some(LATEST) })?
        .write_tar(&fixture.store)
}

#[test]
fn each_change_has_the_layer_of_a_plain_directory() {
    if !is_root() {
        return;
    }
    let table = [
        "true",
        "chmod 644 one; chown 0:0 one; touch -d @1 big; touch -d @1700000000 big; chmod 755 .",
        "echo x >new; rm fifo",
        "rm -r closed; mkdir closed; echo x >closed/other",
        "rm -r d; mkdir -m 2750 d; chown 7:8 d; echo x >d/secret",
        "rm -r closed; echo f >closed",
        "rm empty; mkdir -p empty/a; rm tty; mknod tty c 4 2",
        "mv closed elsewhere",
        "echo n >n; ln n tmp/m; ln n o; rm n",
        "chmod 600 tty; chown -h 3 dangling; ln -sf x to-host",
        "mkdir tmp/a; rmdir tmp/a",
        "setfattr -n user.x -v 1 big 2>/dev/null || true",
    ];
    let fixture = fixture();
    let base = fixture.packed(&everything());
    for (number, script) in table.iter().enumerate() {
        let plain = Tree::real(&fixture, &format!("{number}-plain"), &base);
        let (lower, _) = fixture.real(&format!("{number}-lower"), &base);
        let Some(upper) = overlay(&fixture, &lower, &number.to_string(), script) else { return };
        shell(&plain.path, script);
        assert_eq!(scan(&fixture, &base, &upper).unwrap(), plain.tar(), "{script}");
    }
}

#[test]
fn marks_of_an_overlay_are_no_attributes() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let base = everything();
    let (lower, _) = fixture.real("lower", &base);
    let Some(upper) = overlay(&fixture, &lower, "o", "echo x >>big; rm -r d; mkdir d; chmod 700 tmp") else { return };
    let after = base.after_run(&fixture.store, &scan(&fixture, &base, &upper).unwrap().unwrap()).unwrap();
    for path in [&b"big"[..], b"d", b"tmp"] {
        assert_eq!(after.tree().get(path).unwrap().attributes().xattrs, crate::Xattrs::new());
    }
    assert_eq!(after.list("d").unwrap(), []);
}

#[test]
fn other_forms_of_marks() {
    let fixture = fixture();
    let base = everything();
    let upper = fixture.directory("upper");
    let set = |name: &str, attribute: &str| {
        rustix::fs::setxattr(upper.join(name), attribute, b"y", rustix::fs::XattrFlags::empty()).unwrap();
    };
    fs::write(upper.join("one"), "").unwrap();
    set("one", "user.overlay.whiteout");
    let after = base.after_run(&fixture.store, &scan(&fixture, &base, &upper).unwrap().unwrap()).unwrap();
    assert!(matches!(after.stat("one", true), Err(Error::NotFound(_))));
    fs::create_dir(upper.join("moved")).unwrap();
    for (attribute, option) in [("user.overlay.redirect", "redirect_dir"), ("user.overlay.metacopy", "metacopy")] {
        set("moved", attribute);
        let error = scan(&fixture, &base, &upper).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(message) if message.contains(option)), "{error}");
        rustix::fs::removexattr(upper.join("moved"), attribute).unwrap();
    }
}

#[test]
fn a_device_that_was_made_as_a_file_stays_one() {
    if !is_root() {
        return;
    }
    let fixture = fixture();
    let base = everything();
    // As a user namespace makes them, which can't make nodes.
    let (lower, table) = fixture.table("lower", &base);
    assert!(table.values().any(|owner| owner.device == Some((false, 4, 1))));
    let Some(upper) = overlay(&fixture, &lower, "o", "chmod 666 tty; touch fake") else { return };
    let after = base.after_run(&fixture.store, &scan(&fixture, &base, &upper).unwrap().unwrap()).unwrap();
    assert!(listing(&after)[&b"tty"[..]].starts_with("false-4:1 666 "));
    assert!(listing(&after)[&b"fake"[..]].starts_with("file "));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_overlay_gives_the_same_layer_as_a_plain_directory(commands in prop::collection::vec(command(true), 0..10)) {
        if is_root() {
            let fixture = fixture();
            let base = fixture.packed(&small());
            let plain = Tree::real(&fixture, "plain", &base);
            let (lower, _) = fixture.real("lower", &base);
            let script = script(&commands);
            if let Some(upper) = overlay(&fixture, &lower, "o", &script) {
                shell(&plain.path, &script);
                prop_assert_eq!(scan(&fixture, &base, &upper).unwrap(), plain.tar());
            }
        }
    }
}
