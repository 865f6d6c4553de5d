//! The environment that credentials are looked up in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Environment variables, taken once. Explicit, so that no logic reads the process's own.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Environment::new(std::env::vars_os())
    }

    /// These variables; `HOME` is the home directory.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let owned = |(k, v): (K, V)| (k.into(), v.into());
        Environment { variables: variables.into_iter().map(owned).collect() }
    }

    /// All variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(k, v)| (k.as_os_str(), v.as_os_str()))
    }

    /// A variable that is set, not empty, and UTF-8. Credentials and host names are never anything else.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then_some(value)
    }

    /// A variable that is set and not empty, as a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// The home directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.path("HOME")
    }

    /// A path as people write it: `~/.docker/config.json`.
    pub(super) fn display(&self, path: &Path) -> String {
        match self.home().and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }
}
