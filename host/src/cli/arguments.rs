//! A step's arguments as typed values. Values that carry authority are the grants: what is not here can't be reached.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgMatches, FromArgMatches};
use steprun_client::{Digest, Namespace, Reference, RegistryName, RepositoryName};

use crate::bindings::exported::{self, Description, FileAccess, Parameter, RegistryAccess, ValueKind};
use crate::cli::options::HostOptions;
use crate::cli::step::{self, Commands, Detail};
use crate::cli::time;
use crate::context::DirectoryHandle;
use crate::error::CallResult;
use crate::exit::Failure;
use crate::local::LocalImages;
use crate::registry::Place;
use crate::sources;

/// An image that an argument named, with the access that its type grants.
#[derive(Debug, Clone)]
pub struct ImageValue {
    /// As typed.
    pub typed: String,
    /// The repository.
    pub place: Place,
    /// As typed, or `latest` where neither tag nor digest was.
    pub tag: Option<String>,
    /// As typed.
    pub digest: Option<Digest>,
    /// What may be done.
    pub access: RegistryAccess,
}

impl ImageValue {
    fn is_standard_input(&self) -> bool {
        matches!(&self.place, Place::Local(images) if images.is_standard_input())
    }

    /// The repository that it is in, if it is in a registry.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match &self.place {
            Place::Registry(name) => Some(name),
            Place::Local(_) => None,
        }
    }
}

/// A secret that an argument named. Its content is read when a command needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretValue {
    /// What the step calls it by.
    pub id: String,
    /// Where its content is.
    pub source: SecretSource,
}

/// Where a secret's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// The caller's environment variable of this name.
    Variable(String),
}

/// An SSH agent that an argument named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentValue {
    /// What the step calls it by.
    pub id: String,
    /// Its socket.
    pub socket: PathBuf,
}

/// What a named context leads to.
#[derive(Debug, Clone)]
pub enum ContextSource {
    /// A directory, or what one is made of.
    Directory(DirectoryHandle),
    /// An image, with pull access.
    Image(ImageValue),
}

/// The values of one parameter, in the order given.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is the value kind of the same name in wit/step.wit")]
pub enum Values {
    Flag(bool),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Pairs(Vec<(String, Option<String>)>),
    ContextDirectories(Vec<DirectoryHandle>),
    Images(Vec<ImageValue>),
    Repositories(Vec<(RepositoryName, RegistryAccess)>),
    Namespaces(Vec<Namespace>, RegistryAccess),
    Catalogs(Vec<RegistryName>),
    /// In seconds since 1970.
    Times(Vec<i64>),
    InputFiles(Vec<PathBuf>),
    OutputFiles(Vec<PathBuf>),
    OutputDirectories(Vec<PathBuf>),
    Secrets(Vec<SecretValue>),
    Agents(Vec<AgentValue>),
    NamedContexts(Vec<(String, ContextSource)>),
}

impl Values {
    /// The repositories that they grant, and what may be done there.
    pub fn repositories(&self) -> Vec<(&RepositoryName, RegistryAccess)> {
        match self {
            Self::Images(images) => {
                images.iter().filter_map(|image| Some((image.repository()?, image.access))).collect()
            }
            Self::Repositories(names) => names.iter().map(|(name, access)| (name, *access)).collect(),
            Self::NamedContexts(contexts) => contexts
                .iter()
                .filter_map(|(_, source)| match source {
                    ContextSource::Image(image) => Some((image.repository()?, image.access)),
                    ContextSource::Directory(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// `host[:port]/path` of what they name elsewhere, outside of registries.
    ///
    /// # Errors
    /// `invalid` for a URL that is none.
    pub fn sources(&self) -> CallResult<Vec<String>> {
        match self {
            Self::InputFiles(paths) => {
                let urls = paths.iter().filter_map(|path| sources::url(path).transpose());
                urls.map(|url| Ok(sources::place_of(&url?))).collect()
            }
            _ => Ok(self.directories().iter().filter_map(|handle| handle.place.remote()).collect()),
        }
    }

    /// The registries whose repositories may be listed.
    pub fn catalogs(&self) -> &[RegistryName] {
        match self {
            Self::Catalogs(registries) => registries,
            _ => &[],
        }
    }

    fn directories(&self) -> Vec<&DirectoryHandle> {
        match self {
            Self::ContextDirectories(handles) => handles.iter().collect(),
            Self::NamedContexts(contexts) => contexts
                .iter()
                .filter_map(|(_, source)| match source {
                    ContextSource::Directory(handle) => Some(handle),
                    ContextSource::Image(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// The arguments of one call.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The command's name; empty for a step with a single one.
    pub command: String,
    /// By the name of the parameter.
    pub values: BTreeMap<String, Values>,
}

/// Reads the words after the step's name, and the host's flags before and after it.
///
/// # Errors
/// clap's, for `--help` and wrong usage; [`Failure`] inside for values that are not what their type says.
pub fn parse(
    description: &Description,
    before: Vec<OsString>,
    after: Vec<OsString>,
) -> Result<Result<(HostOptions, Arguments), clap::Error>, Failure> {
    let mut command_line = step::command_line(description, Detail::For(&after))?;
    let mut words = vec![OsString::from(format!("steprun {}", description.name))];
    match step::described_commands(description)? {
        Commands::Single(_) => {
            words.extend(before);
            words.extend(after);
        }
        // The host's flags belong to each command, so they move behind its name.
        Commands::Named(_) => match command_in(&command_line, &after) {
            Some((name, range)) => {
                words.push(name);
                words.extend(before);
                words.extend_from_slice(&after[..range.start]);
                words.extend_from_slice(&after[range.end..]);
            }
            None => words.extend(after),
        },
    }
    let matches = match command_line.try_get_matches_from_mut(words) {
        Ok(matches) => matches,
        Err(error) => return Ok(Err(error)),
    };
    let (command, matches) = match (step::described_commands(description)?, matches.subcommand()) {
        (Commands::Single(command), _) => (command, &matches),
        (Commands::Named(commands), Some((name, matches))) => {
            let command = commands.iter().find(|command| command.name == name);
            (command.ok_or_else(|| Failure::usage(format!("no command `{name}`")))?, matches)
        }
        (Commands::Named(_), None) => return Err(Failure::usage("a command is missing")),
    };
    let host = match HostOptions::from_arg_matches(matches) {
        Ok(host) => host,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok((host, values_of(command, matches)?)))
}

/// The command's name and which words it takes: one word, or two that are a name when joined by `-` (`index append`).
fn command_in(command_line: &clap::Command, words: &[OsString]) -> Option<(OsString, std::ops::Range<usize>)> {
    words.iter().enumerate().find_map(|(at, word)| {
        let pair = words.get(at + 1).map(|next| [word.as_os_str(), next].join(OsStr::new("-")));
        let pair = pair.filter(|pair| command_line.find_subcommand(pair).is_some()).map(|pair| (pair, at..at + 2));
        pair.or_else(|| command_line.find_subcommand(word).map(|_| (word.clone(), at..at + 1)))
    })
}

fn values_of(command: &exported::Command, matches: &ArgMatches) -> Result<Arguments, Failure> {
    let values = command.parameters.iter().map(|parameter| Ok((parameter.name.clone(), values(parameter, matches)?)));
    let values = values.collect::<Result<_, Failure>>()?;
    check_standard_input(&values)?;
    Ok(Arguments { command: command.name.clone(), values })
}

fn values(parameter: &Parameter, matches: &ArgMatches) -> Result<Values, Failure> {
    let name = parameter.name.as_str();
    let paths = || matches.get_many::<PathBuf>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let texts = || matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    Ok(match &parameter.value {
        ValueKind::Flag => Values::Flag(matches.get_one::<bool>(name).copied().unwrap_or(false)),
        ValueKind::Text | ValueKind::Choice(_) | ValueKind::Other(_) => Values::Texts(texts()),
        ValueKind::Integer => Values::Integers(matches.get_many::<i64>(name).into_iter().flatten().copied().collect()),
        ValueKind::Pair => Values::Pairs(texts().into_iter().map(|text| pair(name, &text)).collect::<Result<_, _>>()?),
        ValueKind::ContextDirectory => Values::ContextDirectories(
            paths().iter().map(|typed| context_directory(name, typed)).collect::<Result<_, Failure>>()?,
        ),
        ValueKind::Image(access) => {
            Values::Images(texts().into_iter().map(|text| image(name, text, *access)).collect::<Result<_, _>>()?)
        }
        ValueKind::Place(access) => {
            Values::Images(texts().into_iter().map(|text| place(name, text, *access)).collect::<Result<_, _>>()?)
        }
        ValueKind::Catalog => {
            Values::Catalogs(each(texts(), |text| text.parse().map_err(|e| Failure::usage(format!("`{name}`: {e}"))))?)
        }
        ValueKind::Time => Values::Times(each(texts(), |text| time::parse(name, text))?),
        ValueKind::Repository(access) => Values::Repositories(
            texts().iter().map(|text| Ok((repository(name, text)?, *access))).collect::<Result<_, Failure>>()?,
        ),
        ValueKind::Namespace(access) => Values::Namespaces(
            each(texts(), |text| text.parse().map_err(|e| Failure::usage(format!("`{name}`: {e}"))))?,
            *access,
        ),
        ValueKind::File(FileAccess::Read) => Values::InputFiles(paths()),
        ValueKind::File(FileAccess::Write) => Values::OutputFiles(paths()),
        ValueKind::OutputDirectory => Values::OutputDirectories(paths()),
        ValueKind::Secret => Values::Secrets(each(texts(), |text| secret(name, text))?),
        ValueKind::SshAgent => Values::Agents(each(texts(), |text| agent(name, text))?),
        ValueKind::NamedContext => Values::NamedContexts(each(texts(), |text| named_context(name, text))?),
    })
}

fn each<T>(texts: Vec<String>, parse: impl Fn(&str) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    texts.iter().map(|text| parse(text)).collect()
}

/// `id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]`, as with `docker build`.
fn secret(parameter: &str, text: &str) -> Result<SecretValue, Failure> {
    let wrong = |reason: String| {
        Failure::usage(format!("`--{parameter} {text}`: {reason}"))
            .hint("write `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`")
    };
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field.split_once('=').ok_or_else(|| wrong(format!("`{field}` is no KEY=VALUE")))?;
        let place = match key {
            "id" => &mut id,
            "src" | "source" => &mut file,
            "env" => &mut variable,
            "type" => &mut kind,
            _ => return Err(wrong(format!("there is no key `{key}`"))),
        };
        *place = Some(value.to_owned()).filter(|value| !value.is_empty());
    }
    let id = id.ok_or_else(|| wrong("the id is missing".to_owned()))?;
    let source = match (kind.as_deref(), file, variable) {
        (_, Some(_), Some(_)) => return Err(wrong("it has a file and a variable, and one is needed".to_owned())),
        // Docker reads `src` as a variable's name where the type says so.
        (Some("env"), name, variable) => SecretSource::Variable(name.or(variable).unwrap_or_else(|| id.clone())),
        (Some("file") | None, Some(file), None) => SecretSource::File(file.into()),
        (None, None, Some(variable)) => SecretSource::Variable(variable),
        (None, None, None) if std::env::var_os(&id).is_some() => SecretSource::Variable(id.clone()),
        (Some("file") | None, None, None) => SecretSource::File(id.clone().into()),
        (Some(kind), ..) => return Err(wrong(format!("the type `{kind}` does not fit: `file` and `env` are known"))),
    };
    match &source {
        SecretSource::File(path) if !path.is_file() => {
            Err(wrong(format!("there is no file `{}`, and no variable `{id}`", path.display())))
        }
        SecretSource::Variable(name) if std::env::var_os(name).is_none() => {
            Err(wrong(format!("the environment has no variable `{name}`")))
        }
        _ => Ok(SecretValue { id, source }),
    }
}

/// `default` or `NAME[=SOCKET]`.
fn agent(parameter: &str, text: &str) -> Result<AgentValue, Failure> {
    use std::os::unix::fs::FileTypeExt;
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, PathBuf::from(socket)),
        None => match std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()) {
            Some(socket) => (text, PathBuf::from(socket)),
            None => {
                return Err(Failure::usage(format!(
                    "`--{parameter} {text}`: no SSH agent is running: SSH_AUTH_SOCK is not set"
                ))
                .hint("start one by `eval $(ssh-agent)`, or name its socket: `NAME=SOCKET`"));
            }
        },
    };
    if !std::fs::metadata(&socket).is_ok_and(|there| there.file_type().is_socket()) {
        return Err(Failure::usage(format!("`--{parameter} {text}`: `{}` is no socket", socket.display()))
            .hint("key files are not read: add the key to an agent by `ssh-add FILE`, and name the agent's socket"));
    }
    let id = if id.is_empty() { "default" } else { id };
    Ok(AgentValue { id: id.to_owned(), socket })
}

/// A directory, or what one is made of.
fn context_directory(parameter: &str, typed: &Path) -> Result<DirectoryHandle, Failure> {
    let place = sources::Place::parse(typed).map_err(|reason| Failure::usage(format!("`--{parameter}`: {reason}")))?;
    Ok(DirectoryHandle::new(place))
}

/// Standard input can be read once.
fn check_standard_input(values: &BTreeMap<String, Values>) -> Result<(), Failure> {
    let uses = |values: &Values| match values {
        Values::InputFiles(paths) => paths.iter().filter(|path| path.as_os_str() == "-").count(),
        Values::Images(images) => images.iter().filter(|image| image.is_standard_input()).count(),
        values => {
            let directories = values.directories();
            directories.iter().filter(|handle| matches!(*handle.place, sources::Place::StandardInput)).count()
        }
    };
    let users: Vec<String> =
        values.iter().filter(|(_, values)| uses(values) > 0).map(|(name, _)| format!("`{name}`")).collect();
    match values.values().map(uses).sum() {
        0 | 1 => Ok(()),
        count => Err(Failure::usage(format!(
            "standard input can be read once, and {} want it {count} times",
            users.join(" and ")
        ))),
    }
}

/// `NAME=CONTEXT`, `NAME=docker-image://IMAGE` or `NAME=oci-layout://DIR[:TAG]`, as with `docker buildx build`.
fn named_context(parameter: &str, text: &str) -> Result<(String, ContextSource), Failure> {
    let wrong = |reason: String| {
        Failure::usage(format!("`--{parameter} {text}`: {reason}")).hint(
            "write `NAME=CONTEXT`, as for `--context`, `NAME=docker-image://IMAGE` or `NAME=oci-layout://DIR[:TAG]`",
        )
    };
    let (name, source) = match text.split_once('=') {
        Some((name, source)) if !name.is_empty() && !source.is_empty() => (name, source),
        _ => return Err(wrong("a name and what it stands for are needed".to_owned())),
    };
    if let Some(typed) = source.strip_prefix("docker-image://") {
        let image = image(parameter, typed.to_owned(), RegistryAccess::Pull)?;
        return Ok((name.to_owned(), ContextSource::Image(image)));
    }
    if let Some(typed) = source.strip_prefix("oci-layout://") {
        let image = place(parameter, format!("oci:{typed}"), RegistryAccess::Pull)?;
        return Ok((name.to_owned(), ContextSource::Image(image)));
    }
    let handle = context_directory(parameter, source.as_ref())?;
    match &*handle.place {
        sources::Place::Path(path) if !path.exists() => {
            Err(wrong(format!("there is no directory `{}`", path.display())))
        }
        _ => Ok((name.to_owned(), ContextSource::Directory(handle))),
    }
}

/// `NAME=VALUE`; `NAME` alone takes the caller's environment variable.
fn pair(parameter: &str, text: &str) -> Result<(String, Option<String>), Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, std::env::var(text).ok()),
    };
    if name.is_empty() {
        return Err(Failure::usage(format!("`--{parameter} {text}`: expected NAME=VALUE")));
    }
    Ok((name.to_owned(), value))
}

fn image(parameter: &str, typed: String, access: RegistryAccess) -> Result<ImageValue, Failure> {
    let reference: Reference = typed.parse().map_err(|e| Failure::usage(format!("`{parameter}`: {e}")))?;
    let tag = match (&reference.tag, &reference.digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag.as_ref().map(ToString::to_string),
    };
    Ok(ImageValue { typed, place: Place::Registry(reference.name), tag, digest: reference.digest, access })
}

/// An image of a registry, file or directory.
fn place(parameter: &str, typed: String, access: RegistryAccess) -> Result<ImageValue, Failure> {
    match LocalImages::parse(&typed) {
        Some(images) if images.path().as_os_str().is_empty() => {
            Err(Failure::usage(format!("`{parameter}`: `{typed}` names no file or directory")))
        }
        Some(images) if images.is_standard_input() && access != RegistryAccess::Pull => {
            Err(Failure::usage(format!("`{parameter}`: images can't be written to standard output by `-`"))
                .hint("`promote pull IMAGE -` writes an archive there"))
        }
        Some(images) => {
            let tag = Some(images.tag());
            Ok(ImageValue { typed, place: Place::Local(Arc::new(images)), tag, digest: None, access })
        }
        None => image(parameter, typed, access),
    }
}

fn repository(parameter: &str, typed: &str) -> Result<RepositoryName, Failure> {
    typed.parse().map_err(|e| Failure::usage(format!("`{parameter}`: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_docker_reads_them() {
        let variable = |id: &str, name: &str| Some((id.to_owned(), SecretSource::Variable(name.to_owned())));
        let file = |id: &str, path: &str| Some((id.to_owned(), SecretSource::File(path.into())));
        for (text, expected) in [
            ("id=a,src=Cargo.toml", file("a", "Cargo.toml")),
            ("id=a,source=Cargo.toml,type=file", file("a", "Cargo.toml")),
            ("id=Cargo.toml", file("Cargo.toml", "Cargo.toml")),
            ("id=PATH", variable("PATH", "PATH")),
            ("id=a,env=PATH", variable("a", "PATH")),
            ("type=env,id=PATH", variable("PATH", "PATH")),
            ("id=a,src=PATH,type=env", variable("a", "PATH")),
            ("a", None),
            ("src=Cargo.toml", None),
            ("id=", None),
            ("id=a,src=missing.txt", None),
            ("id=a,env=NO_SUCH_VARIABLE", None),
            ("id=a,src=Cargo.toml,env=PATH", None),
            ("id=a,target=/x", None),
            ("id=a,type=vault", None),
        ] {
            let found = secret("secret", text).ok().map(|secret| (secret.id, secret.source));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn row_54_named_contexts_are_directories_and_images() {
        let read = |text: &str| match named_context("build-context", text) {
            Ok((name, ContextSource::Directory(handle))) => format!("{name}: {}", handle.place),
            Ok((name, ContextSource::Image(image))) => format!("{name}: {} {:?}", image.place, image.access),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(read("src=src"), "src: src");
        assert_eq!(read("src=dir://src"), "src: src");
        assert_eq!(read("src=https://example.test/x.git#v1"), "src: https://example.test/x.git#v1");
        assert_eq!(
            read("base=docker-image://registry.test/base:1"),
            format!("base: registry.test/base {:?}", RegistryAccess::Pull)
        );
        for (text, reason) in [
            ("src", "a name and what it stands for are needed"),
            ("=src", "a name and what it stands for are needed"),
            ("src=", "a name and what it stands for are needed"),
            ("src=missing", "there is no directory `missing`"),
            ("src=s4://x", "a context can't be had by `s4://`"),
        ] {
            assert!(read(text).contains(reason), "{text}: {}", read(text));
        }
    }
}
