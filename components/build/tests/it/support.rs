//! A Dockerfile and a context become what came of them.

use std::collections::BTreeMap;

use serde_json::Value;
use steprun_ports::memory::{
    FileTree, MemoryHost, MemoryOutcome, MemoryProcess, MemorySnapshot, Node, NodeKind, Written, block_on,
};
use steprun_ports::{Blob, Descriptor, Failure, Host, Layer, Repository};

/// The repository that tests push to.
pub(crate) const APP: &str = "registry.test/app";

/// A build that is being described.
pub(crate) struct Build {
    pub(crate) host: MemoryHost,
    pub(crate) context: FileTree,
    pub(crate) arguments: Vec<String>,
}

/// A build with this Dockerfile, which is in the context as `Dockerfile`.
pub(crate) fn dockerfile(text: &str) -> Build {
    Build {
        host: MemoryHost::new(),
        context: FileTree::new().file("Dockerfile", text),
        arguments: vec!["-d".into(), format!("{APP}:1")],
    }
}

/// A context without a Dockerfile.
pub(crate) fn without_dockerfile() -> Build {
    Build { context: FileTree::new(), ..dockerfile("") }
}

impl Build {
    /// Changes the context.
    pub(crate) fn context(mut self, change: impl FnOnce(FileTree) -> FileTree) -> Self {
        self.context = change(self.context);
        self
    }

    /// Adds arguments.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Has only these arguments.
    pub(crate) fn only_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.clear();
        self.arguments(arguments)
    }

    /// Puts a base image into a registry: `registry.test/base` has the tag `latest`.
    pub(crate) fn base(self, name: &str, tree: FileTree, config: Value) -> Self {
        push_image(&self.host, name, "latest", &tree, config);
        self
    }

    /// Grants RUN, and says what commands do.
    pub(crate) fn commands(
        mut self,
        behaviour: impl Fn(&MemoryProcess, &FileTree) -> steprun_ports::Result<MemoryOutcome> + 'static,
    ) -> Self {
        self.host = self.host.with_commands(behaviour);
        self
    }

    /// Grants RUN. Each command writes the file `/ran`, which holds the commands so far.
    pub(crate) fn running(self) -> Self {
        self.commands(|process, files| {
            let before = files.content("ran").unwrap_or_default();
            let now = format!("{}{:?}\n", String::from_utf8_lossy(before), process.arguments);
            Ok(MemoryOutcome::left(files.clone().file("ran", now)))
        })
    }

    /// Runs the build.
    pub(crate) fn run(self) -> Result<Built, Failure> {
        let host = self.host.with_context(".", self.context);
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let host = host.with_arguments(&steprun_build::describe(), &arguments);
        block_on(steprun_build::run(&host)).map(|()| Built { host })
    }

    /// Runs the build, which must succeed.
    pub(crate) fn built(self) -> Built {
        self.run().unwrap_or_else(|failure| panic!("{failure:#?}"))
    }

    /// Runs the build, which must fail; gives what it printed, too.
    pub(crate) fn fails_with_output(self) -> (Failure, String) {
        let host = self.host.clone();
        let failure = self.fails();
        (failure, Built { host }.stdout())
    }

    /// Runs the build, which must fail.
    pub(crate) fn fails(self) -> Failure {
        match self.run() {
            Ok(built) => panic!("it was built: {:?}", built.stdout()),
            Err(failure) => failure,
        }
    }
}

/// What came of a build.
pub(crate) struct Built {
    pub(crate) host: MemoryHost,
}

impl Built {
    pub(crate) fn manifest(&self) -> Value {
        let manifest = block_on(self.host.repository(APP).manifest("1")).expect("the tag was pushed");
        serde_json::from_slice(&manifest.content).expect("a manifest is JSON")
    }

    pub(crate) fn config(&self) -> Value {
        let descriptor = descriptor(&self.manifest()["config"]);
        let bytes = block_on(self.host.repository(APP).blob(&descriptor).read(1 << 20)).expect("the config was pushed");
        serde_json::from_slice(&bytes).expect("a config is JSON")
    }

    /// `config.config`.
    pub(crate) fn runtime(&self) -> Value {
        self.config()["config"].clone()
    }

    /// The image's file system, made of its layers.
    pub(crate) fn tree(&self) -> FileTree {
        FileTree::clone(self.snapshot().tree())
    }

    fn snapshot(&self) -> MemorySnapshot {
        let (manifest, config) = (self.manifest(), self.config());
        let layers = manifest["layers"].as_array().expect("a manifest has layers");
        let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("a config has diff IDs");
        assert_eq!(layers.len(), diff_ids.len());
        let repository = self.host.repository(APP);
        let layers: Vec<_> = layers
            .iter()
            .zip(diff_ids)
            .map(|(layer, diff_id)| Layer {
                blob: repository.blob(&descriptor(layer)),
                diff_id: diff_id.as_str().expect("a diff ID is a text").to_owned(),
            })
            .collect();
        block_on(self.host.from_layers(&layers)).expect("diff IDs belong to their layers")
    }

    /// The file system as lines: `path kind mode uid:gid mtime`, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        listing(&self.tree())
    }

    /// Lines of history: `created_by`, with ` (empty)` for those without a layer.
    pub(crate) fn history(&self) -> Vec<String> {
        let config = self.config();
        let history = config["history"].as_array().expect("a config has history");
        let line = |entry: &Value| {
            let empty = if entry["empty_layer"] == true { " (empty)" } else { "" };
            format!("{}{empty}", entry["created_by"].as_str().unwrap_or("-"))
        };
        history.iter().map(line).collect()
    }

    /// The only command that ran.
    pub(crate) fn command(&self) -> MemoryProcess {
        let [command] = &self.host.commands()[..] else { panic!("{} commands ran", self.host.commands().len()) };
        command.clone()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.host.stdout()).expect("results are text")
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let lines = self.host.log_lines().into_iter();
        lines.filter(|line| line.level == steprun_ports::Level::Warning).map(|line| line.message).collect()
    }

    pub(crate) fn digest(&self) -> String {
        self.host.outputs()["digest"].clone()
    }

    pub(crate) fn written(&self, path: &str) -> String {
        match self.host.written(path) {
            Some(Written::Bytes(bytes)) => String::from_utf8(bytes).expect("text"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// See [`Built::listing`].
pub(crate) fn listing(tree: &FileTree) -> Vec<String> {
    let groups: BTreeMap<u64, String> = tree
        .iter()
        .filter_map(|(path, node)| Some((node.link_group?, path.to_owned())))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    tree.iter().map(|(path, node)| line(path, node, &groups)).collect()
}

fn line(path: &str, node: &Node, groups: &BTreeMap<u64, String>) -> String {
    let kind = match &node.kind {
        NodeKind::File(content) => format!("file {:?}", String::from_utf8_lossy(content)),
        NodeKind::Directory => "dir".into(),
        NodeKind::Symlink(target) => format!("-> {target}"),
        NodeKind::Fifo => "fifo".into(),
        NodeKind::Device { .. } => "device".into(),
    };
    let first = node.link_group.and_then(|group| groups.get(&group)).filter(|first| *first != path);
    let link = first.map_or(String::new(), |first| format!(" = {first}"));
    format!("{path} {kind} {:o} {}:{} {}{link}", node.mode, node.uid, node.gid, node.modified.seconds)
}

/// Pushes an index with an image of one file, `arch`, for each platform; its config has the platform as label `arch`.
pub(crate) fn push_index(host: &MemoryHost, name: &str, platforms: &[&str]) {
    let child = |platform: &&str| {
        let (os, architecture) = platform.split_once('/').expect("os/architecture");
        let config = serde_json::json!({
            "os": os, "architecture": architecture, "config": { "Labels": { "arch": architecture } },
        });
        let child = push_image(host, name, architecture, &FileTree::new().file("arch", architecture), config);
        serde_json::json!({
            "mediaType": child.media_type, "digest": child.digest, "size": child.size,
            "platform": { "os": os, "architecture": architecture },
        })
    };
    let children: Vec<Value> = platforms.iter().map(child).collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": children });
    let repository = host.repository(name);
    let content = index.to_string().into_bytes();
    block_on(repository.put_manifest("latest", media_type, &content)).expect("a test's own push");
}

pub(crate) fn descriptor(value: &Value) -> Descriptor {
    Descriptor {
        media_type: value["mediaType"].as_str().expect("a media type").into(),
        digest: value["digest"].as_str().expect("a digest").into(),
        size: value["size"].as_u64().expect("a size"),
    }
}

/// Pushes an image of one layer (none for an empty tree); gives its manifest's descriptor.
pub(crate) fn push_image(host: &MemoryHost, name: &str, tag: &str, tree: &FileTree, mut config: Value) -> Descriptor {
    let repository = host.repository(name);
    let layers: Vec<_> = if tree.paths().is_empty() { Vec::new() } else { vec![host.store_layer(tree, true)] };
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    config["rootfs"] = serde_json::json!({ "type": "layers", "diff_ids": diff_ids });
    let config = host.store_blob("application/vnd.docker.container.image.v1+json", config.to_string().as_bytes());
    for blob in layers.iter().map(|layer| &layer.blob).chain([&config]) {
        block_on(repository.push(blob)).expect("a test's own push");
    }
    let value = |descriptor: Descriptor| serde_json::json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size });
    let layers: Vec<Value> = layers.iter().map(|layer| value(layer.blob.descriptor())).collect();
    let media_type = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type, "config": value(config.descriptor()), "layers": layers,
    });
    let content = manifest.to_string().into_bytes();
    let digest = block_on(repository.put_manifest(tag, media_type, &content)).expect("a test's own push");
    Descriptor { media_type: media_type.into(), digest, size: content.len() as u64 }
}
