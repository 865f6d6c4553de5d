//! ADD of URLs and Git repositories, and contexts of Git.

use steprun_ports::memory::{FileTree, MemoryHost, digest};
use steprun_ports::{Commit, FailureKind, Timestamp};

use crate::support::{Build, dockerfile, without_dockerfile};

const URL: &str = "https://files.test/dir/tool%20kit.txt?v=1";
const REPOSITORY: &str = "https://git.test/team/app.git#v1:sub";
const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn commit() -> Commit {
    let time = Timestamp { seconds: 500, nanoseconds: 0 };
    Commit { repository: "https://git.test/team/app.git".into(), id: ID.into(), time }
}

fn with(build: Build, change: impl FnOnce(MemoryHost) -> MemoryHost) -> Build {
    Build { host: change(build.host), ..build }
}

fn adding(lines: &str) -> Build {
    let tree = FileTree::new().file("a", "A").modified("a", 500).file("d/b", "B").file("d/c", "C");
    with(dockerfile(&format!("FROM scratch\n{lines}\n")), |host| {
        let host = host.with_remote_file(URL, "content", Some(300)).with_remote_file("http://x.test", "bare", None);
        host.with_repository(REPOSITORY, tree.clone(), commit()).with_repository("git@git.test:app", tree, commit())
    })
}

#[test]
fn row_112_add_of_a_url() {
    let built = adding(&format!("ADD {URL} /in/")).built();
    assert_eq!(built.listing(), ["in dir 755 0:0 0", "in/tool kit.txt file \"content\" 600 0:0 300"]);
    assert_eq!(built.history(), [format!("ADD {URL} /in/ # buildkit")]);
    let built = adding(&format!("ENV U={URL}\nADD --chmod=755 --chown=1:2 $U /name")).built();
    assert_eq!(built.listing(), ["name file \"content\" 755 1:2 300"]);
    let built = adding("ADD http://x.test /name").built();
    assert_eq!(built.listing(), ["name file \"bare\" 600 0:0 0"]);
    let built = adding(&format!("ADD {URL} Dockerfile /both/")).built();
    assert_eq!(built.tree().paths(), ["both", "both/Dockerfile", "both/tool kit.txt"]);
}

#[test]
fn row_112_what_can_not_be_added() {
    let failure = adding("ADD http://x.test /in/").fails();
    assert_eq!(failure.message, "the URL `http://x.test` names no file, and the destination is a directory");
    assert_eq!(failure.excerpt.as_deref(), Some("  |\n2 | ADD http://x.test /in/\n  |     ^^^^^^^^^^^^^"));
    let failure = adding("ADD http://x.test/missing /").fails();
    assert_eq!(failure.message, "could not fetch `http://x.test/missing`");
    let failure = adding(&format!("ADD {URL} Dockerfile /one")).fails();
    assert!(failure.message.contains("2 files can't be copied to the one name"), "{failure}");
    let failure = adding(&format!("COPY {URL} /")).fails();
    assert_eq!((failure.message.as_str(), failure.hint.as_deref()), ("COPY can't take a URL", Some("ADD can")));
}

#[test]
fn row_113_checksums() {
    let right = digest(b"content");
    for (lines, kind) in [
        (format!("ADD --checksum={right} {URL} /"), None),
        (format!("ARG SUM={right}\nADD --checksum=$SUM {URL} /"), None),
        (format!("ADD --checksum={} {URL} /", digest(b"other")), Some(FailureKind::Verification)),
        (format!("ADD --checksum={right} {URL} Dockerfile /"), Some(FailureKind::Failed)),
        (format!("ADD --checksum={right} Dockerfile /"), Some(FailureKind::Failed)),
        (format!("ADD --checksum={} {REPOSITORY} /", &ID[..9]), None),
        (format!("ADD --checksum=fff {REPOSITORY} /"), Some(FailureKind::Verification)),
    ] {
        let failure = adding(&lines).run().err();
        assert_eq!(failure.as_ref().map(|failure| failure.kind), kind, "{lines}: {failure:?}");
        assert!(failure.is_none_or(|failure| failure.position.is_some()), "{lines}");
    }
}

#[test]
fn row_114_add_of_a_git_repository() {
    let built = adding(&format!("ADD --exclude=d/c {REPOSITORY} /src")).built();
    assert_eq!(built.tree().paths(), ["src", "src/a", "src/d", "src/d/b"]);
    assert_eq!(built.listing()[1], "src/a file \"A\" 644 0:0 500");
    assert!(!built.host.checkouts()[0].keep_git_dir);
    let built = adding("ADD --keep-git-dir git@git.test:app /src/").arguments(&["--ssh", "default"]).built();
    let [checkout] = &built.host.checkouts()[..] else { panic!("one checkout") };
    assert!(checkout.keep_git_dir);
    assert_eq!(checkout.agent.as_deref(), Some("default"));
    assert_eq!(adding("COPY git@git.test:app /").fails().message, "COPY can't take a Git repository");
}

#[test]
fn row_147_a_context_of_git_is_told_in_the_annotations() {
    let tree = FileTree::new().file("Dockerfile", "FROM scratch\nCOPY a /\n").file("a", "A").modified("a", 500);
    let build = |arguments: &[&str]| {
        let build = with(without_dockerfile(), |host| host.with_repository(REPOSITORY, tree.clone(), commit()));
        build.arguments(&["-c", REPOSITORY]).arguments(arguments).built()
    };
    let annotations = build(&[]).manifest()["annotations"].clone();
    assert_eq!(annotations["org.opencontainers.image.revision"], ID);
    assert_eq!(annotations["org.opencontainers.image.source"], "https://git.test/team/app.git");
    let own = build(&["--annotation", "org.opencontainers.image.revision=mine"]).manifest()["annotations"].clone();
    assert_eq!(own["org.opencontainers.image.revision"], "mine");
}
