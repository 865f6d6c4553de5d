//! What a credential is for: a host, or a part of what a host holds.

use crate::RepositoryName;

/// A normalised key of a credential: `registry.example.com`, `registry.example.com/team`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CredentialScope(String);

impl CredentialScope {
    /// Normalises a key of an `auths` table. Docker writes Docker Hub as `https://index.docker.io/v1/`; others write a scheme,
    /// a trailing slash or an API version too.
    pub(super) fn parse(key: &str) -> Self {
        let key = key.trim();
        let bare =
            key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key).trim_end_matches('/');
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let host = normalise_host(host);
        match path {
            "" | "v1" | "v2" => CredentialScope(host),
            path => CredentialScope(format!("{host}/{path}")),
        }
    }

    /// How many bytes of `registry/repository` the key covers, if it covers it at all. The longest wins.
    pub(super) fn covers(&self, repository: &RepositoryName) -> Option<usize> {
        let host = normalise_host(repository.registry());
        let name = format!("{host}/{}", repository.repository());
        let rest = name.strip_prefix(&self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(self.0.len())
    }
}

/// A host as it is compared: in lower case, without the default port, Docker Hub under one name.
pub(super) fn normalise_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    match host {
        "docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "index.docker.io".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_normalised_and_match_whole_components() {
        for (key, name, covers) in [
            ("https://index.docker.io/v1/", "debian", true),
            ("docker.io", "debian", true),
            ("https://quay.io/v2/", "quay.io/a/b", true),
            ("quay.io/a", "quay.io/a/b", true),
            ("quay.io/a/b", "quay.io/a/b", true),
            ("quay.io/a", "quay.io/ab", false),
            ("quay.io", "quay.io.evil.org/a", false),
            ("quay.io:443", "quay.io/a", true),
            ("quay.io", "quay.io:8443/a", false),
            ("HTTPS.example.com", "https.example.com/a", true),
        ] {
            let repository = name.parse().unwrap();
            let scope = CredentialScope::parse(key);
            assert_eq!(scope.covers(&repository).is_some(), covers, "{key} {name}");
        }
    }
}
