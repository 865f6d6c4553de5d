//! `--plan`.

use serde_json::{Value, json};
use steprun_ports::memory::{FileTree, MemoryOutcome};

use crate::support::{Build, dockerfile, push_index};

const TEXT: &str = "\
# VERSION the version to build
ARG VERSION=1.0
ARG BASE=registry.test/base
# build compiles
FROM --platform=$BUILDPLATFORM ${BASE} AS build
ARG TARGETARCH
COPY src \\
  /src/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=npm --mount=from=tools,target=/t make
FROM scratch AS test
COPY missing /
FROM scratch AS prod
COPY --from=build /out /
CMD [\"/out\"]
";

fn plan(arguments: &[&str]) -> Build {
    let build = dockerfile(TEXT).only_arguments(&["--plan", "-d", "registry.test/app:1"]).arguments(arguments);
    push_index(&build.host, "registry.test/base", &["linux/amd64", "linux/arm64"]);
    build.host.forget_events();
    build.arguments(&["--build-context", "tools=dir"]).commands(|_, files| Ok(MemoryOutcome::left(files.clone())))
}

#[test]
fn rows_41_137_a_plan_shows_stages_arguments_and_needs() {
    let built = plan(&["--build-arg", "VERSION=2"]).built();
    let digest = built.host.repository("registry.test/base").find("amd64").unwrap().descriptor.digest;
    let expected = format!(
        "\
Dockerfile for linux/amd64: prod

stage build: compiles
  from registry.test/base (linux/amd64, {digest})
     6 | ARG TARGETARCH
     7 | COPY src /src/  <- context
     9 | RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=npm --mount=from=tools,target=/t m...  <- command, cache /root/.cache, secret npm, bind of context tools

stage prod
  from scratch
    13 | COPY --from=build /out /  <- stage build
    14 | CMD [\"/out\"]

not needed: test

arguments
  BASE=registry.test/base
  TARGETARCH
  VERSION=2 (given): the version to build

needs
  context.read   .
  context.read   dir (as tools)
  registry.pull  registry.test/base
  registry.push  registry.test/app
  secret.use     npm (--secret id=npm)
  snapshots.run  commands (--allow-run, and --allow-net where they use the network)
"
    );
    assert_eq!(built.stdout(), expected);
    // Nothing ran, nothing was pushed.
    assert!(built.host.commands().is_empty() && built.host.events().is_empty());
    assert!(built.host.tasks().iter().all(|(label, _)| label.starts_with("resolve ")));
}

#[test]
fn row_137_a_plan_as_json() {
    let built = plan(&["--format", "json", "--platform", "linux/arm64,linux/amd64", "--secret", "id=npm"]).built();
    let plan: Value = serde_json::from_str(&built.stdout()).unwrap();
    assert_eq!(plan["platforms"][0]["platform"], "linux/arm64");
    let stage = &plan["platforms"][1]["stages"][0];
    assert_eq!((&stage["name"], &stage["image"]["platform"]), (&json!("build"), &json!("linux/amd64")));
    // It declares TARGETARCH.
    assert_eq!(stage["shared"], false);
    assert_eq!(
        stage["instructions"][1],
        json!({ "line": 7, "text": "COPY src /src/", "takes": ["context"], "cached": null })
    );
    assert_eq!(plan["platforms"][1]["unneeded"], json!(["test"]));
    assert_eq!(
        plan["arguments"][2],
        json!({ "name": "VERSION", "default": "1.0", "value": null, "description": "the version to build" })
    );
    let needs = plan["needs"].as_array().unwrap();
    assert!(needs.contains(&json!({ "capability": "secret.use", "subject": "npm", "flag": null })), "{needs:?}");
}

#[test]
fn row_137_a_plan_fails_where_the_build_would() {
    let failure = dockerfile("FROM registry.test/none\n").only_arguments(&["--plan"]).fails();
    assert_eq!(failure.position.map(|position| (position.line, position.column)), Some((1, 6)));
    let failure = dockerfile("FROM scratch AS one\n").only_arguments(&["--plan", "--target", "on"]).fails();
    assert_eq!(failure.hint.as_deref(), Some("did you mean `one`?"));
}

#[test]
fn row_137_a_plan_tells_named_images_from_images_in_files() {
    let config = json!({ "os": "linux", "architecture": "amd64" });
    let build = dockerfile("FROM base\nCOPY --from=other /f /\n").only_arguments(&["--plan"]);
    let build = build.base("registry.test/base", FileTree::new(), config.clone());
    // The host gives what lies in a file or directory one name for the registry and the repository.
    let build = build.base("oci:layout", FileTree::new().file("f", ""), config);
    let named = [
        "--build-context",
        "base=docker-image://registry.test/base",
        "--build-context",
        "other=docker-image://oci:layout",
    ];
    let shown = build.arguments(&named).built().stdout();
    let (_, needs) = shown.split_once("needs\n").unwrap();
    assert_eq!(
        needs,
        "  context.read   .\n  file.read      oci:layout (as other)\n  registry.pull  registry.test/base (as base)\n"
    );
}

#[test]
fn row_137_a_plan_of_what_can_not_be_parsed_fails_as_its_build() {
    for text in
        ["", "FROM scratch\nCOPPY a b\n", "FROM scratch\nRUN <<EOF\n", "FROM ${\n", "FROM a AS b\nFROM b AS b!\n"]
    {
        let [build, plan] = [&["--no-push"], &["--plan"]].map(|word| dockerfile(text).only_arguments(word).fails());
        assert_eq!(plan, build, "{text}");
    }
}

#[test]
fn rows_112_114_137_a_plan_fetches_no_sources() {
    let text = "FROM scratch\nADD a https://example.test/b /x/\nADD https://example.test/c.git#main /c\n";
    let built = dockerfile(text).only_arguments(&["--plan"]).built();
    let shown = built.stdout();
    for line in [
        "   2 | ADD a https://example.test/b /x/  <- context, https://example.test/b\n",
        "   3 | ADD https://example.test/c.git#main /c  <- https://example.test/c.git#main\n",
        "  sources.fetch  https://example.test/b\n  sources.fetch  https://example.test/c.git#main\n",
    ] {
        assert!(shown.contains(line), "{line} in:\n{shown}");
    }
}

#[test]
fn layers_are_not_opened_for_a_plan() {
    let build = dockerfile("FROM registry.test/base\nCOPY --from=registry.test/base f /\n").only_arguments(&["--plan"]);
    let config = json!({ "os": "linux", "architecture": "amd64" });
    let build = build.base("registry.test/base", FileTree::new().file("f", ""), config);
    let repository = build.host.repository("registry.test/base");
    let manifest: Value = serde_json::from_slice(&repository.find("latest").unwrap().content).unwrap();
    repository.remove_blob(manifest["layers"][0]["digest"].as_str().unwrap());
    assert!(build.built().stdout().contains("COPY --from=registry.test/base f /  <- image registry.test/base"));
}
