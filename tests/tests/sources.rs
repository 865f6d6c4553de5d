//! Files and repositories from elsewhere: ADD of URLs and Git, and contexts that are no directories.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;
use steprun_tests::fake::{Fake, Request, Response};
use steprun_tests::{COMMITTED, Context, Outcome, Repositories, Repository, User, each, scan, sha256, tool, unpack};

/// The exit statuses of the README.
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const DENIED: i32 = 3;
const UNVERIFIED: i32 = 4;

/// 1,500,000,000 seconds after 1970.
const DATE: &str = "Fri, 14 Jul 2017 02:40:00 GMT";

/// Builds into an OCI layout in the user's home.
fn call(arguments: &[&str]) -> Vec<String> {
    let fixed = ["build", "--no-push", "-d", "registry.example/app:image", "--oci-layout-path", "layout"];
    fixed.iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}

#[track_caller]
fn build(user: &User, arguments: &[&str]) -> Outcome {
    user.succeeds(call(arguments))
}

/// The lines of the tree that was built last.
#[track_caller]
fn tree(user: &User) -> Vec<String> {
    let layout = user.home().join("layout");
    let judged = tempfile::tempdir().unwrap();
    let root = unpack(&layout, "image", judged.path());
    scan(&root).iter().map(ToString::to_string).collect()
}

/// The paths of the tree that was built last.
#[track_caller]
fn paths(user: &User) -> String {
    let path = |line: String| line.split(' ').nth(4).unwrap().to_owned();
    tree(user).into_iter().map(path).collect::<Vec<_>>().join(" ")
}

/// Builds a Dockerfile that stands alone; gives the tree's lines.
#[track_caller]
fn built(user: &User, dockerfile: &str) -> Vec<String> {
    let context = Context::with_dockerfile(dockerfile);
    build(user, &["-c", context.path().to_str().unwrap()]);
    tree(user)
}

fn manifest(user: &User) -> Value {
    let layout = user.home().join("layout");
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    serde_json::from_slice(&fs::read(layout.join("blobs").join(digest)).unwrap()).unwrap()
}

/// An archive of a context, by tar.
fn archive(context: &Context, option: &str) -> Vec<u8> {
    let directory = context.path().to_str().unwrap();
    let output = tool("tar").args(["-c", option, "-C", directory, "."]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A server of files.
fn files(files: &[(&'static str, &[u8])]) -> Fake {
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, content)| (*path, content.to_vec())).collect();
    Fake::serve(move |request| {
        let path = request.path.split('?').next().unwrap();
        match files.iter().find(|(known, _)| *known == path) {
            Some((_, content)) => Response::new(200).header("Last-Modified", DATE).body(content.clone()),
            None if path == "/moved" => Response::new(302).header("Location", "/tool.txt"),
            None => Response::new(404),
        }
    })
}

/// A repository with two branches, a tag and a directory.
fn repository(repositories: &Repositories) -> (Repository, String, String) {
    let app = repositories.create("app.git");
    app.write("Dockerfile", "FROM scratch\nCOPY . /\n").write("sub/file", "one").write("run", "#!/bin/sh\n");
    fs::set_permissions(app.path().join("run"), Permissions::from_mode(0o755)).unwrap();
    let first = app.commit();
    app.git(&["tag", "--annotate", "--message=v1", "v1"]);
    app.git(&["branch", "other"]);
    app.write("sub/file", "two");
    let second = app.commit();
    (app, first, second)
}

#[test]
fn row_112_add_of_a_url() {
    let user = User::new();
    let server = files(&[("/tool.txt", b"tool")]);
    let url = format!("http://{}", server.address());
    let dockerfile = format!(
        "FROM scratch\nADD {url}/tool.txt?x=1 /in/\nADD --chmod=755 --chown=7:8 {url}/moved /name\nADD {url}/moved {url}/tool.txt /in/\n"
    );
    let expected = [
        "d 0755 0:0 0 in".to_owned(),
        "f 0600 0:0 1500000000 in/moved \"tool\"".to_owned(),
        "f 0600 0:0 1500000000 in/tool.txt \"tool\"".to_owned(),
        "f 0755 7:8 1500000000 name \"tool\"".to_owned(),
    ];
    assert_eq!(built(&user, &dockerfile), expected);
    let credentials = server.requests().into_iter().flat_map(|request| request.headers);
    assert!(credentials.into_iter().all(|(name, _)| name != "authorization" && name != "cookie"));
}

#[test]
fn row_112_a_file_that_has_not_changed_does_not_come_again() {
    let user = User::new();
    let server = Fake::serve(|request| match request.headers.iter().find(|(name, _)| name == "if-none-match") {
        Some((_, tag)) if tag == "\"one\"" => Response::new(304),
        _ => Response::new(200).header("ETag", "\"one\"").header("Last-Modified", DATE).body("content"),
    });
    let dockerfile = format!("FROM scratch\nADD http://{}/a /\n", server.address());
    let first = built(&user, &dockerfile);
    assert_eq!(first, ["f 0600 0:0 1500000000 a \"content\""]);
    assert_eq!(built(&user, &dockerfile), first);
    let conditional = |request: &Request| request.headers.iter().any(|(name, _)| name == "if-none-match");
    assert_eq!(server.requests().iter().map(conditional).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn row_112_a_url_that_can_not_be_added() {
    let (user, server) = (User::new(), files(&[]));
    let url = format!("http://{}", server.address());
    each(
        [
            (format!("ADD {url}/missing /x"), FAILED, "404 Not Found"),
            (format!("ADD {url}/ /in/"), FAILED, "names no file"),
            (format!("ADD {} /x", url.replace("http://", "http://me:hunter2@")), FAILED, "credentials"),
            (format!("ADD http://{}/a /x", steprun_tests::fake::nobody()), 5, "cannot connect"),
        ],
        |(line, status, words)| {
            let context = Context::with_dockerfile(&format!("FROM scratch\n{line}\n"));
            let mut arguments = call(&["-c", context.path().to_str().unwrap()]);
            arguments.extend(["--registry-tries".to_owned(), "1".to_owned()]);
            user.fails(status, arguments).says(&["Dockerfile:2:5", words]);
        },
    );
}

#[test]
fn row_113_a_checksum_is_checked() {
    let (user, server) = (User::new(), files(&[("/tool.txt", b"tool")]));
    let url = format!("http://{}/tool.txt", server.address());
    let right = sha256(b"tool");
    let lines = built(&user, &format!("FROM scratch\nADD --checksum={right} {url} /x\n"));
    assert_eq!(lines, ["f 0600 0:0 1500000000 x \"tool\""]);
    let wrong = Context::with_dockerfile(&format!("FROM scratch\nADD --checksum={} {url} /x\n", sha256(b"other")));
    user.fails(UNVERIFIED, call(&["-c", wrong.path().to_str().unwrap()])).says(&["Dockerfile:2", &right]);
}

#[test]
fn row_112_archives_behind_urls_are_unpacked_only_if_asked_for() {
    let user = User::new();
    let gzip = archive(&Context::new().file("d/inside", "I"), "-z");
    let server = files(&[("/a.tar.gz", &gzip)]);
    let url = format!("http://{}/a.tar.gz", server.address());
    build(&user, &["-c", Context::with_dockerfile(&format!("FROM scratch\nADD {url} /\n")).path().to_str().unwrap()]);
    assert_eq!(paths(&user), "a.tar.gz");
    let unpacking = Context::with_dockerfile(&format!("FROM scratch\nADD --unpack {url} /\n"));
    build(&user, &["-c", unpacking.path().to_str().unwrap()]);
    assert_eq!(tree(&user)[1], "f 0644 0:0 1700000000 d/inside \"I\"");
}

#[test]
fn row_114_add_of_git() {
    let (user, repositories) = (User::new(), Repositories::new());
    let (_, first, second) = repository(&repositories);
    let server = repositories.serve();
    let url = format!("http://{}/app.git", server.address());
    let file = |content: &str| format!("f 0644 0:0 {COMMITTED} src/file {content:?}");
    each(
        [
            (format!("{url}#:sub"), "two"),
            (format!("{url}#other:sub"), "one"),
            (format!("{url}#v1:sub"), "one"),
            (format!("{url}#refs/heads/main:/sub/"), "two"),
            (format!("{url}#{first}:sub"), "one"),
            (format!("{url}?tag=v1&subdir=sub&commit={}", &first[..7]), "one"),
            (format!("--checksum={second} {url}#main:sub"), "two"),
        ],
        |(source, content)| {
            let lines = built(&user, &format!("FROM scratch\nADD {source} /src\n"));
            assert_eq!(lines, ["d 0755 0:0 0 src".to_owned(), file(content)], "{source}");
        },
    );
    let lines = built(&user, &format!("FROM scratch\nADD {url} /\n"));
    assert!(lines.contains(&format!("f 0755 0:0 {COMMITTED} run \"#!/bin/sh\\n\"")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(".git")), "{lines:?}");
    let lines = built(&user, &format!("FROM scratch\nADD --keep-git-dir {url} /\n"));
    assert!(lines.iter().any(|line| line.contains(" .git/HEAD ") && line.contains(&second)), "{lines:?}");
    // What was fetched for a build is gone with it.
    assert_eq!(fs::read_dir(user.home().join(".cache/steprun/tmp")).unwrap().count(), 0);
}

#[test]
fn row_114_git_that_can_not_be_added() {
    let (user, repositories) = (User::new(), Repositories::new());
    let (app, first, _) = repository(&repositories);
    let server = repositories.serve();
    let url = format!("http://{}/app.git", server.address());
    each(
        [
            (format!("{url}#missing"), FAILED, "no branch or tag `missing`"),
            (format!("{url}#main:missing"), FAILED, "missing"),
            (format!("{url}#{}", "0".repeat(40)), FAILED, "no commit"),
            (format!("{url}#--upload-pack=touch"), FAILED, "can't be the name"),
            (format!("{url}?commit={first}&ref=main"), UNVERIFIED, &first),
            (format!("--checksum={first} {url}#main"), UNVERIFIED, &first),
            (url.replace("app.git", "none.git"), FAILED, "not found"),
            (app.url(), FAILED, "there is no `file://"),
            ("git@127.0.0.1:x.git".to_owned(), DENIED, "--ssh default"),
        ],
        |(source, status, words): (String, i32, &str)| {
            let context = Context::with_dockerfile(&format!("FROM scratch\nADD {source} /src\n"));
            user.fails(status, call(&["-c", context.path().to_str().unwrap()])).says(&["Dockerfile:2", words]);
        },
    );
}

#[test]
fn row_114_submodules_come_along_where_they_are_granted() {
    let (user, repositories) = (User::new(), Repositories::new());
    let (app, ..) = repository(&repositories);
    let inner = repositories.create("inner.git");
    inner.write("deep", "D").commit();
    let server = repositories.serve();
    app.git(&["submodule", "--quiet", "add", &inner.url(), "vendor/inner"]);
    app.git(&["config", "--file", ".gitmodules", "submodule.vendor/inner.url", "../inner.git"]);
    app.commit();
    let url = format!("http://{}/app.git", server.address());
    let lines = built(&user, &format!("FROM scratch\nADD {url} /\n"));
    assert!(lines.contains(&format!("f 0644 0:0 {COMMITTED} vendor/inner/deep \"D\"")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("inner/.git")), "{lines:?}");
    let lines = built(&user, &format!("FROM scratch\nADD {url}?submodules=false /\n"));
    assert!(!lines.iter().any(|line| line.contains("deep")), "{lines:?}");

    let policy = user.home().join("policy.toml");
    fs::write(&policy, format!("[sources]\nfetch = ['{}/app.git']\n", server.address())).unwrap();
    let context = Context::with_dockerfile(&format!("FROM scratch\nADD {url} /\n"));
    let arguments = call(&["-c", context.path().to_str().unwrap(), "--policy", policy.to_str().unwrap()]);
    user.fails(DENIED, arguments).says(&["inner.git", "sources.fetch"]);

    // A repository of this machine must not lead to another one.
    app.git(&["config", "--file", ".gitmodules", "submodule.vendor/inner.url", &inner.url()]);
    app.commit();
    user.fails(FAILED, call(&["-c", &app.url()])).says(&["submodule"]);
}

#[test]
fn git_takes_nothing_of_the_callers_configuration() {
    let (user, repositories) = (User::new(), Repositories::new());
    repository(&repositories);
    let server = repositories.serve();
    let loot = user.home().join("loot");
    let hooks = user.home().join("hooks");
    fs::create_dir(&hooks).unwrap();
    let hook = format!("#!/bin/sh\ntouch {}\n", loot.display());
    for name in ["post-checkout", "reference-transaction"] {
        fs::write(hooks.join(name), &hook).unwrap();
        fs::set_permissions(hooks.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let config = format!(
        "[core]\nhooksPath = {}\n[url \"http://127.0.0.1:1/\"]\ninsteadOf = http://\n[credential]\nhelper = !touch {}\n",
        hooks.display(),
        loot.display()
    );
    fs::write(user.home().join(".gitconfig"), config).unwrap();
    let context = Context::with_dockerfile(&format!("FROM scratch\nADD http://{}/app.git /\n", server.address()));
    let outcome = user.steprun(call(&["-c", context.path().to_str().unwrap()]));
    outcome.env("GIT_DIR", user.home()).env("GIT_SSH_COMMAND", "false").run().succeeded();
    assert!(!loot.exists());
}

#[test]
fn row_147_contexts_of_git() {
    let (user, repositories) = (User::new(), Repositories::new());
    let (app, first, second) = repository(&repositories);
    let server = repositories.serve();
    let http = format!("http://{}/app.git", server.address());
    let kaniko = format!("{}#refs/heads/main#{first}", http.replace("http://", "git://"));
    each(
        [(app.url(), &second), (format!("{}#v1", app.url()), &first), (http.clone(), &second), (kaniko, &first)],
        |(context, commit)| {
            user.steprun(call(&["-c", &context])).env("GIT_PULL_METHOD", "http").run().succeeded();
            assert_eq!(paths(&user), "Dockerfile run sub sub/file");
            let annotations = manifest(&user)["annotations"].clone();
            assert_eq!(annotations["org.opencontainers.image.revision"].as_str(), Some(commit.as_str()), "{context}");
            let source = if context.starts_with("file") { app.url() } else { http.clone() };
            assert_eq!(annotations["org.opencontainers.image.source"], source);
        },
    );
    // A directory of it, whose links stay inside.
    fs::write(app.path().join("sub/Dockerfile"), "FROM scratch\nCOPY link /taken\n").unwrap();
    symlink("/etc/hostname", app.path().join("sub/link")).unwrap();
    app.commit();
    user.fails(FAILED, call(&["-c", &format!("{}#:sub", app.url())])).says(&["Dockerfile:2"]);
}

#[test]
fn row_147_credentials_of_the_caller_go_to_git_and_nowhere_else() {
    let user = User::new();
    let server = Fake::serve(|_| Response::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let context = format!("http://me:hunter2@{}/app.git", server.address());
    let outcome = user.fails(FAILED, call(&["-c", &context]));
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    let seen: Vec<String> =
        server.requests().into_iter().flat_map(|request| request.headers).map(|(_, value)| value).collect();
    assert!(seen.iter().any(|value| value == "Basic bWU6aHVudGVyMg=="), "{seen:?}");
}

#[test]
fn rows_146_147_archives_as_contexts() {
    let user = User::new();
    let context = Context::with_dockerfile("FROM scratch\nCOPY . /\n")
        .file("a/b", "B")
        .file("ignored", "")
        .file(".dockerignore", "ignored\nDockerfile\n.dockerignore\n");
    let expected = ["d 0755 0:0 1700000000 a", "f 0644 0:0 1700000000 a/b \"B\""];
    let zstd = archive(&context, "--zstd");
    let server = files(&[("/c.tar.zst", &zstd)]);
    let url = format!("http://{}/c.tar.zst", server.address());
    for (option, name) in [("-v", "plain.tar"), ("-z", "c.tar.gz"), ("--zstd", "c.tar.zst")] {
        let bytes = archive(&context, option);
        fs::write(user.home().join(name), &bytes).unwrap();
        for typed in ["-", "tar://-", "tar://stdin"] {
            user.steprun(call(&["-c", typed])).input(bytes.clone()).run().succeeded();
            assert_eq!(tree(&user), expected, "{typed} {name}");
        }
        for typed in [name.to_owned(), format!("tar://{name}")] {
            build(&user, &["-c", &typed]);
            assert_eq!(tree(&user), expected, "{typed}");
        }
    }
    for typed in [url.clone(), format!("{url}#{}", sha256(&zstd))] {
        build(&user, &["-c", &typed]);
        assert_eq!(tree(&user), expected, "{typed}");
    }
    user.fails(UNVERIFIED, call(&["-c", &format!("{url}#{}", sha256(b"x"))]));
    user.fails(FAILED, call(&["-c", &format!("{url}.missing")])).says(&["404"]);
    assert_eq!(fs::read_dir(user.home().join(".cache/steprun/tmp")).unwrap().count(), 0);
}

#[test]
fn row_139_the_dockerfiles_own_ignore_file_counts_in_every_context() {
    let (user, repositories) = (User::new(), Repositories::new());
    let app = repositories.create("app.git");
    app.write("ci/File", "FROM scratch\nCOPY . /\n").write("ci/File.dockerignore", "ci\nb\n.dockerignore");
    app.write(".dockerignore", "a").write("a", "A").write("b", "B").commit();
    let tar = tool("git").args(["archive", "HEAD"]).current_dir(app.path()).output().unwrap().stdout;
    fs::write(user.home().join("c.tar"), &tar).unwrap();
    for context in [app.url(), "c.tar".to_owned()] {
        build(&user, &["-c", &context, "-f", "ci/File"]);
        assert_eq!(paths(&user), "a", "{context}");
    }
}

#[test]
fn row_21_a_dockerfile_alone() {
    let user = User::new();
    let text = "FROM scratch\nCOPY <<a /a\nA\na\n";
    let server = files(&[("/Dockerfile", text.as_bytes())]);
    let url = format!("http://{}/Dockerfile", server.address());
    let context = Context::new().file("b", "B");
    let directory = context.path().to_str().unwrap();
    for arguments in [&["-c", "-"][..], &["-c", directory, "-f", "-"]] {
        user.steprun(call(arguments)).input(text).run().succeeded();
        assert_eq!(paths(&user), "a", "{arguments:?}");
    }
    for arguments in [&["-c", url.as_str()][..], &["-c", directory, "-f", &url]] {
        build(&user, arguments);
        assert_eq!(paths(&user), "a", "{arguments:?}");
    }
    user.fails(USAGE, call(&["-c", "-", "-f", "-"])).says(&["standard input can be read once"]);
    user.steprun(call(&["-c", "-"]))
        .input([0, 1, 2])
        .run()
        .exited(FAILED)
        .says(&["neither a tar archive nor a Dockerfile"]);
}

/// What `openssl` makes of a message with a key in hexadecimal digits.
fn hmac(key: &str, message: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("message");
    fs::write(&file, message).unwrap();
    let mut judge = tool("openssl");
    let output = judge.args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{key}")]).arg(&file);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().rsplit(' ').next().unwrap().trim().to_owned()
}

/// Whether a request has the signature of a secret, by "Authenticating Requests (AWS Signature Version 4)".
fn is_signed(request: &Request, secret: &str) -> bool {
    let header = |wanted: &str| {
        let found = request.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let (_, fields) = header("authorization").split_once(' ').unwrap_or_default();
    let field = |name: &str| fields.split(',').find_map(|field| field.strip_prefix(name)).unwrap_or_default();
    let names = field("SignedHeaders=");
    let lines: String = names.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical =
        format!("{}\n{}\n\n{lines}\n{names}\n{}", request.method, request.path, header("x-amz-content-sha256"));
    let Some((_, scope)) = field("Credential=").split_once('/') else { return false };
    let digest = sha256(canonical.as_bytes());
    let message = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", header("x-amz-date"), &digest["sha256:".len()..]);
    let first: String = format!("AWS4{secret}").bytes().map(|byte| format!("{byte:02x}")).collect();
    let key = scope.split('/').fold(first, |key, word| hmac(&key, word));
    ["host", "x-amz-date", "x-amz-content-sha256"].into_iter().all(|name| names.split(';').any(|own| own == name))
        && hmac(&key, &message) == field("Signature=")
}

#[test]
fn row_147_contexts_of_object_stores() {
    let user = User::new();
    let bytes = archive(&Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "A"), "-z");
    let content = bytes.clone();
    let server = Fake::serve(move |request| {
        let refuse = |status, code: &str| Response::new(status).body(format!("<Error><Code>{code}</Code></Error>"));
        match request.path.as_str() {
            _ if !is_signed(request, "hunter2") => refuse(403, "SignatureDoesNotMatch"),
            "/bucket/ci/the%20context%2B1.tar.gz" => Response::new(200).body(content.clone()),
            _ => refuse(404, "NoSuchKey"),
        }
    });
    let endpoint = format!("http://{}", server.address());
    let call = |context: &str, secret: &str, more: &[&str]| {
        let arguments = [&["-c", context][..], more].concat();
        let call = user.steprun(call(&arguments)).env("S3_ENDPOINT", &endpoint).env("AWS_REGION", "eu-west-1");
        call.env("AWS_ACCESS_KEY_ID", "me").env("AWS_SECRET_ACCESS_KEY", secret).env("AWS_SESSION_TOKEN", "t0ken").run()
    };
    let name = "s3://bucket/ci/the context+1.tar.gz";
    for context in [name.to_owned(), format!("{name}#{}", sha256(&bytes))] {
        call(&context, "hunter2", &[]).succeeded();
        assert_eq!(paths(&user), "a", "{context}");
    }
    let policy = user.home().join("policy.toml");
    fs::write(&policy, "[sources]\nfetch = ['127.0.0.1/bucket']\n").unwrap();
    let policy = ["--policy", policy.to_str().unwrap()];
    let none: &[&str] = &[];
    let (missing, wrong) = (format!("{name}.old"), format!("{name}#{}", sha256(b"x")));
    for (context, secret, more, status, words) in [
        (
            name,
            "hunter3",
            none,
            FAILED,
            "403 Forbidden: SignatureDoesNotMatch (asked with the key me of AWS_ACCESS_KEY_ID)",
        ),
        (missing.as_str(), "hunter2", none, FAILED, "404 Not Found: NoSuchKey"),
        (wrong.as_str(), "hunter2", none, UNVERIFIED, "the%20context%2B1.tar.gz"),
        ("s3://bucket", "hunter2", none, USAGE, "write `s3://bucket/PATH`"),
        (name, "", none, USAGE, "AWS_SECRET_ACCESS_KEY is not"),
        (name, "hunter2", &policy[..], DENIED, "sources.fetch"),
    ] {
        let outcome = call(context, secret, more).exited(status).says(&[words]);
        assert!(!outcome.stderr.contains("hunter") && !outcome.stderr.contains("t0ken"), "{}", outcome.stderr);
    }
}

#[test]
fn a_directory_of_each_kind_of_context_in_its_place() {
    let (user, repositories) = (User::new(), Repositories::new());
    let app = repositories.create("app.git");
    app.write("svc/Dockerfile", "FROM scratch\nCOPY . /\n").write("svc/in", "I").write("out", "O").commit();
    let tar = tool("git").args(["archive", "HEAD"]).current_dir(app.path()).output().unwrap().stdout;
    fs::write(user.home().join("c.tar"), &tar).unwrap();
    let directory = app.path().to_str().unwrap();
    for context in [directory, "c.tar", &app.url()] {
        build(&user, &["-c", context, "--context-sub-path", "svc"]);
        assert_eq!(paths(&user), "Dockerfile in", "{context}");
        for (path, words) in [("none", "can't use the directory `none` of the context"), ("out", "is no directory")] {
            user.fails(FAILED, call(&["-c", context, "--context-sub-path", path])).says(&[words]);
        }
    }
    assert!(manifest(&user)["annotations"]["org.opencontainers.image.revision"].is_string());
}

#[test]
fn a_hostile_archive_leads_nowhere() {
    let user = User::new();
    fs::write(user.home().join("secret"), "top secret").unwrap();
    let secret = user.home().join("secret");
    each(
        [
            ("COPY up /x", "up", "../../../../../../../../../../".to_owned() + secret.to_str().unwrap()),
            ("COPY absolute /x", "absolute", secret.to_str().unwrap().to_owned()),
            ("COPY directory/secret /x", "directory", user.home().to_str().unwrap().to_owned()),
        ],
        |(line, name, target)| {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, &target).unwrap();
            let text = format!("FROM scratch\n{line}\n");
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "Dockerfile", text.as_bytes()).unwrap();
            let outcome = user.steprun(call(&["-c", "-"])).input(tar.into_inner().unwrap()).run();
            assert_eq!(outcome.status, Some(FAILED), "{line}: {}", outcome.stderr);
            assert!(!outcome.stderr.contains("top secret"));
        },
    );
}

#[test]
fn what_is_fetched_is_granted_first() {
    let (user, server) = (User::new(), files(&[("/tool.txt", b"tool"), ("/Dockerfile", b"FROM scratch\n")]));
    let url = format!("http://{}", server.address());
    let context = Context::with_dockerfile(&format!("FROM scratch\nADD {url}/tool.txt /\n"));
    let directory = context.path().to_str().unwrap();
    let policy = user.home().join("policy.toml");
    fs::write(&policy, "[sources]\nfetch = ['files.example']\n").unwrap();
    let policy = policy.to_str().unwrap();
    for (arguments, words) in [
        (["-c", directory, "--policy", policy], "sources.fetch"),
        (["-c", &format!("{url}/Dockerfile"), "--policy", policy], "sources.fetch"),
        (["-c", &format!("{url}/x.git"), "--policy", policy], "sources.fetch"),
    ] {
        user.fails(DENIED, call(&arguments)).says(&[words, "policy.toml"]);
    }
    assert!(server.requests().is_empty());

    // A step that is not built in, with and without a grant.
    let step = user.home().join("build.wasm");
    let step = step.to_str().unwrap();
    user.succeeds(["extract", "build", step]);
    user.fails(DENIED, [step, "-c", directory, "--no-push"]).says(&["--allow-fetch 127.0.0.1"]);
    assert!(server.requests().is_empty());
    user.succeeds(["--allow-fetch", server.address(), step, "-c", directory, "--no-push"]);
    let shown = user.succeeds([
        "--allow-fetch",
        "files.example",
        "inspect",
        step,
        "-c",
        "https://git.example/a.git#v1",
        "--no-push",
    ]);
    for line in ["https://git.example/a.git#v1", "files and Git repositories of files.example"] {
        assert!(shown.text().contains(line), "{}", shown.text());
    }
    let shown = user.succeeds(["inspect", "build", "-c", ".", "--no-push"]);
    assert!(shown.text().contains("of any host that the step's input names"), "{}", shown.text());
}

#[test]
fn without_git_there_is_a_sentence() {
    let user = User::new();
    let empty = Path::new("/nonexistent");
    let outcome = user.steprun(call(&["-c", "https://git.example/a.git"])).env("PATH", empty).run().exited(FAILED);
    outcome.says(&["there is none in PATH"]);
}
