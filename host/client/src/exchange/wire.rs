//! Requests without authentication: redirects, and the registry's warnings.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, WARNING};
use reqwest::{Method, Response, StatusCode, Url};

use super::body::{Body, SourceFailure};
use crate::client::{OnRequest, OnWarning};
use crate::transport::hosts::is_machine_local;
use crate::transport::{Activity, NoAnswer, Transport, authority};
use crate::{Config, Error, Result, RetryPolicy};

/// How many redirects are followed.
const LONGEST_CHAIN: usize = 10;

/// What is sent, wherever it goes.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body<'a>,
    /// What it is about, for messages.
    pub(crate) subject: &'a str,
}

/// An answer, with whether it is from the server that was asked first and not from one that it sent us to.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) own: bool,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// The connection failed.
    NoAnswer(NoAnswer),
    /// Trying again is pointless.
    Final(Error),
}

impl From<NoAnswer> for Failure {
    fn from(value: NoAnswer) -> Self {
        Failure::NoAnswer(value)
    }
}

impl From<Error> for Failure {
    fn from(value: Error) -> Self {
        Failure::Final(value)
    }
}

/// Connections, with the manners that hold for every request.
pub(crate) struct Wire {
    pub(crate) transport: Transport,
    pub(crate) retry: RetryPolicy,
    on_warning: Option<OnWarning>,
    on_request: Option<OnRequest>,
    warned: Mutex<HashSet<(String, String)>>,
}

impl Wire {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Wire {
            transport: Transport::new(config)?,
            retry: config.retry.clone(),
            on_warning: config.on_warning.clone(),
            on_request: config.on_request.clone(),
            warned: Mutex::default(),
        })
    }

    /// Sends a request once and follows redirects. `authorization` goes only to the scheme, host and port of `url`.
    pub(crate) async fn follow(
        &self,
        url: &Url,
        outgoing: &Outgoing<'_>,
        authorization: Option<&HeaderValue>,
    ) -> std::result::Result<Answer, Failure> {
        let mut current = url.clone();
        for _ in 0..LONGEST_CHAIN {
            let own = current.origin() == url.origin();
            let authorization = authorization.filter(|_| own);
            let started = Instant::now();
            let answer = self.send(&current, outgoing, authorization).await;
            self.tell(&outgoing.method, &current, &answer, started);
            let response = answer?;
            self.collect_warnings(&response);
            match redirect(&outgoing.method, &response) {
                None => return Ok(Answer { response, own }),
                Some(location) => {
                    current = next_url(&current, &location)
                        .map_err(|reason| Error::Invalid { subject: outgoing.subject.to_owned(), reason })?;
                }
            }
        }
        Err(Failure::Final(Error::Invalid {
            subject: outgoing.subject.to_owned(),
            reason: format!("more than {LONGEST_CHAIN} redirects"),
        }))
    }

    /// Sends a request once, and follows no redirect.
    pub(crate) async fn send(
        &self,
        url: &Url,
        outgoing: &Outgoing<'_>,
        authorization: Option<&HeaderValue>,
    ) -> std::result::Result<Response, Failure> {
        let mut request = reqwest::Request::new(outgoing.method.clone(), url.clone());
        let headers = request.headers_mut();
        headers.extend(outgoing.headers.clone());
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let activity = Activity::now();
        let source_failure = SourceFailure::default();
        let mut streamed = false;
        match &outgoing.body {
            // Some registries insist on a length where a body could be.
            Body::Empty if outgoing.method != Method::GET && outgoing.method != Method::HEAD => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            Body::Empty => {}
            Body::Bytes(bytes) => *request.body_mut() = Some(bytes.clone().into()),
            Body::Part(part) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(part.length));
                *request.body_mut() = Some(part.stream(&activity, &source_failure).await?);
                streamed = true;
            }
        }
        let answer = self.transport.send(request, &activity, streamed).await;
        match source_failure.take() {
            Some(error) => Err(Failure::Final(error)),
            None => answer.map_err(Failure::NoAnswer),
        }
    }

    /// Tells of a request. The query is left out: it may hold a signature that stands for a credential.
    fn tell(&self, method: &Method, url: &Url, answer: &std::result::Result<Response, Failure>, started: Instant) {
        let Some(on_request) = &self.on_request else { return };
        let outcome = match answer {
            Ok(response) => response.status().as_u16().to_string(),
            Err(Failure::NoAnswer(none)) => none.reason.clone(),
            Err(Failure::Final(error)) => error.to_string(),
        };
        let place = format!("{}://{}{}", url.scheme(), authority(url), url.path());
        on_request(&format!("{method} {place} {outcome} {} ms", started.elapsed().as_millis()));
    }

    /// Passes on each warning once (distribution-spec, "Warnings").
    fn collect_warnings(&self, response: &Response) {
        let Some(on_warning) = &self.on_warning else { return };
        let host = authority(response.url());
        for value in response.headers().get_all(WARNING) {
            let Some(text) = value.to_str().ok().and_then(warning_text) else { continue };
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            let new = warned.insert((host.clone(), text.clone()));
            drop(warned);
            if new {
                on_warning(&host, &text);
            }
        }
    }
}

/// The text of `299 - "text"`.
fn warning_text(value: &str) -> Option<String> {
    let quoted = value.trim().strip_prefix("299 - \"")?.strip_suffix('"')?;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// Where an answer sends this request, if it does.
fn redirect(method: &Method, response: &Response) -> Option<String> {
    let repeatable = *method == Method::GET || *method == Method::HEAD;
    let follow = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => repeatable,
        _ => false,
    };
    let location = response.headers().get(LOCATION).filter(|_| follow)?;
    location.to_str().ok().map(str::to_owned)
}

/// Resolves a redirect, unless it leads from TLS to none or to this machine's own services.
fn next_url(current: &Url, location: &str) -> std::result::Result<Url, String> {
    let from = authority(current);
    let next = current.join(location).map_err(|e| format!("{from} sends a malformed redirect: {e}"))?;
    let to = authority(&next);
    match (current.scheme(), next.scheme()) {
        ("http", "http" | "https") | ("https", "https") => {}
        ("https", "http") => {
            return Err(format!("{from} redirects to {to} without TLS; refused"));
        }
        (_, scheme) => return Err(format!("{from} redirects to the scheme `{scheme}`; refused")),
    }
    let local = |url: &Url| is_machine_local(url.host_str().unwrap_or_default());
    if local(&next) && !local(current) {
        return Err(format!("{from} redirects to {to}, an address of this machine or its link; refused"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_keep_tls_and_stay_outside() {
        for (from, location, to) in [
            ("https://a.io/v2/x", "/y?q=1", Some("https://a.io/y?q=1")),
            ("https://a.io/", "https://cdn.io/z", Some("https://cdn.io/z")),
            ("https://a.io/", "http://a.io/z", None),
            ("https://a.io/", "file:///etc/passwd", None),
            ("https://a.io/", "https://169.254.169.254/", None),
            ("https://a.io/", "https://localhost/", None),
            ("http://127.0.0.1:1/", "http://127.0.0.1:2/", Some("http://127.0.0.1:2/")),
            ("http://127.0.0.1:1/", "https://cdn.io/", Some("https://cdn.io/")),
            ("https://a.io/", "https://[::ffff:169.254.169.254]/", None),
        ] {
            let found = next_url(&from.parse().unwrap(), location);
            assert_eq!(found.ok().map(String::from).as_deref(), to, "{location}");
        }
    }

    #[test]
    fn only_code_299_is_a_warning_of_the_registry() {
        let text = |value| warning_text(value);
        assert_eq!(text("299 - \"old \\\"thing\\\"\"").as_deref(), Some("old \"thing\""));
        assert_eq!(text("199 - \"x\""), None);
        assert_eq!(text("299 host \"x\""), None);
    }
}
