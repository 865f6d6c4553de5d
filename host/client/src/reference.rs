//! Names of images: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::Digest;

/// Docker Hub, under the name that is printed and contacted. `docker.io` is the same.
pub const DOCKER_HUB: &str = "index.docker.io";

/// Why a reference is refused. Each message shows the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not {expected}: {reason}")]
pub struct ReferenceError {
    /// The whole input.
    pub input: String,
    /// What it should have been: `an image reference`, `a tag`.
    pub expected: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// A repository in a registry, such as `index.docker.io/library/debian`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName {
    registry: String,
    repository: String,
}

impl RepositoryName {
    /// The registry's host, with the port if there is one: `localhost:5000`, `index.docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name inside the registry: `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// What `selector` names in this repository, as a reference.
    pub fn at(&self, selector: &Selector) -> Reference {
        todo!("{selector}")
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)
    }
}

impl FromStr for RepositoryName {
    type Err = ReferenceError;

    /// Parses `[REGISTRY/]REPOSITORY`. A tag or digest is an error.
    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        todo!("{input}")
    }
}

/// A tag: a letter, digit or `_`, then up to 127 of those, `.` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        todo!("{input}")
    }
}

/// What names one manifest in a repository: the `<reference>` of the distribution-spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// A tag, which may move.
    Tag(Tag),
    /// A digest, which is the content.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Tag(tag) => tag.fmt(f),
            Selector::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Selector {
    type Err = ReferenceError;

    /// Parses a tag or, if it has a colon, a digest.
    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        todo!("{input}")
    }
}

/// An image reference. Without tag and digest it means the tag `latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The repository.
    pub name: RepositoryName,
    /// The tag as given; see [`Reference::selector`] for the one that is meant.
    pub tag: Option<Tag>,
    /// The digest as given.
    pub digest: Option<Digest>,
}

impl Reference {
    /// What to ask the registry for: the digest if there is one, else the tag, else the tag `latest`.
    pub fn selector(&self) -> Selector {
        todo!()
    }
}

impl fmt::Display for Reference {
    /// Prints the reference in full: `index.docker.io/library/debian:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        todo!("{input}")
    }
}
