//! The rung `supervised`: real commands as `nobody`, without any privilege.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{Sandbox, is_alive, marker};
use steprun_sandbox::Rung;
use steprun_sandbox::request::{Attachment, AttachmentSource, Exit, Limits, User};

fn sandbox(script: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(Rung::Supervised, script);
    sandbox.write("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n");
    sandbox.write("etc/group", "root:x:0:\napp:x:1000:\n");
    sandbox.run_as_nobody();
    sandbox
}

/// Runs a script to its success: what it wrote.
fn output(sandbox: &Sandbox) -> String {
    let done = sandbox.run();
    assert_eq!(done.exit, Ok(Exit::Status(0)), "{}{}", done.output, done.errors);
    done.output
}

fn attach(sandbox: &mut Sandbox, target: &str, path: &Path, writable: bool) {
    let source = AttachmentSource::Path { path: path.to_owned(), writable };
    sandbox.trial.attachments.push(Attachment { target: target.into(), source });
}

#[test]
fn owners_and_modes_are_as_for_root() {
    let script = "id -u; touch f && chown 33:44 f && chmod 4750 f && stat -c '%u:%g %a' f && mknod d c 1 5 && stat -c '%F %t:%T' d
        mkdir -m 2755 g && chown 0:77 g && mkdir g/in && touch g/file && stat -c '%g %a' g/in g/file
        chmod 444 f && echo x >>f && mkdir -m 555 r && echo x >r/x && stat -c %a f r
        ln f l && rm f && stat -c '%u %h' l && touch n && stat -c %u n; umask 077; touch u; stat -c %a u";
    let expected = "0\n33:44 4750\ncharacter special file 1:5\n77 2755\n77 644\n444\n555\n33 1\n0\n600\n";
    assert_eq!(output(&sandbox(script)), expected);
}

#[test]
fn files_on_disk_stay_open_to_us() {
    let sandbox = sandbox("echo a >f; chmod 0 f; chown 5:5 f; mkdir d; chmod 0 d; chmod 6777 /bin/busybox");
    output(&sandbox);
    let of = |path: &str| fs::symlink_metadata(sandbox.root().join(path)).expect("there");
    assert_eq!((of("f").mode() & 0o7777, of("f").uid()), (0o600, common::NOBODY));
    assert_eq!(of("d").mode() & 0o7777, 0o700);
    assert_eq!(of("bin/busybox").mode() & 0o6000, 0, "no set-id bits on the host");
}

#[test]
fn nothing_of_the_sandbox_stays() {
    let sandbox = sandbox("echo a >/dev/x; echo b >/dev/shm/y; echo c >/dev/null; ls /dev /proc >/dev/null");
    output(&sandbox);
    for name in ["dev", "proc"] {
        assert_eq!(fs::read_dir(sandbox.root().join(name)).expect("there").count(), 0, "{name}");
    }
    let beside = fs::read_dir(sandbox.root().parent().expect("a parent")).expect("there");
    let names: Vec<_> = beside.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.starts_with("scratch")), "{names:?}");
}

#[test]
fn a_user_may_do_what_modes_allow() {
    let mut sandbox = sandbox(
        "touch /no 2>/dev/null && echo made; echo x >>/etc/passwd && echo wrote; rm /bin/cat && echo removed
        mkdir /tmp/d && touch /tmp/d/f && stat -c %u /tmp/d/f && chmod 0 /tmp/d && ls /tmp/d && echo listed
        cat /secret/in/it && echo read; rm -rf /tmp/roots && echo sticky; chown 0 /tmp/d && echo given; id -u; true",
    );
    fs::create_dir_all(sandbox.root().join("secret/in")).expect("directories");
    sandbox.write("secret/in/it", "it");
    sandbox.write("tmp/roots", "");
    for (path, mode) in [("secret", 0o700), ("tmp", 0o1777)] {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(sandbox.root().join(path), permissions).expect("ours");
    }
    sandbox.run_as_nobody();
    sandbox.trial.command.user = User { uid: 1000, gid: 1000, groups: vec![] };
    assert_eq!(output(&sandbox), "1000\n1000\n");
}

#[test]
fn the_host_is_not_there() {
    let mut sandbox = sandbox(
        "cat /../../../../etc/hostname /proc/1/environ \"$0\"; ls /proc/1; cat /proc/self/root/../outside/f; cat up
        env; ls -d /proc/[0-9]*/fd | wc -l; readlink /proc/self/exe; cat /proc/self/comm; (exec 3<up); true",
    );
    fs::write(sandbox.outside().join("f"), "SECRET").expect("a file");
    symlink("../outside/f", sandbox.root().join("up")).expect("a symlink");
    sandbox.outer_environment("LEAK", "SECRET");
    sandbox.run_as_nobody();
    let done = sandbox.run();
    assert!(!format!("{done:?}").contains("SECRET"), "{done:?}");
    assert!(done.output.contains("/bin/busybox\n"), "{done:?}");
}

#[test]
fn attachments_are_seen_where_they_are_put() {
    let mut sandbox = sandbox(
        "cat /mnt/f; ln -s /mnt /link; cat /link/sub/../f; cat /link/sub/up; echo new >/mnt/sub/w; echo no >/ro/x
        cat /ro/f; mv /mnt/f /tmp/; rmdir /mnt; echo t >/scratch/t; cat /scratch/t; cat /file; ls /mnt",
    );
    let outside = sandbox.outside();
    fs::create_dir_all(outside.join("a/sub")).expect("directories");
    fs::write(outside.join("a/f"), "attached\n").expect("a file");
    symlink("/etc/group", outside.join("a/sub/up")).expect("a symlink");
    for name in ["mnt", "ro", "scratch"] {
        fs::create_dir(sandbox.root().join(name)).expect("a directory");
    }
    sandbox.write("file", "");
    attach(&mut sandbox, "/mnt", &outside.join("a"), true);
    attach(&mut sandbox, "/ro", &outside.join("a"), false);
    attach(&mut sandbox, "/file", &outside.join("a/f"), false);
    let source = AttachmentSource::Tmpfs(None);
    sandbox.trial.attachments.push(Attachment { target: b"/scratch".to_vec(), source });
    sandbox.run_as_nobody();
    let done = sandbox.run();
    assert_eq!(
        done.output, "attached\nattached\nroot:x:0:\napp:x:1000:\nattached\nt\nattached\nsub\n",
        "{}",
        done.errors
    );
    assert!(done.errors.contains("Read-only file system"), "{}", done.errors);
    assert_eq!(fs::read_to_string(outside.join("a/sub/w")).expect("written"), "new\n");
    assert_eq!(fs::read_dir(sandbox.root().join("scratch")).expect("there").count(), 0);
}

#[test]
fn nobody_is_left() {
    let marks = [marker(), marker(), marker()];
    let [first, second, third] = &marks;
    let script =
        format!("sleep {first} & (setsid sleep {second} &) ; nohup sh -c 'while :; do sleep {third} & done' &");
    output(&sandbox(&script));
    assert!(!marks.iter().any(|mark| is_alive(mark)));
}

#[test]
fn time_ends() {
    let mark = marker();
    let mut sandbox = sandbox(&format!("setsid sleep {mark} & sleep {mark}"));
    sandbox.trial.limits = Limits { time: Some(1) };
    assert_eq!(sandbox.run().exit, Ok(Exit::TimedOut));
    assert!(!is_alive(&mark));
}

#[test]
fn the_host_may_stop_it() {
    let mark = marker();
    let sandbox = sandbox(&format!("mkfifo f; echo up >&2; setsid sleep {mark} & cat f"));
    let mut running = sandbox.start();
    let mut byte = [0];
    let errors = running.child.stderr.as_mut().expect("piped");
    std::io::Read::read_exact(errors, &mut byte).expect("it is up");
    running.stop = None;
    assert!(running.wait().exit.is_err());
    assert!(!is_alive(&mark));
}

#[test]
fn statuses_are_a_shells() {
    let status = |script: &str| sandbox(script).run().exit;
    assert_eq!(status("exit 7"), Ok(Exit::Status(7)));
    assert_eq!(status("kill -9 $$"), Ok(Exit::Signal(9)));
    assert_eq!(status("/nowhere 2>/dev/null"), Ok(Exit::Status(127)));
    assert_eq!(status("/etc/passwd 2>/dev/null"), Ok(Exit::Status(126)));
    assert_eq!(
        status("sleep 60 & kill -STOP $! && kill -CONT $! && kill $!; wait $! 2>/dev/null; exit 3"),
        Ok(Exit::Status(3))
    );
}

#[test]
fn there_is_no_network() {
    let sandbox = sandbox("nc -w 1 127.0.0.1 1; ping -c 1 127.0.0.1; true");
    let done = sandbox.run();
    assert!(done.errors.contains("unreachable"), "{done:?}");
}

/// What real images do; each line of the script is a check.
#[test]
fn debian_works() {
    let mut sandbox = sandbox("");
    if !sandbox.be_checked_debian() {
        return;
    }
    sandbox.run_as_nobody();
    let output = output(&sandbox);
    let failed: Vec<_> = output.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(failed.is_empty() && output.lines().count() == 26, "{output}");
}
