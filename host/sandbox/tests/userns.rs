//! The rung `userns`, by real processes in real namespaces.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use common::{Sandbox, is_alive, marker, namespaces_allowed};
use steprun_sandbox::Rung;
use steprun_sandbox::request::{Attachment, AttachmentSource, Exit, Network, User};

/// A sandbox on this rung, or none where the place has no namespaces to test it with.
fn sandbox(script: &str) -> Option<Sandbox> {
    namespaces_allowed().then(|| Sandbox::new(Rung::Userns, script))
}

/// Leaves a test early where it can't be made.
macro_rules! sandbox {
    ($script:expr) => {
        match sandbox($script) {
            Some(sandbox) => sandbox,
            None => return eprintln!("skipped: this place allows no user namespace with all ids"),
        }
    };
}

#[test]
fn output_and_statuses_are_exact() {
    common::output_and_statuses_are_exact(sandbox);
}

#[test]
fn programs_that_are_not_there_say_so() {
    let mut sandbox = sandbox!("");
    sandbox.trial.command.arguments = vec![b"no-such-program".to_vec()];
    let done = sandbox.run();
    assert_eq!(done.exit, Ok(Exit::Status(127)));
    assert_eq!(done.errors, "no-such-program: not found\n");
}

#[test]
fn the_environment_is_the_given_one() {
    let mut sandbox = sandbox!("");
    sandbox.trial.command.arguments = vec![b"env".to_vec()];
    sandbox.environment(&["A=1", "PATH=/bin", "B=x y"]);
    assert_eq!(sandbox.run().output, "A=1\nPATH=/bin\nB=x y\n");
}

#[test]
fn the_user_is_the_given_one() {
    let mut sandbox = sandbox!("id -u; id -g; id -G; umask; ulimit -c; echo said > /dev/stderr; cat /dev/stdin");
    sandbox.trial.command.user = User { uid: 7, gid: 8, groups: vec![9, 10] };
    sandbox.trial.command.input = b"input\n".to_vec();
    let done = sandbox.run();
    assert_eq!(done.output, "7\n8\n8 9 10\n0022\n0\ninput\n", "{done:?}");
    assert_eq!(done.errors, "said\n");
}

#[test]
fn rights_are_those_of_docker() {
    let done = sandbox!("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; hostname").run();
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\nbuildkitsandbox\n";
    assert_eq!(done.output, expected);
}

#[test]
fn what_would_lead_out_is_refused() {
    for attempt in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /sys",
        "umount /proc/sys",
        "unshare -U true",
        "unshare -m true",
        "nsenter -t 1 -m true",
        "mknod /tmp/disk b 8 0",
        "cat /proc/1/environ",
        "ls /proc/1/root/",
        "readlink /proc/1/fd/*",
        "cat /proc/1/fd/*",
        "cat /proc/1/maps",
        "ls /proc/1/cwd/",
        "cat /proc/kcore | head -c 1 | grep -q .",
        "echo 1 > /sys/kernel/uevent_seqnum",
        // The value that is there already: a test that fails should change nothing.
        "cat /proc/sys/vm/swappiness > /tmp/value && cat /tmp/value > /proc/sys/vm/swappiness",
        // Only opened: any letter in it would do something to the machine.
        ": > /proc/sysrq-trigger",
    ] {
        let done = sandbox!(&format!("({attempt}) && echo it worked")).run();
        assert!(matches!(done.exit, Ok(Exit::Status(1..))), "{attempt}: {done:?}");
        assert_eq!(done.output, "", "{attempt}");
    }
    // Process 1 takes no signal from the command.
    assert_eq!(sandbox!("kill -9 1; kill -SEGV 1; kill -TERM 1; echo alive").run().output, "alive\n");
}

#[test]
fn other_processes_are_not_there() {
    let secret = marker();
    let mut sandbox =
        sandbox!("cd /proc; ls -d [0-9]*; cat [0-9]*/cmdline [0-9]*/environ 2> /dev/null | tr '\\0' '\\n'");
    sandbox.outer_environment("SECRET", &secret);
    let done = sandbox.run();
    let numbers: Vec<u32> = done.output.lines().map_while(|line| line.parse().ok()).collect();
    assert!(numbers.len() <= 3 && numbers.contains(&1) && numbers.iter().all(|number| *number < 20), "{done:?}");
    assert!(!done.output.contains(&secret), "{done:?}");
}

#[test]
fn descriptors_are_not_inherited() {
    let mut sandbox = sandbox!("ls /proc/self/fd; ls -l /proc/self/fd/ >&2");
    sandbox.inherited = Some(77);
    let done = sandbox.run();
    // The fourth is the directory that is listed.
    assert_eq!(done.output, "0\n1\n2\n3\n", "{done:?}");
}

#[test]
fn devices_work() {
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x > /dev/full; \
        echo link > /dev/stdout; cat /dev/fd/0; ls /dev; touch /dev/shm/x && stat -c %a /dev/shm; test -c /dev/ptmx && echo terminals";
    let mut sandbox = sandbox!(script);
    sandbox.trial.command.input = b"input\n".to_vec();
    let done = sandbox.run();
    let expected = "4\n5\nlink\ninput\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n1777\nterminals\n";
    assert_eq!(done.output, expected, "{done:?}");
    assert!(done.errors.contains("No space left"), "{done:?}");
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
fn the_time_limit_ends_a_fork_loop() {
    let marker = marker();
    let mut sandbox = sandbox!(&format!("while :; do (setsid sleep {marker} &); done"));
    sandbox.trial.limits.time = Some(1);
    assert_eq!(sandbox.run().exit, Ok(Exit::TimedOut));
    assert!(!is_alive(&marker));
}

#[test]
fn it_ends_with_its_host() {
    let marker = marker();
    let script = format!("setsid sleep {marker} & echo started; sleep {marker}");
    // The host closes its end.
    let mut running = sandbox!(&script).start();
    let mut output = BufReader::new(running.child.stdout.take().expect("piped"));
    output.read_line(&mut String::new()).expect("a line");
    drop(running.stop.take());
    let done = running.wait();
    assert!(done.exit.is_err_and(|reason| reason.contains("interrupted")));
    assert!(!is_alive(&marker));

    // The outer supervisor is killed: all others follow, and with them the last writer of the output.
    let mut running = sandbox!(&script).start();
    let mut output = BufReader::new(running.child.stdout.take().expect("piped"));
    output.read_line(&mut String::new()).expect("a line");
    running.child.kill().expect("our child");
    output.read_to_string(&mut String::new()).expect("the end");
    assert!(!is_alive(&marker));
}

#[test]
fn networks_are_apart() {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = server.local_addr().expect("bound").port();
    // Hangs up on whoever comes.
    std::thread::spawn(move || server.incoming().for_each(drop));
    let script =
        format!("nc -w 2 127.0.0.1 {port} < /dev/null && echo reached; grep -c : /proc/net/dev; ls /sys/class/net");
    let mut sandbox = sandbox!(&script);
    let done = sandbox.run();
    assert_eq!(done.output, "1\nlo\n", "none: {done:?}");
    sandbox.trial.network = Network::Host;
    let done = sandbox.run();
    assert!(done.output.starts_with("reached\n"), "host: {done:?}");
    let done = sandbox!("ping -c 1 -w 2 127.0.0.1 > /dev/null && echo local").run();
    assert_eq!(done.output, "local\n", "{done:?}");
}

#[test]
fn allowed_hosts_are_reached_by_the_proxy() {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = server.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nserved");
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
fn attachments_are_seen_where_they_belong() {
    let mut sandbox = sandbox!(
        "cat /in/file /single; echo x 2> /dev/null > /in/file || echo read-only; echo y > /out/new; \
        stat -c %a /mem; head -c 2000000 /dev/zero > /mem/big 2> /dev/null || echo full; cat /mem/sub/secret; cat /etc/by-link; \
        test -e /mem/big && stat -c %s /mem/big"
    );
    let outside = sandbox.outside();
    for name in ["in", "out"] {
        fs::create_dir(outside.join(name)).expect("a directory");
        fs::create_dir(sandbox.root().join(name)).expect("a mount point");
    }
    fs::create_dir(sandbox.root().join("mem")).expect("a mount point");
    fs::write(outside.join("in/file"), "bound\n").expect("a file");
    fs::write(outside.join("file"), "single\n").expect("a file");
    sandbox.write("single", "");
    sandbox.write("etc/by-link", "");
    // Absolute, and must not lead into the machine's /etc.
    symlink("/etc", sandbox.root().join("link")).expect("a symlink");
    let path = |path: &str, writable| AttachmentSource::Path { path: outside.join(path), writable };
    sandbox.trial.attachments = [
        ("/in", path("in", false)),
        ("/out", path("out", true)),
        ("/single", path("file", false)),
        ("/mem", AttachmentSource::Tmpfs(Some(1 << 20))),
        ("/mem/sub/secret", path("file", false)),
        ("/link/by-link", path("file", false)),
    ]
    .map(|(target, source)| Attachment { target: target.into(), source })
    .to_vec();
    let done = sandbox.run();
    assert_eq!(done.output, "bound\nsingle\nread-only\n1777\nfull\nsingle\nsingle\n1048576\n", "{done:?}");
    assert_eq!(fs::read_to_string(outside.join("in/file")).expect("still there"), "bound\n");
    assert_eq!(fs::read_to_string(outside.join("out/new")).expect("written"), "y\n");
    assert_eq!(fs::read_dir(sandbox.root().join("mem")).expect("there").count(), 0, "nothing is written below");
}

#[test]
fn an_overlay_keeps_its_base() {
    let mut sandbox = sandbox!("rm /etc/old; echo new > /etc/new; stat -c %d:%i / > /dev/null; sync; cat /etc/kept");
    sandbox.write("etc/old", "");
    sandbox.write("etc/kept", "kept\n");
    // Characters that mean something in mount options.
    let outside = sandbox.outside().join("a:b,c\\d");
    let [upper, work, at] = ["upper", "work", "at"].map(|name| outside.join(name));
    for path in [&upper, &work, &at] {
        fs::create_dir_all(path).expect("a directory");
    }
    let lower = std::mem::replace(&mut sandbox.trial.root, at);
    sandbox.trial.overlay = Some([lower.clone(), upper.clone(), work]);
    let done = sandbox.run();
    assert_eq!((done.exit.clone(), done.output.as_str()), (Ok(Exit::Status(0)), "kept\n"), "{done:?}");
    assert!(lower.join("etc/old").exists() && !lower.join("etc/new").exists());
    assert_eq!(fs::read_to_string(upper.join("etc/new")).expect("written"), "new\n");
    let whiteout = fs::symlink_metadata(upper.join("etc/old")).expect("a whiteout");
    assert_eq!((whiteout.mode() & 0o170_000, whiteout.rdev()), (0o020_000, 0));
}

#[test]
fn a_missing_working_directory_is_named() {
    let mut sandbox = sandbox!("true");
    sandbox.trial.command.directory = b"/no/such".to_vec();
    let reason = sandbox.run().exit.expect_err("no directory");
    assert_eq!(reason, "changing to the working directory /no/such: No such file or directory (os error 2)");
}

#[test]
fn a_directory_of_another_user_is_entered() {
    let mut sandbox = sandbox!("pwd");
    fs::create_dir(sandbox.root().join("private")).expect("a directory");
    fs::set_permissions(sandbox.root().join("private"), fs::Permissions::from_mode(0o700)).expect("ours");
    sandbox.trial.command.directory = b"/private".to_vec();
    sandbox.trial.command.user = User { uid: 7, gid: 7, groups: Vec::new() };
    assert_eq!(sandbox.run().output, "/private\n");
}

#[test]
fn an_ordinary_user_needs_a_range() {
    let mut sandbox = sandbox!("id -u; touch /tmp/a /tmp/b; chown 1:65535 /tmp/b; cat /proc/self/uid_map | wc -l");
    let Some(ranges) = common::Ranges::of_nobody() else {
        return eprintln!("skipped: only root can give `nobody` a range, and newuidmap must be installed");
    };
    sandbox.run_as_nobody();
    let done = sandbox.run();
    assert_eq!((done.exit.clone(), done.output.as_str()), (Ok(Exit::Status(0)), "0\n2\n"), "{done:?}");
    let stat = |name: &str| fs::metadata(sandbox.root().join("tmp").join(name)).expect(name);
    assert_eq!((stat("a").uid(), stat("a").gid()), (common::NOBODY, common::NOBODY));
    assert_eq!((stat("b").uid(), stat("b").gid()), (ranges.first(), ranges.first() + 65534));

    let id = common::NOBODY.to_string();
    let all = common::probe(&["--reuid", &id, "--regid", &id, "--clear-groups"]);
    assert!(all.ends_with("strongest: Some(Userns)\n"), "{all}");
    assert!(!all.contains("overlay: "), "{all}");

    drop(ranges);
    let reason = sandbox.run().exit.expect_err("no range");
    assert!(reason.contains("/etc/subuid gives no range of 65535 ids to nobody"), "{reason}");
}

#[test]
fn the_probe_names_what_lacks() {
    if !namespaces_allowed() {
        return eprintln!("skipped: this place allows no user namespace with all ids");
    }
    let all = common::probe(&[]);
    assert!(all.ends_with("strongest: Some(Userns)\n"), "{all}");
    if !is_root() {
        return eprintln!("skipped: only root can give up its rights");
    }
    let id = common::NOBODY.to_string();
    let none =
        common::probe(&["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs", "--bounding-set", "-all"]);
    assert!(none.contains("\"chroot failed: Operation not permitted (os error 1)\""), "{none}");
    assert!(none.contains("capability SYS_CHROOT"), "{none}");
    assert!(none.ends_with("strongest: Some(Supervised)\n"), "{none}");
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
