//! Parts of registries: `HOST[:PORT][/PATH]`.

use std::fmt;
use std::str::FromStr;

use crate::reference::{ReferenceError, RegistryName, RepositoryName, check_repository, is_registry};

/// A registry, or what is at a path in it and below: `registry.example/team`.
///
/// The registry is always there. A repository's name may leave it out and then means Docker Hub; to grant all of that by a forgotten word would be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    registry: RegistryName,
    /// Not empty; none for the whole registry.
    path: Option<String>,
}

impl Namespace {
    /// Whether a repository is at the path or below it.
    pub fn covers(&self, name: &RepositoryName) -> bool {
        let below = |path: &String| match name.repository().strip_prefix(path.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        self.registry.as_str() == name.registry() && self.path.as_ref().is_none_or(below)
    }

    /// The namespace that a repository is in: its name without the last component, or itself where it has but one.
    pub fn around(name: &RepositoryName) -> String {
        let repository = name.repository();
        let path = repository.rsplit_once('/').map_or(repository, |(path, _)| path);
        format!("{}/{path}", name.registry())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, "/{path}"))
    }
}

impl FromStr for Namespace {
    type Err = ReferenceError;

    /// Parses `HOST[:PORT][/PATH]`. A host is told from a path by a dot, a port, or the name `localhost`, as in references.
    fn from_str(input: &str) -> Result<Self, ReferenceError> {
        let refuse = ReferenceError::of(input, "a registry or a path in one");
        let (registry, path) = match input.trim_end_matches('/').split_once('/') {
            Some((registry, path)) => (registry, Some(path)),
            None => (input.trim_end_matches('/'), None),
        };
        if !is_registry(registry) {
            return Err(refuse(format!("`{registry}` is no registry, and the registry can't be left out")));
        }
        let registry = registry.parse().map_err(|error: ReferenceError| refuse(error.reason))?;
        path.map_or(Ok(()), check_repository).map_err(refuse)?;
        Ok(Self { registry, path: path.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_covers_what_is_below() {
        for (namespace, repository, covered) in [
            ("r.example", "r.example/a", true),
            ("r.example/", "r.example/a/b", true),
            ("R.example", "r.example/a", true),
            ("r.example/a", "r.example/a", true),
            ("r.example/a", "r.example/a/b/c", true),
            ("r.example/a", "r.example/ab", false),
            ("r.example/a/b", "r.example/a", false),
            ("r.example:5000/a", "r.example/a/b", false),
            ("localhost", "localhost/a", true),
            ("docker.io", "debian", true),
            ("docker.io/library", "debian", true),
            ("docker.io/team", "debian", false),
        ] {
            let name: RepositoryName = repository.parse().unwrap();
            assert_eq!(namespace.parse::<Namespace>().unwrap().covers(&name), covered, "{namespace} {repository}");
        }
    }

    #[test]
    fn the_registry_can_not_be_left_out() {
        for text in ["", "team", "team/app", "/a", "r.example/A", "r.example/a:1", "r.example//a"] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_namespace_around_a_repository_covers_it() {
        for (repository, expected) in
            [("r.example/a", "r.example/a"), ("r.example/a/b", "r.example/a"), ("debian", "index.docker.io/library")]
        {
            let name: RepositoryName = repository.parse().unwrap();
            let around = Namespace::around(&name);
            assert_eq!(around, expected);
            assert!(around.parse::<Namespace>().unwrap().covers(&name));
        }
    }
}
