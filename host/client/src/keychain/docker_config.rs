//! Docker's `config.json` and containers' `auth.json`, which share one format.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::scope::{CredentialScope, normalise_host};
use super::{Credential, KeychainError};
use crate::{RepositoryName, Secret};

/// Standard base64; tools disagree about the padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user name by which credential helpers mark an identity token.
pub(super) const TOKEN_USER: &str = "<token>";

/// One configuration, with the place it was read from.
pub(super) struct DockerConfig {
    /// The file or variable, as people write it.
    pub(super) place: String,
    content: Content,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl DockerConfig {
    /// Parses a configuration. Unknown keys are those of other tools and are left alone.
    pub(super) fn parse(place: String, json: &[u8]) -> Result<Self, KeychainError> {
        match serde_json::from_slice(json) {
            Ok(content) => Ok(DockerConfig { place, content }),
            Err(e) => Err(KeychainError::Malformed { place, reason: describe(&e) }),
        }
    }

    /// The helper that is configured for a repository's registry: its own, else the one for all.
    pub(super) fn helper(&self, repository: &RepositoryName) -> Option<&str> {
        let host = normalise_host(repository.registry());
        let own = self
            .content
            .cred_helpers
            .iter()
            .find(|(key, _)| CredentialScope::parse(key) == CredentialScope::parse(&host));
        let helper = own.map_or(self.content.creds_store.as_str(), |(_, helper)| helper);
        (!helper.is_empty()).then_some(helper)
    }

    /// The credential that stands in the configuration itself, under the longest key that covers the repository.
    pub(super) fn stored(&self, repository: &RepositoryName) -> Result<Option<Credential>, KeychainError> {
        let covering = self.content.auths.iter().filter_map(|(key, entry)| {
            let length = CredentialScope::parse(key).covers(repository)?;
            Some((length, key, entry))
        });
        // An entry without content marks what `docker login` gave to a helper.
        let filled = covering.filter(|(_, _, entry)| !entry.is_empty());
        match filled.max_by_key(|(length, _, _)| *length) {
            Some((_, key, entry)) => entry.credential(key, &self.place).map(Some),
            None => Ok(None),
        }
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        [&self.auth, &self.username, &self.identitytoken, &self.registrytoken].iter().all(|field| field.is_empty())
    }

    /// The credential of an entry: tokens come first, as in Docker.
    fn credential(&self, key: &str, place: &str) -> Result<Credential, KeychainError> {
        let source = place.to_owned();
        if !self.registrytoken.is_empty() {
            let secret = Secret::new(&*self.registrytoken);
            return Ok(Credential::RegistryToken { secret, source });
        }
        if !self.identitytoken.is_empty() {
            let secret = Secret::new(&*self.identitytoken);
            return Ok(Credential::IdentityToken { secret, source });
        }
        if self.auth.is_empty() {
            return Ok(login(&self.username, &self.password, source));
        }
        let malformed = |reason: &str| KeychainError::Malformed {
            place: place.to_owned(),
            reason: format!("`auth` of `{key}` {reason}"),
        };
        let bytes = BASE64.decode(self.auth.trim()).map_err(|_| malformed("is no base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| malformed("is not UTF-8 text"))?;
        let (user, password) =
            text.trim_end_matches('\0').split_once(':').ok_or_else(|| malformed("does not hold `user:password`"))?;
        Ok(login(user, password, source))
    }
}

/// A user name and password, or the identity token that a user `<token>` marks.
pub(super) fn login(user: &str, password: &str, source: String) -> Credential {
    let secret = Secret::new(password);
    if user == TOKEN_USER {
        return Credential::IdentityToken { secret, source };
    }
    Credential::Password { username: user.to_owned(), secret, source }
}

/// Where a JSON text goes wrong. serde's own message can quote the value, which may be a secret.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a value has the wrong type",
        serde_json::error::Category::Eof => "the JSON ends too early",
        _ => "this is no JSON",
    };
    format!("{what}, at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> DockerConfig {
        DockerConfig::parse("config.json".to_owned(), json.as_bytes()).unwrap()
    }

    fn user(credential: Option<Credential>) -> Option<String> {
        match credential? {
            Credential::Password { username, .. } => Some(username),
            Credential::IdentityToken { .. } => Some("(identity)".to_owned()),
            Credential::RegistryToken { .. } => Some("(registry)".to_owned()),
        }
    }

    #[test]
    fn the_longest_key_wins() {
        // YTpi is a:b, YzpkOmU= is c:d:e.
        let config = config(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "YTpi"},
                "quay.io": {"auth": "YTpi"},
                "quay.io/team": {"auth": "YzpkOmU"},
                "quay.io/team/empty": {},
                "plain.io": {"username": "u", "password": "p"},
                "id.io": {"auth": "YTpi", "identitytoken": "t"},
                "token.io": {"registrytoken": "t"},
                "helper.io": {"username": "<token>", "password": "p"}
            }, "HttpHeaders": {"x": "y"}}"#,
        );
        for (name, expected) in [
            ("debian", Some("a")),
            ("quay.io/other", Some("a")),
            ("quay.io/team/x", Some("c")),
            ("quay.io/team/empty", Some("c")),
            ("plain.io/x", Some("u")),
            ("id.io/x", Some("(identity)")),
            ("token.io/x", Some("(registry)")),
            ("helper.io/x", Some("(identity)")),
            ("nowhere.io/x", None),
        ] {
            let found = config.stored(&name.parse().unwrap()).unwrap();
            assert_eq!(user(found).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn the_password_may_hold_colons() {
        let config = config(r#"{"auths": {"quay.io": {"auth": "YzpkOmU="}}}"#);
        let found = config.stored(&"quay.io/x".parse().unwrap()).unwrap();
        let Some(Credential::Password { secret, source, .. }) = found else { panic!("{found:?}") };
        assert_eq!((secret.expose(), source.as_str()), ("d:e", "config.json"));
    }

    #[test]
    fn a_hosts_own_helper_comes_before_the_store() {
        let config = config(r#"{"credsStore": "desktop", "credHelpers": {"https://quay.io": "quay", "off.io": ""}}"#);
        let helper = |name: &str| config.helper(&name.parse().unwrap()).map(str::to_owned);
        assert_eq!(helper("quay.io/x").as_deref(), Some("quay"));
        assert_eq!(helper("debian").as_deref(), Some("desktop"));
        assert_eq!(helper("off.io/x"), None);
    }

    #[test]
    fn malformed_configurations_are_errors_without_secrets() {
        for (json, words) in [
            (&b"{\n  \"auths\": [\"hunter2\"]}"[..], "line 2"),
            (b"{\"auths\": {\"a.b\": \"hunter2\"}}", "wrong type"),
            (b"hunter2", "no JSON"),
            (b"{\"auths\":", "too early"),
        ] {
            let error = DockerConfig::parse("x.json".to_owned(), json).err().unwrap();
            let text = error.to_string();
            assert!(text.contains(words) && text.contains("x.json"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        for auth in ["hunter2!", "aHVudGVyMg=="] {
            let config = config(&format!(r#"{{"auths": {{"a.b": {{"auth": "{auth}"}}}}}}"#));
            let text = config.stored(&"a.b/c".parse().unwrap()).unwrap_err().to_string();
            assert!(text.contains("`a.b`") && !text.contains("hunter2"), "{text}");
        }
    }
}
