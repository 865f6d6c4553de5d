//! The `/proc` of the rung `chroot`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use steprun_sandbox::request::Network;

use super::common::Sandbox;
use super::{listing, sandbox};

#[test]
fn its_own_files_in_proc_are_there() {
    for (script, expected) in [
        ("echo x | cat /dev/stdin", "x\n"),
        ("echo x > /dev/stdout; echo y > /dev/stderr 2>/dev/null", "x\n"),
        ("exec 3< /etc/word; cat /dev/fd/3; readlink /proc/self/fd/3; cat /proc/self/fd/3", "word\n/etc/word\nword\n"),
        ("echo x > /tmp/f; exec 7<> /tmp/f; rm /tmp/f; cat /dev/fd/7", "x\n"),
        // What a shell makes of `cat <(echo x)`.
        ("{ { echo x; } 8>&- | cat /dev/fd/9 9<&0; }", "x\n"),
        ("readlink /proc/self/exe; readlink /proc/$$/exe", "/bin/busybox\n/bin/busybox\n"),
        ("cd /tmp; readlink /proc/self/cwd; readlink /proc/self/root; cat /proc/self/root/etc/word", "/tmp\n/\nword\n"),
        (
            "cd /etc; cat /proc/self/cwd/word; echo new > /proc/self/cwd/made; stat -c %a made; cat made",
            "word\n644\nnew\n",
        ),
        ("cat /proc/self/status | head -n 1; cat /proc/self/comm", "Name:\tcat\ncat\n"),
        ("tr '\\0' ' ' < /proc/$$/cmdline | cut -c 1-5", "sh -c\n"),
        ("cat /proc/self/environ | tr '\\0' '\\n' | grep -c PATH=/bin", "1\n"),
        ("[ $(readlink /proc/self) != $$ ] && [ -d /proc/$$ ] && [ -r /proc/self/maps ] && echo yes", "yes\n"),
        ("grep -c MemTotal /proc/meminfo; [ $(nproc) -gt 0 ] && grep -q . /proc/cpuinfo && echo cpu", "1\ncpu\n"),
        ("cat /proc/mounts; cat /etc/mtab", "overlay / overlay rw,relatime 0 0\noverlay / overlay rw,relatime 0 0\n"),
        (
            "stat -c %F /proc/self /proc/self/ /proc/self/exe /proc/stat",
            "symbolic link\ndirectory\nsymbolic link\nregular empty file\n",
        ),
        ("ps -o args > /tmp/ps; wc -l < /tmp/ps; grep -c '^sh -c' /tmp/ps", "3\n1\n"),
        ("cd /proc/$$; cat comm; readlink exe; cd ..; grep -c MemTotal meminfo; pwd", "sh\n/bin/busybox\n1\n/proc\n"),
        ("cat //proc/./self/../self/comm; cat /proc/../etc/word", "cat\nword\n"),
        // As images have it for their logs.
        (
            "ln -s /dev/stdout /tmp/log; ln -s log /tmp/other; echo x > /tmp/log; echo y >> /tmp/other; readlink /tmp/log",
            "x\ny\n/dev/stdout\n",
        ),
        (
            "echo x > /tmp/file; ln -s file /tmp/log; echo y >> /tmp/log; ln -s log /tmp/loop; ln -sf loop /tmp/log; echo z > /tmp/log; cat /tmp/file",
            "x\ny\n",
        ),
    ] {
        let sandbox = sandbox!(script);
        sandbox.write("etc/word", "word\n");
        symlink("../proc/self/mounts", sandbox.root().join("etc/mtab")).expect("a symlink");
        let done = sandbox.run();
        assert_eq!(done.output, expected, "{script}: {done:?}");
    }
}

#[test]
fn proc_is_listed_and_nobody_else_is_in_it() {
    let script =
        "sleep 1000 & ls /proc; ls /proc/$!/fd /proc/$!/task; kill $!; wait; ls -d /proc/$!; ls /proc/self/fd/";
    let done = sandbox!(script).run();
    let (top, _) = done.output.split_once("/proc/").expect("more than one directory");
    let (numbers, words): (Vec<_>, Vec<_>) = top.split_ascii_whitespace().partition(|word| word.parse::<u32>().is_ok());
    // Shell, sleep and ls.
    assert_eq!(numbers.len(), 3, "{done:?}");
    let expected =
        "cpuinfo devices filesystems loadavg meminfo mounts net self stat swaps sys thread-self uptime version vmstat";
    assert_eq!(words.join(" "), expected, "{done:?}");
    assert!(done.output.contains("/fd:\n0\n1\n2\n"), "{done:?}");
    for attempt in [
        "cat /proc/1/environ",
        "ls /proc/1",
        "ls /proc/$PPID/",
        "ls -d /proc/kcore",
        "cat /proc/cmdline",
        "cat /proc/sysrq-trigger",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo x > /proc/self/mem",
    ] {
        let done = sandbox!(&format!("({attempt}) && echo it worked")).run();
        assert_eq!(done.output, "", "{attempt}: {done:?}");
    }
}

#[test]
fn proc_leads_nowhere() {
    let canary = tempfile::tempdir().expect("a directory");
    fs::write(canary.path().join("canary"), "").expect("a file");
    let path = canary.path().display();
    for attempt in [
        // No directory of the host's is handed over.
        format!(
            "exec 5< /proc; cd /proc; chmod 777 ../../../../../..{path}/canary; stat ../../../../../..{path}/canary"
        ),
        format!("cd /proc/self/fd; stat ../../../..{path}/canary"),
        format!("cd /proc/sys; stat ../../../..{path}/canary"),
        format!("exec 5< /proc/self; stat /proc/self/fd/5/../../../../..{path}/canary"),
        format!("stat /proc/self/root/..{path}/canary"),
        format!("stat /proc/self/cwd/../../../..{path}/canary"),
        format!("ls /proc > /dev/null; rm -rf /proc/$$; ln -s {path} /proc/$$; ls /proc/$$/; stat /proc/$$/canary"),
    ] {
        let done = sandbox!(&format!("({attempt}) > /dev/null && echo it worked")).run();
        assert_eq!(done.output, "", "{attempt}: {done:?}");
        assert!(canary.path().join("canary").exists(), "{attempt}");
        assert_eq!(fs::metadata(canary.path().join("canary")).expect("there").mode() & 0o111, 0, "{attempt}");
    }
}

#[test]
fn no_device_is_opened_for_it() {
    let sandbox = sandbox!("echo x > /proc/self/root/dev/null && echo null; : > /proc/self/root/tmp/log && echo log");
    let node = sandbox.root().join("tmp/log");
    // The kernel's log, which anybody may open to write who gets to its node.
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
    rustix::fs::mknodat(rustix::fs::CWD, node, kind, mode, rustix::fs::makedev(1, 11)).expect("root");
    assert_eq!(sandbox.run().output, "null\n");
}

#[test]
fn the_images_proc_comes_back() {
    let sandbox = sandbox!(
        "ls /proc /proc/self/ /proc/self/fd > /dev/null; mkdir /proc/mine; touch /proc/mine/x; ls /proc | grep -c mine"
    );
    fs::write(sandbox.root().join("proc/of-the-image"), "here").expect("a file");
    let before = listing(sandbox.root());
    let done = sandbox.run();
    assert_eq!(done.output, "0\n", "{done:?}");
    assert_eq!(listing(sandbox.root()), before);
}

#[test]
fn other_users_see_their_own() {
    let inner = "cat /etc/word; cat /proc/self/comm; echo x | cat /dev/stdin; readlink /proc/self/exe; cat /etc/secret; exec 3< /etc/word; cat /dev/fd/3; \
        tr -d '\\0' < /proc/1/environ; cat /proc/self/root/etc/secret";
    let sandbox =
        sandbox!(&format!("exec 4< /etc/secret; su app -c \"{inner}; cat /proc/self/fd/4\" 2>&1; cat /proc/self/fd/4"));
    sandbox.write("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:500:501::/:/bin/sh\n");
    sandbox.write("etc/group", "app:x:501:\n");
    sandbox.write("etc/word", "word\n");
    sandbox.write("etc/secret", "secret\n");
    fs::set_permissions(sandbox.root().join("etc/secret"), fs::Permissions::from_mode(0o600)).expect("ours");
    let done = sandbox.run();
    let expected = "word\ncat\nx\n/bin/busybox\ncat: can't open '/etc/secret': Permission denied\nword\n\
        sh: can't open /proc/1/environ: no such file\ncat: can't open '/proc/self/root/etc/secret': Permission denied\n\
        cat: can't open '/proc/self/fd/4': Permission denied\nsecret\n";
    assert_eq!(done.output, expected, "{done:?}");
}

#[test]
fn the_output_is_not_opened_anew() {
    // Only its end may be written, nothing of it be read.
    let mut sandbox = sandbox!("echo x > /dev/stdout; echo y >> /proc/self/fd/1; cat < /proc/self/fd/1; echo z");
    let script = "\"$@\" > \"$0\"; cat \"$0\"";
    let log = sandbox.outside().join("log");
    sandbox.within.extend(["sh", "-c", script].map(str::to_owned));
    sandbox.within.push(log.display().to_string());
    let done = sandbox.run();
    assert_eq!(done.output, "x\ny\nz\n", "{done:?}");
}

#[test]
fn sockets_and_proc_are_served_together() {
    let mut sandbox = sandbox!("cat /proc/self/comm; nc -w 1 127.0.0.1 9 < /dev/null; cat /proc/self/comm");
    sandbox.trial.network = Network::Hosts(vec!["127.0.0.1".to_owned()]);
    assert_eq!(sandbox.run().output, "cat\ncat\n");
}

#[test]
fn files_are_changed_by_their_names_in_proc() {
    for (script, expected) in [
        ("chmod 640 /proc/self/fd/3; stat -c %a f", "640\n"),
        ("chmod 604 /dev/fd/3; chown 12:34 /dev/fd/3; stat -c '%a %u %g' f", "604 12 34\n"),
        ("chmod 600 /dev/stdin < f; stat -c %a f", "600\n"),
        ("touch -d @1000000000 /proc/self/fd/3; stat -c %Y f", "1000000000\n"),
        ("chmod 640 /proc/self/cwd/f /proc/self/root/tmp/g; stat -c %a f g", "640\n640\n"),
        ("sleep 1000 & chmod 601 /proc/$!/fd/3; stat -c %a f; kill $!", "601\n"),
        ("rm f; chmod 640 /dev/fd/3; stat -L -c %a /dev/fd/3", "640\n"),
        ("chown -h 5:5 /dev/stdin; stat -c '%u %F' /dev/stdin", "5 symbolic link\n"),
        ("for file in status fd fd/7 .; do chmod 777 /proc/self/$file && echo changed; done 2> /dev/null", ""),
        ("touch /proc/stat && echo changed; chown 1 /proc/self/exe && stat -c %u /bin/busybox", "1\n"),
    ] {
        let sandbox = sandbox!(&format!("cd /tmp; touch g; exec 3<> f; {script}"));
        let done = sandbox.run();
        assert_eq!(done.output, expected, "{script}: {done:?}");
    }
}

#[test]
fn nobody_changes_more_than_is_his() {
    let attempts = "for attempt in 'chmod 666' 'chown 500' 'touch -d @5' 'chmod 4755' 'truncate -s 0'; do
        for name in /proc/self/fd/4 /dev/fd/4 /proc/$PPID/fd/4 /proc/self/root/etc/secret /proc/self/cwd/etc/secret; do
            $attempt $name 2> /dev/null && echo $attempt $name; done; done
        chmod 600 /dev/fd/5 && touch -d @7 /dev/fd/5 && stat -c '%a %u %Y' /tmp/own";
    let sandbox = sandbox!(
        "exec 4<> /etc/secret; touch /tmp/own; chown app /tmp/own; exec 5< /tmp/own; su app -c 'sh /attempts'; stat -c '%a %u %s' /etc/secret"
    );
    sandbox.write("attempts", attempts);
    sandbox.write("etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:500:501::/:/bin/sh\n");
    sandbox.write("etc/group", "app:x:501:\n");
    sandbox.write("etc/secret", "secret\n");
    fs::set_permissions(sandbox.root().join("etc/secret"), fs::Permissions::from_mode(0o600)).expect("ours");
    let done = sandbox.run();
    assert_eq!(done.output, "600 500 7\n600 0 7\n", "{done:?}");
}

/// Runs a script of bash in the root file system of Debian.
fn debian(script: &str) -> Option<Sandbox> {
    let mut sandbox = sandbox("")?;
    sandbox.be_debian(&["-c", script]).then_some(sandbox)
}

/// What real images do; each line of the script is a check.
#[test]
fn debian_works() {
    /// What docs/run.md says is not possible; debuggers are.
    const IMPOSSIBLE: [&str; 5] = [
        "executing /proc/self/exe",
        "set-user-id",
        "chroot to the root",
        "device node",
        "no tracing, but a clear error",
    ];
    let mut sandbox = sandbox!("");
    if !sandbox.be_checked_debian() {
        return;
    }
    let done = sandbox.run();
    let failed = |line: &&str| !line.starts_with("ok ") && !IMPOSSIBLE.iter().any(|name| line.contains(name));
    assert_eq!(done.output.lines().find(failed), None, "{done:?}");
    assert_eq!(done.output.lines().count(), 26, "{done:?}");
}

/// What C libraries change by names in /proc, as they have no other way: where the kernel has no fchmodat2 (6.6), or they don't know it.
#[test]
fn debian_changes_files_by_their_names_in_proc() {
    // Numbers of calls are those of x86-64.
    if cfg!(not(target_arch = "x86_64")) {
        return eprintln!("skipped: this takes x86-64");
    }
    let script = r#"
        set -e; cd /tmp; trap 'echo line $LINENO' ERR
        mkfifo -m 640 fifo; mknod -m 604 node p; stat -c %a fifo node
        install -m 751 /etc/passwd installed; install -d -m 2750 -o 7 -g 8 directory; stat -c '%a %u %g' installed directory
        touch file; chown 12:34 file; chmod 4751 file; touch -d @1000000000 file; ln -s file link; chown -h 5:6 link; ln file hard
        mkdir from; cp -a file link hard fifo from; stat -c '%a %u %g %Y' from/file; stat -c '%u %g' from/link; stat -c %h from/file
        tar -cf tar from; mkdir to; tar -C to -xpf tar; stat -c '%a %u %g %Y' to/from/file; stat -c %a to/from/fifo
        exec 3< file; touch -d @2000000000 /proc/self/fd/3; stat -c %Y file
        ln -L /proc/self/fd/3 linked; stat -c %h linked
        perl -e '$^F = 10; sysopen F, q{/tmp}, 020200002, 0600 or die; syswrite F, q{text};
            exec qw{ln -L}, q{/proc/self/fd/} . fileno(F), q{named}'; cat named; echo
        perl -e 'open F, q{<}, q{named}; truncate q{/proc/self/fd/} . fileno(F), 2 or die $!'; cat named; echo
        perl -e 'open F, q{<}, q{named}; my ($f, $n, $v, $b) = (q{/dev/fd/} . fileno(F), q{user.a}, q{value}, q{.} x 9);
            print join(q{ }, syscall(188, $f, $n, $v, 5, 0), syscall(191, $f, $n, $b, 9), qq{$b}), qq{\n};
            print join(q{ }, syscall(194, $f, $b, 9), $b =~ tr{\0}{ }r, syscall(197, $f, $n), syscall(191, $f, $n, $b, 9)), qq{\n}'
    "#;
    let Some(sandbox) = debian(script) else { return };
    let expected = "640\n604\n751 0 0\n2750 7 8\n4751 12 34 1000000000\n5 6\n2\n4751 12 34 1000000000\n640\n2000000000\n3\ntext\nte\n\
        0 5 value....\n7 user.a .. 0 -1\n";
    let done = sandbox.run();
    assert_eq!(done.output, expected, "{done:?}");
}

#[test]
fn debian_gains_nothing_by_names_in_proc() {
    let script = r#"
        ln -L /proc/self/fd/1 /tmp/stolen; ln -L /dev/stdout /tmp/stolen; ls /tmp
        perl -e 'truncate q{/proc/self/fd/1}, 0 and print STDERR q{truncated}'
        # Root without CAP_CHOWN and CAP_FOWNER in the capabilities that it has.
        touch /tmp/file; chown 5 /tmp/file
        perl -e 'open F, q{<}, q{/tmp/file}; my $f = q{/proc/self/fd/} . fileno(F); my @all = (0x800004f2) x 2;
            my ($header, $sets) = (pack(q{LL}, 0x20080522, 0), pack(q{L6}, @all, (0) x 4));
            syscall(126, $header, $sets) == 0 or die $!;
            print chown(6, 6, $f) + chmod(0777, $f) + utime(1, 1, $f), qq{ changed\n}; stat $f or die; print qq{found\n}'
        # A process that becomes another user, and one that confines itself, find nothing of a stronger one.
        perl -e 'open F, q{<}, q{/etc/shadow}; $( = $) = 7; $< = $> = 7; print chmod(0666, q{/proc/self/fd/} . fileno(F)), qq{ changed\n}'
    "#;
    let Some(mut sandbox) = debian(script) else { return };
    let log = sandbox.outside().join("log");
    sandbox.within.extend(["sh", "-c", "\"$@\" > \"$0\"; cat \"$0\""].map(str::to_owned));
    sandbox.within.push(log.display().to_string());
    let done = sandbox.run();
    assert_eq!(done.output, "0 changed\nfound\n0 changed\n", "{done:?}");
    assert!(!done.errors.contains("truncated"), "{done:?}");
}

/// What programs of a real image expect of /proc.
#[test]
fn debian_finds_its_proc() {
    let script = r#"
        cat <(echo x)
        tee >(cat) <<< y | sort
        ls -l /proc/self/exe | sed 's/.* -> //'
        ls -l /proc/self /proc/self/fd /proc > /dev/null && echo listed
        ln -sf /proc/self/mounts /etc/mtab; df / | grep -c overlay
        perl -e 'open F, q{<}, q{/proc/self/maps} or die; print 0 < grep(m{ /usr/bin/perl$}, <F>), qq{\n}'
        perl -e 'sysopen F, q{/proc/self/status}, 010000000 or die; print qq{path\n}'
        for directory in /proc /proc/self /proc/self/fd /proc/sys/kernel; do
            perl -e 'opendir D, $ARGV[0] or die; chdir D or die; print -e "../../../../../../..$ARGV[1]" ? 1 : 0' $directory OUTSIDE
        done
        useradd -m bob && su -s /bin/bash bob -c 'cat <(echo $USER) /proc/self/comm'
    "#;
    // By descriptor, too, no directory leads out.
    let Some(sandbox) = debian(&script.replace("OUTSIDE", env!("CARGO_MANIFEST_DIR"))) else { return };
    let done = sandbox.run();
    assert_eq!(done.output, "x\ny\ny\n/usr/bin/ls\nlisted\n1\n1\npath\n0000bob\ncat\n", "{done:?}");
}
