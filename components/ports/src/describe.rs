//! A step's command line, as data.

/// What may be done with a repository; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RegistryAccess {
    Pull,
    Push,
    Delete,
}

/// What may be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FileAccess {
    Read,
    Write,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ValueKind {
    Flag,
    Text,
    Integer,
    Pair,
    Choice(&'static [&'static str]),
    ContextDirectory,
    Image(RegistryAccess),
    Place(RegistryAccess),
    Repository(RegistryAccess),
    Namespace(RegistryAccess),
    Catalog,
    Time,
    File(FileAccess),
    OutputDirectory,
    Secret,
    SshAgent,
    NamedContext,
}

/// How often a value may or must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Arity {
    Optional,
    Required,
    Repeated,
    RepeatedRequired,
}

/// Where a value is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Placement {
    Option,
    Operand,
}

/// One value of a command line.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Parameter {
    pub name: &'static str,
    pub short: Option<char>,
    pub aliases: &'static [&'static str],
    pub placement: Placement,
    pub value: ValueKind,
    pub arity: Arity,
    pub default: Option<&'static str>,
    pub environment: Option<&'static str>,
    pub value_name: &'static str,
    pub summary: &'static str,
}

impl Parameter {
    /// An optional `--name VALUE`.
    pub const fn option(name: &'static str, value: ValueKind, value_name: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            short: None,
            aliases: &[],
            placement: Placement::Option,
            value,
            arity: Arity::Optional,
            default: None,
            environment: None,
            value_name,
            summary,
        }
    }

    /// A `--name` without value.
    pub const fn flag(name: &'static str, summary: &'static str) -> Self {
        Self::option(name, ValueKind::Flag, "", summary)
    }

    /// A required value given by position; `name` is also shown in the help, in capitals.
    pub const fn operand(
        name: &'static str,
        value: ValueKind,
        value_name: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { placement: Placement::Operand, arity: Arity::Required, ..Self::option(name, value, value_name, summary) }
    }

    /// The same with a one-letter name.
    #[must_use]
    pub const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// The same, any number of times.
    #[must_use]
    pub const fn repeated(self) -> Self {
        Self { arity: Arity::Repeated, ..self }
    }

    /// The same with another arity.
    #[must_use]
    pub const fn arity(self, arity: Arity) -> Self {
        Self { arity, ..self }
    }

    /// The same with a default.
    #[must_use]
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, read from an environment variable where not given.
    #[must_use]
    pub const fn environment(self, variable: &'static str) -> Self {
        Self { environment: Some(variable), ..self }
    }

    /// The same with other long names.
    #[must_use]
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }
}

/// One command.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Command {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub summary: &'static str,
    pub details: &'static str,
    pub parameters: Vec<Parameter>,
}

/// A step's command line.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Description {
    pub name: &'static str,
    pub version: &'static str,
    pub summary: &'static str,
    pub commands: Vec<Command>,
}
