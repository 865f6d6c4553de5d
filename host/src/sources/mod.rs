//! The capability `sources`: files and Git repositories elsewhere. The doors are [`Fetches::check`](crate::grants::Fetches::check) for what a
//! step's input names, and [`Policies::check_source`](crate::policy::Policies::check_source) for that and for what arguments name.

mod checkout;
mod file;
mod git;
mod known;
mod open;
mod place;
mod reference;
mod submodules;
mod worktree;

use std::path::Path;

use steprun_client::Url;
use wasmtime::component::{Accessor, HasSelf, Resource};

pub use self::file::{Fetched, fetch};
pub use self::place::Place;

use self::git::Login;
use self::reference::{By, GitReference, Protocol, is_hexadecimal};
use crate::bindings::sources::{self, Host, HostWithStore};
use crate::bindings::types;
use crate::calls::{session, table_get, table_push};
use crate::context::DirectoryHandle;
use crate::error::{CallError, CallResult};
use crate::inputs::AgentHandle;
use crate::session::{Session, State};
use crate::store::parse_digest;

/// `host[:port]/path` of a URL.
pub fn place_of(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
}

/// The URL that an argument for a file may be.
pub fn url(typed: &Path) -> CallResult<Option<Url>> {
    match typed.to_str() {
        Some(text) if text.starts_with("http://") || text.starts_with("https://") => parse_url(text).map(Some),
        _ => Ok(None),
    }
}

fn parse_url(text: &str) -> CallResult<Url> {
    text.parse().map_err(|error| CallError::invalid(format_args!("`{text}` is no URL: {error}")))
}

/// The door for what a step's input names.
fn check(session: &Session, place: &str) -> CallResult<()> {
    session.fetches.check(place)?;
    session.policies.check_source(place)
}

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn fetch(
        accessor: &Accessor<T, Self>,
        url: String,
        digest: Option<String>,
    ) -> CallResult<sources::RemoteFile> {
        let (session, url) = (session(accessor)?, parse_url(&url)?);
        check(&session, &place_of(&url))?;
        let digest = digest.map(|digest| parse_digest(&digest)).transpose()?;
        let Fetched { blob, modified } = file::fetch(&session, &url, digest.as_ref()).await?;
        Ok(sources::RemoteFile { blob: table_push(accessor, blob)?, modified: modified.map(Into::into) })
    }

    async fn checkout(
        accessor: &Accessor<T, Self>,
        reference: String,
        commit: Option<String>,
        keep_git_dir: bool,
        agent: Option<Resource<AgentHandle>>,
    ) -> CallResult<Resource<DirectoryHandle>> {
        let session = session(accessor)?;
        let mut reference = GitReference::parse(&reference, By::Input).map_err(CallError::invalid)?;
        check(&session, &reference.place)?;
        reference.commit = agreed(reference.commit.take(), commit)?;
        reference.keep_git_dir |= keep_git_dir;
        let agent = agent.map(|agent| table_get(accessor, &agent)).transpose()?;
        let login = match (agent, reference.protocol) {
            (None, Protocol::Ssh) => return Err(no_agent(&reference)),
            (agent, _) => Login::Agent(agent.map(|agent| agent.0.socket)),
        };
        let files = checkout::checkout(&session, &reference, login).await?;
        table_push(accessor, DirectoryHandle::fetched(Place::Git(reference), files))
    }
}

/// The longer one of two beginnings of a commit's name.
fn agreed(first: Option<String>, second: Option<String>) -> CallResult<Option<String>> {
    match (first, second) {
        (_, Some(name)) if !is_hexadecimal(&name) => {
            Err(CallError::invalid(format_args!("`{name}` is no name of a commit")))
        }
        (Some(first), Some(second)) if first.starts_with(&second) => Ok(Some(first)),
        (Some(first), Some(second)) if second.starts_with(&first) => Ok(Some(second)),
        (Some(first), Some(second)) => {
            Err(CallError::invalid(format_args!("the commit can't be {first} and {second}")))
        }
        (first, second) => Ok(first.or(second)),
    }
}

fn no_agent(reference: &GitReference) -> CallError {
    let remedy = "`--ssh default` grants the agent of SSH_AUTH_SOCK".to_owned();
    CallError::denied("agent.use", reference, "SSH needs keys to log in, and the step has no agent", Some(remedy))
}

impl From<std::time::SystemTime> for types::Timestamp {
    /// Before 1970 there was no such server.
    fn from(time: std::time::SystemTime) -> Self {
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanoseconds: since.subsec_nanos() }
    }
}
