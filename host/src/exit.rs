//! How a run ends, and the exit status that says so.

use std::fmt;

/// The ways in which a run ends without success. Each has an exit status of its own; 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The step did not succeed: an error in the Dockerfile, a missing image, a refused login.
    Failed,
    /// The command line makes no sense, or names a step that can't be loaded.
    Usage,
    /// A capability was not granted.
    Denied,
    /// Bytes did not have the digest that was announced.
    Verification,
    /// A registry could not be reached, or went on failing after all retries.
    Unavailable,
    /// The component crashed, or hit its limit of memory or handles.
    Trap,
    /// The time limit was reached.
    TimedOut,
    /// Ended by this signal.
    Signal(u8),
    /// A command that the step ran failed with this status (a Dockerfile's RUN, a WASI command).
    Command(u8),
}

impl Exit {
    /// The statuses and their meaning, for the help and the documentation.
    pub const TABLE: [(u8, &'static str); 9] = [
        (0, "success"),
        (1, "the step failed: its input is wrong, an image or file is missing, a registry refused"),
        (2, "usage: the command line makes no sense, or the step can't be loaded"),
        (3, "denied: a capability was not granted"),
        (4, "verification failed: bytes do not have the digest that was announced"),
        (5, "registry unavailable: not reachable, or failing after all retries"),
        (6, "trap: the component crashed, or hit its limit of memory or handles"),
        (124, "the time limit was reached"),
        (130, "interrupted (128 + the number of the signal)"),
    ];

    /// The process's exit status.
    pub fn status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Verification => 4,
            Self::Unavailable => 5,
            Self::Trap => 6,
            Self::TimedOut => 124,
            Self::Signal(number) => 128u8.saturating_add(number),
            Self::Command(status) => status,
        }
    }
}

/// A place in a source file that a step worked on.
#[derive(Debug)]
pub struct Place {
    /// `file:line:column`.
    pub position: String,
    /// Source lines with a caret.
    pub excerpt: Option<String>,
}

/// Why a run ended without success, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit status.
    pub exit: Exit,
    /// One sentence without a final period.
    pub message: String,
    /// Where in a source file.
    pub place: Option<Box<Place>>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), place: None, causes: Vec::new(), hint: None }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An input or output error of the host itself.
    pub fn io(what: impl fmt::Display, error: std::io::Error) -> Self {
        Self { causes: vec![error.to_string()], ..Self::new(Exit::Failed, what.to_string()) }
    }

    /// The same with a cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    /// The whole report: `error:`, where, the excerpt, `caused by:`, `hint:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "error: {}: {}", place.position, self.message)?,
            None => write!(f, "error: {}", self.message)?,
        }
        if let Some(excerpt) = self.place.as_ref().and_then(|place| place.excerpt.as_ref()) {
            write!(f, "\n{}", excerpt.trim_end_matches('\n'))?;
        }
        self.causes.iter().try_for_each(|cause| write!(f, "\n  caused by: {cause}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n\nhint: {hint}"))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_end_has_a_status_of_its_own_in_the_table() {
        let ways = [
            Exit::Failed,
            Exit::Usage,
            Exit::Denied,
            Exit::Verification,
            Exit::Unavailable,
            Exit::Trap,
            Exit::TimedOut,
            Exit::Signal(2),
        ];
        let mut statuses: Vec<u8> = ways.iter().map(|exit| exit.status()).collect();
        assert!(statuses.iter().all(|status| Exit::TABLE.iter().any(|(listed, _)| listed == status)));
        statuses.dedup();
        assert_eq!(statuses.len(), ways.len());
    }

    #[test]
    fn a_report_reads_from_what_to_why_to_what_to_do() {
        let failure = Failure {
            place: Some(Box::new(Place {
                position: "Dockerfile:3:6".to_owned(),
                excerpt: Some(" 3 | COPY missing /\n   |      ^^^^^^^\n".to_owned()),
            })),
            ..Failure::new(Exit::Failed, "`missing` is not in the context")
        }
        .because("no such file")
        .hint("did you mean `missing.txt`?");
        assert_eq!(
            failure.to_string(),
            "error: Dockerfile:3:6: `missing` is not in the context\n 3 | COPY missing /\n   |      ^^^^^^^\n  caused by: no such file\n\nhint: did you mean `missing.txt`?"
        );
    }
}
