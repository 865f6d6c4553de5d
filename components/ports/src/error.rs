//! Errors of calls, failures of steps.

use std::fmt;

/// A capability that was asked for and not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// `registry.resolve`, `registry.push`, `context.read`.
    pub capability: String,
    /// What it was asked for.
    pub subject: String,
    /// The rule that forbids it, or why nothing grants it.
    pub reason: String,
    /// What would grant it.
    pub remedy: Option<String>,
}

/// Why a call to the host failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Error {
    Denied(Denial),
    NotFound(String),
    Unauthorized(String),
    Unavailable(String),
    Corrupt(String),
    Invalid(String),
    Unsupported(String),
    Io(String),
    Other(Option<String>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(d) => write!(f, "{} of `{}` is denied: {}", d.capability, d.subject, d.reason),
            Self::NotFound(m)
            | Self::Unauthorized(m)
            | Self::Unavailable(m)
            | Self::Corrupt(m)
            | Self::Invalid(m)
            | Self::Unsupported(m)
            | Self::Io(m) => f.write_str(m),
            Self::Other(m) => f.write_str(m.as_deref().unwrap_or("unknown error")),
        }
    }
}

impl std::error::Error for Error {}

/// A place in a source file; lines and columns count from 1, columns count bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Position {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

/// Which kind of failure ended a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FailureKind {
    Failed,
    Usage,
    Denied,
    Verification,
    Unavailable,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit status.
    pub kind: FailureKind,
    /// One sentence without a final period.
    pub message: String,
    /// Where in a source file. Boxed: every result of a step carries the room for it.
    pub position: Option<Box<Position>>,
    /// Source lines with a caret, ready to print.
    pub excerpt: Option<String>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Exit status of a command that failed (RUN).
    pub exit_status: Option<u8>,
}

impl Failure {
    /// A failure of a kind with a message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            position: None,
            excerpt: None,
            causes: Vec::new(),
            hint: None,
            exit_status: None,
        }
    }

    /// A failure of the step's input.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    /// Arguments that make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// An error of a call, with what was being done: the kind and the hint follow from the error.
    pub fn because(doing: impl Into<String>, error: Error) -> Self {
        let mut failure = Self::from(error);
        let cause = std::mem::replace(&mut failure.message, doing.into());
        failure.causes.insert(0, cause);
        failure
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a place and the lines around it.
    #[must_use]
    pub fn at(mut self, position: Position, excerpt: Option<String>) -> Self {
        self.position = Some(Box::new(position));
        self.excerpt = excerpt;
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Denied(_) => FailureKind::Denied,
            Error::Corrupt(_) => FailureKind::Verification,
            Error::Unavailable(_) => FailureKind::Unavailable,
            _ => FailureKind::Failed,
        };
        let hint = match &error {
            Error::Denied(denial) => denial.remedy.clone(),
            _ => None,
        };
        Self { hint, ..Self::new(kind, error.to_string()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for Failure {}
