//! The command line: what it may say, and what it said.

use std::collections::BTreeMap;

use steprun_ports::{
    Command, Description, Failure, FileAccess, Host, ImageArgument, Level, Parameter, RegistryAccess, ValueKind,
};

use crate::clock::Clock;

/// Options of Kaniko that this builder has no need of. They are accepted, so that pipelines can be taken over as they are, and a
/// note says that they change nothing.
const WITHOUT_EFFECT: &[Parameter] = &[
    kaniko_flag("cleanup"),
    kaniko_flag("force"),
    kaniko_flag("force-build-metadata"),
    kaniko_flag("pre-cleanup"),
    kaniko_flag("preserve-context"),
    kaniko_flag("skip-unused-stages"),
    kaniko_flag("use-new-run"),
    kaniko_option("compressed-caching", ValueKind::Choice(&["true", "false"]), "BOOL"),
    kaniko_option("ignore-path", ValueKind::Text, "PATH").repeated(),
    kaniko_option("ignore-var-run", ValueKind::Choice(&["true", "false"]), "BOOL"),
    kaniko_option("image-download-retry", ValueKind::Integer, "N"),
    kaniko_option("image-fs-extract-retry", ValueKind::Integer, "N"),
    kaniko_option("kaniko-dir", ValueKind::Text, "DIR"),
    kaniko_option("snapshot-mode", ValueKind::Choice(&["full", "redo", "time"]), "MODE").aliases(&["snapshotMode"]),
];

const fn kaniko_flag(name: &'static str) -> Parameter {
    Parameter::flag(name, "Accepted for Kaniko's sake; has no effect")
}

const fn kaniko_option(name: &'static str, value: ValueKind, value_name: &'static str) -> Parameter {
    Parameter::option(name, value, value_name, "Accepted for Kaniko's sake; has no effect")
}

const DETAILS: &str = "\
Builds the image that a Dockerfile describes, without a daemon and without privileges. Only RUN unpacks anything: it needs \
`--allow-run`, and its commands see the stage's files, the mounts that they ask for and nothing of this machine.

Times come from the inputs, never from a clock: the same files give the same digest on every machine. SOURCE_DATE_EPOCH \
replaces the time of the image and limits that of files.

Examples:
  steprun build -c . -d registry.example/app:1.0
  steprun build --no-push --oci-layout-path image --build-arg VERSION=1.0
  steprun --allow-run build --secret id=npm,src=.npmrc -d registry.example/app:1.0
";

/// The command line of this step. Names are Kaniko's where the meaning is the same.
pub fn describe() -> Description {
    Description {
        name: "build",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Build an OCI image from a Dockerfile",
        commands: vec![Command {
            name: "",
            aliases: &[],
            summary: "Build an OCI image from a Dockerfile",
            details: DETAILS,
            parameters: parameters(),
        }],
    }
}

fn parameters() -> Vec<Parameter> {
    use ValueKind::{ContextDirectory, File, Image, OutputDirectory, Pair, Secret, SshAgent, Text};
    let write = || File(FileAccess::Write);
    let mut parameters = vec![
        Parameter::option("context", ContextDirectory, "DIR", "Directory that COPY and ADD take files from")
            .short('c')
            .default("."),
        Parameter::option(
            "dockerfile",
            File(FileAccess::Read),
            "FILE",
            "Dockerfile, as typed or inside the context; without it Dockerfile, Containerfile or dockerfile in the context",
        )
        .short('f'),
        Parameter::option("destination", Image(RegistryAccess::Push), "IMAGE", "Push the image under this name")
            .short('d')
            .repeated(),
        Parameter::option("target", Text, "STAGE", "Stage to build, by name or index, instead of the last one"),
        Parameter::option("build-arg", Pair, "NAME[=VALUE]", "Value of an ARG").repeated(),
        Parameter::option(
            "secret",
            Secret,
            "id=NAME[,src=FILE|,env=VARIABLE]",
            "Secret for `RUN --mount=type=secret`; it gets into no layer and no history",
        )
        .repeated(),
        Parameter::option("ssh", SshAgent, "default|NAME[=SOCKET]", "SSH agent for `RUN --mount=type=ssh`").repeated(),
        Parameter::option("label", Pair, "NAME=VALUE", "Label of the image").repeated(),
        Parameter::option("annotation", Pair, "NAME=VALUE", "Annotation of the manifest").repeated(),
        Parameter::option("platform", Text, "OS/ARCH[/VARIANT]", "Platform of the image; the host's by default")
            .aliases(&["custom-platform", "customPlatform"]),
        Parameter::option(
            "source-date-epoch",
            Text,
            "SECONDS",
            "Time of the image, and the latest time of files in it",
        )
        .environment("SOURCE_DATE_EPOCH"),
        Parameter::flag("no-push", "Push nowhere"),
        Parameter::flag("skip-push-permission-check", "Don't ask the registries before the build whether they let us push"),
        Parameter::option("tar-path", write(), "FILE", "Write the image as an archive for `docker load`")
            .aliases(&["tarPath"]),
        Parameter::option("oci-archive-path", write(), "FILE", "Write the image as an archive with an OCI layout"),
        Parameter::option("oci-layout-path", OutputDirectory, "DIR", "Add the image to the OCI layout in this directory"),
        Parameter::option("digest-file", write(), "FILE", "Write the image's digest"),
        Parameter::option("image-name-with-digest-file", write(), "FILE", "Write `repository@digest` of each destination"),
        Parameter::option(
            "image-name-tag-with-digest-file",
            write(),
            "FILE",
            "Write `repository:tag@digest` of each destination",
        ),
        Parameter::option("metadata-file", write(), "FILE", "Write digests, names, layers and sizes as JSON"),
    ];
    parameters.extend(WITHOUT_EFFECT.iter().cloned());
    parameters
}

/// What the caller wants.
pub(crate) struct Arguments<H: Host> {
    pub(crate) context: H::Directory,
    /// `-f`.
    pub(crate) dockerfile: Option<H::InputFile>,
    pub(crate) target: Option<String>,
    pub(crate) build_args: BTreeMap<String, String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// As typed.
    pub(crate) platform: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) secrets: Vec<H::Secret>,
    pub(crate) agents: Vec<H::Agent>,
    pub(crate) outputs: Outputs<H>,
    pub(crate) check_push: bool,
}

/// Where the image goes.
pub(crate) struct Outputs<H: Host> {
    /// Names of the image, pushed to or not.
    pub(crate) names: Vec<ImageArgument<H::Repository>>,
    pub(crate) push: bool,
    pub(crate) tar: Option<H::OutputFile>,
    pub(crate) oci_archive: Option<H::OutputFile>,
    pub(crate) layout: Option<H::OutputDirectory>,
    pub(crate) digest: Option<H::OutputFile>,
    pub(crate) name_digest: Option<H::OutputFile>,
    pub(crate) name_tag_digest: Option<H::OutputFile>,
    pub(crate) metadata: Option<H::OutputFile>,
}

impl<H: Host> Arguments<H> {
    /// Reads the command line.
    ///
    /// # Errors
    /// Usage failures: no output at all, a destination with a digest, two contexts, a label without a value.
    pub(crate) fn read(host: &H) -> Result<Self, Failure> {
        note_options_without_effect(host);
        let mut build_args = build_args(host);
        // As with `docker buildx`, an ARG of that name gets the value wherever it was given.
        if let Some(epoch) = last(host.texts("source-date-epoch")) {
            build_args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
        }
        Ok(Self {
            context: last(host.context_directories("context"))
                .ok_or_else(|| Failure::usage("no context directory was given").hint("add `--context DIR`"))?,
            dockerfile: last(host.input_files("dockerfile")),
            target: last(host.texts("target")).filter(|target| !target.is_empty()),
            labels: pairs(host, "label")?,
            annotations: pairs(host, "annotation")?.into_iter().collect(),
            platform: last(host.texts("platform")),
            clock: Clock::new(build_args.get("SOURCE_DATE_EPOCH").map(String::as_str))?,
            secrets: host.secrets("secret"),
            agents: host.agents("ssh"),
            outputs: Outputs::read(host)?,
            check_push: !host.flag("skip-push-permission-check"),
            build_args,
        })
    }
}

impl<H: Host> Outputs<H> {
    fn read(host: &H) -> Result<Self, Failure> {
        let file = |name| last(host.output_files(name));
        let outputs = Self {
            names: host.images("destination"),
            push: !host.flag("no-push"),
            tar: file("tar-path"),
            oci_archive: file("oci-archive-path"),
            layout: last(host.output_directories("oci-layout-path")),
            digest: file("digest-file"),
            name_digest: file("image-name-with-digest-file"),
            name_tag_digest: file("image-name-tag-with-digest-file"),
            metadata: file("metadata-file"),
        };
        outputs.check(host.flag("no-push"))?;
        Ok(outputs)
    }

    fn check(&self, no_push: bool) -> Result<(), Failure> {
        let image_file = self.tar.is_some() || self.oci_archive.is_some() || self.layout.is_some();
        if self.names.is_empty() && !no_push && !image_file {
            return Err(Failure::usage("nothing says where the image should go").hint(
                "add `--destination IMAGE`, `--oci-layout-path DIR`, `--tar-path FILE` or `--oci-archive-path FILE`, or `--no-push` to build only",
            ));
        }
        match self.names.iter().find(|name| name.digest.is_some()) {
            Some(name) => Err(Failure::usage(format!("the destination `{}` has a digest", name.typed))
                .hint("name a tag: the digest follows from what is built")),
            None => Ok(()),
        }
    }

    /// The destinations to push to.
    pub(crate) fn destinations(&self) -> &[ImageArgument<H::Repository>] {
        if self.push { &self.names } else { &[] }
    }
}

fn last<T>(values: Vec<T>) -> Option<T> {
    values.into_iter().next_back()
}

/// `--build-arg`; the last of a name counts. A bare name that the caller's environment does not have is not given, as in BuildKit.
fn build_args<H: Host>(host: &H) -> BTreeMap<String, String> {
    let given = host.pairs("build-arg").into_iter();
    given.filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

fn pairs<H: Host>(host: &H, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let required = |(key, value): (String, Option<String>)| match value {
        Some(_) if key.is_empty() => Err(Failure::usage(format!("a value of `--{name}` has no name"))),
        Some(value) => Ok((key, value)),
        None => Err(Failure::usage(format!("`--{name} {key}` has no value"))
            .hint(format!("write `--{name} {key}=VALUE`, or set the environment variable `{key}`"))),
    };
    host.pairs(name).into_iter().map(required).collect()
}

fn note_options_without_effect<H: Host>(host: &H) {
    for parameter in WITHOUT_EFFECT {
        let given = match parameter.value {
            ValueKind::Flag => host.flag(parameter.name),
            ValueKind::Integer => !host.integers(parameter.name).is_empty(),
            _ => !host.texts(parameter.name).is_empty(),
        };
        if given {
            host.log(
                Level::Warning,
                &format!("`--{}` has no effect: it is accepted for Kaniko's sake", parameter.name),
            );
        }
    }
}
