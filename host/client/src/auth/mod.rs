//! Authentication: what to send along, and what to do about a 401.
//!
//! Nothing is asked beforehand. The first request to a registry goes out bare; its 401 tells how the registry authenticates, and
//! from then on requests carry a token or a password at once. One token is fetched for each set of scopes, however many requests
//! want it at the same time.

mod challenge;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};

use crate::exchange::wire::{Failure, Wire};
use crate::keychain::variable_names;
use crate::transport::hosts::is_machine_local;
use crate::{Credential, Error, Keychain, RegistryName, RepositoryName};
use challenge::{Challenge, challenges};
pub use token::TokenAnswer;
use token::{Realm, TokenCell};

/// What a request needs to be allowed to do, and in whose name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    /// The repository whose credentials are used.
    pub(crate) repository: RepositoryName,
    scopes: BTreeSet<String>,
}

impl Access {
    fn of(repository: &RepositoryName, actions: &str) -> Self {
        let scope = format!("repository:{}:{actions}", repository.repository());
        Access { repository: repository.clone(), scopes: BTreeSet::from([scope]) }
    }

    pub(crate) fn pull(repository: &RepositoryName) -> Self {
        Access::of(repository, "pull")
    }

    pub(crate) fn push(repository: &RepositoryName) -> Self {
        Access::of(repository, "pull,push")
    }

    pub(crate) fn delete(repository: &RepositoryName) -> Self {
        Access::of(repository, "delete")
    }

    /// Listing the repositories of a registry.
    pub(crate) fn catalog(registry: &RegistryName) -> Self {
        Access { repository: registry.itself(), scopes: BTreeSet::from(["registry:catalog:*".to_owned()]) }
    }

    /// Pushing, and pulling from another repository of the same registry.
    pub(crate) fn mount(repository: &RepositoryName, from: &RepositoryName) -> Self {
        Access::push(repository).and_pull(from)
    }

    /// The same, and pulling from another repository of the same registry.
    pub(crate) fn and_pull(mut self, from: &RepositoryName) -> Self {
        self.scopes.extend(Access::pull(from).scopes);
        self
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<_> = self.scopes.iter().map(String::as_str).collect();
        f.write_str(&scopes.join(" "))
    }
}

/// How a registry authenticates, learnt from its last challenge.
#[derive(Clone)]
enum Method {
    Basic,
    Bearer(Realm),
}

/// Everything learnt about how to authenticate.
pub(crate) struct Authenticator {
    keychain: Keychain,
    methods: Mutex<HashMap<String, Method>>,
    tokens: Mutex<HashMap<(String, Access), Arc<TokenCell>>>,
}

impl Authenticator {
    pub(crate) fn new(keychain: Keychain) -> Self {
        Authenticator { keychain, methods: Mutex::default(), tokens: Mutex::default() }
    }

    /// What to send with a request, from what is known by now.
    pub(crate) async fn authorization(&self, wire: &Wire, access: &Access) -> Result<Option<HeaderValue>, Failure> {
        let registry = access.repository.registry();
        let method = {
            let methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
            methods.get(registry).cloned()
        };
        match method {
            None => Ok(None),
            Some(method) => self.answer(wire, access, &method, None).await,
        }
    }

    /// What to send instead after a 401, or `None` if there is nothing better than what was `sent`.
    pub(crate) async fn challenged(
        &self,
        wire: &Wire,
        access: &Access,
        url: &Url,
        headers: &HeaderMap,
        sent: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let offered = challenges(headers);
        let find = |scheme: &str| offered.iter().find(|c| c.scheme == scheme);
        let method = match (find("bearer"), find("basic")) {
            (Some(bearer), _) => {
                if let Some(scope) = bearer.parameters.get("scope") {
                    self.token_cell(access).want(scope).await;
                }
                Method::Bearer(self.realm(access, url, bearer)?)
            }
            (None, Some(_)) => Method::Basic,
            (None, None) => return Ok(None),
        };
        {
            let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
            methods.insert(access.repository.registry().to_owned(), method.clone());
        }
        let better = self.answer(wire, access, &method, sent).await?;
        Ok(better.filter(|new| Some(new) != sent))
    }

    /// The header that answers a challenge. A token equal to the one in `stale` is fetched anew.
    async fn answer(
        &self,
        wire: &Wire,
        access: &Access,
        method: &Method,
        stale: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let credential = self.credential(access).await?;
        match (method, credential) {
            (_, Some(Credential::RegistryToken { secret, .. })) => Ok(Some(secret_header("Bearer", secret.expose()))),
            (Method::Bearer(realm), credential) => {
                let cell = self.token_cell(access);
                let token = cell.token(wire, access, realm, credential.as_ref(), stale).await?;
                Ok(Some(token))
            }
            (Method::Basic, Some(Credential::Password { username, secret, .. })) => {
                Ok(Some(basic(&username, secret.expose())))
            }
            (Method::Basic, _) => Ok(None),
        }
    }

    /// A token of a registry's token server, for callers that talk to the registry themselves. `headers` are those of its 401 to a request
    /// for `url`.
    pub(crate) async fn ask(
        &self,
        wire: &Wire,
        access: &Access,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<TokenAnswer, Error> {
        let offered = challenges(headers);
        let Some(bearer) = offered.iter().find(|challenge| challenge.scheme == "bearer") else {
            let scheme = offered.first().map_or("", |challenge| challenge.scheme.as_str());
            // crane's words: scripts look for them.
            let reason = format!("challenge scheme \"{scheme}\" is not bearer");
            return Err(Error::Invalid { subject: access.repository.registry().to_owned(), reason });
        };
        let credential = self.credential(access).await?;
        token::ask(wire, access, &self.realm(access, url, bearer)?, credential.as_ref()).await
    }

    fn token_cell(&self, access: &Access) -> Arc<TokenCell> {
        let key = (access.repository.registry().to_owned(), access.clone());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tokens.entry(key).or_default())
    }

    /// The token server that a registry names. It gets credentials, so it must be reached by TLS unless the registry itself is
    /// not, and it can't be this machine or its link unless the registry is.
    fn realm(&self, access: &Access, url: &Url, bearer: &Challenge) -> Result<Realm, Error> {
        let registry = access.repository.registry();
        let invalid = |reason: String| Error::Invalid { subject: access.repository.to_string(), reason };
        let text = bearer
            .parameters
            .get("realm")
            .ok_or_else(|| invalid(format!("{registry} asks for a token but names no `realm` to get it from")))?;
        let realm =
            Url::parse(text).map_err(|e| invalid(format!("{registry} names the malformed realm `{text}`: {e}")))?;
        let plain = url.scheme() == "http";
        if realm.scheme() != "https" && !(plain && realm.scheme() == "http") {
            return Err(invalid(format!("{registry} names the realm `{text}`; credentials are sent by https only")));
        }
        let local = |url: &Url| is_machine_local(url.host_str().unwrap_or_default());
        if local(&realm) && !local(url) {
            return Err(invalid(format!(
                "{registry} names the realm `{text}`, an address of this machine or its link; refused"
            )));
        }
        Ok(Realm { url: realm, service: bearer.parameters.get("service").cloned() })
    }

    async fn credential(&self, access: &Access) -> Result<Option<Credential>, Error> {
        let found = self.keychain.credential(&access.repository).await;
        found.map_err(|e| Error::Invalid { subject: access.repository.to_string(), reason: e.to_string() })
    }

    /// Whose name requests were sent in, for messages.
    pub(crate) async fn describe(&self, access: &Access) -> String {
        match self.credential(access).await {
            Ok(Some(credential)) => credential.describe(),
            Ok(None) => format!("no credentials found for {}", access.repository.registry()),
            Err(e) => e.to_string(),
        }
    }

    /// The error for a 401 that could not be answered.
    pub(crate) async fn unauthorized(&self, access: &Access, subject: &str, reason: String) -> Error {
        let registry = access.repository.registry();
        let variable = &variable_names(registry)[0];
        Error::Unauthorized {
            subject: subject.to_owned(),
            reason,
            credentials: self.describe(access).await,
            scope: access.to_string(),
            remedy: format!(
                "log in with `steprun auth login {registry}`, or set STEPRUN_{variable}_USER and STEPRUN_{variable}_PASSWORD"
            ),
        }
    }
}

/// `Basic` with a user name and password (RFC 7617).
fn basic(username: &str, password: &str) -> HeaderValue {
    secret_header("Basic", &STANDARD.encode(format!("{username}:{password}")))
}

/// A header that is not printed.
fn secret_header(scheme: &str, value: &str) -> HeaderValue {
    let text = format!("{scheme} {}", value.trim());
    // A token with control characters is no token; sent empty, it is refused with words.
    let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    header.set_sensitive(true);
    header
}
