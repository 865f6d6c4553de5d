//! Logging in and out: Docker's `config.json` is changed, or the credential helper that it names.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::docker_config::{BASE64, DockerConfig};
use super::{CredentialScope, Environment, KeychainError, helper, server_of};
use crate::{RegistryName, Secret};

/// The place where `docker login` keeps credentials: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`.
#[derive(Clone)]
pub struct Logins {
    environment: Environment,
    file: PathBuf,
}

impl Logins {
    /// The place that an environment names; none without a home directory.
    pub fn of(environment: Environment) -> Option<Self> {
        let directory = environment.path("DOCKER_CONFIG").or_else(|| Some(environment.home()?.join(".docker")))?;
        Some(Self { environment, file: directory.join("config.json") })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Keeps a user name and password for a registry; the registry is not asked. True if they stand in the file itself, which anybody who can read
    /// it can decode, and not with a helper.
    ///
    /// # Errors
    /// A file that can't be read, is malformed or can't be written, and a helper that fails.
    pub async fn log_in(&self, registry: &RegistryName, user: &str, password: &Secret) -> Result<bool, KeychainError> {
        let mut document = self.read()?;
        let server = server_of(registry.as_str());
        let helper = self.helper(&document, registry)?;
        let entry = match &helper {
            Some(helper) => {
                let input = json!({"ServerURL": server, "Username": user, "Secret": password.expose()});
                let input = Zeroizing::new(input.to_string());
                self.tell(helper, "store", input.as_bytes(), registry).await?;
                json!({})
            }
            None => {
                let plain = Zeroizing::new(format!("{user}:{}", password.expose()));
                json!({"auth": BASE64.encode(plain.as_bytes())})
            }
        };
        forget(&mut document, registry);
        self.auths(&mut document)?.insert(server, entry);
        self.write(&document)?;
        Ok(helper.is_none())
    }

    /// Forgets the credentials of a registry, if there are some.
    ///
    /// # Errors
    /// As [`Logins::log_in`].
    pub async fn log_out(&self, registry: &RegistryName) -> Result<(), KeychainError> {
        let mut document = self.read()?;
        if let Some(helper) = self.helper(&document, registry)? {
            self.tell(&helper, "erase", server_of(registry.as_str()).as_bytes(), registry).await?;
        }
        self.auths(&mut document)?;
        forget(&mut document, registry);
        self.write(&document)
    }

    fn place(&self) -> String {
        self.environment.display(&self.file)
    }

    fn read(&self) -> Result<Map<String, Value>, KeychainError> {
        let malformed = |reason: &str| KeychainError::Malformed {
            place: self.place(),
            reason: format!("{reason}; nothing was changed"),
        };
        match fs::read(&self.file) {
            Ok(content) => serde_json::from_slice(&content).map_err(|_| malformed("it is no JSON object")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &std::io::Error) -> KeychainError {
        KeychainError::Unreadable { place: self.place(), reason: error.to_string() }
    }

    /// The helper that the file names for a registry.
    fn helper(&self, document: &Map<String, Value>, registry: &RegistryName) -> Result<Option<String>, KeychainError> {
        let text = Zeroizing::new(Value::Object(document.clone()).to_string());
        let config = DockerConfig::parse(self.place(), text.as_bytes())?;
        Ok(config.helper(&registry.itself()).map(str::to_owned))
    }

    async fn tell(&self, name: &str, action: &str, input: &[u8], registry: &RegistryName) -> Result<(), KeychainError> {
        let failed = |reason| KeychainError::Helper {
            helper: name.to_owned(),
            place: self.place(),
            registry: registry.to_string(),
            reason,
        };
        helper::tell(name, action, input, &self.environment).await.map_err(failed)
    }

    fn auths<'d>(&self, document: &'d mut Map<String, Value>) -> Result<&'d mut Map<String, Value>, KeychainError> {
        let auths = document.entry("auths").or_insert_with(|| json!({}));
        let malformed = || KeychainError::Malformed { place: self.place(), reason: "`auths` is no object".to_owned() };
        auths.as_object_mut().ok_or_else(malformed)
    }

    /// Replaces the file whole, readable for its user only. A symlink stays; the file that it leads to is replaced.
    fn write(&self, document: &Map<String, Value>) -> Result<(), KeychainError> {
        let text = serde_json::to_vec_pretty(document).map(Zeroizing::new);
        let text = text.map_err(|error| self.unreadable(&error.into()))?;
        let unwritable = |error: std::io::Error| KeychainError::Unreadable {
            place: self.place(),
            reason: format!("it can't be written: {error}"),
        };
        let file = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        if let Some(parent) = file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(unwritable)?;
        }
        let temporary = file.with_extension(format!("json.{}", std::process::id()));
        let written = create_private(&temporary)
            .and_then(|mut open| open.write_all(&text).and_then(|()| open.sync_all()))
            .and_then(|()| fs::rename(&temporary, &file));
        written.map_err(|error| {
            // The failure is what counts.
            let _ = fs::remove_file(&temporary);
            unwritable(error)
        })
    }
}

fn create_private(path: &Path) -> std::io::Result<fs::File> {
    // One that a killed process of this number left is nobody's.
    let _ = fs::remove_file(path);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Takes all entries for exactly this registry away, however their keys are written.
fn forget(document: &mut Map<String, Value>, registry: &RegistryName) {
    let own = CredentialScope::parse(registry.as_str());
    if let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) {
        auths.retain(|key, _| CredentialScope::parse(key) != own);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Credential, Keychain};

    fn environment(home: &Path) -> Environment {
        let path = format!("{}:{}", home.display(), std::env::var("PATH").unwrap());
        Environment::new([("HOME", home.to_str().unwrap()), ("PATH", &path)])
    }

    fn content(logins: &Logins) -> Value {
        serde_json::from_slice(&fs::read(logins.file()).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn what_is_logged_in_is_found_until_it_is_logged_out() {
        let home = tempfile::tempdir().unwrap();
        let logins = Logins::of(environment(home.path())).unwrap();
        let registry: RegistryName = "r.example:5000".parse().unwrap();
        assert!(logins.log_in(&registry, "ci", &Secret::new("correct:horse")).await.unwrap());
        assert_eq!(content(&logins), json!({"auths": {"r.example:5000": {"auth": "Y2k6Y29ycmVjdDpob3JzZQ=="}}}));
        assert_eq!(fs::metadata(logins.file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(logins.file().parent().unwrap()).unwrap().count(), 1);
        let found = Keychain::new(environment(home.path())).of_registry(&registry).await.unwrap();
        let Some(Credential::Password { username, secret, .. }) = found else { panic!("{found:?}") };
        assert_eq!((username.as_str(), secret.expose()), ("ci", "correct:horse"));
        logins.log_out(&registry).await.unwrap();
        assert_eq!(content(&logins), json!({"auths": {}}));
        assert_eq!(Keychain::new(environment(home.path())).of_registry(&registry).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_others_wrote_stays() {
        let home = tempfile::tempdir().unwrap();
        let logins = Logins::of(environment(home.path())).unwrap();
        let before = json!({
            "auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}, "docker.io": {"auth": "YTpi"}, "r.example": {"auth": "YTpi"}},
            "HttpHeaders": {"x": "y"}, "credHelpers": {"cloud.example": "cloud"},
        });
        fs::create_dir(home.path().join(".docker")).unwrap();
        fs::write(home.path().join("real.json"), before.to_string()).unwrap();
        std::os::unix::fs::symlink("../real.json", logins.file()).unwrap();
        logins.log_in(&"docker.io".parse().unwrap(), "c", &Secret::new("d")).await.unwrap();
        let after = content(&logins);
        assert!(logins.file().is_symlink());
        assert_eq!((&after["HttpHeaders"], &after["credHelpers"]), (&before["HttpHeaders"], &before["credHelpers"]));
        assert_eq!(
            after["auths"],
            json!({"r.example": {"auth": "YTpi"}, "https://index.docker.io/v1/": {"auth": "Yzpk"}})
        );
        fs::write(logins.file(), "{hunter2").unwrap();
        let error = logins.log_out(&"r.example".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("nothing was changed") && !error.contains("hunter2"), "{error}");
        assert_eq!(fs::read(logins.file()).unwrap(), b"{hunter2");
    }

    #[tokio::test]
    async fn a_helper_keeps_what_it_is_named_for() {
        let home = tempfile::tempdir().unwrap();
        let logins = Logins::of(environment(home.path())).unwrap();
        let helper = home.path().join("docker-credential-box");
        let script = "#!/bin/sh\necho \"$1 $(cat)\" >> \"$HOME/said\"\n[ \"$1\" != erase ] || exit 3\n";
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(home.path().join(".docker")).unwrap();
        fs::write(logins.file(), r#"{"credsStore": "box"}"#).unwrap();
        let registry = "r.example".parse().unwrap();
        assert!(!logins.log_in(&registry, "u", &Secret::new("hunter2")).await.unwrap());
        let said = fs::read_to_string(home.path().join("said")).unwrap();
        assert_eq!(said, "store {\"ServerURL\":\"r.example\",\"Username\":\"u\",\"Secret\":\"hunter2\"}\n");
        assert_eq!(content(&logins)["auths"], json!({"r.example": {}}));
        let error = logins.log_out(&registry).await.unwrap_err().to_string();
        assert!(error.contains("docker-credential-box") && error.contains("`erase`: exit status: 3"), "{error}");
    }
}
