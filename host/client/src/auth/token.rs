//! Bearer tokens: fetched once for all that wait, kept until they expire, fetched anew when refused.
//!
//! Sources: distribution's "Token Authentication Specification" and "OAuth2 Token Authentication".

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Access, basic, secret_header};
use crate::exchange::body::Body;
use crate::exchange::refusal::Refusal;
use crate::exchange::wire::{Failure, Outgoing, Wire};
use crate::exchange::{Patience, content_type, read_limited};
use crate::transport::authority;
use crate::{Credential, Error, Secret};

/// How long a token lives where its server does not say (the specification's default).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// A token is not used for the last part of its life, so that it does not expire on the way.
const MARGIN: Duration = Duration::from_secs(10);

/// The largest answer of a token server, in bytes.
const LIMIT: usize = 1 << 20;

/// Where a registry's tokens come from.
#[derive(Clone)]
pub(super) struct Realm {
    pub(super) url: Url,
    pub(super) service: Option<String>,
}

/// The token for one set of scopes.
#[derive(Default)]
pub(super) struct TokenCell {
    /// How many fetches have ended; tells those that waited for one from those that came later.
    fetches: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How the last fetch failed, if it did.
    failure: Option<Error>,
    /// Scopes that the registry asked for besides ours.
    more_scopes: BTreeSet<String>,
}

struct Token {
    header: HeaderValue,
    usable_until: Instant,
}

/// What a token server gives (distribution's "Token Authentication Specification", "Token Response Fields").
#[derive(Debug, Deserialize)]
pub struct TokenAnswer {
    /// The token to send.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The same under the name that OAuth2 has for it.
    #[serde(default)]
    pub access_token: Option<Secret>,
    /// To get further tokens with.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// How long it lives, in seconds.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

impl TokenAnswer {
    /// The token under either name.
    pub fn any(&self) -> Option<&Secret> {
        let filled = |token: &&Secret| !token.expose().is_empty();
        self.token.as_ref().filter(filled).or(self.access_token.as_ref().filter(filled))
    }
}

impl TokenCell {
    /// Notes a scope that the registry asks for.
    pub(super) async fn want(&self, scope: &str) {
        let scopes = scope.split_whitespace().map(str::to_owned);
        self.state.lock().await.more_scopes.extend(scopes);
    }

    /// The token, fetched if there is none, if it expires soon, or if it is the one in `stale`.
    pub(super) async fn token(
        &self,
        wire: &Wire,
        access: &Access,
        realm: &Realm,
        credential: Option<&Credential>,
        stale: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Failure> {
        let seen = self.fetches.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.usable_until > Instant::now()
            && Some(&token.header) != stale
        {
            return Ok(token.header.clone());
        }
        if self.fetches.load(Ordering::Acquire) != seen
            && let Some(failure) = &state.failure
        {
            // The fetch that we waited for failed; ours would fail the same way.
            return Err(Failure::Final(failure.clone()));
        }
        let scopes = access.scopes.union(&state.more_scopes).cloned().collect();
        let request = Fetch { wire, access, realm, credential, scopes };
        let fetched = request.run().await.and_then(|answer| request.token(&answer));
        self.fetches.fetch_add(1, Ordering::AcqRel);
        match fetched {
            Ok(token) => {
                let header = token.header.clone();
                state.token = Some(token);
                state.failure = None;
                Ok(header)
            }
            Err(error) => {
                state.token = None;
                state.failure = Some(error.clone());
                Err(Failure::Final(error))
            }
        }
    }
}

/// Asks a token server for all of an access, and gives what it says.
pub(super) async fn ask(
    wire: &Wire,
    access: &Access,
    realm: &Realm,
    credential: Option<&Credential>,
) -> Result<TokenAnswer, Error> {
    let scopes = access.scopes.iter().cloned().collect();
    let request = Fetch { wire, access, realm, credential, scopes };
    let answer = request.run().await?;
    request.token(&answer).map(|_| answer)
}

/// One question to a token server.
struct Fetch<'a> {
    wire: &'a Wire,
    access: &'a Access,
    realm: &'a Realm,
    credential: Option<&'a Credential>,
    scopes: Vec<String>,
}

impl Fetch<'_> {
    async fn run(&self) -> Result<TokenAnswer, Error> {
        if let Some(Credential::IdentityToken { secret, .. }) = self.credential {
            let (status, content_type, body) = self.post(secret.expose()).await?;
            // Token servers without OAuth2 are told apart by these two.
            if !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                return self.read(status, &content_type, &body);
            }
        }
        let (status, content_type, body) = self.get().await?;
        self.read(status, &content_type, &body)
    }

    /// The plain way, which all token servers know.
    async fn get(&self) -> Result<(StatusCode, String, Bytes), Error> {
        let mut url = self.realm.url.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.realm.service {
                query.append_pair("service", service);
            }
            for scope in &self.scopes {
                query.append_pair("scope", scope);
            }
        }
        let authorization = match self.credential {
            Some(Credential::Password { username, secret, .. }) => Some(basic(username, secret.expose())),
            Some(Credential::IdentityToken { secret, .. }) => Some(basic("<token>", secret.expose())),
            Some(Credential::RegistryToken { .. }) | None => None,
        };
        let outgoing =
            Outgoing { method: Method::GET, headers: HeaderMap::new(), body: Body::Empty, subject: &self.subject() };
        self.send(&url, outgoing, authorization).await
    }

    /// OAuth2, with a refresh token.
    async fn post(&self, refresh_token: &str) -> Result<(StatusCode, String, Bytes), Error> {
        let mut form = Url::parse("form:?").map_err(|e| self.invalid(e.to_string()))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", self.realm.service.as_deref().unwrap_or_default())
            .append_pair("client_id", "steprun")
            .append_pair("scope", &self.scopes.join(" "))
            .append_pair("refresh_token", refresh_token);
        let form = form.query().unwrap_or_default().to_owned();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let outgoing = Outgoing {
            method: Method::POST,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]),
            body: Body::Bytes(form.into()),
            subject: &self.subject(),
        };
        self.send(&self.realm.url, outgoing, None).await
    }

    async fn send(
        &self,
        url: &Url,
        outgoing: Outgoing<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<(StatusCode, String, Bytes), Error> {
        let mut patience = Patience::new(&self.wire.retry, outgoing.subject.to_owned());
        loop {
            let sent = self.wire.follow(url, &outgoing, authorization.as_ref()).await;
            let mut response = match sent {
                Ok(answer) => answer.response,
                Err(failure) => {
                    patience.after(failure).await?;
                    continue;
                }
            };
            let content_type = content_type(&response);
            let status = response.status();
            let headers = response.headers().clone();
            let body = match read_limited(&self.wire.transport, &mut response, LIMIT).await {
                Ok(Some(body)) => body,
                Ok(None) => return Err(self.invalid("its answer is too large".to_owned())),
                Err(failure) => {
                    patience.after(Failure::NoAnswer(failure)).await?;
                    continue;
                }
            };
            let refusal = Refusal::new(status, &content_type, &body);
            if patience.after_status(status, &headers, &refusal).await? {
                continue;
            }
            return Ok((status, content_type, body));
        }
    }

    fn read(&self, status: StatusCode, content_type: &str, body: &[u8]) -> Result<TokenAnswer, Error> {
        if !status.is_success() {
            let refusal = Refusal::new(status, content_type, body);
            let host = authority(&self.realm.url);
            let reason = format!("the token server {host} answers {}", refusal.with_status());
            return Err(Error::Unauthorized {
                subject: self.access.repository.to_string(),
                reason,
                // Filled in where the credentials are known: see `Exchange::send`.
                credentials: String::new(),
                scope: self.scopes.join(" "),
                remedy: String::new(),
            });
        }
        serde_json::from_slice(body).map_err(|_| self.invalid("its answer is not the JSON of a token".to_owned()))
    }

    fn token(&self, answer: &TokenAnswer) -> Result<Token, Error> {
        let token = answer.any().ok_or_else(|| self.invalid("its answer holds no token".to_owned()))?;
        let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        // Lives shorter than the margin occur; then half of the life is used.
        let usable = life.saturating_sub(MARGIN).max(life / 2);
        let now = Instant::now();
        Ok(Token {
            header: secret_header("Bearer", token.expose()),
            usable_until: now.checked_add(usable).unwrap_or(now + DEFAULT_LIFE),
        })
    }

    fn subject(&self) -> String {
        let host = authority(&self.realm.url);
        format!("{} (token from {host})", self.access.repository)
    }

    fn invalid(&self, reason: String) -> Error {
        Error::Invalid { subject: self.subject(), reason }
    }
}
