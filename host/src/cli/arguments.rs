//! A step's arguments as typed values. Values that carry authority are the grants: what is not here can't be reached.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{ArgMatches, FromArgMatches};
use steprun_client::{Digest, Reference, RepositoryName, Tag};

use crate::bindings::exported::{self, Description, FileAccess, Parameter, RegistryAccess, ValueKind};
use crate::cli::options::HostOptions;
use crate::cli::step::{self, Commands};
use crate::exit::Failure;

/// An image that an argument named, with the access that its type grants.
#[derive(Debug, Clone)]
pub struct ImageValue {
    /// As typed.
    pub typed: String,
    /// The repository.
    pub repository: RepositoryName,
    /// As typed, or `latest` where neither tag nor digest was.
    pub tag: Option<Tag>,
    /// As typed.
    pub digest: Option<Digest>,
    /// What may be done.
    pub access: RegistryAccess,
}

/// The values of one parameter, in the order given.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is the value kind of the same name in wit/step.wit")]
pub enum Values {
    Flag(bool),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Pairs(Vec<(String, Option<String>)>),
    ContextDirectories(Vec<PathBuf>),
    Images(Vec<ImageValue>),
    Repositories(Vec<(RepositoryName, RegistryAccess)>),
    InputFiles(Vec<PathBuf>),
    OutputFiles(Vec<PathBuf>),
    OutputDirectories(Vec<PathBuf>),
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
    let mut command_line = step::command_line(description)?;
    let mut words = vec![OsString::from(format!("steprun {}", description.name))];
    match step::described_commands(description)? {
        Commands::Single(_) => {
            words.extend(before);
            words.extend(after);
        }
        // The host's flags belong to each command, so they move behind its name.
        Commands::Named(_) => {
            let at = after.iter().position(|word| command_line.find_subcommand(word).is_some());
            match at {
                Some(at) => {
                    words.push(after[at].clone());
                    words.extend(before);
                    words.extend_from_slice(&after[..at]);
                    words.extend_from_slice(&after[at + 1..]);
                }
                None => words.extend(after),
            }
        }
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

fn values_of(command: &exported::Command, matches: &ArgMatches) -> Result<Arguments, Failure> {
    let values = command.parameters.iter().map(|parameter| Ok((parameter.name.clone(), values(parameter, matches)?)));
    Ok(Arguments { command: command.name.clone(), values: values.collect::<Result<_, Failure>>()? })
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
        ValueKind::ContextDirectory => Values::ContextDirectories(paths().into_iter().map(context_directory).collect()),
        ValueKind::Image(access) => {
            Values::Images(texts().into_iter().map(|text| image(name, text, *access)).collect::<Result<_, _>>()?)
        }
        ValueKind::Repository(access) => Values::Repositories(
            texts().iter().map(|text| Ok((repository(name, text)?, *access))).collect::<Result<_, Failure>>()?,
        ),
        ValueKind::File(FileAccess::Read) => Values::InputFiles(paths()),
        ValueKind::File(FileAccess::Write) => Values::OutputFiles(paths()),
        ValueKind::OutputDirectory => Values::OutputDirectories(paths()),
    })
}

/// A directory as typed; `dir://` may stand before it, as in pipelines that come from Kaniko.
fn context_directory(typed: PathBuf) -> PathBuf {
    match typed.as_os_str().as_bytes().strip_prefix(b"dir://") {
        Some(path) => OsStr::from_bytes(path).into(),
        None => typed,
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
        (None, None) => "latest".parse().ok(),
        (tag, _) => tag.clone(),
    };
    Ok(ImageValue { typed, repository: reference.name, tag, digest: reference.digest, access })
}

fn repository(parameter: &str, typed: &str) -> Result<RepositoryName, Failure> {
    typed.parse().map_err(|e| Failure::usage(format!("`{parameter}`: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_directories_may_have_the_scheme_of_kaniko() {
        for (typed, path) in
            [("dir:///workspace", "/workspace"), ("dir://sub", "sub"), ("a/dir://b", "a/dir://b"), (".", ".")]
        {
            assert_eq!(context_directory(typed.into()), PathBuf::from(path));
        }
    }
}
