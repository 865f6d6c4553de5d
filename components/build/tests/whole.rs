//! Whole builds: from the command line to what is pushed, written and printed.

mod support;

use support::{APP, dockerfile};

#[test]
fn scratch_with_a_file_and_a_command() {
    let built = dockerfile("FROM scratch\nCOPY app.bin /usr/local/bin/app\nCMD [\"/usr/local/bin/app\"]\n")
        .context(|tree| tree.file("app.bin", "app").mode("app.bin", 0o755).modified("app.bin", 1_700_000_000))
        .built();
    assert_eq!(
        built.listing(),
        [
            "usr dir 755 0:0 0",
            "usr/local dir 755 0:0 0",
            "usr/local/bin dir 755 0:0 0",
            "usr/local/bin/app file \"app\" 755 0:0 1700000000",
        ]
    );
    assert_eq!(built.history(), ["COPY app.bin /usr/local/bin/app # buildkit", "CMD [\"/usr/local/bin/app\"] (empty)"]);
    assert_eq!(built.config()["created"], "2023-11-14T22:13:20Z");
    assert_eq!(built.runtime()["Cmd"], serde_json::json!(["/usr/local/bin/app"]));
    assert_eq!(built.stdout(), format!("{APP}@{}\n", built.digest()));
}
