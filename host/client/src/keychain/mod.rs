//! Who may ask a registry for a repository.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::{RepositoryName, Secret};

/// A user name and password, or an identity token, with the place they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// For HTTP Basic, or to be exchanged for a bearer token.
    Password {
        /// The user's name.
        username: String,
        /// The password.
        secret: Secret,
        /// Where it came from, in words: `~/.docker/config.json`.
        source: String,
    },
    /// An OAuth2 refresh token (user `<token>` of the credential-helper protocol).
    IdentityToken {
        /// The token.
        secret: Secret,
        /// Where it came from.
        source: String,
    },
    /// A bearer token to be sent as it is (`registrytoken` of a Docker configuration).
    RegistryToken {
        /// The token.
        secret: Secret,
        /// Where it came from.
        source: String,
    },
}

impl Credential {
    /// Where it came from, in words: `~/.docker/config.json`.
    pub fn source(&self) -> &str {
        match self {
            Credential::Password { source, .. }
            | Credential::IdentityToken { source, .. }
            | Credential::RegistryToken { source, .. } => source,
        }
    }
}

/// A place that should hold credentials and can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeychainError {
    /// A configuration that can't be read.
    #[error("credentials in {place} can't be read: {reason}")]
    Unreadable {
        /// The file or variable.
        place: String,
        /// Why.
        reason: String,
    },
    /// A configuration that is malformed.
    #[error("credentials in {place} are malformed: {reason}")]
    Malformed {
        /// The file or variable.
        place: String,
        /// What is wrong, with line and column where there are some.
        reason: String,
    },
    /// A credential helper that failed.
    #[error("credential helper `{helper}`, which {place} names for {registry}, failed: {reason}")]
    Helper {
        /// The program.
        helper: String,
        /// The file that names it.
        place: String,
        /// The registry it was asked for.
        registry: String,
        /// Why.
        reason: String,
    },
}

/// The environment variables that credentials are looked up in. Explicit, so that no logic reads the process's own.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        todo!()
    }

    /// These variables; `HOME` is the home directory.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let _ = variables.into_iter();
        todo!()
    }
}

/// All places where credentials are looked up. Each is read once, when the first credential is asked for.
#[derive(Clone)]
pub struct Keychain;

impl Keychain {
    /// The places that `environment` names.
    pub fn new(environment: Environment) -> Self {
        todo!("{:?} {:?}", environment.variables, environment.home)
    }

    /// No credentials at all.
    pub fn anonymous() -> Self {
        todo!()
    }

    /// Adds credentials that come before all others. `scope` is a host, with the port if there is one, and may go on with a
    /// path: `registry.example.com/team`.
    pub fn with_credential(self, scope: &str, credential: Credential) -> Self {
        todo!("{scope} {credential:?}")
    }

    /// The credentials for a repository, from the first place that has some.
    ///
    /// # Errors
    /// A place that exists but can't be read, is malformed, or a helper that fails. They are not passed over: a build that
    /// silently goes on without the credentials it was given fails later and elsewhere.
    pub async fn credential(&self, repository: &RepositoryName) -> Result<Option<Credential>, KeychainError> {
        todo!("{repository}")
    }
}
