//! Connections: which client a host gets, whether it is spoken to with TLS, and how long silence may last.
//!
//! A host gets HTTPS, except that
//! - this machine (loopback) is asked in plain HTTP first, as most registries there speak that: by the first call itself where that changes nothing,
//!   else by a question of its own. A server that wants TLS answers with status 400 or hangs up, and gets HTTPS from then on;
//! - a host in [`TlsSettings::insecure`] is asked once by HTTPS without verification; where that fails it gets plain HTTP.
//!
//! The question carries no credentials. A host with an own certificate authority is never asked: it gets HTTPS.

pub(crate) mod hosts;
mod tls;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Response, StatusCode, Url};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::{Config, Error, Result};
use hosts::{host_of, is_loopback};
use tls::Authorities;
pub use tls::TlsSettings;

/// How many silent periods a registry gets to answer an upload: it may have to move the blob to its final place.
const UPLOAD_PATIENCE: u32 = 5;

/// A request that got no answer.
#[derive(Clone, Debug)]
pub(crate) struct NoAnswer {
    pub(crate) reason: String,
    /// Whether trying again may help.
    pub(crate) transient: bool,
    /// Whether there was no connection at all: nobody listens, or the name is unknown. Such a host is not overloaded.
    pub(crate) unreachable: bool,
}

impl NoAnswer {
    /// A failure that the next try may not have.
    pub(crate) fn passing(reason: String) -> Self {
        NoAnswer { reason, transient: true, unreachable: false }
    }

    /// A failure that every try would have.
    pub(crate) fn lasting(reason: String) -> Self {
        NoAnswer { reason, transient: false, unreachable: false }
    }
}

/// What distinguishes the clients that connections are made with.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Profile {
    trust: Trust,
    /// Loopback is never reached through a proxy.
    direct: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Trust {
    /// No certificate: for plain HTTP, which shows none. Reading the system's authorities takes longer than a small request.
    Nobody,
    Everyone,
    Default,
    Own(String),
}

pub(crate) struct Transport {
    authorities: Authorities,
    insecure: BTreeSet<String>,
    all_insecure: bool,
    user_agent: String,
    connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    clients: Mutex<HashMap<Profile, reqwest::Client>>,
    schemes: Mutex<HashMap<String, Arc<OnceCell<&'static str>>>>,
}

/// When bytes last moved in a transfer.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(crate) fn now() -> Self {
        Activity(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let lower = |host: &String| host.to_ascii_lowercase();
        Ok(Transport {
            authorities: Authorities::load(&config.tls)?,
            insecure: config.tls.insecure.iter().map(lower).collect(),
            all_insecure: config.tls.all_insecure,
            user_agent: config.user_agent.clone(),
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            clients: Mutex::default(),
            schemes: Mutex::default(),
        })
    }

    /// `http://HOST/` or `https://HOST/` of a registry.
    pub(crate) async fn base(&self, registry: &str) -> std::result::Result<Url, NoAnswer> {
        let scheme = if self.may_be_plain(registry) {
            *self.scheme(registry).get_or_try_init(|| self.find_scheme(registry)).await?
        } else {
            "https"
        };
        base(scheme, registry)
    }

    /// `http://HOST/` of a registry that is likely to speak plain HTTP, and has not been asked yet whether it does.
    pub(crate) fn untried(&self, registry: &str) -> Option<Url> {
        let plain = self.may_be_plain(registry) && !self.is_insecure(registry);
        let untried = plain && !self.scheme(registry).initialized();
        untried.then(|| base("http", registry).ok()).flatten()
    }

    /// Notes that a registry has answered to plain HTTP.
    pub(crate) fn speaks_plain(&self, registry: &str) {
        // Somebody else may have asked at the same time, and knows the same.
        let _ = self.scheme(registry).set("http");
    }

    /// What a registry speaks, once it is known.
    fn scheme(&self, registry: &str) -> Arc<OnceCell<&'static str>> {
        let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(schemes.entry(registry.to_owned()).or_default())
    }

    /// Whether plain HTTP is allowed for a host at all.
    pub(crate) fn may_be_plain(&self, registry: &str) -> bool {
        let secured = self.authorities.knows(registry) || registry.ends_with(":443");
        self.is_insecure(registry) || (is_loopback(host_of(registry)) && !secured)
    }

    fn is_insecure(&self, registry: &str) -> bool {
        self.all_insecure || self.insecure.contains(registry)
    }

    /// Asks a host once which of the two it speaks.
    async fn find_scheme(&self, registry: &str) -> std::result::Result<&'static str, NoAnswer> {
        let order = if self.is_insecure(registry) { ["https", "http"] } else { ["http", "https"] };
        let mut worst: Option<NoAnswer> = None;
        for scheme in order {
            match self.speaks(scheme, registry).await {
                Ok(true) => return Ok(scheme),
                Ok(false) => {}
                // A certificate that is refused tells more than that the other way is closed.
                Err(failure) if worst.is_none() || !failure.transient => worst = Some(failure),
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(|| NoAnswer::passing(format!("{registry} speaks neither HTTP nor HTTPS"))))
    }

    async fn speaks(&self, scheme: &str, registry: &str) -> std::result::Result<bool, NoAnswer> {
        let mut url = base(scheme, registry)?;
        url.set_path("/v2/");
        let request = reqwest::Request::new(reqwest::Method::GET, url);
        let answer = self.send(request, &Activity::now(), false).await?;
        Ok(scheme == "https" || is_plain(answer.status()))
    }

    /// Sends one request, without redirects. `upload` says that its body is a stream whose `activity` counts.
    pub(crate) async fn send(
        &self,
        request: reqwest::Request,
        activity: &Activity,
        upload: bool,
    ) -> std::result::Result<Response, NoAnswer> {
        let authority = authority(request.url());
        let plain = request.url().scheme() == "http";
        let client = self.client(&authority, plain).map_err(|e| NoAnswer::lasting(e.to_string()))?;
        let patience = if upload { self.idle_timeout * UPLOAD_PATIENCE } else { self.idle_timeout };
        match self.unless_silent(client.execute(request), activity, patience).await {
            Some(answer) => answer.map_err(|e| describe(&authority, &e)),
            None => Err(silence(&authority, patience)),
        }
    }

    /// The next bytes of a body.
    pub(crate) async fn chunk(&self, response: &mut Response) -> std::result::Result<Option<bytes::Bytes>, NoAnswer> {
        let authority = authority(response.url());
        match tokio::time::timeout(self.idle_timeout, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|e| describe(&authority, &e)),
            Err(_) => Err(silence(&authority, self.idle_timeout)),
        }
    }

    /// Waits for a future, but not when nothing moved for `patience`.
    async fn unless_silent<F: Future>(&self, future: F, activity: &Activity, patience: Duration) -> Option<F::Output> {
        tokio::pin!(future);
        activity.mark();
        loop {
            let deadline = activity.last() + patience;
            tokio::select! {
                // An answer that is there counts, however late this task wakes up.
                biased;
                output = &mut future => return Some(output),
                () = tokio::time::sleep_until(deadline) => {
                    if activity.last() + patience <= Instant::now() {
                        return None;
                    }
                }
            }
        }
    }

    /// The client for a host, made when it is needed first.
    fn client(&self, authority: &str, plain: bool) -> Result<reqwest::Client> {
        let trust = if plain {
            Trust::Nobody
        } else if self.is_insecure(authority) {
            Trust::Everyone
        } else if self.authorities.knows(authority) {
            Trust::Own(authority.to_owned())
        } else {
            Trust::Default
        };
        let direct = is_loopback(host_of(authority));
        let profile = Profile { trust, direct };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&profile) {
            return Ok(client.clone());
        }
        let client = self.make_client(&profile)?;
        clients.insert(profile, client.clone());
        Ok(client)
    }

    fn make_client(&self, profile: &Profile) -> Result<reqwest::Client> {
        let config = match &profile.trust {
            Trust::Nobody => tls::untrusting()?,
            Trust::Everyone => tls::unverified()?,
            Trust::Default => self.authorities.config(None)?,
            Trust::Own(host) => self.authorities.config(Some(host))?,
        };
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            // Redirects are followed by hand: credentials must not go along to another host.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Retries are ours too.
            .retry(reqwest::retry::never())
            .tcp_keepalive(Duration::from_secs(30));
        let builder = if profile.direct { builder.no_proxy() } else { builder };
        builder.build().map_err(|e| Error::Invalid { subject: "HTTP client".to_owned(), reason: chain(&e) })
    }
}

fn base(scheme: &str, registry: &str) -> std::result::Result<Url, NoAnswer> {
    Url::parse(&format!("{scheme}://{registry}/"))
        .map_err(|e| NoAnswer::lasting(format!("`{registry}` is no host: {e}")))
}

/// Whether an answer to a plain request is that of a server that speaks plain HTTP: Go's and nginx tell a client that speaks it to their TLS port so, with
/// status 400. No registry answers to reading with 400 otherwise.
pub(crate) fn is_plain(status: StatusCode) -> bool {
    status != StatusCode::BAD_REQUEST
}

/// `HOST[:PORT]` of a URL, without the default port.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn silence(authority: &str, patience: Duration) -> NoAnswer {
    NoAnswer::passing(format!("{authority} was silent for {patience:?}"))
}

/// A failure of a connection, in words.
fn describe(authority: &str, error: &reqwest::Error) -> NoAnswer {
    if let Some(failure) = tls::failure(error) {
        let transient = !tls::is_final(failure);
        return NoAnswer { reason: tls::explain(authority, failure), transient, unreachable: false };
    }
    let what = if error.is_connect() {
        "cannot connect to"
    } else if error.is_timeout() {
        "time-out with"
    } else {
        "the connection broke with"
    };
    let reason = format!("{what} {authority}: {}", innermost(error));
    NoAnswer { reason, transient: !error.is_builder(), unreachable: error.is_connect() }
}

/// The messages of an error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The message of the last cause: reqwest's own repeats the URL, whose query may hold a signature.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
