//! The typed Dockerfile: what [`crate::parse`] gives.
//!
//! Values are [`Word`]s where BuildKit expands variables or a message must point at them, else plain strings. Which values are
//! expanded, and with which variables, is the planner's business; how, is [`crate::expand`]'s.

use crate::diagnostic::Diagnostic;
use crate::mount::MountSpec;
use crate::span::{Span, Word};

/// A whole Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// Parser directives at the top of the file.
    pub directives: Directives,
    /// ARGs before the first FROM, in order.
    pub global_args: Vec<Arg>,
    /// Stages in order; at least one.
    pub stages: Vec<Stage>,
    /// Doubtful things that don't stop a build, besides those that [`crate::lint`] finds.
    pub warnings: Vec<Diagnostic>,
    /// Empty lines between continuation lines.
    pub empty_continuations: Vec<Span>,
    /// Comments that stand where descriptions do and aren't any.
    pub stray_comments: Vec<StrayComment>,
}

/// A comment right above a FROM with a name or an ARG that doesn't start with the name: see [`Stage::description`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayComment {
    /// FROM or ARG.
    pub keyword: &'static str,
    /// What the comment should start with: the name, or `<arg_key>` when there are several.
    pub name: String,
    /// The instruction below the comment.
    pub span: Span,
}

/// `# escape=`, `# syntax=` and `# check=` (reference, "Parser directives").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `\` or a backtick: continues lines and escapes in words.
    pub escape: char,
    /// Front-end image that the author asks for. It isn't used: the language is built in.
    pub syntax: Option<Word>,
    /// What `--check` should do.
    pub check: Option<Check>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None, check: None }
    }
}

/// Value of `# check=skip=RuleA,RuleB;error=true`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Rules to leave out, as written.
    pub skip: Vec<String>,
    /// `skip=all`.
    pub skip_all: bool,
    /// Experimental rules to turn on, as written.
    pub experimental: Vec<String>,
    /// `experimental=all`.
    pub experimental_all: bool,
    /// Whether a finding fails the build.
    pub error: bool,
    /// Where the directive stands.
    pub span: Span,
}

/// FROM and all that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The FROM instruction.
    pub from: From,
    /// Name after AS, lower-cased; matches `[a-z][a-z0-9-_.]*`.
    pub name: Option<String>,
    /// Comment right above FROM that starts with the stage's name, without that name. An empty line parts them.
    pub description: Option<String>,
    /// What stands below FROM, in order.
    pub instructions: Vec<Instruction>,
    /// From FROM to the end of the last instruction.
    pub span: Span,
}

/// `FROM [--platform=P] IMAGE [AS NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`.
    pub platform: Option<Word>,
    /// Image, earlier stage, named context or `scratch`.
    pub image: Word,
    /// Name after AS, as written.
    pub alias: Option<Word>,
    /// The AS keyword, as written (a lint rule asks for its case).
    pub as_keyword: Option<Word>,
    /// FROM as written: see [`Instruction::keyword`].
    pub keyword: Word,
    /// The instruction's text: see [`Instruction::original`].
    pub original: String,
    /// The whole instruction.
    pub span: Span,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it is.
    pub kind: Kind,
    /// The whole instruction with its flags, continuation lines and heredocs.
    pub span: Span,
    /// The keyword as written, in any case.
    pub keyword: Word,
    /// The text with continuations joined and comments dropped, trimmed; heredoc bodies aren't in it. This is what BuildKit
    /// keeps as the instruction's source code and writes into ONBUILD and history.
    pub original: String,
}

/// An instruction's meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Files, archives, URLs and Git repositories into the image.
    Add(Copy),
    /// Files into the image.
    Copy(Copy),
    /// A command during the build.
    Run(Run),
    /// Variables of the image, at least one. All values see the variables as they were before the instruction.
    Env(Vec<KeyValue>),
    /// Variables of the build, at least one.
    Arg(Vec<Arg>),
    /// Labels, at least one.
    Label(Vec<KeyValue>),
    /// Ports, at least one, in the order written; BuildKit sorts them. Each word can expand to several: [`crate::expand::words`].
    Expose(Vec<Word>),
    /// User of later RUNs and of the container.
    User(Word),
    /// Directory of later instructions and of the container.
    Workdir(Word),
    /// Mount points, at least one.
    Volume(Vec<Word>),
    /// Signal that stops the container.
    StopSignal(Word),
    /// Shell of later shell forms, at least one element.
    Shell(Vec<String>),
    /// How the container's health is asked.
    Healthcheck(Healthcheck),
    /// Default arguments or command.
    Cmd(CommandForm),
    /// Command that CMD and `docker run` arguments are given to.
    Entrypoint(CommandForm),
    /// An instruction for builds that use this image.
    Onbuild(Onbuild),
    /// Author; deprecated.
    Maintainer(String),
}

/// A command, to be run by a shell or as it is. Neither is expanded by the builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandForm {
    /// One string for the shell; may be empty.
    Shell(String),
    /// Program and arguments, from a JSON array; may be empty (`CMD []` resets).
    Exec(Vec<String>),
}

/// `KEY=VALUE` of ENV or LABEL. Key and value are both expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Not empty.
    pub key: Word,
    /// May be empty.
    pub value: Word,
    /// The old form `ENV KEY some words`: the value is the rest of the line.
    pub legacy: bool,
}

/// `NAME[=DEFAULT]` of ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Not empty; taken as it is written.
    pub name: Word,
    /// `ARG x=` has an empty default, `ARG x` has none.
    pub default: Option<Word>,
    /// Comment right above ARG that starts with its name, without that name.
    pub description: Option<String>,
    /// Name and default.
    pub span: Span,
}

/// COPY or ADD. Flags that belong to only one of them are empty in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Paths, patterns or URLs, in order. With [`Copy::heredocs`] at least one.
    pub sources: Vec<Word>,
    /// Files whose content stands in the Dockerfile, in order; BuildKit copies them after `sources`.
    pub heredocs: Vec<Heredoc>,
    /// File, or directory when it ends with `/`.
    pub destination: Word,
    /// `--from` (COPY): stage name or index, image, or named context. Not expanded.
    pub from: Option<Word>,
    /// `--chown`: `user[:group]`.
    pub chown: Option<Word>,
    /// `--chmod`: see [`crate::mode`].
    pub chmod: Option<Word>,
    /// `--link`: a layer of its own that doesn't look at what lies below.
    pub link: bool,
    /// `--parents` (COPY): keeps the parent directories of sources.
    pub parents: bool,
    /// `--exclude`: patterns of paths to leave out ([`crate::ignore::Matcher::from_words`]). BuildKit doesn't expand them.
    pub exclude: Vec<Word>,
    /// `--checksum` (ADD): digest of an URL's content, or commit of a Git repository.
    pub checksum: Option<Word>,
    /// `--keep-git-dir` (ADD).
    pub keep_git_dir: bool,
    /// `--unpack` (ADD): whether archives are unpacked; none means local ones are and fetched ones aren't.
    pub unpack: Option<bool>,
}

/// Text between `<<NAME` and a line `NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// File descriptor before `<<`; 0 unless written.
    pub descriptor: u32,
    /// Delimiter without quotes: the file's name in COPY and ADD.
    pub name: String,
    /// The lines, each with its line end. Tabs that [`Heredoc::chomp`] takes away are already gone in COPY and ADD; in RUN they are
    /// kept, because the shell may read the heredoc itself.
    pub content: String,
    /// Whether variables in it are expanded: true unless the delimiter is quoted.
    pub expand: bool,
    /// `<<-`: leading tabs don't count.
    pub chomp: bool,
    /// The word `<<NAME`.
    pub span: Span,
    /// The lines between; without the closing line.
    pub content_span: Span,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The line as written. With heredocs it is the one that names them, `cat <<EOF > /file`: see [`Run::script`].
    pub command: CommandForm,
    /// Bodies in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in order.
    pub mounts: Vec<MountSpec>,
    /// `--network`.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--device`, in order.
    pub devices: Vec<Device>,
}

/// What a RUN runs: see [`Run::script`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Program and arguments.
    Exec(Vec<String>),
    /// Text for the shell.
    Shell(String),
    /// A file of mode 0o755, to be made in a directory that is mounted read-only (BuildKit: `/dev/pipes`) and whose path is
    /// given to the shell.
    File {
        /// The heredoc's delimiter.
        name: String,
        /// Starts with `#!`.
        content: String,
    },
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// What the builder gives.
    #[default]
    Default,
    /// No network but loopback.
    None,
    /// The host's own.
    Host,
}

/// `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// Without extra privileges.
    #[default]
    Sandbox,
    /// With all privileges of the builder.
    Insecure,
}

/// `RUN --device=NAME[,required]`, a CDI device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `vendor/class=name`, unexpanded.
    pub name: Word,
    /// Whether the build fails without it.
    pub required: bool,
    /// The flag's value.
    pub span: Span,
}

/// HEALTHCHECK. Durations are in nanoseconds, as the image config has them; 0 means the runtime's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: turns off that of the base.
    None,
    /// `HEALTHCHECK [OPTIONS] CMD command`.
    Check {
        /// What runs; not empty.
        command: CommandForm,
        /// `--interval`.
        interval: u64,
        /// `--timeout`.
        timeout: u64,
        /// `--start-period`.
        start_period: u64,
        /// `--start-interval`.
        start_interval: u64,
        /// `--retries`; 0 means the runtime's default.
        retries: u32,
    },
}

/// ONBUILD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The inner instruction as it goes into the image's config, with its heredocs. A child build gives it to
    /// [`crate::parse_instruction`]. Variables in it are expanded there, not here.
    pub trigger: String,
    /// Where the inner instruction stands.
    pub span: Span,
}

impl Kind {
    /// The keyword in upper case.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Copy(_) => "COPY",
            Self::Run(_) => "RUN",
            Self::Env(_) => "ENV",
            Self::Arg(_) => "ARG",
            Self::Label(_) => "LABEL",
            Self::Expose(_) => "EXPOSE",
            Self::User(_) => "USER",
            Self::Workdir(_) => "WORKDIR",
            Self::Volume(_) => "VOLUME",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Shell(_) => "SHELL",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Onbuild(_) => "ONBUILD",
            Self::Maintainer(_) => "MAINTAINER",
        }
    }
}

impl Dockerfile {
    /// Index of the stage of a name, in any case; the last one wins when several have it, as in BuildKit.
    pub fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().rposition(|stage| stage.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)))
    }
}
