//! `RUN --mount`: what is seen where, and who may use it.

use serde_json::json;
use steprun_ports::memory::{FileTree, MemoryAgent, MemoryProcess, MemorySecret, MemorySnapshot};
use steprun_ports::{Access, Agent, Mount, MountSource, Secret, Sharing};

use crate::support::{Build, dockerfile};

/// A mount as a line: target, kind, what it is of, who may use it.
fn line(mount: &Mount<MemorySnapshot, MemorySecret, MemoryAgent>) -> String {
    let access = |access: &Access| format!("{:o} {}:{}", access.mode, access.uid, access.gid);
    let bind = |bind: &steprun_ports::BindMount<MemorySnapshot>| {
        let writable = if bind.writable { "rw" } else { "ro" };
        format!("{:?} of {} {writable}", bind.path, bind.snapshot.tree().paths().join(","))
    };
    let what = match &mount.source {
        MountSource::Bind(files) => format!("bind {}", bind(files)),
        MountSource::Cache(cache) => {
            let writable = if cache.writable { "rw" } else { "ro" };
            let initial = cache.initial.as_ref().map_or("empty".to_owned(), bind);
            let sharing = match cache.sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            };
            format!("cache {} {writable} {sharing} {} {initial}", cache.id, access(&cache.access))
        }
        MountSource::Tmpfs(size) => format!("tmpfs {size:?}"),
        MountSource::Secret(secret, own) => format!("secret {} {}", secret.id(), access(own)),
        MountSource::Agent(agent, own) => format!("agent {} {}", agent.id(), access(own)),
    };
    format!("{} {what}", mount.target)
}

fn lines(process: &MemoryProcess) -> Vec<String> {
    process.mounts.iter().map(line).collect()
}

/// A build with a stage `tools`, an image, a context and all secrets.
fn build(lines: &str) -> Build {
    let image = json!({ "os": "linux", "architecture": "amd64" });
    let tree = FileTree::new().directory("seed").mode("seed", 0o750).owner("seed", 7, 8).file("seed/x", "");
    dockerfile(&format!("FROM scratch AS tools\nCOPY src/a /bin/a\nFROM scratch\nWORKDIR /w\n{lines}\n"))
        .context(|tree| {
            tree.file("src/a", "a").file("src/secret.key", "k").file(".dockerignore", "*.key\n**/*.key\nDockerfile\n")
        })
        .base("registry.test/img", tree, image)
        .arguments(&["--secret", "id=npm,src=.npmrc", "--secret", "id=tok,env=T", "--ssh", "default", "--ssh", "k=/s"])
        .running()
}

#[test]
fn rows_67_to_76_mounts() {
    let context = ".dockerignore,src,src/a";
    for (flags, wanted) in [
        ("--mount=target=/c", vec![format!("/c bind \"\" of {context} ro")]),
        ("--mount=type=bind,target=c,source=src,rw", vec![format!("/w/c bind \"src\" of {context} rw")]),
        ("--mount=source=/src/a,target=f", vec![format!("/w/f bind \"src/a\" of {context} ro")]),
        ("--mount=source=../../src,target=f", vec![format!("/w/f bind \"src\" of {context} ro")]),
        ("--mount=from=tools,target=/t", vec!["/t bind \"\" of bin,bin/a ro".into()]),
        ("--mount=from=0,source=bin/a,target=/t", vec!["/t bind \"bin/a\" of bin,bin/a ro".into()]),
        ("--mount=from=registry.test/img,target=/t", vec!["/t bind \"\" of seed,seed/x ro".into()]),
        ("--mount=from=scratch,target=/t,rw", vec!["/t bind \"\" of  rw".into()]),
        ("--mount=type=cache,target=/var//x/", vec!["/var/x cache /var/x rw shared 755 0:0 empty".into()]),
        ("--mount=type=cache,target=./x", vec!["/w/x cache x rw shared 755 0:0 empty".into()]),
        (
            "--mount=type=cache,id=i,target=/x,ro,sharing=locked,mode=0700,uid=1,gid=2",
            vec!["/x cache i ro locked 700 1:2 empty".into()],
        ),
        (
            "--mount=type=cache,sharing=private,target=/x,from=registry.test/img,source=seed",
            vec!["/x cache /x rw private 750 7:8 \"seed\" of seed,seed/x ro".into()],
        ),
        (
            "--mount=type=cache,target=/x,from=registry.test/img,source=seed,uid=5",
            vec!["/x cache /x rw shared 750 5:8 \"seed\" of seed,seed/x ro".into()],
        ),
        ("--mount=type=cache,target=/x,from=tools", vec!["/x cache /x rw shared 755 0:0 \"\" of bin,bin/a ro".into()]),
        ("--mount=type=tmpfs,target=/x", vec!["/x tmpfs None".into()]),
        ("--mount=type=tmpfs,target=/x,size=1k", vec!["/x tmpfs Some(1024)".into()]),
        ("--mount=type=secret,id=npm", vec!["/run/secrets/npm secret npm 400 0:0".into()]),
        (
            "--mount=type=secret,id=npm,target=.npmrc,uid=1,gid=2,mode=0440,required",
            vec!["/w/.npmrc secret npm 440 1:2".into()],
        ),
        ("--mount=type=secret,id=other", vec![]),
        ("--mount=type=ssh", vec!["/run/buildkit/ssh_agent.0 agent default 600 0:0".into()]),
        (
            "--mount=type=ssh --mount=type=ssh,id=k,mode=0660,gid=3,required",
            vec![
                "/run/buildkit/ssh_agent.0 agent default 600 0:0".into(),
                "/run/buildkit/ssh_agent.1 agent k 660 0:3".into(),
            ],
        ),
        ("--mount=type=ssh,id=none", vec![]),
        (
            "--mount=type=tmpfs,target=/a/b --mount=type=tmpfs,target=/z --mount=type=tmpfs,target=/a",
            vec!["/z tmpfs None".into(), "/a tmpfs None".into(), "/a/b tmpfs None".into()],
        ),
    ] {
        let built = build(&format!("RUN {flags} a")).built();
        assert_eq!(lines(&built.command()), wanted, "{flags}");
        assert_eq!(built.history(), ["WORKDIR /w", "RUN /bin/sh -c a # buildkit"]);
    }
}

#[test]
fn rows_71_72_values_are_expanded() {
    let text = "ARG T=/t\nENV ID=x\nRUN --mount=type=cache,id=${ID}-1,target=$T/c,uid=${U:-9} a";
    let built = build(text).built();
    assert_eq!(lines(&built.command()), ["/t/c cache x-1 rw shared 755 9:0 empty"]);
    let built = build("RUN --mount=type=cache,target=/x$NOT a").built();
    assert_eq!(lines(&built.command()), ["/x cache /x rw shared 755 0:0 empty"]);
    assert_eq!(built.warnings(), ["UndefinedVar: Usage of undefined variable '$NOT'"]);
}

#[test]
fn row_74_secrets_as_variables() {
    for (flags, variables, mounts) in [
        ("--mount=type=secret,id=tok,env=TOKEN", &[("TOKEN", "tok")][..], &[][..]),
        ("--mount=type=secret,id=tok,env=TOKEN,target=/t", &[("TOKEN", "tok")], &["/t secret tok 400 0:0"]),
        ("--mount=type=secret,id=none,env=TOKEN", &[], &[]),
    ] {
        let built = build(&format!("ENV TOKEN=visible\nRUN {flags} a")).built();
        let command = built.command();
        let found = command.secret_environment.iter();
        let found: Vec<(&str, String)> = found.map(|(name, secret)| (name.as_str(), secret.id())).collect();
        let wanted: Vec<(&str, String)> = variables.iter().map(|(name, id)| (*name, (*id).to_owned())).collect();
        assert_eq!(found, wanted, "{flags}");
        assert_eq!(lines(&command), mounts);
        // A name stands for one thing only.
        let plain = command.environment.iter().any(|(name, _)| name == "TOKEN");
        assert_eq!(plain, variables.is_empty(), "{flags}");
    }
    let failure = build("RUN --mount=type=secret,id=none,env=TOKEN,required a").fails();
    assert_eq!(failure.message, "the secret `none` is required, and not given");
}

#[test]
fn row_76_the_first_agent_that_is_there_has_the_variable() {
    let socket = |lines: &str| {
        let command = build(lines).built().command();
        command.environment.into_iter().find(|(name, _)| name == "SSH_AUTH_SOCK").map(|(_, value)| value)
    };
    assert_eq!(socket("RUN a"), None);
    assert_eq!(socket("RUN --mount=type=ssh a").as_deref(), Some("/run/buildkit/ssh_agent.0"));
    assert_eq!(socket("RUN --mount=type=ssh,id=none --mount=type=ssh,target=s a").as_deref(), Some("/w/s"));
    assert_eq!(socket("RUN --mount=type=ssh,target=/1 --mount=type=ssh,id=k,target=/2 a").as_deref(), Some("/1"));
    assert_eq!(socket("ENV SSH_AUTH_SOCK=/own\nRUN --mount=type=ssh a").as_deref(), Some("/own"));
    let failure = build("RUN --mount=type=ssh,id=none,required a").fails();
    assert_eq!(failure.message, "the SSH agent `none` is required, and not given");
}

#[test]
fn rows_70_77_mounts_that_make_no_sense() {
    for (flags, message, hint) in [
        (
            "--mount=type=secret,id=no,required",
            "the secret `no` is required, and not given",
            Some("give it with `--secret id=no,src=FILE` or `--secret id=no,env=VARIABLE`"),
        ),
        (
            "--mount=type=ssh,id=no,required",
            "the SSH agent `no` is required, and not given",
            Some("give it with `--ssh no`, or with `--ssh no=SOCKET`"),
        ),
        ("--mount=source=scr,target=/x", "there is no `scr` in the context", Some("did you mean `src`?")),
        (
            "--mount=source=src/secret.key,target=/x",
            "there is no `src/secret.key` in the context",
            Some("the pattern `**/*.key` in .dockerignore leaves it out of the context"),
        ),
        (
            "--mount=from=tools,source=bni/a,target=/x",
            "there is no `bni/a` in the image that `from=` names",
            Some("did you mean `bin/a`?"),
        ),
        (
            "--mount=type=cache,source=sub,target=/x",
            "a new cache is empty, so it has no `sub`",
            Some("`source` of a cache is a path in what `from` names: add `from=`, or leave `source` out"),
        ),
        ("--mount=target=${NO}/", "invalid mount target \"/\"", Some("add `target=` with a path below `/`")),
        ("--mount=type=tmpfs,target=..", "a mount can't cover the whole root `/`", None),
        ("--mount=from=1,target=/x", "stage 1 can't mount itself", None),
        ("--mount=from=7,target=/x", "there is no stage 7", None),
        ("--mount=from=registry.test/no,target=/x", "could not get the image `registry.test/no`", None),
        ("--mount=type=cahe,target=/x", "unsupported mount type \"cahe\"", Some("did you mean `cache`?")),
    ] {
        let failure = build(&format!("RUN {flags} a")).fails();
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message, hint), "{flags}");
        assert_eq!(failure.position.map(|position| position.line), Some(5), "{flags}");
    }
    let later = "FROM scratch AS one\nRUN --mount=from=two,target=/x a\nFROM scratch AS two\n";
    let failure = dockerfile(later).arguments(&["--target", "one"]).running().fails();
    assert_eq!(failure.message, "the stage `two` is defined later");
}

#[test]
fn row_67_a_mounted_stage_is_built_and_no_other() {
    let built = dockerfile(
        "FROM scratch AS a\nRUN a\nFROM scratch AS b\nRUN b\nFROM scratch\nRUN --mount=from=a,target=/a c\n",
    )
    .running()
    .built();
    let commands: Vec<String> = built.host.commands().into_iter().map(|command| command.arguments[2].clone()).collect();
    assert_eq!(commands, ["a", "c"]);
}

#[test]
fn rows_89_145_the_context_as_it_is_mounted() {
    let built = dockerfile("FROM scratch\nRUN --mount=target=/c a\n")
        .context(|tree| {
            let tree = tree.file("a", "").mode("a", 0o750).owner("a", 5, 6).modified("a", 77);
            let tree = tree.hard_link("b", "a").symlink("l", "a");
            tree.file("ignored", "").file(".dockerignore", "ignored\n.dockerignore\n")
        })
        .arguments(&["--source-date-epoch", "5"])
        .running()
        .built();
    let command = built.command();
    let MountSource::Bind(bind) = &command.mounts[0].source else { panic!("it is no bind mount") };
    let wanted = [
        "Dockerfile file \"FROM scratch\\nRUN --mount=target=/c a\\n\" 644 0:0 0",
        "a file \"\" 750 0:0 77",
        "b file \"\" 750 0:0 77 = a",
        "l -> a 777 0:0 0",
    ];
    assert_eq!(crate::support::listing(bind.snapshot.tree()), wanted);
}
