//! Names of images: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
//!
//! The grammar is that of distribution's `reference` package, with two deliberate differences: a first component with
//! upper-case letters is an error and not silently a registry, and the registry is printed in lower case, since hosts have no
//! case and a policy must not be evaded by one.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Digest, DigestAlgorithm};

/// Docker Hub, under the name that is printed and contacted (as crane does). `docker.io` is the same.
const DOCKER_HUB: &str = "index.docker.io";

/// The longest repository name, in bytes (distribution's `NameTotalLengthMax`).
const LONGEST_REPOSITORY: usize = 255;

/// The longest tag, in bytes (distribution-spec, "Pulling manifests").
const LONGEST_TAG: usize = 128;

/// Why a reference is refused. The message shows the input.
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

impl ReferenceError {
    /// Adds the input to a reason.
    pub(crate) fn of<'a>(input: &'a str, expected: &'static str) -> impl Fn(String) -> Self + 'a {
        move |reason| ReferenceError { input: input.to_owned(), expected, reason }
    }
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
        let (tag, digest) = match selector.clone() {
            Selector::Tag(tag) => (Some(tag), None),
            Selector::Digest(digest) => (None, Some(digest)),
        };
        Reference { name: self.clone(), tag, digest }
    }

    /// Parses `[REGISTRY/]REPOSITORY`; the error is the reason alone.
    fn parse(name: &str) -> Result<Self, String> {
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (parse_registry(first)?, rest),
            _ => (DOCKER_HUB.to_owned(), name),
        };
        check_repository(repository)?;
        let implied = registry == DOCKER_HUB && !repository.contains('/');
        let repository = if implied { format!("library/{repository}") } else { repository.to_owned() };
        // Once more with `library/`, which makes it longer.
        check_repository(&repository)?;
        Ok(RepositoryName { registry, repository })
    }
}

/// A registry: `HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryName(String);

impl RegistryName {
    /// The host, with the port if there is one, as in the names of its repositories.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for the registry where a repository is asked about: credentials for all of it are for this one.
    pub(crate) fn itself(&self) -> RepositoryName {
        RepositoryName { registry: self.0.clone(), repository: "_catalog".to_owned() }
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RegistryName {
    type Err = ReferenceError;

    /// Parses `HOST[:PORT]`. A repository behind it is an error.
    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        parse_registry(input).map(RegistryName).map_err(ReferenceError::of(input, "a registry"))
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
        let refuse = ReferenceError::of(input, "a repository");
        let parts = Parts::of(input);
        if let Some(extra) = parts.digest.or(parts.tag) {
            return Err(refuse(format!("it names one image, `{extra}`, where a whole repository is wanted")));
        }
        RepositoryName::parse(parts.name).map_err(refuse)
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

    /// The tag that is meant where none is given.
    pub fn latest() -> Self {
        Tag("latest".to_owned())
    }

    /// Parses a tag; the error is the reason alone.
    fn parse(text: &str) -> Result<Self, String> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.is_empty() {
            return Err("the tag is empty".to_owned());
        }
        if text.len() > LONGEST_TAG {
            return Err(format!("the tag has {} characters, more than {LONGEST_TAG}", text.len()));
        }
        if let Some(c) = text.chars().find(|&c| !word(c) && c != '.' && c != '-') {
            return Err(format!(
                "the tag `{text}` has a {}; only letters, digits, `_`, `.` and `-` may stand there",
                name_of(c)
            ));
        }
        if !text.starts_with(word) {
            return Err(format!("the tag `{text}` must start with a letter, digit or `_`"));
        }
        Ok(Tag(text.to_owned()))
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
        Tag::parse(input).map_err(ReferenceError::of(input, "a tag"))
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
        let refuse = ReferenceError::of(input, "a tag or digest");
        if input.contains(':') {
            parse_digest(input).map(Selector::Digest).map_err(refuse)
        } else {
            Tag::parse(input).map(Selector::Tag).map_err(refuse)
        }
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
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Selector::Digest(digest.clone()),
            (None, Some(tag)) => Selector::Tag(tag.clone()),
            (None, None) => Selector::Tag(Tag::latest()),
        }
    }
}

impl fmt::Display for Reference {
    /// Prints the reference in full: `index.docker.io/library/debian:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match (&self.tag, &self.digest) {
            (None, None) => write!(f, ":{}", Tag::latest()),
            (Some(tag), None) => write!(f, ":{tag}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (Some(tag), Some(digest)) => write!(f, ":{tag}@{digest}"),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        let refuse = ReferenceError::of(input, "an image reference");
        let parts = Parts::of(input);
        Ok(Reference {
            name: RepositoryName::parse(parts.name).map_err(&refuse)?,
            tag: parts.tag.map(Tag::parse).transpose().map_err(&refuse)?,
            digest: parts.digest.map(parse_digest).transpose().map_err(&refuse)?,
        })
    }
}

/// A reference cut at its `@` and `:`, unchecked.
struct Parts<'a> {
    name: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(input: &'a str) -> Self {
        let (rest, digest) = match input.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (input, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        Parts { name, tag, digest }
    }
}

/// Whether the first component of a name is a registry: it has a dot or a port, or is `localhost` (distribution,
/// `splitDockerDomain`).
pub(crate) fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost")
}

/// Parses `HOST[:PORT]`, where the host is a name, an IPv4 address or an IPv6 address in brackets.
fn parse_registry(text: &str) -> Result<String, String> {
    let (host, port) = match text.rfind(']') {
        Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_host_label),
    };
    let whole = host.len() + port.map_or(0, |p| p.len() + 1) == text.len();
    if !sound || !whole {
        return Err(format!("`{text}` is no host name"));
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err(format!("the port of `{text}` is no number below 65536"));
    }
    let lower = text.to_ascii_lowercase();
    Ok(if lower == "docker.io" { DOCKER_HUB.to_owned() } else { lower })
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Checks a repository name: components of lower-case letters and digits, joined by `/`, with `.`, `_`, `__` or dashes
/// between letters or digits.
pub(crate) fn check_repository(repository: &str) -> Result<(), String> {
    if repository.is_empty() {
        return Err("the repository is missing".to_owned());
    }
    if repository.len() > LONGEST_REPOSITORY {
        return Err(format!("the repository has {} characters, more than {LONGEST_REPOSITORY}", repository.len()));
    }
    repository.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), String> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if component.is_empty() {
        return Err("the repository has an empty component".to_owned());
    }
    if component.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(format!("`{component}` has an upper-case letter; repositories are written in lower case"));
    }
    if let Some(c) = component.chars().find(|&c| !alphanumeric(c) && !"._-".contains(c)) {
        return Err(format!("`{component}` has a {}", name_of(c)));
    }
    if !component.starts_with(alphanumeric) || !component.ends_with(alphanumeric) {
        return Err(format!("`{component}` must start and end with a letter or digit"));
    }
    let separators = component.split(alphanumeric).filter(|between| !between.is_empty());
    for separator in separators {
        let dashes = separator.chars().all(|c| c == '-');
        if !dashes && !matches!(separator, "." | "_" | "__") {
            return Err(format!(
                "`{component}` has `{separator}`; only `.`, `_`, `__` or dashes may stand between letters and digits"
            ));
        }
    }
    Ok(())
}

/// Parses a digest of an algorithm that this client can verify.
fn parse_digest(text: &str) -> Result<Digest, String> {
    let digest: Digest = text.parse().map_err(|e| format!("the digest `{text}` is malformed: {e}"))?;
    match digest.algorithm() {
        DigestAlgorithm::Sha256 | DigestAlgorithm::Sha512 => Ok(digest),
        other => Err(format!("the digest algorithm `{other}` is not supported; use sha256 or sha512")),
    }
}

/// A character, in words that show it even where it does not print.
fn name_of(c: char) -> String {
    match c {
        ' ' => "blank".to_owned(),
        c => format!("`{}`", c.escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

    #[test]
    fn references_are_printed_in_full() {
        let digest = format!("quay.io/a/b@{SHA}");
        let both = format!("debian:12@{SHA}");
        let both_full = format!("index.docker.io/library/debian:12@{SHA}");
        for (input, full) in [
            ("debian", "index.docker.io/library/debian:latest"),
            ("docker.io/debian:12", "index.docker.io/library/debian:12"),
            ("index.docker.io/a/b", "index.docker.io/a/b:latest"),
            ("a/b", "index.docker.io/a/b:latest"),
            ("test.com:tag", "index.docker.io/library/test.com:tag"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x:Y", "localhost:5000/x:Y"),
            ("localhost:5000", "index.docker.io/library/localhost:5000"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("[::1]/x:1", "[::1]/x:1"),
            ("Registry.Example.COM/x", "registry.example.com/x:latest"),
            ("a.b/c-d/e__f/g--h.i_j:_1", "a.b/c-d/e__f/g--h.i_j:_1"),
            (&digest, &digest),
            (&both, &both_full),
        ] {
            let reference: Reference = input.parse().unwrap();
            assert_eq!(reference.to_string(), full);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (input, reason) in [
            ("", "the repository is missing"),
            ("Debian", "upper-case letter"),
            ("MyOrg/app", "`MyOrg` has an upper-case letter"),
            ("quay.io/", "the repository is missing"),
            ("a//b", "empty component"),
            ("a/b:", "the tag is empty"),
            ("a/b:-x", "must start with a letter"),
            ("a/b:x y", "blank"),
            ("a/b:x+y", "`+`"),
            ("a/-b", "must start and end"),
            ("a/b._c", "`._`"),
            ("a/b___c", "`___`"),
            ("a b", "blank"),
            ("host.:5000/x", "is no host name"),
            ("host:99999/x", "port"),
            ("host:/x", "port"),
            ("[::1/x", "is no host name"),
            ("[::1]x.y/x", "is no host name"),
            ("x@sha256:123", "malformed"),
            ("x@", "malformed"),
            ("x@md5:00", "not supported"),
        ] {
            let error = input.parse::<Reference>().unwrap_err();
            assert!(error.reason.contains(reason), "{input:?}: {error}");
            assert!(error.to_string().contains(input), "{error}");
        }
        let long = "a".repeat(256);
        assert!(long.parse::<Reference>().is_err());
        // Short enough as typed, too long with `library/` before it.
        assert!("a".repeat(250).parse::<RepositoryName>().is_err());
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
    }

    #[test]
    fn repositories_name_no_single_image() {
        assert_eq!("debian".parse::<RepositoryName>().unwrap().to_string(), "index.docker.io/library/debian");
        assert!("debian:12".parse::<RepositoryName>().is_err());
        assert!(format!("debian@{SHA}").parse::<RepositoryName>().is_err());
        assert!("localhost:5000/x".parse::<RepositoryName>().is_ok());
    }

    #[test]
    fn the_digest_selects_before_the_tag() {
        let reference: Reference = format!("debian:12@{SHA}").parse().unwrap();
        assert_eq!(reference.selector().to_string(), SHA);
        let reference: Reference = "debian".parse().unwrap();
        assert_eq!(reference.selector(), Selector::Tag(Tag::latest()));
        assert!(matches!(SHA.parse(), Ok(Selector::Digest(_))));
        assert!(matches!("sha256".parse(), Ok(Selector::Tag(_))));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(input in "[a-zA-Z0-9.:/@_\\[\\]-]{0,40}") {
            if let Ok(reference) = input.parse::<Reference>() {
                let again: Reference = reference.to_string().parse().unwrap();
                prop_assert_eq!(again.to_string(), reference.to_string());
            }
        }

        #[test]
        fn no_input_panics(input in "\\PC*") {
            let _ = input.parse::<Reference>();
        }
    }
}
