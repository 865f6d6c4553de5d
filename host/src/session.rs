//! What one run of a step shares: its arguments, which are its grants, and the parts of the host behind the capabilities.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use steprun_client::{
    Client, Config, Digest, Environment, Keychain, OnRequest, RepositoryName, RetryPolicy, TlsSettings,
};
use steprun_snapshot::{PrivateDirectory, Store};
use wasmtime::component::ResourceTable;

use crate::cli::arguments::Arguments;
use crate::cli::options::HostOptions;
use crate::commands::Sandbox;
use crate::component::Loaded;
use crate::error::{CallError, CallResult};
use crate::grants::{Commands, Fetches, Pulls};
use crate::limits::Limits;
use crate::outputs::Results;
use crate::policy::Policies;
use crate::progress::Display;

/// What the store of a component's instance holds.
pub struct State {
    /// Handles.
    pub table: ResourceTable,
    /// Memory and tables of the component.
    pub limits: Limits,
    /// The rest, shared with work that runs beside the component; none while the component describes itself.
    pub session: Option<Arc<Session>>,
}

impl State {
    /// What the run shares, or a trap: a component that describes itself has no grant, and nobody to talk to.
    pub fn session(&self) -> wasmtime::Result<&Arc<Session>> {
        self.session
            .as_ref()
            .ok_or_else(|| wasmtime::Error::msg("a step may call nothing that it imports to describe itself"))
    }
}

/// One run of a step.
pub struct Session {
    /// The grants that arguments gave.
    pub arguments: Arguments,
    /// Where names in the step's input may be pulled from.
    pub pulls: Pulls,
    /// Where names in the step's input may be fetched from.
    pub fetches: Fetches,
    /// Whether the step is part of the host, and so trusted not to carry data out in the names that it asks for.
    pub built_in: bool,
    /// What the runner allows at most.
    pub policies: Policies,
    /// Whose memory of earlier runs it sees: a name space of its own.
    pub memory: String,
    /// Whether it may run native commands.
    pub commands: Commands,
    /// What commands of this run share, once there are any.
    pub sandbox: Sandbox,
    /// What people see.
    pub display: Arc<Display>,
    /// Named results.
    pub results: Mutex<Results>,
    options: HostOptions,
    client: OnceLock<Client>,
    store: OnceLock<Store>,
    /// One lock for each layer that was wanted, so that none is fetched twice.
    turns: Mutex<HashMap<Digest, Arc<Mutex<()>>>>,
    /// Repositories that this run has brought blobs into.
    placed: Mutex<HashMap<Digest, Vec<RepositoryName>>>,
    /// Directories that hold the content of snapshots; they go with the session.
    kept: Mutex<Vec<PrivateDirectory>>,
}

impl Session {
    /// A session with the grants of its arguments.
    pub fn new(
        arguments: Arguments,
        options: HostOptions,
        policies: Policies,
        step: &Loaded,
        display: Arc<Display>,
    ) -> Self {
        let built_in = step.built_in;
        let pulls = if built_in { Pulls::Any } else { Pulls::of(&arguments, &options.allow_pull) };
        Self {
            arguments,
            pulls,
            fetches: Fetches::of(built_in, &options.allow_fetch),
            commands: Commands::of(&options, &policies),
            policies,
            sandbox: Sandbox::new(options.isolation),
            built_in,
            memory: if built_in { step.name.clone() } else { step.digest() },
            display,
            results: Mutex::default(),
            options,
            client: OnceLock::new(),
            store: OnceLock::new(),
            turns: Mutex::default(),
            placed: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// The client for registries; made when a registry is used for the first time.
    pub fn client(&self) -> CallResult<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = client(&self.options, &self.display)?;
        Ok(self.client.get_or_init(|| made))
    }

    /// The local store; opened when it is used for the first time.
    pub fn store(&self) -> CallResult<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let opened = Store::open(store_path(&self.options))?;
        Ok(self.store.get_or_init(|| opened))
    }

    /// The local store, if it has been used.
    pub fn opened_store(&self) -> Option<&Store> {
        self.store.get()
    }

    /// Keeps a directory until the run has ended.
    pub fn keep(&self, directory: PrivateDirectory) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
    }

    /// The lock that is held while a blob is fetched.
    pub fn turn(&self, digest: &Digest) -> Arc<Mutex<()>> {
        Arc::clone(self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.clone()).or_default())
    }

    /// Notes that a blob is in a repository.
    pub fn place(&self, digest: &Digest, repository: &RepositoryName) {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let repositories = placed.entry(digest.clone()).or_default();
        if !repositories.contains(repository) {
            repositories.push(repository.clone());
        }
    }

    /// Another repository of the same registry that this run has brought a blob into.
    pub fn placed_beside(&self, digest: &Digest, repository: &RepositoryName) -> Option<RepositoryName> {
        let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = |other: &&RepositoryName| *other != repository && other.registry() == repository.registry();
        placed.get(digest)?.iter().find(beside).cloned()
    }

    /// The named results so far.
    pub fn results(&self) -> Results {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client of registries, as flags and environment say.
///
/// # Errors
/// For certificates that can't be read.
pub fn client(options: &HostOptions, display: &Arc<Display>) -> steprun_client::Result<Client> {
    Client::new(client_config(options, display))
}

fn client_config(options: &HostOptions, display: &Arc<Display>) -> Config {
    let variable = |name: &str| std::env::var_os(name);
    let (display, shown) = (Arc::clone(display), Arc::clone(display));
    let on_request: OnRequest = Arc::new(move |line| shown.info(line));
    Config {
        user_agent: concat!("steprun/", env!("CARGO_PKG_VERSION")).to_owned(),
        keychain: Keychain::new(Environment::of_process()),
        tls: TlsSettings {
            registry_certificates: options
                .registry_certificate
                .iter()
                .map(|c| (c.host.clone(), c.file.clone()))
                .collect(),
            all_insecure: options.insecure,
            insecure: options.insecure_registry.iter().cloned().collect(),
            system_file: variable("SSL_CERT_FILE").map(PathBuf::from),
            system_directories: variable("SSL_CERT_DIR").iter().flat_map(std::env::split_paths).collect(),
            ..TlsSettings::default()
        },
        retry: RetryPolicy { tries: options.registry_tries, ..RetryPolicy::default() },
        on_request: options.verbose.then_some(on_request),
        on_warning: Some(Arc::new(move |host, warning| display.warn(&format!("{host}: {warning}")))),
        ..Config::default()
    }
}

/// `--store`, else the user's cache, else a place of this user's in the temporary directory: a container may have no home.
pub fn store_path(options: &HostOptions) -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    options
        .store
        .clone()
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("steprun")))
        .or_else(|| absolute("HOME").filter(|home| home.is_dir()).map(|home| home.join(".cache/steprun")))
        .unwrap_or_else(|| std::env::temp_dir().join(format!("steprun-{}", rustix::process::getuid().as_raw())))
}

impl From<steprun_client::Error> for CallError {
    fn from(error: steprun_client::Error) -> Self {
        use crate::bindings::types::Error as Contract;
        use steprun_client::Error;
        let message = error.to_string();
        Self::Error(match error {
            Error::NotFound { .. } => Contract::NotFound(message),
            Error::Unauthorized { .. } | Error::Denied { .. } => Contract::Unauthorized(message),
            Error::Unavailable { .. } => Contract::Unavailable(message),
            Error::Corrupt { .. } => Contract::Corrupt(message),
            Error::Invalid { .. } => Contract::Invalid(message),
            Error::Io { .. } => Contract::Io(message),
            // The distribution-spec's word for what a registry does not do, and HTTP's.
            Error::Refused { status, ref code, .. } if status == 405 || code.as_deref() == Some("UNSUPPORTED") => {
                Contract::Unsupported(message)
            }
            _ => Contract::Other(Some(message)),
        })
    }
}

impl From<steprun_snapshot::Error> for CallError {
    fn from(error: steprun_snapshot::Error) -> Self {
        use crate::bindings::types::Error as Contract;
        use steprun_snapshot::Error;
        let message = error.to_string();
        Self::Error(match error {
            Error::Denied { context, link, target } => {
                let reason = format!("it is a link to `{target}`, which lies outside of the context `{context}`");
                return Self::denied("context.read", link, reason, None);
            }
            Error::External(external) => match external.downcast::<Self>() {
                Ok(error) => return *error,
                Err(_) => Contract::Other(Some(message)),
            },
            Error::NotFound(_) => Contract::NotFound(message),
            Error::Corrupt(_) => Contract::Corrupt(message),
            Error::Invalid(_) => Contract::Invalid(message),
            Error::Unsupported(_) => Contract::Unsupported(message),
            Error::Io { .. } => Contract::Io(message),
        })
    }
}
