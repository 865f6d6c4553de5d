//! What a component imports is what it may do: the two that come with the host import the contract and nothing else.

use steprun_tests::{Context, Registry, User, components};

/// The lines of a section of `steprun inspect`, from its heading to the next empty line.
fn section<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let mut lines = text.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no section {heading}:\n{text}");
    lines.take_while(|line| !line.is_empty()).collect()
}

fn imported(text: &str) -> Vec<&str> {
    let names = section(text, "imports").into_iter().filter_map(|line| line.strip_prefix("  "));
    names.filter(|name| !name.starts_with(' ')).collect()
}

#[test]
fn built_in_steps_import_the_contract_alone() {
    for step in ["build", "promote"] {
        let outcome = User::new().succeeds(["inspect", step]);
        let names = imported(outcome.text());
        assert!(!names.is_empty(), "{}", outcome.text());
        for name in names {
            assert!(name.starts_with("steprun:step/") && name.ends_with("@0.1.0"), "{step} imports {name}");
        }
    }
}

#[test]
fn a_wasi_command_shows_what_it_imports() {
    let outcome = User::new().succeeds(["inspect", components::wasi_hello().to_str().unwrap()]);
    assert!(imported(outcome.text()).iter().all(|name| name.starts_with("wasi:")), "{}", outcome.text());
}

#[test]
fn arguments_show_as_grants() {
    let user = User::new();
    let arguments = ["inspect", "build", "-c", "/some/context", "-d", "registry.example/team/app:1"];
    let outcome = user.succeeds(arguments);
    let grants = section(outcome.text(), "grants").join("\n");
    for fragment in ["/some/context", "registry.example/team/app"] {
        assert!(grants.contains(fragment), "{grants}");
    }
    let other = user.succeeds(["inspect", "promote", "digest", "registry.example/team/app:1"]);
    assert!(!section(other.text(), "grants").join("\n").contains("push"), "{}", other.text());
}

#[test]
fn help_comes_from_the_description() {
    let user = User::new();
    let help = user.succeeds(["build", "--help"]);
    for option in ["--context", "--dockerfile", "--destination", "--build-arg", "--no-push", "--digest-file"] {
        assert!(help.text().contains(option), "{option} is not in:\n{}", help.text());
    }
    let help = user.succeeds(["promote", "--help"]);
    for command in ["copy", "tag", "digest", "manifest", "config", "ls", "append", "export", "delete"] {
        assert!(help.text().contains(command), "{command} is not in:\n{}", help.text());
    }
}

#[test]
fn flags_of_the_host_stand_on_both_sides() {
    let user = User::new();
    let expected = user.succeeds(["build", "--help"]).stdout;
    assert_eq!(user.succeeds(["--progress", "plain", "build", "--help"]).stdout, expected);
    assert_eq!(user.succeeds(["build", "--progress", "plain", "--help"]).stdout, expected);
    user.fails(2, ["build", "--progress", "loud"]);
}

/// A built-in step is an ordinary component: taken out and called by its path it does the same, as a stranger.
#[test]
fn an_extracted_step_does_the_same() {
    let (user, registry) = (User::new(), Registry::plain());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /a\n").file("a", "content");
    let component = user.home().join("build.wasm");
    user.succeeds(["extract", "build", &component.to_string_lossy()]).prints_nothing();

    let path = context.path().to_string_lossy();
    let built_in = user.succeeds(["build", "-c", &path, "-d", &registry.image("x/own:1")]).digest();
    let foreign =
        user.succeeds([&*component.to_string_lossy(), "-c", &path, "-d", &registry.image("x/foreign:1")]).digest();
    assert_eq!(built_in, foreign);
    user.fails(2, ["extract", "bild", "x.wasm"]).says(&["bild", "did you mean `build`"]);
}
