//! Why a document or a word can't be read.

/// Result of reading.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a document or a word can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON, or no object.
    #[error("{what} is no JSON object: {reason}")]
    Json {
        /// Which document.
        what: &'static str,
        /// The parser's words.
        reason: String,
    },
    /// A field is missing or of another type than the image-spec says.
    #[error("field `{field}` of {what} is no {expected}")]
    Field {
        /// Which document.
        what: &'static str,
        /// Its name.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A media type that stands for neither an image nor an index.
    #[error("media type `{0}` is neither an image manifest's nor an index's")]
    MediaType(String),
    /// A platform that is not `os/architecture[/variant]`.
    #[error("`{0}` is no platform: it should look like `linux/amd64` or `linux/arm64/v8`")]
    Platform(String),
    /// A time that is not as RFC 3339 wants it.
    #[error("`{0}` is no time: it should look like `2006-01-02T15:04:05Z`")]
    Time(String),
    /// No image of an index fits.
    #[error("the index has no image for {wanted}; it has {}", if available.is_empty() { "none" } else { available })]
    NoPlatform {
        /// What was asked for.
        wanted: String,
        /// What is there, comma-separated.
        available: String,
    },
}
