//! The program `git`, kept from all that is the caller's: configuration, hooks, helpers and prompts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::reference::{GitReference, Protocol};
use crate::bindings::types;
use crate::error::{CallError, CallResult};

/// No single command of git may take longer. Servers that fall silent are given up much earlier.
const LONGEST: Duration = Duration::from_secs(3600);

/// Variables of the caller that git needs: where programs are, and how the network is reached.
const PASSED: [&str; 10] = [
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "LD_LIBRARY_PATH",
];

/// Nothing runs but git itself, nothing is looked at but the network and its own files; the checkout is the commit, byte by byte.
const SETTINGS: [&str; 14] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.logAllRefUpdates=false",
    "core.autocrlf=false",
    "core.fileMode=true",
    "core.symlinks=true",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "init.defaultBranch=main",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
];

/// Who logs in.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// The caller, with the credentials that were typed or that Kaniko's variables hold, and with the own SSH set-up.
    Caller,
    /// Nobody, or for SSH the agent behind this socket.
    Agent(Option<PathBuf>),
}

/// Runs git for one repository.
#[derive(Debug)]
pub(super) struct Git<'a> {
    /// A directory for git alone.
    pub(super) folder: &'a Path,
    /// What is fetched.
    pub(super) reference: &'a GitReference,
    /// Who logs in.
    pub(super) login: Login,
}

/// Why git did not do what it should.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It said so.
    Failed {
        /// `fetch`.
        command: String,
        /// What it wrote to standard error.
        words: String,
    },
    /// It could not run.
    Other(CallError),
}

impl Git<'_> {
    /// Runs `git ARGUMENTS` in a directory; gives what it wrote to standard output.
    pub(super) async fn run(&self, directory: &Path, arguments: &[&str]) -> Result<Vec<u8>, Trouble> {
        let mut command = self.command(directory, arguments);
        let output = match tokio::time::timeout(LONGEST, command.output()).await {
            Ok(output) => output.map_err(|error| Trouble::Other(not_run(&error)))?,
            Err(_) => {
                let message = format!("git did not end within {} minutes", LONGEST.as_secs() / 60);
                return Err(Trouble::Other(CallError::Error(types::Error::Unavailable(message))));
            }
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Trouble::Failed { command: arguments.first().copied().unwrap_or_default().to_owned(), words })
    }

    /// The same, where a failure is the end.
    pub(super) async fn must(&self, directory: &Path, arguments: &[&str]) -> CallResult<Vec<u8>> {
        self.run(directory, arguments).await.map_err(|trouble| trouble.into_error(self.reference))
    }

    fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear().current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
        command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        for (name, of_git) in [("SSL_CERT_FILE", "GIT_SSL_CAINFO"), ("SSL_CERT_DIR", "GIT_SSL_CAPATH")] {
            command.envs(std::env::var_os(name).map(|value| (of_git, value)));
        }
        command.envs(self.environment());
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting])).args(arguments);
        command
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables: Vec<(&'static str, OsString)> = vec![
            ("HOME", self.folder.into()),
            ("LC_ALL", "C".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_ATTR_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            // A repository that the store lies in has no say.
            ("GIT_CEILING_DIRECTORIES", self.folder.into()),
            ("GIT_ALLOW_PROTOCOL", self.protocols().into()),
            ("GIT_SSH_COMMAND", self.ssh().into()),
        ];
        let socket = match &self.login {
            Login::Caller => std::env::var_os("SSH_AUTH_SOCK"),
            Login::Agent(socket) => socket.clone().map(Into::into),
        };
        variables.extend(socket.map(|socket| ("SSH_AUTH_SOCK", socket)));
        if let Some(header) = self.authorization() {
            // Arguments can be read by others on the machine, an environment can't. The key keeps it from other hosts.
            let host = self.reference.place.split('/').next().unwrap_or_default();
            let key = format!("http.{}://{host}/.extraHeader", self.reference.protocol.word());
            variables.push(("GIT_CONFIG_COUNT", "1".into()));
            variables.push(("GIT_CONFIG_KEY_0", key.into()));
            variables.push(("GIT_CONFIG_VALUE_0", header.as_str().into()));
        }
        variables
    }

    /// A repository of this machine may lead to others by its submodules, but not to ones of this machine.
    fn protocols(&self) -> String {
        let own = self.reference.protocol.word();
        format!("{own}:https:http:ssh:git")
    }

    /// Without questions; with an agent's keys only, where it is not the caller's own set-up.
    fn ssh(&self) -> &'static str {
        match self.login {
            Login::Caller => "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=20",
            Login::Agent(_) => {
                "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=20 -F/dev/null -oIdentityFile=none -oForwardAgent=no"
            }
        }
    }

    /// Basic authentication of the caller: what was typed in the URL, else `GIT_TOKEN`, or `GIT_USERNAME` and `GIT_PASSWORD`, as with Kaniko.
    fn authorization(&self) -> Option<Zeroizing<String>> {
        if !matches!(self.login, Login::Caller) || !matches!(self.reference.protocol, Protocol::Https | Protocol::Http)
        {
            return None;
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
        let pair = match &self.reference.credentials {
            Some(typed) => Zeroizing::new(typed.expose().to_owned()),
            None => match variable("GIT_TOKEN") {
                Some(token) => Zeroizing::new(format!("{}:", *token)),
                None => Zeroizing::new(format!("{}:{}", *variable("GIT_USERNAME")?, *variable("GIT_PASSWORD")?)),
            },
        };
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Some(Zeroizing::new(format!("Authorization: Basic {}", *encoded)))
    }
}

impl Trouble {
    /// Whether git's words hold one of these.
    pub(super) fn says(&self, fragments: &[&str]) -> bool {
        matches!(self, Self::Failed { words, .. } if fragments.iter().any(|fragment| words.contains(fragment)))
    }

    /// The error for a step.
    pub(super) fn into_error(self, reference: &GitReference) -> CallError {
        let (command, words) = match self {
            Self::Failed { command, words } => (command, words),
            Self::Other(error) => return error,
        };
        let message = format!("git {command} of {} failed: {}", reference.remote, told(&words));
        let says = |fragments: &[&str]| fragments.iter().any(|fragment| words.contains(fragment));
        CallError::Error(
            if says(&["Authentication failed", "could not read Username", "Permission denied", "error: 403"]) {
                types::Error::Unauthorized(message)
            } else if says(&["not found", "does not exist", "does not appear to be a git repository"]) {
                types::Error::NotFound(message)
            } else if says(&["Could not resolve", "unable to access", "onnection ", "timed out", "RPC failed"]) {
                types::Error::Unavailable(message)
            } else {
                types::Error::Other(Some(message))
            },
        )
    }
}

/// The lines of git's that say what is wrong.
fn told(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let grave: Vec<&str> =
        lines.iter().copied().filter(|line| line.starts_with("fatal:") || line.starts_with("error:")).collect();
    let chosen = if grave.is_empty() { &lines[lines.len().saturating_sub(3)..] } else { &grave };
    chosen.join("; ")
}

fn not_run(error: &std::io::Error) -> CallError {
    match error.kind() {
        std::io::ErrorKind::NotFound => CallError::Error(types::Error::Unsupported(
            "Git repositories are fetched by the program `git`, and there is none in PATH; install it, or fetch the files before the build".to_owned(),
        )),
        _ => CallError::io("can't run `git`", error),
    }
}
