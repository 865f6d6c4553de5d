//! Makes a command line of a step's description.

use std::ffi::OsString;

use clap::builder::{ArgAction, PossibleValuesParser, ValueParser};
use clap::{Arg, Args, Command};

use crate::bindings::exported::{self, Arity, Description, Parameter, Placement, ValueKind};
use crate::cli::options::HostOptions;
use crate::exit::Failure;

/// Which commands get their parameters. A step may have dozens of commands, and a call needs one of them.
#[derive(Debug, Clone, Copy)]
pub enum Detail<'a> {
    /// All.
    Full,
    /// The one that words call; the others get their names.
    For(&'a [OsString]),
}

impl Detail<'_> {
    /// Whether a command may be the one: by its name or an alias, whole or in two words (`index append`).
    fn includes(self, command: &exported::Command) -> bool {
        let Self::For(words) = self else { return true };
        let first = |name: &str| name.split('-').next().unwrap_or(name).to_owned();
        let names: Vec<String> =
            std::iter::once(&command.name).chain(&command.aliases).map(|name| first(name)).collect();
        let called = |word: &OsString| word.to_str().is_some_and(|word| names.contains(&first(word)));
        words.iter().any(called)
    }
}

/// The parser of a step's arguments: one for each command, with the host's flags beside the step's own.
///
/// # Errors
/// If the description contradicts itself, uses a name of the host's, or a kind of value that this host does not know.
pub fn command_line(description: &Description, detail: Detail<'_>) -> Result<Command, Failure> {
    let described = described_commands(description)?;
    let root = Command::new(description.name.clone())
        .bin_name(format!("steprun {}", description.name))
        .version(description.version.clone())
        .about(description.summary.clone())
        .max_term_width(120)
        .disable_help_subcommand(true);
    match described {
        Commands::Single(command) => Ok(with_parameters(root, command)?.about(description.summary.clone())),
        Commands::Named(commands) => {
            let mut root = root.subcommand_required(true).subcommand_value_name("COMMAND");
            for command in commands {
                let sub = Command::new(command.name.clone())
                    .about(command.summary.clone())
                    .visible_aliases(command.aliases.clone());
                root = root.subcommand(match detail.includes(command) {
                    true => with_parameters(sub, command)?,
                    false => sub,
                });
            }
            Ok(root)
        }
    }
}

/// A step has one command without a name, or several with names.
pub enum Commands<'a> {
    /// The one.
    Single(&'a exported::Command),
    /// The several.
    Named(&'a [exported::Command]),
}

/// Sorts a description into one of the two forms.
pub fn described_commands(description: &Description) -> Result<Commands<'_>, Failure> {
    match description.commands.as_slice() {
        [single] if single.name.is_empty() => Ok(Commands::Single(single)),
        [] => Err(broken(description, "it has no command")),
        named if named.iter().all(|command| is_name(&command.name)) => Ok(Commands::Named(named)),
        _ => Err(broken(description, "its commands need names of lower-case letters, digits and `-`")),
    }
}

fn broken(description: &Description, reason: &str) -> Failure {
    Failure::usage(format!(
        "the step `{}` describes its command line in a way that makes no sense: {reason}",
        description.name
    ))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn with_parameters(mut command: Command, described: &exported::Command) -> Result<Command, Failure> {
    let host = HostOptions::augment_args(Command::new("host"));
    for (index, parameter) in described.parameters.iter().enumerate() {
        let taken = |name: &str| {
            host.get_arguments().any(|arg| arg.get_long() == Some(name) || name == "help" || name == "version")
        };
        let short_taken = |short| host.get_arguments().any(|arg| arg.get_short() == Some(short) || short == 'h');
        if parameter.short.is_some_and(short_taken) {
            let (name, short) = (&parameter.name, parameter.short.unwrap_or_default());
            return Err(Failure::usage(format!(
                "the step describes `-{short}` for its parameter `{name}`, which is the host's own"
            )));
        }
        let twice = described.parameters[..index].iter().any(|other| other.name == parameter.name);
        if !is_name(&parameter.name) || taken(&parameter.name) || twice {
            let name = &parameter.name;
            return Err(Failure::usage(format!(
                "the step describes a parameter `{name}`, which is no name, the host's own, or there twice"
            )));
        }
        command = command.arg(argument(parameter)?);
    }
    let (about, details) = (described.summary.clone(), described.details.clone());
    // The host's flags bring a description of their own.
    Ok(HostOptions::augment_args(command).about(about).after_help(details))
}

fn argument(parameter: &Parameter) -> Result<Arg, Failure> {
    let mut arg = Arg::new(parameter.name.clone()).help(parameter.summary.clone());
    if matches!(parameter.placement, Placement::Option) {
        arg = arg.long(parameter.name.clone()).visible_aliases(parameter.aliases.clone());
        if let Some(short) = parameter.short {
            arg = arg.short(short);
        }
    }
    if matches!(parameter.value, ValueKind::Flag) {
        return Ok(flag(arg, parameter));
    }
    arg = arg.value_name(parameter.value_name.clone()).value_parser(parser(parameter)?);
    let many = matches!(parameter.arity, Arity::Repeated | Arity::RepeatedRequired);
    arg = arg.action(if many { ArgAction::Append } else { ArgAction::Set });
    arg = match (parameter.placement, many) {
        (Placement::Operand, true) => arg.num_args(1..),
        // `-f a.tar,b.tar`, as crane has it; no reference holds a comma, and a file name that does can be given alone by a path without.
        (Placement::Option, true)
            if matches!(parameter.value, ValueKind::File(_) | ValueKind::Image(_) | ValueKind::Place(_)) =>
        {
            arg.num_args(1).value_delimiter(',')
        }
        // A value such as `-` or `-1` is a value; an option that is not known still is an error.
        _ => arg.num_args(1).allow_negative_numbers(true),
    };
    if let Some(default) = &parameter.default {
        arg = arg.default_value(default.clone());
    }
    if let Some(variable) = &parameter.environment {
        arg = arg.env(variable.clone());
    }
    Ok(arg.required(matches!(parameter.arity, Arity::Required | Arity::RepeatedRequired)))
}

/// `--flag`, and `--flag=true|false` as the tools that are replaced allow.
fn flag(arg: Arg, parameter: &Parameter) -> Arg {
    let arg = arg
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("BOOL")
        .hide_possible_values(true)
        .value_parser(clap::value_parser!(bool));
    let arg = match &parameter.default {
        Some(default) => arg.default_value(default.clone()),
        None => arg,
    };
    match &parameter.environment {
        Some(variable) => arg.env(variable.clone()),
        None => arg,
    }
}

fn parser(parameter: &Parameter) -> Result<ValueParser, Failure> {
    Ok(match &parameter.value {
        ValueKind::Choice(words) => PossibleValuesParser::new(words.clone()).into(),
        ValueKind::Integer => clap::value_parser!(i64).into(),
        ValueKind::ContextDirectory | ValueKind::OutputDirectory | ValueKind::File(_) => {
            clap::value_parser!(std::path::PathBuf)
        }
        ValueKind::Flag
        | ValueKind::Text
        | ValueKind::Pair
        | ValueKind::Image(_)
        | ValueKind::Place(_)
        | ValueKind::Repository(_)
        | ValueKind::Namespace(_)
        | ValueKind::Catalog
        | ValueKind::Time
        | ValueKind::Secret
        | ValueKind::SshAgent
        | ValueKind::NamedContext => ValueParser::string(),
        ValueKind::Other(kind) => {
            return Err(Failure::usage(format!(
                "the step's `{}` is of the kind `{kind}`, which this host does not know",
                parameter.name
            ))
            .hint("a newer steprun may"));
        }
    })
}

/// A parameter as it is typed: `-c, --context DIR`, `SRC`.
pub fn shown_name(parameter: &Parameter) -> String {
    match parameter.placement {
        Placement::Operand => parameter.value_name.clone(),
        Placement::Option => {
            let short = parameter.short.map(|short| format!("-{short}, ")).unwrap_or_default();
            format!("{short}--{} {}", parameter.name, parameter.value_name).trim_end().to_owned()
        }
    }
}

/// A kind of value in the words of `wit/step.wit`.
pub fn kind_name(kind: &ValueKind) -> String {
    use crate::bindings::exported::{FileAccess, RegistryAccess};
    let access = |access: &RegistryAccess| match access {
        RegistryAccess::Pull => "pull",
        RegistryAccess::Push => "push",
        RegistryAccess::Delete => "delete",
    };
    match kind {
        ValueKind::Flag => "flag".to_owned(),
        ValueKind::Text => "text".to_owned(),
        ValueKind::Integer => "integer".to_owned(),
        ValueKind::Pair => "pair".to_owned(),
        ValueKind::Choice(words) => format!("choice({})", words.join("|")),
        ValueKind::ContextDirectory => "context-directory".to_owned(),
        ValueKind::Image(of) => format!("image({})", access(of)),
        ValueKind::Place(of) => format!("place({})", access(of)),
        ValueKind::Catalog => "catalog".to_owned(),
        ValueKind::Time => "time".to_owned(),
        ValueKind::Repository(of) => format!("repository({})", access(of)),
        ValueKind::Namespace(of) => format!("namespace({})", access(of)),
        ValueKind::File(FileAccess::Read) => "file(read)".to_owned(),
        ValueKind::File(FileAccess::Write) => "file(write)".to_owned(),
        ValueKind::OutputDirectory => "output-directory".to_owned(),
        ValueKind::Secret => "secret".to_owned(),
        ValueKind::SshAgent => "ssh-agent".to_owned(),
        ValueKind::NamedContext => "named-context".to_owned(),
        ValueKind::Other(kind) => kind.clone(),
    }
}
