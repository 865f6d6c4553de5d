//! One request and its answer: with authentication, and again while that may help.

pub(crate) mod body;
pub(crate) mod refusal;
pub(crate) mod wire;

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};

use crate::auth::{Access, Authenticator, TokenAnswer};
use crate::retry::{is_transient, retry_after};
use crate::transport::{NoAnswer, Transport, is_plain};
use crate::{Config, Error, Result, RetryPolicy};
use body::Body;
use refusal::Refusal;
use wire::{Answer, Failure, Outgoing, Wire};

/// How much of a refusal's body is read, in bytes.
pub(crate) const REFUSAL_LIMIT: usize = 64 << 10;

/// Where a request goes.
#[derive(Clone)]
pub(crate) enum Target {
    /// Below `/v2/REPOSITORY/` of the access's registry: `manifests/latest`.
    Path(String),
    /// Below `/v2/` of the access's registry: `_catalog`.
    Registry(String),
    /// A place that the registry named: an upload, the next page.
    Url(Url),
}

/// One call to a registry.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) access: Access,
    /// What it is about, for messages: `registry/repository:tag`.
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body<'a>,
}

impl Call<'_> {
    /// A call without headers and body.
    pub(crate) fn new(method: Method, target: Target, access: Access, subject: String) -> Self {
        Call { method, target, access, subject, headers: HeaderMap::new(), body: Body::Empty }
    }
}

/// An answer that was read to its end.
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) url: Url,
    pub(crate) content_type: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Counts the failures of one undertaking and waits between them.
pub(crate) struct Patience {
    policy: RetryPolicy,
    subject: String,
    failures: u32,
    /// How many of the failures make the pauses longer.
    hardship: u32,
}

impl Patience {
    pub(crate) fn new(policy: &RetryPolicy, subject: String) -> Self {
        Patience { policy: policy.clone(), subject, failures: 0, hardship: 0 }
    }

    /// Starts counting anew: something went well.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.hardship = 0;
    }

    /// Waits after a failure, or gives it back as an error when it is final or the tries are used up.
    pub(crate) async fn after(&mut self, failure: Failure) -> Result<()> {
        match failure {
            Failure::Final(error) => Err(error),
            Failure::NoAnswer(none) if none.transient => {
                // Longer pauses spare a registry that is overloaded; where there is none, they only keep the user waiting.
                self.hardship += u32::from(!none.unreachable);
                self.wait(none.reason, None).await
            }
            Failure::NoAnswer(none) => {
                Err(Error::Unavailable { subject: self.subject.clone(), tries: self.failures + 1, reason: none.reason })
            }
        }
    }

    /// Waits and gives true after a status that may be another one the next time.
    pub(crate) async fn after_status(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        refusal: &Refusal,
    ) -> Result<bool> {
        if !is_transient(status) {
            return Ok(false);
        }
        let asked = retry_after(headers, SystemTime::now());
        let reason = format!("the registry answers {}", refusal.with_status());
        self.hardship += 1;
        self.wait(reason, asked).await.map(|()| true)
    }

    /// Waits after a failure that made the server ask for a pause, or made it fail for now.
    pub(crate) async fn wait(&mut self, reason: String, asked: Option<std::time::Duration>) -> Result<()> {
        self.failures += 1;
        match self.policy.pause(self.failures, self.hardship, asked) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(Error::Unavailable { subject: self.subject.clone(), tries: self.failures, reason }),
        }
    }
}

/// A registry's door: everything that goes over the network passes here.
pub(crate) struct Exchange {
    pub(crate) wire: Wire,
    auth: Authenticator,
}

impl Exchange {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Exchange { wire: Wire::new(config)?, auth: Authenticator::new(config.keychain.clone()) })
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.wire.transport
    }

    /// Counts failures of an undertaking about `subject`.
    pub(crate) fn patience(&self, subject: &str) -> Patience {
        Patience::new(&self.wire.retry, subject.to_owned())
    }

    /// Sends a call until there is an answer that trying again would not change.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response> {
        let mut patience = self.patience(&call.subject);
        loop {
            let mut response = match self.once(call).await {
                Ok(response) => response,
                Err(failure) => {
                    patience.after(failure).await?;
                    continue;
                }
            };
            if !is_transient(response.status()) {
                return Ok(response);
            }
            let refusal = self.refusal(&mut response).await;
            patience.after_status(response.status(), response.headers(), &refusal).await?;
        }
    }

    /// Sends a call without authentication, to see what the registry wants.
    pub(crate) async fn send_bare(&self, call: &Call<'_>) -> Result<Response> {
        let mut patience = self.patience(&call.subject);
        loop {
            match self.bare(call).await {
                Ok(response) => return Ok(response),
                Err(failure) => patience.after(failure).await?,
            }
        }
    }

    async fn bare(&self, call: &Call<'_>) -> std::result::Result<Response, Failure> {
        let url = self.url(call).await?.0;
        let outgoing = Outgoing {
            method: call.method.clone(),
            headers: HeaderMap::new(),
            body: Body::Empty,
            subject: &call.subject,
        };
        self.wire.follow(&url, &outgoing, None).await.map(|answer| answer.response)
    }

    /// A token of the server that a registry's answer names.
    pub(crate) async fn ask_token(&self, call: &Call<'_>, response: &Response) -> Result<TokenAnswer> {
        self.auth.ask(&self.wire, &call.access, response.url(), response.headers()).await
    }

    /// The error for a refusal of whom a call was made for.
    pub(crate) async fn unauthorized(&self, call: &Call<'_>, reason: String) -> Error {
        self.auth.unauthorized(&call.access, &call.subject, reason).await
    }

    /// Sends a call and reads an answer of at most `limit` bytes; an answer that breaks off is asked for again.
    pub(crate) async fn fetch(&self, call: &Call<'_>, limit: usize) -> Result<Fetched> {
        let mut patience = self.patience(&call.subject);
        loop {
            let mut response = self.send(call).await?;
            match read_limited(self.transport(), &mut response, limit).await {
                Ok(Some(body)) => {
                    return Ok(Fetched {
                        status: response.status(),
                        url: response.url().clone(),
                        content_type: content_type(&response),
                        headers: response.headers().clone(),
                        body,
                    });
                }
                Ok(None) => {
                    return Err(Error::Invalid {
                        subject: call.subject.clone(),
                        reason: format!("the answer is larger than {limit} bytes"),
                    });
                }
                Err(failure) => patience.after(Failure::NoAnswer(failure)).await?,
            }
        }
    }

    /// The error for an answer that was read and is not what was asked for.
    pub(crate) async fn unexpected(&self, call: &Call<'_>, fetched: &Fetched) -> Error {
        let refusal = Refusal::new(fetched.status, &fetched.content_type, &fetched.body);
        self.refused(call, refusal).await
    }

    /// Sends a call once; once more with better authentication after a 401.
    pub(crate) async fn once(&self, call: &Call<'_>) -> std::result::Result<Response, Failure> {
        match self.authenticated(call).await {
            // The token server's refusal lacks what only we know.
            Err(Failure::Final(Error::Unauthorized { reason, remedy, .. })) if remedy.is_empty() => {
                let error = self.auth.unauthorized(&call.access, &call.subject, reason).await;
                Err(Failure::Final(error))
            }
            other => other,
        }
    }

    /// Where a call goes, and the registry's own place.
    async fn url(&self, call: &Call<'_>) -> std::result::Result<(Url, Url), Failure> {
        let base = self.transport().base(call.access.repository.registry()).await?;
        Ok((Self::place(call, &base)?, base))
    }

    /// Where a call goes, from the registry's own place.
    fn place(call: &Call<'_>, base: &Url) -> Result<Url> {
        let below = |path: &str| {
            let invalid =
                |e| Error::Invalid { subject: call.subject.clone(), reason: format!("`{path}` is no path: {e}") };
            base.join(path).map_err(invalid)
        };
        match &call.target {
            Target::Url(url) => Ok(url.clone()),
            Target::Path(path) => below(&format!("v2/{}/{path}", call.access.repository.repository())),
            Target::Registry(path) => below(&format!("v2/{path}")),
        }
    }

    /// The answer to a call that reads, without credentials and in plain HTTP, if the registry is likely to speak that, has not been asked yet, and does.
    async fn first(&self, call: &Call<'_>, outgoing: &Outgoing<'_>) -> Option<Answer> {
        let reads = call.method == Method::GET || call.method == Method::HEAD;
        // A place that the registry named may be anywhere.
        if !reads || matches!(call.target, Target::Url(_)) {
            return None;
        }
        let registry = call.access.repository.registry();
        let url = Self::place(call, &self.transport().untried(registry)?).ok()?;
        // Where it fails, the call is made as any other, and says why.
        let answer = self.wire.follow(&url, outgoing, None).await.ok()?;
        let plain = !answer.own || is_plain(answer.response.status());
        plain.then(|| {
            self.transport().speaks_plain(registry);
            answer
        })
    }

    async fn authenticated(&self, call: &Call<'_>) -> std::result::Result<Response, Failure> {
        let outgoing = Outgoing {
            method: call.method.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
            subject: &call.subject,
        };
        let first = self.first(call, &outgoing).await;
        let (url, base) = self.url(call).await?;
        // An upload may be continued at another host; credentials are for the registry only.
        let own = url.origin() == base.origin();
        let (answer, sent) = match first {
            Some(answer) => (answer, None),
            None => {
                let sent = match own {
                    true => self.auth.authorization(&self.wire, &call.access).await?,
                    false => None,
                };
                (self.wire.follow(&url, &outgoing, sent.as_ref()).await?, sent)
            }
        };
        if !(own && answer.own && answer.response.status() == StatusCode::UNAUTHORIZED) {
            return Ok(answer.response);
        }
        let headers = answer.response.headers();
        let better = self.auth.challenged(&self.wire, &call.access, &url, headers, sent.as_ref()).await?;
        let Some(better) = better else { return Ok(answer.response) };
        let Answer { response, .. } = self.wire.follow(&url, &outgoing, Some(&better)).await?;
        Ok(response)
    }

    /// What a registry says in an answer that refuses. Reads the body; a body that breaks off is left out.
    pub(crate) async fn refusal(&self, response: &mut Response) -> Refusal {
        let kind = content_type(response);
        let body = match read_limited(self.transport(), response, REFUSAL_LIMIT).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(_) => Bytes::new(),
        };
        Refusal::new(response.status(), &kind, &body)
    }

    /// The error for an answer that is not what was asked for.
    pub(crate) async fn error(&self, call: &Call<'_>, mut response: Response) -> Error {
        let refusal = self.refusal(&mut response).await;
        self.refused(call, refusal).await
    }

    /// The error for a refusal.
    pub(crate) async fn refused(&self, call: &Call<'_>, refusal: Refusal) -> Error {
        let subject = call.subject.clone();
        let status = refusal.status;
        match status {
            StatusCode::NOT_FOUND => Error::NotFound { subject, reason: refusal.words },
            StatusCode::UNAUTHORIZED => {
                let reason = refusal.with_status();
                self.auth.unauthorized(&call.access, &subject, reason).await
            }
            StatusCode::FORBIDDEN => {
                Error::Denied { subject, reason: refusal.words, credentials: self.auth.describe(&call.access).await }
            }
            status if is_transient(status) => Error::Unavailable {
                subject,
                tries: 1,
                reason: format!("the registry answers {}", refusal.with_status()),
            },
            status => Error::Refused { subject, status: status.as_u16(), code: refusal.code, reason: refusal.words },
        }
    }
}

/// The media type that an answer announces, or an empty string.
pub(crate) fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}

/// Reads a body of at most `limit` bytes; `None` if it is larger.
pub(crate) async fn read_limited(
    transport: &Transport,
    response: &mut Response,
    limit: usize,
) -> std::result::Result<Option<Bytes>, NoAnswer> {
    let mut body = BytesMut::new();
    while let Some(chunk) = transport.chunk(response).await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}
