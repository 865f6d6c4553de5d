//! The rung `chroot`, by real processes of root with Docker's capabilities. They have a PID namespace of their own, so that a command that gets out
//! of hand can kill nothing of the machine's.

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{Sandbox, is_alive, marker};
use steprun_sandbox::Rung;
use steprun_sandbox::request::{Attachment, AttachmentSource, Exit, Network, User};

const CAPABILITIES: &str = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,\
    +net_bind_service,+sys_chroot,+kill,+audit_write";

/// A bystander that the command must not reach, and the supervisor beside it.
const PLACE: &str =
    "sleep 1000 <&- >&- 2>&- & setpriv --bounding-set \"$0\" \"$@\"; kill $! || echo the bystander is dead >&2";

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn sandbox(script: &str) -> Option<Sandbox> {
    is_root().then(|| {
        let mut sandbox = Sandbox::new(Rung::Chroot, script);
        let place = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", PLACE, CAPABILITIES];
        sandbox.within = place.map(str::to_owned).to_vec();
        sandbox
    })
}

/// Leaves a test early where it can't be made.
macro_rules! sandbox {
    ($script:expr) => {
        match sandbox($script) {
            Some(sandbox) => sandbox,
            None => return eprintln!("skipped: this takes root"),
        }
    };
}

/// Runs a script of shell, and gives what it printed.
macro_rules! output {
    ($script:expr) => {
        sandbox!($script).run().output
    };
}

mod proc;

fn attach(target: &str, path: &Path) -> Attachment {
    Attachment { target: target.into(), source: AttachmentSource::Path { path: path.to_owned(), writable: true } }
}

/// All that the file system of a sandbox shows, but for access and change times.
fn listing(directory: &Path) -> String {
    let list = std::process::Command::new("find")
        .arg(directory)
        .args(["-printf", "%p %y %m %U %G %s %T@ %i %l\n"])
        .output()
        .expect("find");
    let mut lines: Vec<_> = String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn output_and_statuses_are_exact() {
    common::output_and_statuses_are_exact(sandbox);
}

#[test]
fn the_environment_is_the_given_one() {
    let mut sandbox = sandbox!("");
    sandbox.outer_environment("SECRET", "outer");
    sandbox.trial.command.arguments = vec![b"env".to_vec()];
    sandbox.environment(&["A=1", "PATH=/bin", "B=x y"]);
    assert_eq!(sandbox.run().output, "A=1\nPATH=/bin\nB=x y\n");
}

#[test]
fn the_user_is_the_given_one() {
    let mut sandbox = sandbox!("id -u; id -g; id -G; umask; ulimit -c; cat; pwd; echo said > /dev/stderr");
    sandbox.trial.command.user = User { uid: 7, gid: 8, groups: vec![9, 10] };
    sandbox.trial.command.input = b"input\n".to_vec();
    sandbox.trial.command.directory = b"/private".to_vec();
    fs::create_dir(sandbox.root().join("private")).expect("a directory");
    fs::set_permissions(sandbox.root().join("private"), fs::Permissions::from_mode(0o700)).expect("ours");
    let done = sandbox.run();
    assert_eq!(done.output, "7\n8\n8 9 10\n0022\n0\ninput\n/private\n", "{done:?}");
    assert_eq!(done.errors, "said\n");
}

#[test]
fn owners_and_modes_are_real() {
    common::owners_and_modes_are_real(sandbox);
}

#[test]
fn nothing_is_left_behind() {
    common::nothing_is_left_behind(sandbox);
}

#[test]
fn the_time_limit_ends_fork_loops() {
    let ordinary = User { uid: 54322, gid: 54322, groups: Vec::new() };
    let loops = [
        // Ever more, in sessions of their own.
        ("while :; do (setsid sleep MARKER &); done", User::default()),
        // Each starts the next and ends, in a new session: there is always one, never for long.
        ("sh /hop MARKER; wait; sleep 1000", User::default()),
        // Doubling, as far as the limit allows (which doesn't hold for root).
        ("ulimit -u 500; sh /bomb MARKER; sleep 1000", ordinary),
    ];
    for (script, user) in loops {
        let marker = marker();
        let mut sandbox = sandbox!(&script.replace("MARKER", &marker));
        sandbox.write("hop", "setsid sh /hop $1 &");
        sandbox.write("bomb", "sh /bomb $1 & sh /bomb $1 & wait");
        sandbox.trial.command.user = user;
        sandbox.trial.limits.time = Some(1);
        let done = sandbox.run();
        assert_eq!(done.exit, Ok(Exit::TimedOut), "{script}: {}", done.errors);
        assert!(!is_alive(&marker), "{script}");
    }
}

#[test]
fn orphans_are_reaped_meanwhile() {
    // More than the place has processes for, if they stayed.
    let script = "ulimit -u 3000; i=0; while [ $i -lt 3000 ]; do (true &); i=$((i+1)); done; echo done";
    let mut sandbox = sandbox!(script);
    sandbox.trial.command.user = User { uid: 54321, gid: 54321, groups: Vec::new() };
    let done = sandbox.run();
    assert_eq!(done.output, "done\n", "{done:?}");
}

#[test]
fn it_ends_with_its_host() {
    let marker = marker();
    let sandbox = sandbox!(&format!("setsid sleep {marker} & echo started; sleep {marker}"));
    let root = sandbox.root().to_owned();
    fs::write(root.join("dev/of-the-image"), "").expect("a file");
    let before = listing(&root);
    let mut running = sandbox.start();
    let mut output = BufReader::new(running.child.stdout.take().expect("piped"));
    output.read_line(&mut String::new()).expect("a line");
    drop(running.stop.take());
    // Its end comes after that of the reply.
    output.read_to_string(&mut String::new()).expect("the end");
    assert_eq!(listing(&root), before);
    let done = running.wait();
    assert!(done.exit.is_err_and(|reason| reason.contains("interrupted")));
    assert!(!is_alive(&marker));
}

#[test]
fn what_would_lead_out_is_refused() {
    for attempt in [
        "chroot / true",
        "mknod /tmp/disk b 8 0",
        "mknod /tmp/mem c 1 1",
        "mount -t tmpfs none /tmp",
        "unshare -U true",
        "unshare -m true",
        "nsenter -t 1 -m true",
        "ls -d /../outside",
        "cat /link/hostname",
        "ls /proc/1",
        "kill -9 1",
        "kill -0 1",
    ] {
        let sandbox = sandbox!(&format!("({attempt}) && echo it worked"));
        symlink("../../../../etc", sandbox.root().join("link")).expect("a symlink");
        let done = sandbox.run();
        assert!(matches!(done.exit, Ok(Exit::Status(1..))), "{attempt}: {done:?}");
        assert_eq!(done.output, "", "{attempt}");
    }
}

#[test]
fn others_get_no_signal() {
    // To all that may be reached: in a PID namespace, should it be more than it should.
    let done = sandbox!("trap '' TERM; kill -9 -1; kill -TERM -1; echo survived").run();
    assert!(!done.errors.contains("the bystander is dead"), "{done:?}");
    assert!(matches!(done.exit, Ok(Exit::Status(_))), "{done:?}");
    let bystander = sandbox!("for pid in $(seq 1 50); do kill -0 $pid && echo $pid; done 2>/dev/null | wc -l").run();
    // The shell and its subshells only.
    let reached: u32 = bystander.output.trim().parse().expect("a number");
    assert!(reached <= 3, "{bystander:?}");
}

#[test]
fn devices_work_and_the_images_come_back() {
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x > /dev/full; ls /dev; \
        stat -c '%a %t %T' /dev/null /dev/tty; touch /dev/shm/x && stat -c %a /dev/shm; rm -r /dev/shm /dev/null; touch /dev/mine";
    let sandbox = sandbox!(script);
    fs::write(sandbox.root().join("dev/of-the-image"), "here").expect("a file");
    fs::set_permissions(sandbox.root().join("dev"), fs::Permissions::from_mode(0o700)).expect("ours");
    let before = listing(sandbox.root());
    let done = sandbox.run();
    let expected =
        "4\n5\nfd\nfull\nnull\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n666 1 3\n666 5 0\n1777\n";
    assert_eq!(done.output, expected, "{done:?}");
    assert!(done.errors.contains("No space left"), "{done:?}");
    assert_eq!(listing(sandbox.root()), before);
}

#[test]
fn attachments_come_and_go() {
    let mut sandbox = sandbox!(
        "cat /in/file /single; echo y > /out/new; stat -c %a /mem; ls /mem; echo z > /mem/file; cat /mem/sub /etc/by-link; cat /dev/pipes/script"
    );
    let outside = sandbox.outside();
    for name in ["in", "out"] {
        fs::create_dir(outside.join(name)).expect("a directory");
        fs::create_dir(sandbox.root().join(name)).expect("a mount point");
    }
    fs::create_dir_all(sandbox.root().join("dev/pipes")).expect("a mount point");
    fs::create_dir(sandbox.root().join("mem")).expect("a mount point");
    fs::write(outside.join("in/file"), "bound\n").expect("a file");
    for name in ["single", "linked", "secret", "script"] {
        fs::write(outside.join(name), format!("{name}\n")).expect("a file");
    }
    sandbox.write("single", "below");
    sandbox.write("etc/by-link", "");
    // Absolute, and must not lead into the machine's /etc.
    symlink("/etc", sandbox.root().join("link")).expect("a symlink");
    sandbox.trial.attachments = vec![
        attach("/in", &outside.join("in")),
        attach("/out", &outside.join("out")),
        attach("/single", &outside.join("single")),
        Attachment { target: b"/mem".to_vec(), source: AttachmentSource::Tmpfs(Some(1 << 20)) },
        attach("/mem/sub", &outside.join("secret")),
        attach("/link/by-link", &outside.join("linked")),
        attach("/dev/pipes/script", &outside.join("script")),
    ];
    let before = listing(sandbox.root());
    let done = sandbox.run();
    assert_eq!(done.output, "bound\nsingle\n1777\nsub\nsecret\nlinked\nscript\n", "{done:?}");
    assert_eq!(fs::read_to_string(outside.join("out/new")).expect("written"), "y\n");
    assert_eq!(fs::read_to_string(outside.join("secret")).expect("back"), "secret\n");
    assert_eq!(listing(sandbox.root()), before);
}

#[test]
fn attachments_come_back_whatever_the_command_does() {
    let cases = [
        // Moved elsewhere, and something else in its place.
        ("mv /cache /moved && mkdir /cache && echo fake > /cache/file", Some("kept\n")),
        // Its directory too, and a link that leads out of the root there.
        ("mv /deep /else && ln -s /etc /deep", Some("kept\n")),
        ("mv /cache /else-cache; mkdir /a; mv /else-cache /a/b", Some("kept\n")),
        ("rm -r /cache /deep", None),
    ];
    for (script, content) in cases {
        for target in ["/cache", "/deep/cache"] {
            let mut sandbox = sandbox!(&format!("{script}; exit 3"));
            let outside = sandbox.outside();
            fs::create_dir(outside.join("cache")).expect("a directory");
            fs::set_permissions(outside.join("cache"), fs::Permissions::from_mode(0o1770)).expect("ours");
            fs::write(outside.join("cache/file"), "kept\n").expect("a file");
            fs::create_dir_all(sandbox.root().join("deep/cache")).expect("a mount point");
            fs::create_dir(sandbox.root().join("cache")).expect("a mount point");
            sandbox.trial.attachments = vec![attach(target, &outside.join("cache"))];
            let done = sandbox.run();
            assert_eq!(done.exit, Ok(Exit::Status(3)), "{script} {target}: {done:?}");
            assert_eq!(fs::read_to_string(outside.join("cache/file")).ok().as_deref(), content, "{script} {target}");
            assert_eq!(fs::metadata(outside.join("cache")).expect("there").mode() & 0o7777, 0o1770, "{script}");
            let search =
                std::process::Command::new("grep").args(["-rl", "^kept$"]).arg(sandbox.root()).output().expect("grep");
            assert_eq!(String::from_utf8_lossy(&search.stdout), "", "{script} {target}: nothing of it stays");
        }
    }
}

#[test]
fn a_failed_start_changes_nothing() {
    let mut sandbox = sandbox!("true");
    let outside = sandbox.outside();
    fs::create_dir(outside.join("cache")).expect("a directory");
    fs::create_dir(sandbox.root().join("cache")).expect("a mount point");
    sandbox.trial.attachments = vec![attach("/cache", &outside.join("cache"))];
    let before = (listing(sandbox.root()), listing(&outside.join("cache")));
    sandbox.trial.command.directory = b"/no/such".to_vec();
    let reason = sandbox.run().exit.expect_err("no directory");
    assert_eq!(reason, "changing to the working directory /no/such: No such file or directory (os error 2)");
    assert_eq!((listing(sandbox.root()), listing(&outside.join("cache"))), before);
    sandbox.trial.attachments.push(attach("/tmp/x", Path::new("/dev/shm")));
    let reason = sandbox.run().exit.expect_err("another file system");
    assert!(reason.contains("`/dev/shm` ") && reason.contains("`/tmp/x`"), "{reason}");
    assert_eq!((listing(sandbox.root()), listing(&outside.join("cache"))), before);
}

#[test]
fn networks_are_as_asked() {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = server.local_addr().expect("bound").port();
    std::thread::spawn(move || server.incoming().for_each(drop));
    let script = format!("nc -w 2 127.0.0.1 {port} < /dev/null && echo reached");
    let mut sandbox = sandbox!(&script);
    assert_eq!(sandbox.run().output, "");
    sandbox.trial.network = Network::Host;
    let done = sandbox.run();
    assert_eq!(done.output, "reached\n", "{done:?}");
    sandbox.trial.network = Network::Hosts(vec!["127.0.0.1".to_owned()]);
    let done = sandbox.run();
    assert_eq!(done.output, "", "past the proxy: {done:?}");
}

#[test]
fn allowed_hosts_are_reached_by_the_proxy() {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = server.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nserved");
        }
    });
    let mut sandbox =
        sandbox!(&format!("wget -q -O - http://127.0.0.1:{port}/; echo; wget -O - http://127.0.0.2:{port}/"));
    // The address is one that programs wouldn't ask a proxy for.
    sandbox.environment(&["PATH=/bin", "no_proxy=", "NO_PROXY="]);
    sandbox.trial.network = Network::Hosts(vec!["127.0.0.1".to_owned()]);
    let done = sandbox.run();
    assert_eq!(done.output, "served\n", "{done:?}");
    assert!(done.errors.contains("403"), "{done:?}");
}

#[test]
fn sync_is_answered() {
    assert_eq!(
        output!("sync && dd if=/dev/zero of=/tmp/x bs=1k count=1 conv=fsync 2> /dev/null && echo done"),
        "done\n"
    );
}
