//! Command lines, read by a step's description: options as `--name value`, `--name=value` or `-n value`, operands by position.

use super::MemoryHost;
use crate::{Arity, Command, Description, FileAccess, Parameter, Placement, RegistryAccess, ValueKind};

/// The values of one command line.
#[derive(Default)]
pub(super) struct Arguments {
    command: String,
    values: Vec<Given>,
}

/// A parameter with the texts that stand for it.
struct Given {
    parameter: Parameter,
    texts: Vec<String>,
}

impl MemoryHost {
    /// With a command line: `["copy", "a", "b"]`, for a step with a single command without the command's name. Files and directories
    /// are looked up among those of [`with_file`](Self::with_file) and [`with_context`](Self::with_context).
    ///
    /// # Panics
    /// If the description does not allow it, with the reason. Later, if the step asks for a name that is not described or by the
    /// getter of another kind.
    #[must_use]
    pub fn with_arguments(self, description: &Description, arguments: &[&str]) -> Self {
        let parsed = parse(description, arguments).unwrap_or_else(|reason| panic!("{arguments:?}: {reason}"));
        self.state_mut().arguments = parsed;
        self
    }
}

fn parse(description: &Description, arguments: &[&str]) -> Result<Arguments, String> {
    let (command, rest) = match description.commands.as_slice() {
        [single] if single.name.is_empty() => (single, arguments),
        commands => {
            let (name, rest) = arguments.split_first().ok_or("no command")?;
            let named = |command: &&Command| command.name == *name || command.aliases.contains(name);
            (commands.iter().find(named).ok_or("unknown command")?, rest)
        }
    };
    let mut values: Vec<Given> =
        command.parameters.iter().map(|parameter| Given { parameter: parameter.clone(), texts: Vec::new() }).collect();
    let (mut words, mut operands) = (rest.iter(), Vec::new());
    while let Some(word) = words.next() {
        if !word.starts_with('-') || *word == "-" {
            operands.push(*word);
            continue;
        }
        let (given, inline) = find(&mut values, word)?;
        let text = match (inline, &given.parameter.value) {
            (Some(text), _) => text,
            (None, ValueKind::Flag) => String::new(),
            (None, _) => (*words.next().ok_or_else(|| format!("`{word}` needs a value"))?).to_owned(),
        };
        given.texts.push(text);
    }
    place(&mut values, &operands)?;
    values.iter_mut().try_for_each(complete)?;
    Ok(Arguments { command: command.name.into(), values })
}

/// The option that a word stands for, and the value in the word itself.
fn find<'a>(values: &'a mut [Given], word: &str) -> Result<(&'a mut Given, Option<String>), String> {
    let unknown = || format!("unknown option `{word}`");
    if let Some(long) = word.strip_prefix("--") {
        let (name, inline) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let named = |given: &&mut Given| {
            let parameter = &given.parameter;
            parameter.placement == Placement::Option && (parameter.name == name || parameter.aliases.contains(&name))
        };
        return values.iter_mut().find(named).map(|given| (given, inline)).ok_or_else(unknown);
    }
    let named = |given: &&mut Given| given.parameter.short.is_some_and(|own| word[1..] == own.to_string());
    values.iter_mut().find(named).map(|given| (given, None)).ok_or_else(unknown)
}

/// Gives operands their words: the last of several to a required one that stands behind the one that takes all.
fn place(values: &mut [Given], words: &[&str]) -> Result<(), String> {
    let operand = |given: &Given| given.parameter.placement == Placement::Operand;
    for (number, word) in words.iter().enumerate() {
        let waits =
            |given: &Given| operand(given) && given.texts.is_empty() && given.parameter.arity == Arity::Required;
        let last = (number + 1 == words.len()).then(|| values.iter().rposition(waits)).flatten();
        let free = |given: &Given| operand(given) && (given.texts.is_empty() || repeats(given.parameter.arity));
        let place = last.or_else(|| values.iter().position(free)).ok_or_else(|| format!("`{word}` is too much"))?;
        values[place].texts.push((*word).to_owned());
    }
    Ok(())
}

fn repeats(arity: Arity) -> bool {
    matches!(arity, Arity::Repeated | Arity::RepeatedRequired)
}

/// Fills in the default and checks the number and form of the values.
fn complete(given: &mut Given) -> Result<(), String> {
    let Given { parameter, texts } = given;
    if texts.is_empty() {
        texts.extend(parameter.default.map(str::to_owned));
    }
    if texts.is_empty() && matches!(parameter.arity, Arity::Required | Arity::RepeatedRequired) {
        return Err(format!("`{}` is missing", parameter.name));
    }
    if texts.len() > 1 && !repeats(parameter.arity) && parameter.value != ValueKind::Flag {
        return Err(format!("`{}` is given twice", parameter.name));
    }
    let wrong = texts.iter().find(|text| match &parameter.value {
        ValueKind::Integer | ValueKind::Time => text.parse::<i64>().is_err(),
        ValueKind::Choice(words) => !words.contains(&text.as_str()),
        ValueKind::Secret => secret_id(text).is_none(),
        ValueKind::NamedContext => text.split_once('=').is_none(),
        _ => false,
    });
    wrong.map_or(Ok(()), |text| Err(format!("`{}` can't be `{text}`", parameter.name)))
}

/// The name in `id=NAME[,src=FILE|,env=VARIABLE]`.
fn secret_id(text: &str) -> Option<&str> {
    text.split(',').find_map(|field| field.strip_prefix("id=")).filter(|id| !id.is_empty())
}

impl Arguments {
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// The value kind and texts of a parameter.
    ///
    /// # Panics
    /// As the host traps: if it is not described, or `fits` does not know its kind.
    fn get<T>(&self, name: &str, fits: impl FnOnce(&ValueKind) -> Option<T>) -> (T, Vec<String>) {
        let given = self.values.iter().find(|given| given.parameter.name == name);
        let given = given.unwrap_or_else(|| panic!("`{name}` of `{}` is not described", self.command));
        let kind = &given.parameter.value;
        let known = fits(kind).unwrap_or_else(|| panic!("`{name}` of `{}` is a {kind:?}", self.command));
        (known, given.texts.clone())
    }

    fn plain(&self, name: &str, fits: impl FnOnce(&ValueKind) -> bool) -> Vec<String> {
        self.get(name, |kind| fits(kind).then_some(())).1
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.plain(name, |kind| *kind == ValueKind::Flag).last().is_some_and(|text| text != "false")
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.plain(name, |kind| matches!(kind, ValueKind::Text | ValueKind::Choice(_)))
    }

    pub(super) fn integers(&self, name: &str) -> Vec<i64> {
        let texts = self.plain(name, |kind| *kind == ValueKind::Integer);
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// A pair without value is given as `NAME`; the environment of the caller is empty here.
    pub(super) fn pairs(&self, name: &str) -> Vec<(String, Option<String>)> {
        let texts = self.plain(name, |kind| *kind == ValueKind::Pair);
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        texts.into_iter().map(pair).collect()
    }

    pub(super) fn context_directories(&self, name: &str) -> Vec<String> {
        self.plain(name, |kind| *kind == ValueKind::ContextDirectory)
    }

    pub(super) fn catalogs(&self, name: &str) -> Vec<String> {
        self.plain(name, |kind| *kind == ValueKind::Catalog)
    }

    /// Moments are given in seconds since 1970 here.
    pub(super) fn times(&self, name: &str) -> Vec<i64> {
        let texts = self.plain(name, |kind| *kind == ValueKind::Time);
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    pub(super) fn images(&self, name: &str) -> (RegistryAccess, Vec<String>) {
        self.get(name, |kind| match kind {
            ValueKind::Image(access) | ValueKind::Place(access) => Some(*access),
            _ => None,
        })
    }

    pub(super) fn repositories(&self, name: &str) -> (RegistryAccess, Vec<String>) {
        self.get(name, |kind| match kind {
            ValueKind::Repository(access) => Some(*access),
            _ => None,
        })
    }

    pub(super) fn namespaces(&self, name: &str) -> (RegistryAccess, Vec<String>) {
        self.get(name, |kind| match kind {
            ValueKind::Namespace(access) => Some(*access),
            _ => None,
        })
    }

    pub(super) fn input_files(&self, name: &str) -> Vec<String> {
        self.plain(name, |kind| *kind == ValueKind::File(FileAccess::Read))
    }

    pub(super) fn output_files(&self, name: &str) -> Vec<String> {
        self.plain(name, |kind| *kind == ValueKind::File(FileAccess::Write))
    }

    pub(super) fn output_directories(&self, name: &str) -> Vec<String> {
        self.plain(name, |kind| *kind == ValueKind::OutputDirectory)
    }

    /// Names of secrets; where their content is doesn't matter here.
    pub(super) fn secrets(&self, name: &str) -> Vec<String> {
        let texts = self.plain(name, |kind| *kind == ValueKind::Secret);
        texts.iter().filter_map(|text| secret_id(text)).map(str::to_owned).collect()
    }

    /// Names of SSH agents: what stands before `=`.
    pub(super) fn agents(&self, name: &str) -> Vec<String> {
        let texts = self.plain(name, |kind| *kind == ValueKind::SshAgent);
        texts.iter().map(|text| text.split_once('=').map_or(text.as_str(), |(id, _)| id).to_owned()).collect()
    }

    /// Names and what stands behind `=`.
    pub(super) fn named_contexts(&self, name: &str) -> Vec<(String, String)> {
        let texts = self.plain(name, |kind| *kind == ValueKind::NamedContext);
        texts
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(name, source)| (name.to_owned(), source.to_owned()))
            .collect()
    }
}
