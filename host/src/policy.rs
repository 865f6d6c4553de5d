//! The runner's policy: what its administrator allows at most. It narrows what arguments and flags grant, and grants nothing itself.
//!
//! `/etc/steprun/policy.toml` holds always, each `--policy FILE` besides. A file that can't be read or understood denies everything: the run does
//! not begin.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use steprun_client::{RegistryName, RepositoryName};
use steprun_sandbox::Rung;

use crate::bindings::exported::RegistryAccess;
use crate::cli::arguments::Arguments;
use crate::error::{CallError, CallResult};
use crate::exit::{Exit, Failure};
use crate::grants::{self, CommandNetwork};

/// The administrator's.
const SYSTEM: &str = "/etc/steprun/policy.toml";

/// All policies that hold; each of them must allow what is done.
#[derive(Debug, Clone, Default)]
pub struct Policies(Vec<Policy>);

#[derive(Debug, Clone)]
struct Policy {
    file: PathBuf,
    rules: Rules,
}

/// What a file says. What it does not mention it does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rules {
    steps: Steps,
    registries: Registries,
    sources: Sources,
    run: Run,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Steps {
    /// Built-in names, and digests of components: `sha256:...`.
    allow: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Registries {
    /// `registry.example`, `registry.example/team`, `*.example`: all repositories below.
    pull: Option<Vec<String>>,
    /// The same, for pushing and deleting.
    push: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sources {
    /// Where files and Git repositories may be fetched from: `files.example`, `git.example/team`, `*.example`: all below.
    fetch: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Run {
    allow: Option<bool>,
    /// Hosts; `*` is all, an empty list none.
    network: Option<Vec<String>>,
    /// The weakest sandbox that is good enough.
    isolation: Option<AtLeast>,
}

/// A rung in the words of `--isolation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AtLeast {
    Supervised,
    Chroot,
    Userns,
}

impl Policy {
    /// The policy in a file; `None` if there is no such file.
    fn load(file: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| Self::broken(file, error))?,
        };
        let rules = toml::from_str(&text).map_err(|error| Self::broken(file, error))?;
        Ok(Some(Self { file: file.to_owned(), rules }))
    }

    fn broken(file: &Path, reason: impl std::fmt::Display) -> Failure {
        Failure::new(Exit::Denied, format!("the policy `{}` can't be used, so nothing is allowed", file.display()))
            .because(reason)
    }
}

impl Policies {
    /// The administrator's policy, if there is one.
    ///
    /// # Errors
    /// [`Exit::Denied`] for a file that can't be read or understood.
    pub fn of_system() -> Result<Self, Failure> {
        Ok(Self(Policy::load(Path::new(SYSTEM))?.into_iter().collect()))
    }

    /// These and the caller's.
    ///
    /// # Errors
    /// [`Exit::Denied`] for a file that is missing, or can't be read or understood.
    pub fn and<'a>(mut self, files: impl IntoIterator<Item = &'a PathBuf>) -> Result<Self, Failure> {
        for file in files {
            let missing = || Policy::broken(file, "there is no such file");
            self.0.push(Policy::load(file)?.ok_or_else(missing)?);
        }
        Ok(self)
    }

    /// Fails unless a step may run: by its built-in name or the digest of its component.
    ///
    /// # Errors
    /// [`Exit::Denied`].
    pub fn check_step(&self, name: &str, digest: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.0.iter().all(|policy| policy.rules.steps.allow.is_none()) {
            return Ok(());
        }
        let digest = digest();
        let forbids = |policy: &&Policy| {
            let allowed = policy.rules.steps.allow.as_ref();
            allowed.is_some_and(|allowed| !allowed.iter().any(|known| known == name || *known == digest))
        };
        match self.0.iter().find(forbids) {
            None => Ok(()),
            Some(policy) => Err(Failure::new(Exit::Denied, format!("the step `{name}` is not allowed here")).because(
                format!("`steps.allow` in the policy `{}` names neither it nor {digest}", policy.file.display()),
            )),
        }
    }

    /// Fails unless all repositories that arguments name may be used in the way that the arguments grant.
    ///
    /// # Errors
    /// `denied`.
    pub fn check_arguments(&self, arguments: &Arguments) -> CallResult<()> {
        for values in arguments.values.values() {
            values.repositories().into_iter().try_for_each(|(name, access)| self.check_repository(name, access))?;
            values.sources()?.iter().try_for_each(|place| self.check_source(place))?;
            values.catalogs().iter().try_for_each(|registry| self.check_catalog(registry))?;
        }
        Ok(())
    }

    /// Fails unless a repository may be used.
    ///
    /// # Errors
    /// `denied`, without a remedy: no flag helps.
    pub fn check_repository(&self, name: &RepositoryName, access: RegistryAccess) -> CallResult<()> {
        for Policy { file, rules } in &self.0 {
            let pulls = access == RegistryAccess::Pull;
            let (list, key) = if pulls { (&rules.registries.pull, "pull") } else { (&rules.registries.push, "push") };
            if list.as_ref().is_some_and(|list| !list.iter().any(|pattern| covers(pattern, &name.to_string()))) {
                let reason = format!("`registries.{key}` in the policy `{}` does not name it", file.display());
                return Err(CallError::denied(grants::capability(access), name, reason, None));
            }
        }
        Ok(())
    }

    /// Fails unless something may be fetched: `host[:port]/path`.
    ///
    /// # Errors
    /// `denied`, without a remedy: no flag helps.
    pub fn check_source(&self, place: &str) -> CallResult<()> {
        let forbids = |rules: &Rules| {
            rules.sources.fetch.as_ref().is_some_and(|list| !list.iter().any(|pattern| covers(pattern, place)))
        };
        match self.0.iter().find(|policy| forbids(&policy.rules)) {
            None => Ok(()),
            Some(Policy { file, .. }) => {
                let reason = format!("`sources.fetch` in the policy `{}` does not name it", file.display());
                Err(CallError::denied("sources.fetch", place, reason, None))
            }
        }
    }

    /// Fails unless all of a registry may be read.
    ///
    /// # Errors
    /// `denied`.
    pub fn check_catalog(&self, registry: &RegistryName) -> CallResult<()> {
        for Policy { file, rules } in &self.0 {
            // A pattern for a part of the registry does not cover a name without a path.
            let whole = |pattern: &String| covers(pattern, registry.as_str());
            if rules.registries.pull.as_ref().is_some_and(|list| !list.iter().any(whole)) {
                let reason = format!("`registries.pull` in the policy `{}` does not name all of it", file.display());
                return Err(CallError::denied("registry.catalog", registry, reason, None));
            }
        }
        Ok(())
    }

    /// Fails unless commands may run at all.
    ///
    /// # Errors
    /// `denied`.
    pub fn check_run(&self, command: &str) -> CallResult<()> {
        match self.0.iter().find(|policy| policy.rules.run.allow == Some(false)) {
            None => Ok(()),
            Some(Policy { file, .. }) => {
                let reason = format!("`run.allow` in the policy `{}` is false", file.display());
                Err(CallError::denied("snapshots.run", command, reason, None))
            }
        }
    }

    /// What is left of a network that the caller granted.
    pub fn narrow(&self, granted: CommandNetwork) -> CommandNetwork {
        let lists = self.0.iter().filter_map(|policy| policy.rules.run.network.as_ref());
        lists.fold(granted, |granted, list| {
            let any = list.iter().any(|host| host == "*");
            match granted {
                granted if any => granted,
                CommandNetwork::All if !list.is_empty() => CommandNetwork::Hosts(list.clone()),
                CommandNetwork::Hosts(hosts) => {
                    // A pattern of the caller's stays only if the policy says the same: which of two patterns is the narrower one can't be told in general.
                    let both: Vec<String> = hosts
                        .into_iter()
                        .filter(|host| list.iter().any(|known| known == host || host_covers(known, host)))
                        .collect();
                    if both.is_empty() { CommandNetwork::None } else { CommandNetwork::Hosts(both) }
                }
                CommandNetwork::All | CommandNetwork::None => CommandNetwork::None,
            }
        })
    }

    /// Fails unless a sandbox is strong enough.
    ///
    /// # Errors
    /// `denied`.
    pub fn check_rung(&self, rung: Rung) -> CallResult<()> {
        let rung_of = |word: AtLeast| match word {
            AtLeast::Supervised => Rung::Supervised,
            AtLeast::Chroot => Rung::Chroot,
            AtLeast::Userns => Rung::Userns,
        };
        let wanted = self.0.iter().filter_map(|policy| Some((policy, rung_of(policy.rules.run.isolation?))));
        match wanted.max_by_key(|(_, wanted)| *wanted).filter(|(_, wanted)| *wanted > rung) {
            None => Ok(()),
            Some((Policy { file, .. }, wanted)) => Err(CallError::denied(
                "snapshots.run",
                format_args!("a sandbox of kind {}", rung.name()),
                format!("the policy `{}` wants at least `{}`", file.display(), wanted.name()),
                Some("`steprun doctor` tells what this place lacks for it".to_owned()),
            )),
        }
    }
}

/// Whether a pattern names a repository or a source (`host/path`): the host, or a path above it.
pub fn covers(pattern: &str, name: &str) -> bool {
    let (registry, path) = name.split_once('/').unwrap_or((name, ""));
    let (wanted, below) = pattern.split_once('/').unwrap_or((pattern, ""));
    let wanted = if wanted == "docker.io" { "index.docker.io" } else { wanted };
    let registry_fits = wanted == "*" || wanted == registry || host_covers(wanted, registry);
    let path_fits =
        below.is_empty() || path == below || path.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'));
    registry_fits && path_fits
}

/// `*.example.org` names all hosts below, not itself.
fn host_covers(pattern: &str, host: &str) -> bool {
    pattern
        .strip_prefix('*')
        .is_some_and(|suffix| suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(texts: &[&str]) -> Policies {
        let policy = |text: &&str| Policy { file: "p.toml".into(), rules: toml::from_str(text).unwrap() };
        Policies(texts.iter().map(policy).collect())
    }

    #[test]
    fn repositories_are_named_by_registry_or_path() {
        for (pattern, name, fits) in [
            ("*", "r.example/a", true),
            ("r.example", "r.example/a/b", true),
            ("r.example/a", "r.example/a", true),
            ("r.example/a", "r.example/a/b", true),
            ("r.example/a", "r.example/ab", false),
            ("*.example", "r.example/a", true),
            ("*.example", "example/a", false),
            ("docker.io/library", "index.docker.io/library/debian", true),
            ("r.example", "r.example.org/a", false),
            ("r.example", "r.example", true),
            ("r.example/a", "r.example", false),
        ] {
            assert_eq!(covers(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn all_policies_must_allow() {
        let both = policies(&["[registries]\npull = [\"*\"]", "[registries]\npull = [\"r.example\"]\npush = []"]);
        let check = |name: &str, access| both.check_repository(&name.parse().unwrap(), access).is_ok();
        assert!(check("r.example/a", RegistryAccess::Pull));
        assert!(!check("s.example/a", RegistryAccess::Pull));
        assert!(!check("r.example/a", RegistryAccess::Push));
        assert!(!check("r.example/a", RegistryAccess::Delete));
    }

    #[test]
    fn sources_are_named_by_host_or_path() {
        let policy = policies(&["[sources]\nfetch = [\"files.test\", \"git.test/team\", \"*.lan\"]"]);
        for (place, allowed) in [
            ("files.test/a.tar", true),
            ("git.test/team/app.git", true),
            ("git.test/teams/app.git", false),
            ("x.lan/a", true),
            ("files.test:81/a", false),
            ("elsewhere.test/a", false),
        ] {
            assert_eq!(policy.check_source(place).is_ok(), allowed, "{place}");
        }
        assert!(policies(&["[sources]\nfetch = []"]).check_source("a.test/b").is_err());
        assert!(policies(&[""]).check_source("a.test/b").is_ok());
    }

    #[test]
    fn a_policy_narrows_the_network() {
        let hosts = |hosts: &[&str]| CommandNetwork::Hosts(hosts.iter().map(|host| (*host).to_owned()).collect());
        let narrowed = |list: &str, granted| policies(&[&format!("[run]\nnetwork = {list}")]).narrow(granted);
        assert_eq!(narrowed("['*']", CommandNetwork::All), CommandNetwork::All);
        assert_eq!(narrowed("[]", CommandNetwork::All), CommandNetwork::None);
        assert_eq!(narrowed("['a']", CommandNetwork::All), hosts(&["a"]));
        assert_eq!(narrowed("['a', '*.b']", hosts(&["a", "c", "x.b"])), hosts(&["a", "x.b"]));
        assert_eq!(narrowed("['a']", hosts(&["c"])), CommandNetwork::None);
        assert_eq!(narrowed("['*']", CommandNetwork::None), CommandNetwork::None);
    }

    #[test]
    fn rungs_and_steps() {
        let strict = policies(&["[run]\nisolation = 'chroot'\n[steps]\nallow = ['build', 'sha256:1']"]);
        assert!(strict.check_rung(Rung::Userns).is_ok() && strict.check_rung(Rung::Chroot).is_ok());
        assert!(strict.check_rung(Rung::Supervised).is_err());
        assert!(
            strict.check_step("build", || "sha256:2".into()).is_ok()
                && strict.check_step("./x.wasm", || "sha256:1".into()).is_ok()
        );
        assert!(strict.check_step("promote", || "sha256:2".into()).is_err());
        assert!(policies(&["[run]\nallow = false"]).check_run("true").is_err());
        assert!(policies(&[""]).check_run("true").is_ok());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["[run]\nalow = true", "[other]", "run = 1", "[run]\nisolation = 'vm'", "["] {
            assert!(toml::from_str::<Rules>(text).is_err(), "{text}");
        }
    }
}
