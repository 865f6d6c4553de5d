//! Who may ask a registry for a repository.
//!
//! Credentials are looked up in this order; the first place that has some for the repository wins:
//!
//! 1. what the caller gave ([`Keychain::with_credential`]);
//! 2. `STEPRUN_<HOST>_USER` and `STEPRUN_<HOST>_PASSWORD`, then the same with `KANIKO_`: the host in upper case with `_` for
//!    everything else than letters and digits, with the port first, then without;
//! 3. `DOCKER_AUTH_CONFIG`: the JSON itself or, as GitLab's file-type variables have it, the path of a file that holds it;
//! 4. `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`;
//! 5. `$REGISTRY_AUTH_FILE`;
//! 6. `$XDG_RUNTIME_DIR/containers/auth.json`, then `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config` by default);
//! 7. GitLab's `CI_REGISTRY`, `CI_REGISTRY_USER`, `CI_REGISTRY_PASSWORD` and the same for its dependency proxy, for that host.
//!
//! Inside a configuration file a helper (`credHelpers`, then `credsStore`) comes before `auths`, as in Docker.

mod docker_config;
mod environment;
mod helper;
mod login;
mod scope;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::{RegistryName, RepositoryName, Secret};
use docker_config::DockerConfig;
pub use environment::Environment;
pub use login::Logins;
use scope::{CredentialScope, normalise_host};

/// A user name and password, or a token, with the place it came from.
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

    /// Who it is and where it came from, for messages: `user ci, credentials from ~/.docker/config.json`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Credential::Password { username, source, .. } => format!("user `{username}`, credentials from {source}"),
            Credential::IdentityToken { source, .. } => format!("identity token from {source}"),
            Credential::RegistryToken { source, .. } => format!("registry token from {source}"),
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
    #[error("credential helper `docker-credential-{helper}`, which {place} names for {registry}, failed: {reason}")]
    Helper {
        /// The program's name without `docker-credential-`.
        helper: String,
        /// The file that names it.
        place: String,
        /// The registry it was asked for.
        registry: String,
        /// Why.
        reason: String,
    },
}

type Answer = Arc<OnceCell<Option<Credential>>>;

/// All places where credentials are looked up. Each file is read once, when the first credential is asked for, and each helper
/// is run once for each registry.
#[derive(Clone)]
pub struct Keychain {
    given: Vec<(CredentialScope, Credential)>,
    environment: Environment,
    configs: Arc<OnceCell<Vec<DockerConfig>>>,
    answers: Arc<Mutex<HashMap<(String, String), Answer>>>,
}

impl Keychain {
    /// The places that `environment` names.
    pub fn new(environment: Environment) -> Self {
        Keychain { given: Vec::new(), environment, configs: Arc::default(), answers: Arc::default() }
    }

    /// No credentials at all.
    pub fn anonymous() -> Self {
        Keychain::new(Environment::default())
    }

    /// Adds credentials that come before all others. `scope` is a host, with the port if there is one, and may go on with a
    /// path: `registry.example.com/team`.
    pub fn with_credential(mut self, scope: &str, credential: Credential) -> Self {
        self.given.push((CredentialScope::parse(scope), credential));
        self
    }

    /// The credentials for a repository, from the first place that has some.
    ///
    /// # Errors
    /// A place that exists but can't be read or is malformed, or a helper that fails. They are not passed over: a build that
    /// silently goes on without the credentials it was given fails later and elsewhere.
    pub async fn credential(&self, repository: &RepositoryName) -> Result<Option<Credential>, KeychainError> {
        if let Some(given) = self.given(repository) {
            return Ok(Some(given));
        }
        if let Some(variables) = self.in_variables(repository)? {
            return Ok(Some(variables));
        }
        let load = || async { self.load_configs() };
        for config in self.configs.get_or_try_init(load).await? {
            if let Some(found) = self.in_config(config, repository).await? {
                return Ok(Some(found));
            }
        }
        Ok(self.of_gitlab(repository))
    }

    /// The credentials for all of a registry, from the first place that has some.
    ///
    /// # Errors
    /// As [`Keychain::credential`].
    pub async fn of_registry(&self, registry: &RegistryName) -> Result<Option<Credential>, KeychainError> {
        self.credential(&registry.itself()).await
    }

    fn given(&self, repository: &RepositoryName) -> Option<Credential> {
        let covering =
            self.given.iter().filter_map(|(scope, credential)| Some((scope.covers(repository)?, credential)));
        covering.max_by_key(|(length, _)| *length).map(|(_, credential)| credential.clone())
    }

    /// `STEPRUN_<HOST>_USER` and `_PASSWORD`. Two variables instead of one JSON, so that a CI can mask the password.
    fn in_variables(&self, repository: &RepositoryName) -> Result<Option<Credential>, KeychainError> {
        for prefix in ["STEPRUN", "KANIKO"] {
            for host in variable_names(repository.registry()) {
                let user_name = format!("{prefix}_{host}_USER");
                let password_name = format!("{prefix}_{host}_PASSWORD");
                match (self.environment.text(&user_name), self.environment.text(&password_name)) {
                    (Some(user), Some(password)) => {
                        let source = format!("{user_name} and {password_name}");
                        return Ok(Some(docker_config::login(user, password, source)));
                    }
                    (None, None) => {}
                    (set, _) => {
                        let (place, lacking) = match set {
                            Some(_) => (user_name, password_name),
                            None => (password_name, user_name),
                        };
                        let reason = format!("{lacking} is not set or empty");
                        return Err(KeychainError::Malformed { place, reason });
                    }
                }
            }
        }
        Ok(None)
    }

    async fn in_config(
        &self,
        config: &DockerConfig,
        repository: &RepositoryName,
    ) -> Result<Option<Credential>, KeychainError> {
        if let Some(helper) = config.helper(repository)
            && let Some(found) = self.by_helper(helper, config, repository).await?
        {
            return Ok(Some(found));
        }
        config.stored(repository)
    }

    async fn by_helper(
        &self,
        helper: &str,
        config: &DockerConfig,
        repository: &RepositoryName,
    ) -> Result<Option<Credential>, KeychainError> {
        let server = server_of(repository.registry());
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (helper.to_owned(), server.clone());
            Arc::clone(answers.entry(key).or_default())
        };
        let source = format!("docker-credential-{helper} ({})", config.place);
        let ask = || helper::ask(helper, &server, source, &self.environment);
        let failed = |reason| KeychainError::Helper {
            helper: helper.to_owned(),
            place: config.place.clone(),
            registry: repository.registry().to_owned(),
            reason,
        };
        answer.get_or_try_init(ask).await.cloned().map_err(failed)
    }

    /// GitLab's own registry and dependency proxy, for jobs that run there.
    fn of_gitlab(&self, repository: &RepositoryName) -> Option<Credential> {
        let host = normalise_host(repository.registry());
        let kinds = [("CI_REGISTRY", "CI_REGISTRY"), ("CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY")];
        kinds.into_iter().find_map(|(server, prefix)| {
            let configured = self.environment.text(server)?;
            let matches = normalise_host(configured) == host;
            let user_name = format!("{prefix}_USER");
            let password_name = format!("{prefix}_PASSWORD");
            let user = self.environment.text(&user_name).filter(|_| matches)?;
            let password = self.environment.text(&password_name)?;
            let source = format!("{user_name} and {password_name}");
            Some(docker_config::login(user, password, source))
        })
    }

    /// Reads every configuration that exists.
    fn load_configs(&self) -> Result<Vec<DockerConfig>, KeychainError> {
        let mut configs = Vec::new();
        match self.environment.text("DOCKER_AUTH_CONFIG") {
            Some(path) if path.starts_with('/') => configs.extend(self.load_file(&path.into())?),
            Some(json) => {
                let place = "DOCKER_AUTH_CONFIG".to_owned();
                configs.push(DockerConfig::parse(place, json.as_bytes())?);
            }
            None => {}
        }
        for file in self.config_files() {
            configs.extend(self.load_file(&file)?);
        }
        Ok(configs)
    }

    fn config_files(&self) -> Vec<PathBuf> {
        let env = &self.environment;
        let under_home = |path: &str| env.home().map(|home| home.join(path));
        let docker = env.path("DOCKER_CONFIG").or_else(|| under_home(".docker"));
        let runtime = env.path("XDG_RUNTIME_DIR");
        let config = env.path("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
        let files = [
            docker.map(|dir| dir.join("config.json")),
            env.path("REGISTRY_AUTH_FILE"),
            runtime.map(|dir| dir.join("containers/auth.json")),
            config.map(|dir| dir.join("containers/auth.json")),
        ];
        files.into_iter().flatten().collect()
    }

    /// Reads one file, if it exists.
    fn load_file(&self, path: &PathBuf) -> Result<Option<DockerConfig>, KeychainError> {
        let place = self.environment.display(path);
        match std::fs::read(path) {
            Ok(json) => DockerConfig::parse(place, &json).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
                let reason = "DOCKER_CONFIG must name the directory that holds config.json";
                let reason = format!("{e}; {reason}");
                Err(KeychainError::Unreadable { place, reason })
            }
            Err(e) => {
                let reason = e.to_string();
                Err(KeychainError::Unreadable { place, reason })
            }
        }
    }
}

/// The key by which `docker login` stores a registry's credentials.
fn server_of(registry: &str) -> String {
    match normalise_host(registry).as_str() {
        "index.docker.io" => "https://index.docker.io/v1/".to_owned(),
        _ => registry.to_owned(),
    }
}

/// How a registry's name stands in variables: `REGISTRY_EXAMPLE_COM_5000`, then `REGISTRY_EXAMPLE_COM`.
pub(crate) fn variable_names(registry: &str) -> Vec<String> {
    let name = |host: &str| -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        host.to_ascii_uppercase().chars().map(letter).collect()
    };
    let mut names = vec![name(registry)];
    if let Some((host, _port)) = registry.rsplit_once(':')
        && !host.ends_with(':')
    {
        names.push(name(host));
    }
    names
}

#[cfg(test)]
mod tests;
