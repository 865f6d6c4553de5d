//! What the arguments of a call grant, beyond the handles themselves: a reader can see here all that a step could reach.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use steprun_client::{Digest, Namespace, RepositoryName, Selector};

use crate::bindings::exported::{RegistryAccess, ValueKind};
use crate::cli::arguments::{Arguments, ContextSource, ImageValue, SecretSource, Values};
use crate::cli::options::HostOptions;
use crate::error::{CallError, CallResult};
use crate::policy::{self, Policies};
use crate::registry::Place;

/// From where the images that a step's input names may be pulled. Asking for a name is itself a way out for data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulls {
    /// From any registry: the step is part of the host.
    Any,
    /// From these registries.
    From(BTreeSet<String>),
}

impl Pulls {
    /// The registries that arguments name, and those of `--allow-pull`, where `*` is any.
    pub fn of(arguments: &Arguments, allowed: &[String]) -> Self {
        if allowed.iter().any(|registry| registry == "*") {
            return Self::Any;
        }
        let named = arguments.values.values().flat_map(Values::repositories);
        let named = named.map(|(name, _)| name.registry().to_owned());
        let allowed = allowed.iter().map(|registry| match registry.as_str() {
            // The name that people use and the one that references are normalised to.
            "docker.io" => "index.docker.io".to_owned(),
            other => other.to_owned(),
        });
        Self::From(named.chain(allowed).collect())
    }

    /// Fails unless the registry of the name is granted.
    pub fn check(&self, name: &RepositoryName) -> CallResult<()> {
        match self {
            Self::Any => Ok(()),
            Self::From(registries) if registries.contains(name.registry()) => Ok(()),
            Self::From(_) => Err(CallError::denied(
                "registry.resolve",
                name,
                "a step that is not built in may only ask registries that an argument names, since a name can carry data out",
                Some(format!("`--allow-pull {}` would grant it", name.registry())),
            )),
        }
    }
}

/// From where files and Git repositories that a step's input names may be fetched. Asking for a name is itself a way out for data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetches {
    /// From anywhere: the step is part of the host.
    Any,
    /// From these hosts and paths, in the patterns of a policy.
    From(Vec<String>),
}

impl Fetches {
    /// Those of a step, with the patterns of `--allow-fetch`.
    pub fn of(built_in: bool, allowed: &[String]) -> Self {
        if built_in { Self::Any } else { Self::From(allowed.to_vec()) }
    }

    /// Fails unless a place, `host[:port]/path`, is granted.
    pub fn check(&self, place: &str) -> CallResult<()> {
        match self {
            Self::From(patterns) if !patterns.iter().any(|pattern| policy::covers(pattern, place)) => {
                let host = place.split('/').next().unwrap_or(place);
                Err(CallError::denied(
                    "sources.fetch",
                    place,
                    "a step that is not built in may only fetch what the caller allows, since a name can carry data out",
                    Some(format!("`--allow-fetch {host}` would grant it")),
                ))
            }
            Self::Any | Self::From(_) => Ok(()),
        }
    }

    fn grants(&self) -> Vec<Grant> {
        let grant = |subject| Grant { capability: "sources.fetch", subject };
        match self {
            Self::Any => vec![grant("files and Git repositories of any host that the step's input names".to_owned())],
            Self::From(patterns) => {
                let subject =
                    |pattern: &String| format!("files and Git repositories of {pattern} that the step's input names");
                patterns.iter().map(|pattern| grant(subject(pattern))).collect()
            }
        }
    }
}

/// Which manifests of a repository may be asked for.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Any.
    Whole,
    /// Those that an argument named and those that they refer to: a name that is asked for can carry data out.
    Named(Arc<Mutex<Names>>),
}

/// Names that are known to be harmless: typed by the caller, or read from the registry itself.
#[derive(Debug, Default)]
pub struct Names {
    tags: HashSet<String>,
    digests: HashSet<String>,
}

impl Scope {
    /// The image that was typed.
    pub fn of(tag: Option<&str>, digest: Option<&Digest>) -> Self {
        let names = Names {
            tags: tag.map(str::to_owned).into_iter().collect(),
            digests: digest.map(ToString::to_string).into_iter().collect(),
        };
        Self::Named(Arc::new(Mutex::new(names)))
    }

    /// Learns the digests in a manifest that was read from the registry.
    pub fn learn(&self, digest: &Digest, manifest: &[u8]) {
        let Self::Named(names) = self else { return };
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        names.digests.insert(digest.to_string());
        if let Ok(json) = serde_json::from_slice(manifest) {
            collect_digests(&json, &mut names.digests);
        }
    }

    /// Fails unless the tag or digest may be asked for.
    pub fn check(&self, name: &RepositoryName, selector: &Selector) -> CallResult<()> {
        let Self::Named(names) = self else { return Ok(()) };
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match selector {
            Selector::Tag(tag) => names.tags.contains(tag.as_str()),
            Selector::Digest(digest) => names.digests.contains(&digest.to_string()),
        };
        if known {
            return Ok(());
        }
        Err(CallError::denied(
            "registry.pull",
            format_args!("{name}, {selector}"),
            "no argument names it, and nothing that was read refers to it; a name that is asked for can carry data out",
            None,
        ))
    }

    /// Fails unless all of the repository is granted.
    pub fn check_whole(&self, name: &RepositoryName, what: &str) -> CallResult<()> {
        match self {
            Self::Whole => Ok(()),
            Self::Named(_) => Err(CallError::denied(
                "registry.pull",
                format_args!("{name}, {what}"),
                "an argument names only one image of it",
                None,
            )),
        }
    }
}

fn collect_digests(json: &serde_json::Value, found: &mut HashSet<String>) {
    match json {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::String(digest)) = fields.get("digest") {
                found.insert(digest.clone());
            }
            fields.values().for_each(|value| collect_digests(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_digests(item, found)),
        _ => {}
    }
}

/// Fails unless one of the namespaces that a parameter names covers a repository which the step's input names.
pub fn check_namespace(
    parameter: &str,
    granted: &[Namespace],
    access: RegistryAccess,
    wanted: &RepositoryName,
) -> CallResult<()> {
    if granted.iter().any(|namespace| namespace.covers(wanted)) {
        return Ok(());
    }
    let remedy = format!("`--{parameter} {}` would grant it", Namespace::around(wanted));
    let reason = format!("the step's input names it, and no `--{parameter}` covers it");
    Err(CallError::denied(capability(access), wanted, reason, Some(remedy)))
}

/// One line of what arguments grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The capability: `context.read`, `registry.push`.
    pub capability: &'static str,
    /// On what.
    pub subject: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16} {}", self.capability, self.subject)
    }
}

/// Whether a step may run native commands, and what those reach of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands {
    /// None.
    Denied,
    /// Any, each in a sandbox.
    Sandboxed(CommandNetwork),
}

/// What commands reach of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandNetwork {
    /// Nothing.
    None,
    /// These hosts.
    Hosts(Vec<String>),
    /// All that the host reaches.
    All,
}

impl Commands {
    /// What the caller's flags grant and policies leave of it.
    pub fn of(options: &HostOptions, policies: &Policies) -> Self {
        if !options.allow_run {
            return Self::Denied;
        }
        Self::Sandboxed(policies.narrow(match options.allow_net.as_slice() {
            [] => CommandNetwork::None,
            hosts if hosts.iter().any(|host| host == "*") => CommandNetwork::All,
            hosts => CommandNetwork::Hosts(hosts.to_vec()),
        }))
    }

    /// The network of commands. Fails unless they are granted.
    pub fn check(&self, command: &str) -> CallResult<&CommandNetwork> {
        match self {
            Self::Sandboxed(network) => Ok(network),
            Self::Denied => Err(CallError::denied(
                "snapshots.run",
                command,
                "native commands run only if the caller says so",
                Some("`--allow-run` would grant it (and `--allow-net` the network)".to_owned()),
            )),
        }
    }

    fn grant(&self) -> Option<Grant> {
        let Self::Sandboxed(network) = self else { return None };
        let network = match network {
            CommandNetwork::None => "without network".to_owned(),
            CommandNetwork::Hosts(hosts) => format!("with network to {}", hosts.join(", ")),
            CommandNetwork::All => "with the host's network".to_owned(),
        };
        Some(Grant { capability: "snapshots.run", subject: format!("any command, in a sandbox, {network}") })
    }
}

/// All that the arguments grant, in the order of their names.
pub fn grants(arguments: &Arguments, pulls: &Pulls, fetches: &Fetches, commands: &Commands) -> Vec<Grant> {
    let mut grants: Vec<Grant> = arguments.values.values().flat_map(grants_of).collect();
    match pulls {
        Pulls::Any => grants.push(Grant {
            capability: "registry.resolve",
            subject: "images of any registry that the step's input names".to_owned(),
        }),
        Pulls::From(registries) => grants.extend(registries.iter().map(|registry| Grant {
            capability: "registry.resolve",
            subject: format!("images of {registry} that the step's input names"),
        })),
    }
    grants.extend(fetches.grants());
    grants.extend(commands.grant());
    grants
}

fn grants_of(values: &Values) -> Vec<Grant> {
    fn each<T>(capability: &'static str, items: &[T], subject: impl Fn(&T) -> String) -> Vec<Grant> {
        items.iter().map(|item| Grant { capability, subject: subject(item) }).collect()
    }
    match values {
        Values::Flag(_) | Values::Texts(_) | Values::Integers(_) | Values::Pairs(_) | Values::Times(_) => Vec::new(),
        Values::ContextDirectories(handles) => each("context.read", handles, |handle| handle.place.to_string()),
        Values::InputFiles(paths) => each("file.read", paths, |path| path.display().to_string()),
        Values::OutputFiles(paths) | Values::OutputDirectories(paths) => {
            each("file.write", paths, |path| path.display().to_string())
        }
        Values::Images(images) => images
            .iter()
            .map(|image| Grant { capability: image_capability(image), subject: image_subject(image) })
            .collect(),
        Values::Namespaces(namespaces, access) => each(capability(*access), namespaces, |namespace| {
            format!("{namespace} and what is below, as the step's input names it")
        }),
        Values::Catalogs(registries) => each("registry.catalog", registries, ToString::to_string),
        Values::Secrets(secrets) => each("secret.use", secrets, |secret| match &secret.source {
            SecretSource::File(path) => format!("{} ({})", secret.id, path.display()),
            SecretSource::Variable(name) => format!("{} (${name})", secret.id),
        }),
        Values::Agents(agents) => {
            each("agent.use", agents, |agent| format!("{} ({})", agent.id, agent.socket.display()))
        }
        Values::Repositories(names) => names
            .iter()
            .map(|(name, access)| Grant { capability: capability(*access), subject: name.to_string() })
            .collect(),
        Values::NamedContexts(contexts) => contexts.iter().map(|(name, source)| context_grant(name, source)).collect(),
    }
}

fn context_grant(name: &str, source: &ContextSource) -> Grant {
    match source {
        ContextSource::Directory(handle) => {
            Grant { capability: "context.read", subject: format!("{} (as {name})", handle.place) }
        }
        ContextSource::Image(image) => {
            Grant { capability: image_capability(image), subject: format!("{} (as {name})", image_subject(image)) }
        }
    }
}

fn image_capability(image: &ImageValue) -> &'static str {
    match (&image.place, image.access) {
        (Place::Registry(_), access) => capability(access),
        (Place::Local(_), RegistryAccess::Pull) => "file.read",
        (Place::Local(_), RegistryAccess::Push | RegistryAccess::Delete) => "file.write",
    }
}

fn image_subject(image: &ImageValue) -> String {
    match (&image.place, image.access) {
        (Place::Registry(name), RegistryAccess::Pull) => format!("{name} ({})", image.typed),
        (Place::Registry(name), RegistryAccess::Push | RegistryAccess::Delete) => name.to_string(),
        (Place::Local(images), _) => images.path().display().to_string(),
    }
}

/// The capability that an access is called by.
pub fn capability(access: RegistryAccess) -> &'static str {
    match access {
        RegistryAccess::Pull => "registry.pull",
        RegistryAccess::Push => "registry.push",
        RegistryAccess::Delete => "registry.delete",
    }
}

/// What a value's kind grants, for people who look at a step before they call it.
pub fn granted_by(kind: &ValueKind) -> Option<&'static str> {
    match kind {
        ValueKind::ContextDirectory => Some("reads everything below the directory, or in what is fetched"),
        ValueKind::Image(access) | ValueKind::Repository(access) => Some(match access {
            RegistryAccess::Pull => "reads from the repository",
            RegistryAccess::Push => "reads from and writes to the repository",
            RegistryAccess::Delete => "reads from, writes to and deletes in the repository",
        }),
        ValueKind::Place(access) => Some(match access {
            RegistryAccess::Pull => "reads from the repository, file or directory",
            RegistryAccess::Push => "reads from and writes to the repository, file or directory",
            RegistryAccess::Delete => "reads from, writes to and deletes in the repository, file or directory",
        }),
        ValueKind::Namespace(access) => Some(match access {
            RegistryAccess::Pull => "reads from repositories there that the step's input names",
            RegistryAccess::Push => "reads from and writes to repositories there that the step's input names",
            RegistryAccess::Delete => {
                "reads from, writes to and deletes in repositories there that the step's input names"
            }
        }),
        ValueKind::Catalog => Some("lists the registry's repositories"),
        ValueKind::File(crate::bindings::exported::FileAccess::Read) => Some("reads the file"),
        ValueKind::File(crate::bindings::exported::FileAccess::Write) => Some("writes the file"),
        ValueKind::OutputDirectory => Some("writes in the directory"),
        ValueKind::Secret => Some("shows the content to commands, not to the step"),
        ValueKind::SshAgent => Some("lets commands use the agent"),
        ValueKind::NamedContext => Some("reads everything below the directory, or from the image's repository"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_step_fetches_what_the_caller_allows() {
        let foreign = |patterns: &[&str]| {
            Fetches::of(false, &patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>())
        };
        for (fetches, place, granted) in [
            (Fetches::of(true, &[]), "files.test/a", true),
            (foreign(&[]), "files.test/a", false),
            (foreign(&["files.test"]), "files.test/a", true),
            (foreign(&["files.test/dir"]), "files.test/a", false),
            (foreign(&["*"]), "files.test/a", true),
        ] {
            assert_eq!(fetches.check(place).is_ok(), granted, "{fetches:?} {place}");
        }
    }
}
