//! Why a run could not be made.

use std::io;

/// Result of the supervisor's own work.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a run could not be made; its message goes to people. The command's own failure is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system could not be written out or read back.
    #[error(transparent)]
    Snapshot(#[from] steprun_snapshot::Error),
    /// Anything else that the system refused.
    #[error("could not {what}: {source}")]
    System {
        /// `make a workspace`.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The request can't be carried out.
    #[error("{0}")]
    Request(String),
}

/// Says what the system refused, for `map_err`.
pub(crate) fn doing<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::System { what, source: source.into() }
}

/// Says what was being done when something failed, where there is no sentence for people yet.
pub(crate) trait During<T> {
    /// Puts a phrase such as `mounting /proc` before the error.
    fn during<S: AsRef<str>>(self, doing: impl FnOnce() -> S) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for std::result::Result<T, E> {
    fn during<S: AsRef<str>>(self, doing: impl FnOnce() -> S) -> io::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            io::Error::new(error.kind(), format!("{}: {error}", doing().as_ref()))
        })
    }
}
