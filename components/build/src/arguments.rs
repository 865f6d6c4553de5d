//! The command line: what it may say, and what it said.

use std::collections::BTreeMap;
use std::rc::Rc;

use steprun_image::Platform;
use steprun_ports::{
    Command, Description, Directory as _, Failure, FileAccess, Host, ImageArgument, NamedContext, OutputDirectory as _,
    OutputFile, Parameter, RegistryAccess, ValueKind,
};

use crate::annotations::Annotations;
use crate::cache::{self, Caching};
use crate::clock::Clock;
use crate::mode::Mode;
use crate::{build_args, kaniko, platform};

const DETAILS: &str = "\
Builds the image that a Dockerfile describes, without a daemon and without privileges. Only RUN unpacks anything: it needs \
`--allow-run`, and its commands see the stage's files, the mounts that they ask for and nothing of this machine.

Times come from the inputs, never from a clock: the same files give the same digest on every machine. SOURCE_DATE_EPOCH \
replaces the time of the image and limits that of files.

With several platforms each is built, and the destinations name an index of them. Stages that begin with `FROM \
--platform=$BUILDPLATFORM` and don't use a variable of the target are built once.

`--check` prints what breaks BuildKit's lint rules, and fails if anything does; `--plan` prints what would be done, and with what. Both build \
nothing; of base images they get the manifest and the config.

Examples:
  steprun build -c . -d registry.example/app:1.0
  steprun build --platform linux/amd64,linux/arm64 -d registry.example/app:1.0
  steprun build --check --format sarif
  steprun build --no-push --oci-layout-path image --build-arg VERSION=1.0
  steprun build -c https://git.example/team/app.git#v1.0:service -d registry.example/app:1.0
  steprun --allow-run build --secret id=npm,src=.npmrc -d registry.example/app:1.0
";

const CONTEXT: &str = "\
What COPY and ADD take files from: a directory, a tar archive (FILE, `-`, a URL or s3://BUCKET/KEY, `#sha256:...` behind it), or a Git repository (URL#REF:DIRECTORY)";

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
    use ValueKind::{
        Choice, ContextDirectory, File, Image, NamedContext, OutputDirectory, Pair, Secret, SshAgent, Text,
    };
    let write = || File(FileAccess::Write);
    let mut parameters = vec![
        Parameter::option("context", ContextDirectory, "DIR|TAR|URL|S3|GIT", CONTEXT)
            .short('c')
            .default("."),
        Parameter::option("context-sub-path", Text, "DIR", "Directory of the context to use in its place"),
        Parameter::option(
            "dockerfile",
            File(FileAccess::Read),
            "FILE",
            "Dockerfile, as typed (`-` is standard input, a URL is fetched) or inside the context; without it Dockerfile, Containerfile or dockerfile in the context",
        )
        .short('f'),
        Parameter::option(
            "build-context",
            NamedContext,
            "NAME=CONTEXT",
            "Context, `docker-image://IMAGE` or `oci-layout://DIR[:TAG]` that takes the place of the stage or image NAME",
        )
        .repeated(),
        Parameter::option("destination", Image(RegistryAccess::Push), "IMAGE", "Push the image under this name")
            .short('d')
            .repeated(),
        Parameter::option("target", Text, "STAGE", "Stage to build, by name or index, instead of the last one"),
        Parameter::option("build-arg", Pair, "NAME[=VALUE]", "Value of an ARG; without one, that of the environment variable")
            .repeated(),
        Parameter::option("build-arg-file", File(FileAccess::Read), "FILE", "Values of ARGs, one `NAME=VALUE` a line")
            .repeated(),
        Parameter::option(
            "secret",
            Secret,
            "id=NAME[,src=FILE|,env=VARIABLE]",
            "Secret for `RUN --mount=type=secret`; it gets into no layer and no history",
        )
        .repeated(),
        Parameter::option("ssh", SshAgent, "default|NAME[=SOCKET]", "SSH agent for `RUN --mount=type=ssh`").repeated(),
        Parameter::option("label", Pair, "NAME=VALUE", "Label of the image").repeated(),
        Parameter::option("annotation", Pair, "[ON:]NAME=VALUE", "Annotation of the manifest; ON is `manifest`, `index` or `manifest-descriptor`, several with commas, each with a platform: `manifest[linux/amd64]`").repeated(),
        Parameter::option("platform", Text, "OS/ARCH[/VARIANT][,...]", "Platforms to build for; the host's by default")
            .aliases(&["custom-platform", "customPlatform"])
            .repeated(),
        Parameter::option(
            "source-date-epoch",
            Text,
            "SECONDS",
            "Time of the image, and the latest time of files in it",
        )
        .environment("SOURCE_DATE_EPOCH"),
        Parameter::flag("check", "Print what breaks lint rules instead of building; fails if anything does"),
        Parameter::flag("plan", "Print stages, instructions and what they need instead of building").aliases(&["dryrun"]),
        Parameter::option("format", Choice(&["text", "json", "sarif"]), "FORMAT", "How `--check` and `--plan` print"),
        Parameter::flag("no-push", "Push nowhere"),
        Parameter::flag("skip-push-permission-check", "Don't ask the registries before the build whether they let us push"),
        Parameter::option("tar-path", write(), "FILE", "Write the image as an archive for `docker load`")
            .aliases(&["tarPath"]),
        Parameter::option("oci-archive-path", write(), "FILE", "Write the image as an archive with an OCI layout"),
        Parameter::option("oci-layout-path", OutputDirectory, "DIR", "Add the image to the OCI layout in this directory"),
        Parameter::option("output", OutputDirectory, "DIR", "Write the files of the image into this directory; for several platforms, into one each below it")
            .short('o'),
        Parameter::option("output-tar", write(), "FILE", "Write the files of the image as a tar archive"),
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
    parameters.extend(cache::OPTIONS.iter().cloned());
    parameters.extend(kaniko::OPTIONS.iter().cloned());
    parameters
}

/// What the caller wants.
pub(crate) struct Arguments<H: Host> {
    pub(crate) mode: Mode,
    pub(crate) context: H::Directory,
    pub(crate) named_contexts: Vec<NamedContext<H::Directory, H::Repository>>,
    /// `-f`.
    pub(crate) dockerfile: Option<H::InputFile>,
    pub(crate) target: Option<String>,
    pub(crate) build_args: BTreeMap<String, String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Annotations,
    /// Each once; empty for that of the host.
    pub(crate) platforms: Vec<Platform>,
    pub(crate) clock: Clock,
    pub(crate) secrets: Vec<H::Secret>,
    pub(crate) agents: Vec<H::Agent>,
    pub(crate) caching: Rc<Caching<H>>,
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
    /// For the image's files.
    pub(crate) directory: Option<H::OutputDirectory>,
    pub(crate) files: Option<H::OutputFile>,
    pub(crate) digest: Option<H::OutputFile>,
    pub(crate) name_digest: Option<H::OutputFile>,
    pub(crate) name_tag_digest: Option<H::OutputFile>,
    pub(crate) metadata: Option<H::OutputFile>,
}

impl<H: Host> Arguments<H> {
    /// Reads the command line, and the files of build arguments that it names.
    ///
    /// # Errors
    /// Usage failures: no output at all, a destination with a digest, two contexts, a label without a value. Files of build arguments that
    /// can't be read.
    pub(crate) async fn read(host: &H) -> Result<Self, Failure> {
        kaniko::note(host);
        let mode = Mode::read(host)?;
        let platforms = platform::list(&host.texts("platform"))?;
        let outputs = Outputs::read(host)?;
        outputs.check(mode, &platforms)?;
        let mut build_args = build_args::read(host).await?;
        // As with `docker buildx`, an ARG of that name gets the value wherever it was given.
        if let Some(epoch) = last(host.texts("source-date-epoch")) {
            build_args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
        }
        Ok(Self {
            mode,
            named_contexts: host.named_contexts("build-context"),
            context: context(host).await?,
            dockerfile: last(host.input_files("dockerfile")),
            target: last(host.texts("target")).filter(|target| !target.is_empty()),
            labels: labels(host)?,
            annotations: Annotations::read(host, &platforms)?,
            platforms,
            clock: Clock::new(build_args.get("SOURCE_DATE_EPOCH").map(String::as_str))?,
            secrets: host.secrets("secret"),
            agents: host.agents("ssh"),
            caching: Rc::new(Caching::read(host, outputs.destinations())?),
            outputs,
            check_push: !host.flag("skip-push-permission-check"),
            build_args,
        })
    }
}

impl<H: Host> Outputs<H> {
    fn read(host: &H) -> Result<Self, Failure> {
        let file = |name| last(host.output_files(name));
        Ok(Self {
            names: host.images("destination"),
            push: !host.flag("no-push"),
            tar: file("tar-path"),
            oci_archive: file("oci-archive-path"),
            layout: last(host.output_directories("oci-layout-path")),
            directory: last(host.output_directories("output")),
            files: file("output-tar"),
            digest: file("digest-file"),
            name_digest: file("image-name-with-digest-file"),
            name_tag_digest: file("image-name-tag-with-digest-file"),
            metadata: file("metadata-file"),
        })
    }

    fn check(&self, mode: Mode, platforms: &[Platform]) -> Result<(), Failure> {
        let files = [&self.tar, &self.oci_archive, &self.files].into_iter().any(Option::is_some);
        let directories = [&self.layout, &self.directory].into_iter().any(Option::is_some);
        if mode == Mode::Build && self.names.is_empty() && self.push && !files && !directories {
            return Err(Failure::usage("nothing says where the image should go").hint(
                "add `--destination IMAGE`, `--oci-layout-path DIR`, `--tar-path FILE`, `--oci-archive-path FILE` or `--output DIR`, or `--no-push` to build only",
            ));
        }
        if let Some(directory) = self.directory.as_ref().filter(|directory| directory.name().starts_with("type=")) {
            let message =
                format!("`--output` takes a directory for the image's files, and `{}` names none", directory.name());
            return Err(Failure::usage(message).hint(
                "for archives there are `--output-tar`, `--tar-path` and `--oci-archive-path`, for registries `--destination`",
            ));
        }
        let singles = [
            (
                &self.tar,
                "an archive for `docker load` has no index: write `--oci-archive-path FILE` instead of `--tar-path FILE`",
            ),
            (&self.files, "write `--output DIR` instead of `--output-tar FILE`: it gets a directory for each"),
        ];
        for (file, hint) in singles {
            if let (Some(file), [_, _, ..]) = (file, platforms) {
                let message = format!("{} can hold one platform, and several are built", file.name());
                return Err(Failure::usage(message).hint(hint));
            }
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

/// The one that counts.
pub(crate) fn last<T>(values: Vec<T>) -> Option<T> {
    values.into_iter().next_back()
}

/// The context, or the directory of it that takes its place. Kaniko has that option for all kinds of contexts.
async fn context<H: Host>(host: &H) -> Result<H::Directory, Failure> {
    let whole = last(host.context_directories("context"))
        .ok_or_else(|| Failure::usage("no context directory was given").hint("add `--context DIR`"))?;
    match last(host.texts("context-sub-path")).filter(|path| !path.is_empty()) {
        Some(path) => whole.below(&path).await.map_err(|error| {
            let what = format!("can't use the directory `{path}` of the context `{}`", whole.name());
            Failure::because(what, error).hint("`--context-sub-path` takes a path inside of the context")
        }),
        None => Ok(whole),
    }
}

fn labels<H: Host>(host: &H) -> Result<Vec<(String, String)>, Failure> {
    let required = |(key, value): (String, Option<String>)| match value {
        Some(_) if key.is_empty() => Err(Failure::usage("a value of `--label` has no name")),
        Some(value) => Ok((key, value)),
        None => Err(Failure::usage(format!("`--label {key}` has no value"))
            .hint(format!("write `--label {key}=VALUE`, or set the environment variable `{key}`"))),
    };
    host.pairs("label").into_iter().map(required).collect()
}
