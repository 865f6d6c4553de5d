//! Why a call failed: one variant for each of the contract's that can happen here.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. The variants are those of `types.error` in the contract; the messages are sentences for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A link leads out of a context directory.
    #[error("the link `{link}` leads out of the context `{context}`, to `{target}`")]
    Denied {
        /// The directory as its caller typed it.
        context: String,
        /// The link's path in the context.
        link: String,
        /// Where it points, as it is written.
        target: String,
    },
    /// There is no such file or blob.
    #[error("{0}")]
    NotFound(String),
    /// Bytes do not have the digest or size that they were announced with.
    #[error("{0}")]
    Corrupt(String),
    /// A malformed argument or archive.
    #[error("{0}")]
    Invalid(String),
    /// This host can't do it.
    #[error("{0}")]
    Unsupported(String),
    /// An error of what brings layers into the store ([`crate::Fetch`]), on its way back to who knows it.
    #[error("{0}")]
    External(Box<dyn std::error::Error + Send + Sync>),
    /// An input or output error of the host.
    #[error("cannot {operation} `{}`: {source}", path.display())]
    Io {
        /// A verb: `read`, `rename`.
        operation: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Makes an input or output error of a system's answer, for `map_err`.
    pub fn io<E: Into<io::Error>>(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        move |source| {
            // An error of ours that went through an `io` trait comes out as what it was.
            match source.into().downcast::<Self>() {
                Ok(error) => error,
                Err(source) => Self::Io { operation, path: path.as_ref().to_owned(), source },
            }
        }
    }

    /// Wraps the error, so that it can go through an `io` trait; [`Error::io`] unwraps it.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Io { ref source, .. } => io::Error::new(source.kind(), self),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_name_operation_path_and_reason() {
        let error = Error::io("write", "/store/tmp/x")(rustix::io::Errno::NOSPC);
        assert_eq!(error.to_string(), "cannot write `/store/tmp/x`: No space left on device (os error 28)");
    }

    #[test]
    fn an_error_survives_an_io_trait() {
        let through = Error::io("read", "/b")(Error::Corrupt("bad".into()).into_io());
        assert!(matches!(through, Error::Corrupt(message) if message == "bad"));
    }
}
