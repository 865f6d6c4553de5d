//! Builds for several platforms.

use serde_json::Value;
use steprun_ports::memory::{FileTree, RegistryEvent, Written, block_on};
use steprun_ports::{Blob, Repository};

use crate::support::{APP, Build, Built, descriptor, dockerfile, push_index};

const BOTH: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

fn build(text: &str) -> Build {
    let build = dockerfile(text).arguments(&BOTH);
    push_index(&build.host, "registry.test/base", &["linux/amd64", "linux/arm64"]);
    build
}

/// Configs of the images that the index of the tag has, by platform.
fn configs(built: &Built) -> Vec<(String, Value)> {
    let index = built.manifest();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let repository = built.host.repository(APP);
    let config = |child: &Value| {
        let manifest = block_on(repository.manifest(child["digest"].as_str().unwrap())).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest.content).unwrap();
        let config = block_on(repository.blob(&descriptor(&manifest["config"])).read(1 << 20)).unwrap();
        let platform = &child["platform"];
        let platform = format!("{}/{}", platform["os"].as_str().unwrap(), platform["architecture"].as_str().unwrap());
        (platform, serde_json::from_slice(&config).unwrap())
    };
    index["manifests"].as_array().unwrap().iter().map(config).collect()
}

#[test]
fn row_53_an_index_of_all_platforms_is_pushed() {
    let text = "FROM registry.test/base\nARG TARGETPLATFORM BUILDARCH\nLABEL t=$TARGETPLATFORM b=$BUILDARCH\n";
    let built = build(text).arguments(&["-d", "other.test/app:x"]).built();
    let labels: Vec<String> = configs(&built)
        .iter()
        .map(|(platform, config)| {
            let labels = &config["config"]["Labels"];
            assert_eq!(format!("linux/{}", config["architecture"].as_str().unwrap()), *platform);
            format!("{platform} {} {} {}", labels["arch"], labels["t"], labels["b"])
        })
        .collect();
    assert_eq!(
        labels,
        ["linux/amd64 \"amd64\" \"linux/amd64\" \"amd64\"", "linux/arm64 \"arm64\" \"linux/arm64\" \"amd64\""]
    );
    // Standard output names the index; tags do, and nothing else.
    let digest = built.digest();
    assert_eq!(built.stdout(), format!("{APP}@{digest}\nother.test/app@{digest}\n"));
    for repository in [APP, "other.test/app"] {
        let repository = built.host.repository(repository);
        assert!(repository.tagged().values().all(|tagged| *tagged == digest));
        assert_eq!(repository.tagged().len(), 1);
    }
    let puts = |event: &RegistryEvent| matches!(event, RegistryEvent::Manifest { repository, .. } if repository == APP);
    assert_eq!(built.host.events().iter().filter(|event| puts(event)).count(), 3);
}

#[test]
fn row_149_all_outputs_hold_the_index() {
    let built = build("FROM registry.test/base\n")
        .arguments(&[
            "--digest-file",
            "d",
            "--metadata-file",
            "m",
            "--oci-archive-path",
            "y.tar",
            "--oci-layout-path",
            "l",
        ])
        .built();
    let digest = built.digest();
    assert_eq!(built.written("d"), digest);
    let metadata: Value = serde_json::from_str(&built.written("m")).unwrap();
    assert_eq!(metadata["digest"], digest);
    assert_eq!(metadata["manifests"][1]["platform"], "linux/arm64");
    assert_eq!(metadata["manifests"][1]["digest"], built.manifest()["manifests"][1]["digest"]);
    let Some(Written::Images { images, blobs, .. }) = built.host.written("y.tar") else { panic!("an archive") };
    let [(_, index, _)] = &images[..] else { panic!("{} images", images.len()) };
    assert_eq!(serde_json::from_slice::<Value>(index).unwrap(), built.manifest());
    // Two manifests, two configs, two layers.
    assert_eq!(blobs.len(), 6);
    let Some(Written::Layout(images)) = built.host.written("l") else { panic!("a layout") };
    assert_eq!(images.len(), 1);
}

#[test]
fn row_149_files_of_images() {
    let files = |built: &Built, path: &str| match built.host.written(path) {
        Some(Written::FileSystem(tree)) => String::from_utf8(tree.content("file").unwrap().to_vec()).unwrap(),
        other => panic!("no files at {path}: {other:?}"),
    };
    let lines = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /file\n";
    let context = |tree: FileTree| tree.file("amd64", "a").file("arm64", "b");
    let one = dockerfile(lines).context(context).arguments(&[
        "--platform",
        "linux/arm64",
        "-o",
        "out",
        "--output-tar",
        "files.tar",
    ]);
    let one = one.built();
    assert_eq!([files(&one, "out"), files(&one, "files.tar")], ["b", "b"]);
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let two = dockerfile(lines).context(context).arguments(&platforms).arguments(&["-o", "out"]).built();
    assert_eq!([files(&two, "out/linux_amd64"), files(&two, "out/linux_arm64")], ["a", "b"]);
    let failure = dockerfile(lines).arguments(&platforms).arguments(&["--output-tar", "x"]).fails();
    assert!(failure.message.contains("x can hold one platform"), "{failure:?}");
    let failure = dockerfile(lines).arguments(&["-o", "type=local,dest=out"]).fails();
    assert!(failure.message.contains("takes a directory"), "{failure:?}");
}

#[test]
fn one_platform_gives_an_image_and_no_index() {
    let built = dockerfile("FROM scratch\n").arguments(&["--platform", "arm64,linux/arm64"]).built();
    assert_eq!(built.config()["architecture"], "arm64");
    assert_eq!(built.manifest()["mediaType"], "application/vnd.oci.image.manifest.v1+json");
}

/// The commands of a cross-compiling build, as label and command.
fn commands(lines: &str) -> Vec<String> {
    let text = format!(
        "FROM --platform=$BUILDPLATFORM registry.test/base AS build\n{lines}\nFROM scratch\nCOPY --from=build /ran /\n"
    );
    let built = build(&text).context(|tree| tree.file("src", "")).running().built();
    assert_eq!(configs(&built).len(), 2);
    let mut commands: Vec<String> =
        built.host.commands().iter().map(|process| format!("{}: {}", process.label, process.arguments[2])).collect();
    commands.sort();
    commands
}

#[test]
fn row_53_stages_on_the_building_platform_run_once() {
    assert_eq!(commands("COPY src /\nRUN make"), ["build: make"]);
    assert_eq!(commands("ARG V=1\nARG BUILDARCH\nRUN make"), ["build: make"]);
    // A default wins over what the platform says.
    assert_eq!(commands("ARG TARGETARCH=any\nRUN make"), ["build: make"]);
    let each = ["linux/amd64 build: make", "linux/arm64 build: make"];
    assert_eq!(commands("ARG TARGETARCH\nRUN make"), each);
    assert_eq!(commands("COPY --from=registry.test/base /arch /a\nRUN make"), each);
    // What is before the variable is shared all the same.
    assert_eq!(
        commands("RUN deps\nFROM build AS next\nARG TARGETOS TARGETARCH\nRUN make\nFROM build"),
        ["build: deps"]
    );
    assert_eq!(
        commands("RUN deps\nFROM build AS next\nARG TARGETOS TARGETARCH\nRUN make\nFROM next AS build"),
        ["build: deps", "linux/amd64 next: make", "linux/arm64 next: make"]
    );
}

#[test]
fn row_53_triggers_and_global_arguments_keep_stages_apart() {
    let text = "ARG SUFFIX=$TARGETARCH\nFROM --platform=$BUILDPLATFORM registry.test/base AS build\nARG SUFFIX\nRUN make $SUFFIX\n";
    let built = build(text).running().built();
    assert_eq!(built.host.commands().len(), 2);
    let build = build("FROM --platform=$BUILDPLATFORM registry.test/hooked\n");
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64", "config": { "OnBuild": ["ARG TARGETARCH", "RUN make $TARGETARCH"] },
    });
    let built = build.base("registry.test/hooked", FileTree::new(), config).running().built();
    assert_eq!(built.host.commands().len(), 2);
}

#[test]
fn a_failure_says_for_which_platform() {
    let failure = build("FROM registry.test/base\nCOPY --from=registry.test/base arch missing /x/\n").fails();
    assert!(failure.message.starts_with("there is no `missing` in the image"), "{failure}");
    assert!(failure.message.ends_with("(for linux/amd64)"), "{failure}");
    assert_eq!(failure.position.map(|position| position.line), Some(2));
}

#[test]
fn warnings_are_said_once_for_all_platforms() {
    let built = build("FROM registry.test/base\nENV a b\n").arguments(&["--build-arg", "x=1"]).built();
    assert_eq!(built.warnings().len(), 2, "{:?}", built.warnings());
}
