//! The context and what .dockerignore makes of it; Dockerfiles in all their places; SOURCE_DATE_EPOCH.

use steprun_ports::FailureKind;
use steprun_ports::memory::FileTree;

use crate::support::{dockerfile, without_dockerfile};

fn context(tree: FileTree) -> FileTree {
    tree.file("a", "A")
        .file("b.md", "B")
        .file("docs/c.md", "C")
        .file("docs/keep/d.md", "D")
        .file("src/e", "E")
        .directory("empty")
}

/// What `COPY . /` takes of the context, without the Dockerfile.
fn taken(ignore: &str) -> String {
    let built =
        dockerfile("FROM scratch\nCOPY . /\n").context(|tree| context(tree).file(".dockerignore", ignore)).built();
    let tree = built.tree();
    let paths = tree.paths().into_iter().filter(|path| !matches!(*path, "Dockerfile" | ".dockerignore"));
    paths.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_directory_of_the_context_in_its_place() {
    let build = |path: &str| {
        let build = without_dockerfile().arguments(&["--context-sub-path", path]).context(|context| {
            let context =
                context.file("svc/Dockerfile", "FROM scratch\nCOPY . /\n").file("svc/.dockerignore", "Dockerfile");
            context.file("svc/in", "I").file("out", "O").file(".dockerignore", "svc").symlink("link", "svc")
        });
        build.run().map(|built| built.listing())
    };
    let wanted = ["in file \"I\" 644 0:0 0", ".dockerignore file \"Dockerfile\" 644 0:0 0"];
    for path in ["svc", "/svc", "./svc/", "link"] {
        let found = build(path).unwrap();
        assert!(found.len() == 2 && wanted.iter().all(|line| found.contains(&(*line).to_owned())), "{path}: {found:?}");
    }
    for (path, words) in
        [("missing", "can't use the directory `missing` of the context `.`"), ("out", "is no directory")]
    {
        let failure = build(path).err().unwrap().to_string();
        assert!(failure.contains(words), "{failure}");
    }
}

#[test]
fn rows_140_to_143_dockerignore() {
    for (row, ignore, wanted) in [
        ("nothing", "", "a b.md docs docs/c.md docs/keep docs/keep/d.md empty src src/e"),
        ("a file", "a", "b.md docs docs/c.md docs/keep docs/keep/d.md empty src src/e"),
        ("a directory", "docs\nempty/", "a b.md src src/e"),
        ("leading slash, comment, blank", "/docs\n# a\n\n  \nsrc", "a b.md empty"),
        ("**", "**/*.md", "a docs docs/keep empty src src/e"),
        ("141 last one wins", "docs\n!docs/c.md", "a b.md docs docs/c.md empty src src/e"),
        ("141 below a directory that is left out", "*\n!docs/keep/d.md", "docs docs/keep docs/keep/d.md"),
        ("141 again left out", "*\n!docs\ndocs/keep", "docs docs/c.md"),
    ] {
        assert_eq!(taken(ignore), wanted, "{row}");
    }
    // 143: both are read, and neither is taken.
    let built = dockerfile("FROM scratch\nCOPY . /\n")
        .context(|tree| context(tree).file(".dockerignore", "*ocker*\n**/*.md\nempty\n"))
        .built();
    assert_eq!(built.tree().paths(), ["a", "docs", "docs/keep", "src", "src/e"]);
}

#[test]
fn row_107_the_dockerfile_and_the_ignore_file_can_be_ignored() {
    let built = dockerfile("FROM scratch\nCOPY . /\n")
        .context(|tree| tree.file(".dockerignore", "Dockerfile\n.dockerignore\n").file("a", "A"))
        .built();
    assert_eq!(built.tree().paths(), ["a"]);
}

#[test]
fn row_139_the_dockerfiles_own_ignore_file_wins() {
    let files = |tree: FileTree| {
        tree.file("Dockerfile.dockerignore", "b\nDocker*\n.d*").file(".dockerignore", "a").file("a", "").file("b", "")
    };
    assert_eq!(dockerfile("FROM scratch\nCOPY . /\n").context(files).built().tree().paths(), ["a"]);
    let typed = dockerfile("FROM scratch\nCOPY . /\n").context(files).arguments(&["-f", "other"]);
    let host =
        typed.host.clone().with_file("other", "FROM scratch\nCOPY [ab] /\n").with_file("other.dockerignore", "b");
    assert_eq!(crate::support::Build { host, ..typed }.built().tree().paths(), ["a"]);
}

#[test]
fn row_144_ignore_rules_have_no_say_in_stages() {
    let built = dockerfile("FROM scratch AS one\nCOPY <<a <<b /\nb\nb\nFROM scratch\nCOPY --from=one / /\n")
        .context(|tree| tree.file(".dockerignore", "a\nb\n"));
    assert_eq!(built.fails().kind, FailureKind::Failed);
    let built = dockerfile("FROM scratch AS one\nCOPY <<a <<b /\nA\na\nB\nb\nFROM scratch\nCOPY --from=one / /\n")
        .context(|tree| tree.file(".dockerignore", "a\nb\n"))
        .built();
    assert_eq!(built.tree().paths(), ["a", "b"]);
}

#[test]
fn row_116_an_ignored_source_is_missing_and_the_hint_names_the_pattern() {
    let failure = dockerfile("FROM scratch\nCOPY docs/c.md /\n")
        .context(|tree| context(tree).file(".dockerignore", "src\n**/*.md\n"))
        .fails();
    assert_eq!(failure.message, "there is no `docs/c.md` in the context");
    assert_eq!(failure.hint.as_deref(), Some("the pattern `**/*.md` in .dockerignore leaves it out of the context"));
    assert_eq!(failure.excerpt.as_deref(), Some("  |\n2 | COPY docs/c.md /\n  |      ^^^^^^^^^"));
    // No link leads there.
    let failure = dockerfile("FROM scratch\nCOPY link /\n")
        .context(|tree| context(tree).symlink("link", "docs/c.md").file(".dockerignore", "**/*.md\n"))
        .fails();
    assert_eq!(failure.message, "there is no `link` in the context");
}

#[test]
fn row_142_a_bad_pattern_is_an_error_in_its_file() {
    let failure = dockerfile("FROM scratch\n").context(|tree| tree.file(".dockerignore", "a\n!\n")).fails();
    let position = failure.position.expect("a place");
    assert_eq!((position.file.as_str(), position.line), (".dockerignore", 2));
}

#[test]
fn row_21_where_the_dockerfile_is_found() {
    let text = "FROM scratch\nLABEL found=yes\n";
    for name in ["Dockerfile", "Containerfile", "dockerfile"] {
        let built = without_dockerfile().context(|tree| tree.file(name, text)).built();
        assert_eq!(built.runtime()["Labels"]["found"], "yes", "{name}");
    }
    let in_context = without_dockerfile().context(|tree| tree.file("sub/File", text)).arguments(&["-f", "sub/File"]);
    assert_eq!(in_context.built().runtime()["Labels"]["found"], "yes");
    let typed = without_dockerfile().arguments(&["-f", "/elsewhere/File"]);
    let host = typed.host.clone().with_file("/elsewhere/File", text);
    assert_eq!(crate::support::Build { host, ..typed }.built().runtime()["Labels"]["found"], "yes");
    let stdin = without_dockerfile().arguments(&["-f", "-"]);
    let host = stdin.host.clone().with_file("-", text);
    assert_eq!(crate::support::Build { host, ..stdin }.built().runtime()["Labels"]["found"], "yes");
}

#[test]
fn missing_empty_and_strange_dockerfiles() {
    let failure = without_dockerfile().fails();
    assert_eq!(failure.message, "there is no Dockerfile in the context `.`");
    assert_eq!(without_dockerfile().arguments(&["-f", "x"]).fails().message, "there is no Dockerfile `x`");
    assert!(dockerfile("").fails().message.contains("empty"));
    assert!(dockerfile("# only this\n").fails().message.contains("no instructions"));
    let strange = without_dockerfile().context(|tree| tree.file("Dockerfile", b"FROM a\n\xff\n"));
    assert_eq!(strange.fails().message, "Dockerfile is no UTF-8 text: line 2 has other bytes");
    let failure = dockerfile("FROM scratch\nCOPPY a b\n").fails();
    assert_eq!(failure.position.map(|position| position.line), Some(2));
    assert!(failure.hint.unwrap_or_default().contains("COPY"));
}

#[test]
fn row_136_source_date_epoch() {
    let build = |arguments: &[&str]| {
        dockerfile("FROM scratch\nCOPY old new /d/\nWORKDIR /w\n")
            .context(|tree| tree.file("old", "").modified("old", 50).file("new", "").modified("new", 150))
            .arguments(arguments)
            .built()
    };
    for arguments in [&["--source-date-epoch", "100"][..], &["--build-arg", "SOURCE_DATE_EPOCH=100"]] {
        let built = build(arguments);
        assert_eq!(
            built.listing(),
            ["d dir 755 0:0 100", "d/new file \"\" 644 0:0 100", "d/old file \"\" 644 0:0 50", "w dir 755 0:0 100"]
        );
        assert_eq!(built.config()["created"], "1970-01-01T00:01:40Z");
        assert_eq!(built.config()["history"][1]["created"], "1970-01-01T00:01:40Z");
    }
    assert_eq!(build(&["--source-date-epoch", ""]).config()["created"], "1970-01-01T00:02:30Z");
    let failure = dockerfile("FROM scratch\n").arguments(&["--source-date-epoch", "soon"]).fails();
    assert_eq!(failure.kind, FailureKind::Usage);
}

#[test]
fn the_same_inputs_give_the_same_digest() {
    let build = || dockerfile("FROM scratch\nCOPY . /\nENV A=1\nLABEL z=1 a=2\n").context(context).built().digest();
    assert_eq!(build(), build());
}

#[test]
fn a_big_context_costs_one_extend_and_keeps_all() {
    let files =
        |tree: FileTree| (0..2_000).fold(tree, |tree, index| tree.file(&format!("dir{}/file{index}", index % 50), "x"));
    let built = dockerfile("FROM scratch\nCOPY dir* /all/\n").context(files).built();
    assert_eq!(built.tree().paths().len(), 2_001);
}
