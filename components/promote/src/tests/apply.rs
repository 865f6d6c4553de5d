//! `apply`.

use super::*;

const TO: &str = "destination.test";

/// A file that wants these tags of these digests of `app`.
fn file(destinations: &[&str], wanted: &[(&str, &[&str])]) -> String {
    let mut text = String::from("[[registries]]\nname = \"source.test\"\nsource = true\n");
    for name in destinations {
        text += &format!("[[registries]]\nname = \"{name}\"\n");
    }
    text += "[[images]]\nname = \"app\"\n[images.digests]\n";
    for (digest, tags) in wanted {
        text += &format!("\"{digest}\" = {tags:?}\n");
    }
    text
}

fn apply(host: &MemoryHost, text: &str, more: &[&str]) -> Result<String, Failure> {
    let host = host.clone().with_file("f.toml", text);
    try_call(&host, &[&["apply", "f.toml", "--from", "source.test", "--to", TO], more].concat())
}

#[test]
fn apply_brings_what_is_missing_and_nothing_twice() {
    let (host, source, destination) = setup();
    let (one, two) = (add_image(&host, &source, Some("x"), "one"), add_image(&host, &source, None, "two"));
    let text = file(&[TO], &[(&one.digest, &["v1", "latest"]), (&two.digest, &[])]);
    let plan = format!(
        "source.test/app@{0} destination.test/app:latest {0}\nsource.test/app@{0} destination.test/app:v1 {0}\n\
         source.test/app@{1} destination.test/app@{1} {1}\n",
        one.digest, two.digest
    );
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&apply(&host, &text, &["--dry-run"]).unwrap()), sorted(&plan));
    assert_eq!(host.events(), []);
    assert_eq!(apply(&host, &text, &[]).unwrap(), "");
    assert_eq!(destination.tagged().keys().collect::<Vec<_>>(), ["latest", "v1"]);
    assert_eq!(destination.find("v1"), source.find("x"));
    assert!(destination.find(&two.digest).is_some());
    assert_eq!(apply(&host, &text, &["--dry-run"]).unwrap(), "");
    assert_eq!(apply(&host, &text, &["--dry-run", "--format", "json"]).unwrap(), "{\"copies\":[]}\n");
    apply(&host, &text, &[]).unwrap();
    assert_eq!(host.events(), [], "once more writes nothing");
}

#[test]
fn apply_needs_no_source_for_what_the_destination_has() {
    let (host, _, destination) = setup();
    let image = add_image(&host, &destination, Some("v1"), "one");
    apply(&host, &file(&[TO], &[(&image.digest, &["v1", "latest"])]), &[]).unwrap();
    assert_eq!(puts(&host), [(image.digest, "latest".into())]);
}

#[test]
fn apply_overwrites_nothing_and_tells_all_conflicts_before_it_writes() {
    let (host, source, destination) = setup();
    let (one, two) = (add_image(&host, &source, None, "one"), add_image(&host, &destination, Some("v1"), "two"));
    let lost = format!("sha256:{}", "0".repeat(64));
    let text = file(&[TO], &[(&one.digest, &["v1", "new"]), (&lost, &["lost"])]);
    let failure = apply(&host, &text, &[]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Failed);
    let expected = [
        format!("{lost} is neither in source.test/app nor in destination.test/app"),
        format!("destination.test/app:v1 stands for {} and would become {}", two.digest, one.digest),
    ];
    assert_eq!(failure.causes, expected);
    assert_eq!(host.events(), []);
    assert_eq!(destination.tagged().len(), 1);
}

#[test]
fn apply_uses_only_what_options_grant() {
    let (host, source, _) = setup();
    let image = add_image(&host, &source, None, "one");
    let text = file(&[TO, "elsewhere.test"], &[(&image.digest, &["v1"])]);
    let failure = apply(&host, &text, &[]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(failure.to_string().contains("can't use elsewhere.test/app"), "{failure}");
    assert_eq!(host.events(), []);
    apply(&host, &text, &["--to", "elsewhere.test"]).unwrap();
    assert_eq!(host.repository("elsewhere.test/app").tagged().len(), 1);
}
