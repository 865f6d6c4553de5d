//! Errors of calls: what a component gets, made from the errors of the host's parts.

use std::fmt;

use crate::bindings::types;

/// An error that a component gets as a value, or a trap where the component broke the contract.
#[derive(Debug)]
pub enum CallError {
    /// A value of the contract.
    Error(types::Error),
    /// The end of the component.
    Trap(wasmtime::Error),
}

/// Result of a call.
pub type CallResult<T> = Result<T, CallError>;

impl CallError {
    /// A capability that is not granted.
    pub fn denied(
        capability: &str,
        subject: impl fmt::Display,
        reason: impl Into<String>,
        remedy: Option<String>,
    ) -> Self {
        Self::Error(types::Error::Denied(types::Denial {
            capability: capability.to_owned(),
            subject: subject.to_string(),
            reason: reason.into(),
            remedy,
        }))
    }

    /// A malformed argument.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::Error(types::Error::Invalid(message.to_string()))
    }

    /// An input or output error of the host.
    pub fn io(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Error(types::Error::Io(format!("{what}: {error}")))
    }

    /// A component that broke the contract.
    pub fn trap(message: impl Into<String>) -> Self {
        Self::Trap(wasmtime::Error::msg(message.into()))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.write_str(&message(error)),
            Self::Trap(trap) => write!(f, "{trap:#}"),
        }
    }
}

impl std::error::Error for CallError {}

/// An error of the contract as a sentence.
pub fn message(error: &types::Error) -> String {
    use types::Error;
    match error {
        Error::Denied(denial) => format!("{} of `{}` is denied: {}", denial.capability, denial.subject, denial.reason),
        Error::NotFound(text)
        | Error::Unauthorized(text)
        | Error::Unavailable(text)
        | Error::Corrupt(text)
        | Error::Invalid(text)
        | Error::Unsupported(text)
        | Error::Io(text) => text.clone(),
        Error::Other(text) => text.clone().unwrap_or_else(|| "unknown error".to_owned()),
    }
}

impl From<wasmtime::Error> for CallError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl From<wasmtime::component::ResourceTableError> for CallError {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<tokio::task::JoinError> for CallError {
    /// A host function that panicked: the step can't go on.
    fn from(error: tokio::task::JoinError) -> Self {
        Self::trap(format!("a host function failed: {error}"))
    }
}

impl From<steprun_client::ReferenceError> for CallError {
    fn from(error: steprun_client::ReferenceError) -> Self {
        Self::invalid(error)
    }
}
