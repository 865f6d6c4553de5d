//! Blobs up.
//!
//! A blob goes up in two requests, POST and PUT. Where the registry or a proxy refuses a body of that size, and where an upload
//! broke off half-way, it goes on in chunks (PATCH) from where the registry says it stands. See the distribution-spec, "Pushing
//! Blobs". The steps are:
//!
//! | at | next request | success | broken connection, 5xx, 429 | refused |
//! |-|-|-|-|-|
//! | offset 0, no chunk size | PUT all | done | ask for the offset | chunks, new session |
//! | offset < size | PATCH | on | ask for the offset | smaller chunks (413) |
//! | offset = size | PUT nothing | done | ask for the offset | error |

use oci_spec::image::Digest;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::{Client, Mount, Progress, PushOutcome, UploadSession, blob_subject};
use crate::auth::Access;
use crate::exchange::body::{Body, Part};
use crate::exchange::refusal::Refusal;
use crate::exchange::wire::Failure;
use crate::exchange::{Call, Patience, Target};
use crate::retry::is_transient;
use crate::transport::{NoAnswer, authority};
use crate::{BlobSource, Error, RepositoryName, Result};

/// The size of chunks where one request for the whole was refused, in bytes. Below what common proxies let pass.
const CHUNK: u64 = 32 << 20;

/// The smallest chunk that a registry can bring us down to, in bytes.
const SMALLEST_CHUNK: u64 = 256 << 10;

/// After so many broken requests that left nothing behind, chunks are tried: a proxy that hangs up on large bodies looks so.
const BROKEN_WHOLES: u32 = 2;

/// Where an upload stands at a registry.
#[derive(Clone, Debug)]
pub(super) struct UploadPlace {
    location: Url,
    /// The least size of a chunk, in bytes (`OCI-Chunk-Min-Length`).
    least_chunk: u64,
}

impl Client {
    /// Uploads a blob of `size` bytes, unless it is there.
    ///
    /// # Errors
    /// [`Error::Io`] for the source; [`Error::Corrupt`] if the registry finds another digest; those of every call.
    pub async fn push_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        source: &dyn BlobSource,
        progress: &Progress,
    ) -> Result<PushOutcome> {
        if self.blob_exists(repository, digest).await? {
            return Ok(PushOutcome::Existing);
        }
        let session = self.start_upload(repository).await?;
        self.push_blob_in(session, digest, size, source, progress).await?;
        Ok(PushOutcome::Uploaded)
    }

    /// Uploads a blob of `size` bytes in a session that [`Client::mount`] left open. The session is cancelled on failure.
    ///
    /// # Errors
    /// As [`Client::push_blob`].
    pub async fn push_blob_in(
        &self,
        session: UploadSession,
        digest: &Digest,
        size: u64,
        source: &dyn BlobSource,
        progress: &Progress,
    ) -> Result<()> {
        let subject = blob_subject(&session.repository, digest);
        let mut upload = Upload {
            client: self,
            patience: self.exchange.patience(&subject),
            subject,
            digest,
            size,
            source,
            progress,
            chunk: self.upload_chunk,
            session,
            offset: 0,
            broken_wholes: 0,
            resumed: false,
        };
        let result = upload.run().await;
        if result.is_err() {
            // The failure is what counts; a session that stays is cleaned up by the registry in time.
            let _ = self.cancel_once(&upload.session).await;
        }
        result
    }

    /// Makes a blob of the repository `from` available in `repository`, without moving bytes. Both must be of one registry.
    ///
    /// # Errors
    /// [`Error::Invalid`] for two registries. That `from` can't be read is no error: the blob is not mounted then.
    pub async fn mount(&self, repository: &RepositoryName, digest: &Digest, from: &RepositoryName) -> Result<Mount> {
        if repository.registry() != from.registry() {
            return Err(Error::Invalid {
                subject: blob_subject(repository, digest),
                reason: format!("it can't be mounted from {from}, which is in another registry"),
            });
        }
        let path = format!("blobs/uploads/?mount={digest}&from={}", from.repository());
        let subject = blob_subject(repository, digest);
        let access = Access::mount(repository, from);
        let call = Call::new(Method::POST, Target::Path(path), access, subject);
        match self.exchange.send(&call).await {
            Ok(response) if response.status() == StatusCode::CREATED => Ok(Mount::Mounted),
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                let place = place(&call, &response, None)?;
                Ok(Mount::NotMounted(UploadSession { repository: repository.clone(), place }))
            }
            // Whoever may push need not be allowed to read the other repository.
            Ok(_) | Err(Error::Unauthorized { .. }) => self.start_upload(repository).await.map(Mount::NotMounted),
            Err(error) => Err(error),
        }
    }

    /// Gives up an upload.
    ///
    /// # Errors
    /// Those of every call. A session that is gone already is no error.
    pub async fn cancel(&self, session: UploadSession) -> Result<()> {
        let call = session.call(Method::DELETE, session.repository.to_string());
        let response = self.exchange.send(&call).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(self.exchange.error(&call, response).await),
        }
    }

    /// Fails unless the registry would let this caller push: starts an upload and cancels it.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] and [`Error::Denied`] say which credentials were used and which scope was asked for.
    pub async fn check_push(&self, repository: &RepositoryName) -> Result<()> {
        let session = self.start_upload(repository).await?;
        // Several registries can't cancel; the answer to the POST is what was asked.
        let _ = self.cancel_once(&session).await;
        Ok(())
    }

    /// Cancels without insisting.
    async fn cancel_once(&self, session: &UploadSession) -> std::result::Result<Response, Failure> {
        let call = session.call(Method::DELETE, session.repository.to_string());
        self.exchange.once(&call).await
    }

    pub(super) async fn start_upload(&self, repository: &RepositoryName) -> Result<UploadSession> {
        let target = Target::Path("blobs/uploads/".to_owned());
        let access = Access::push(repository);
        let call = Call::new(Method::POST, target, access, repository.to_string());
        let mut patience = self.exchange.patience(&call.subject);
        loop {
            let response = self.exchange.send(&call).await?;
            if response.status() != StatusCode::ACCEPTED {
                return Err(self.exchange.error(&call, response).await);
            }
            if response.headers().contains_key(LOCATION) {
                return Ok(UploadSession { repository: repository.clone(), place: place(&call, &response, None)? });
            }
            // Behind a load balancer it may be one of several that lose it.
            let lost = NoAnswer::passing("the registry names no place to upload to".to_owned());
            patience.after(Failure::NoAnswer(lost)).await?;
        }
    }
}

impl UploadSession {
    fn call<'a>(&self, method: Method, subject: String) -> Call<'a> {
        let target = Target::Url(self.place.location.clone());
        Call::new(method, target, Access::push(&self.repository), subject)
    }
}

/// One blob on its way up.
struct Upload<'a> {
    client: &'a Client,
    session: UploadSession,
    subject: String,
    digest: &'a Digest,
    size: u64,
    source: &'a dyn BlobSource,
    progress: &'a Progress,
    patience: Patience,
    /// The size of chunks, in bytes; none for one request.
    chunk: Option<u64>,
    /// How many bytes the registry has.
    offset: u64,
    broken_wholes: u32,
    /// Whether the upload went on after a break: then a wrong digest may be the fault of that.
    resumed: bool,
}

/// What came of one request.
enum Step {
    Done,
    /// The registry has so many bytes now, and names the place for the next.
    At(u64, UploadPlace),
    /// The connection broke, or the session is not what we thought.
    Broken(Failure),
    /// The registry asks to come back.
    Busy(StatusCode, HeaderMap, Refusal),
    Refused(Refusal),
}

impl Upload<'_> {
    async fn run(&mut self) -> Result<()> {
        loop {
            let whole = self.chunk.is_none() && self.offset == 0;
            let call = if whole {
                self.finish_with(self.size)
            } else if self.offset < self.size {
                self.patch()?
            } else {
                self.finish_with(0)
            };
            match self.step(&call).await? {
                Step::Done => return Ok(()),
                Step::At(offset, place) => {
                    self.offset = offset;
                    self.session.place = place;
                    self.patience.reset();
                }
                Step::Broken(failure) => {
                    self.broken_wholes += u32::from(whole);
                    self.patience.after(failure).await?;
                    self.recover().await?;
                }
                Step::Busy(status, headers, refusal) => {
                    self.patience.after_status(status, &headers, &refusal).await?;
                    self.recover().await?;
                }
                Step::Refused(refusal) => self.change_course(refusal, whole).await?,
            }
        }
    }

    /// The PUT that ends the upload, with the last `length` bytes.
    fn finish_with(&self, length: u64) -> Call<'_> {
        let mut call = self.session.call(Method::PUT, self.subject.clone());
        if let Target::Url(url) = &mut call.target {
            url.query_pairs_mut().append_pair("digest", self.digest.as_ref());
        }
        if length > 0 {
            self.load(&mut call, length);
        }
        call
    }

    /// The PATCH that brings the next chunk.
    fn patch(&self) -> Result<Call<'_>> {
        let rest = self.size - self.offset;
        let least = self.session.place.least_chunk;
        let length = self.chunk.map_or(rest, |chunk| chunk.max(least).min(rest));
        let mut call = self.session.call(Method::PATCH, self.subject.clone());
        let range = format!("{}-{}", self.offset, self.offset + length - 1);
        let range = HeaderValue::from_str(&range).map_err(|e| self.invalid(&e.to_string()))?;
        call.headers.insert(CONTENT_RANGE, range);
        self.load(&mut call, length);
        Ok(call)
    }

    fn load<'s>(&'s self, call: &mut Call<'s>, length: u64) {
        let kind = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, kind);
        call.body = Body::Part(Part {
            source: self.source,
            offset: self.offset,
            length,
            progress: self.progress,
            subject: self.subject.clone(),
        });
    }

    /// Sends one request and sorts its answer.
    async fn step(&self, call: &Call<'_>) -> Result<Step> {
        let exchange = &self.client.exchange;
        let mut response = match exchange.once(call).await {
            Ok(response) => response,
            Err(Failure::Final(error)) => return Err(error),
            Err(failure) => return Ok(Step::Broken(failure)),
        };
        let status = response.status();
        if status.is_success() {
            return match call.method {
                Method::PUT => self.check_stored(&response).map(|()| Step::Done),
                _ => self.advance(call, &response),
            };
        }
        let refusal = exchange.refusal(&mut response).await;
        if is_transient(status) {
            return Ok(Step::Busy(status, response.headers().clone(), refusal));
        }
        Ok(match status {
            // The session is gone, or stands elsewhere than we thought.
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                let reason = format!("the registry answers {}", refusal.with_status());
                Step::Broken(Failure::NoAnswer(NoAnswer::passing(reason)))
            }
            _ => Step::Refused(refusal),
        })
    }

    /// After an accepted chunk: the answer says how much of it was taken, and where to go on.
    fn advance(&self, call: &Call<'_>, response: &Response) -> Result<Step> {
        let place = place(call, response, Some(&self.session.place))?;
        let Body::Part(part) = &call.body else {
            return Ok(Step::At(self.offset, place));
        };
        let sent = part.offset + part.length;
        let taken = received(response).filter(|at| *at > part.offset && *at < sent);
        Ok(Step::At(taken.unwrap_or(sent), place))
    }

    /// The registry must have stored what we meant.
    fn check_stored(&self, response: &Response) -> Result<()> {
        let header = response.headers().get("docker-content-digest");
        let stored = header.and_then(|v| v.to_str().ok()?.parse::<Digest>().ok());
        match stored {
            Some(stored) if stored.algorithm() == self.digest.algorithm() && stored != *self.digest => {
                Err(Error::Corrupt { subject: self.subject.clone(), reason: format!("the registry stored {stored}") })
            }
            _ => Ok(()),
        }
    }

    /// Asks where the upload stands. Where the registry does not know, starts a new one.
    async fn recover(&mut self) -> Result<()> {
        let call = self.session.call(Method::GET, self.subject.clone());
        let answer = self.client.exchange.once(&call).await;
        let stands = match answer {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                let place = place(&call, &response, Some(&self.session.place))?;
                self.session.place = place;
                received(&response).filter(|stands| *stands <= self.size)
            }
            _ => None,
        };
        match stands {
            Some(0) if self.offset == 0 && self.broken_wholes < BROKEN_WHOLES => Ok(()),
            Some(stands) if stands > 0 => {
                self.resumed = true;
                if stands > self.offset {
                    self.patience.reset();
                }
                self.offset = stands;
                self.progress.report(stands);
                Ok(())
            }
            _ => {
                if self.broken_wholes >= BROKEN_WHOLES {
                    self.chunk.get_or_insert(CHUNK);
                }
                self.start_over().await
            }
        }
    }

    async fn start_over(&mut self) -> Result<()> {
        // The old one may be gone; if not, the registry cleans it up in time.
        let _ = self.client.cancel_once(&self.session).await;
        self.session = self.client.start_upload(&self.session.repository).await?;
        self.offset = 0;
        self.progress.report(0);
        Ok(())
    }

    /// Goes on another way after a refusal, or gives it back as an error.
    async fn change_course(&mut self, refusal: Refusal, whole: bool) -> Result<()> {
        let code = refusal.code.as_deref().unwrap_or_default();
        let too_large = refusal.status == StatusCode::PAYLOAD_TOO_LARGE;
        if whole && self.size > 0 && (too_large || refuses_wholes(refusal.status, code)) {
            self.chunk = Some(CHUNK.min(self.size.div_ceil(2)));
            return self.start_over().await;
        }
        if let Some(chunk) = self.chunk.filter(|chunk| too_large && *chunk > SMALLEST_CHUNK) {
            self.chunk = Some((chunk / 4).max(SMALLEST_CHUNK));
            return self.recover().await;
        }
        if matches!(code, "DIGEST_INVALID" | "SIZE_INVALID") {
            if self.resumed {
                self.resumed = false;
                return self.start_over().await;
            }
            return Err(Error::Corrupt {
                subject: self.subject.clone(),
                reason: format!("the registry refuses the bytes sent: {}", refusal.words),
            });
        }
        let call = self.session.call(Method::PUT, self.subject.clone());
        Err(self.client.exchange.refused(&call, refusal).await)
    }

    fn invalid(&self, reason: &str) -> Error {
        Error::Invalid { subject: self.subject.clone(), reason: reason.to_owned() }
    }
}

/// Whether a refusal means that the registry takes no blob in one request.
fn refuses_wholes(status: StatusCode, code: &str) -> bool {
    match status {
        StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::LENGTH_REQUIRED
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::NOT_IMPLEMENTED => true,
        StatusCode::BAD_REQUEST => matches!(code, "BLOB_UPLOAD_INVALID" | "UNSUPPORTED"),
        _ => false,
    }
}

/// How many bytes the registry has, from `Range: 0-N`. An empty upload is `0-0` with many registries, so one byte can't be told
/// from none; taking it for none costs that byte.
fn received(response: &Response) -> Option<u64> {
    let text = response.headers().get(RANGE)?.to_str().ok()?;
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (start, end) = text.split_once('-')?;
    let last: u64 = end.parse().ok()?;
    (start == "0").then_some(if last == 0 { 0 } else { last.saturating_add(1) })
}

/// The place that an answer names for the next request, or the one before where it names none.
fn place(call: &Call<'_>, response: &Response, before: Option<&UploadPlace>) -> Result<UploadPlace> {
    let invalid = |reason: String| Error::Invalid { subject: call.subject.clone(), reason };
    let header = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
    let location = match (header, before) {
        (Some(text), _) => next_place(response.url(), text).map_err(invalid)?,
        (None, Some(before)) => before.location.clone(),
        (None, None) => {
            return Err(invalid("the registry names no place to upload to".to_owned()));
        }
    };
    let least = response.headers().get("oci-chunk-min-length");
    let least = least.and_then(|v| v.to_str().ok()?.parse().ok());
    Ok(UploadPlace { location, least_chunk: least.or(before.map(|b| b.least_chunk)).unwrap_or(0) })
}

/// Resolves the location of an upload. Registries behind a proxy that ends TLS name themselves with `http`; that is mended, any
/// other way out of TLS is refused.
fn next_place(current: &Url, location: &str) -> std::result::Result<Url, String> {
    let from = authority(current);
    let mut next = current.join(location).map_err(|e| format!("{from} names a malformed place to upload to: {e}"))?;
    if current.scheme() == "https" && next.scheme() == "http" {
        let same = next.host_str() == current.host_str() && next.port().is_none_or(|p| p == 80);
        let mended = same && next.set_scheme("https").is_ok() && next.set_port(current.port()).is_ok();
        if !mended {
            return Err(format!("{from} names a place to upload to without TLS; refused"));
        }
    }
    match next.scheme() {
        "http" | "https" => Ok(next),
        scheme => Err(format!("{from} names a place to upload to with the scheme `{scheme}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_places_keep_tls() {
        let current: Url = "https://a.io:8443/v2/x/blobs/uploads/".parse().unwrap();
        for (location, place) in [
            ("/v2/u?state=1", Some("https://a.io:8443/v2/u?state=1")),
            ("http://a.io/v2/u", Some("https://a.io:8443/v2/u")),
            ("https://b.io/u", Some("https://b.io/u")),
            ("http://b.io/u", None),
            ("ftp://a.io/u", None),
        ] {
            let found = next_place(&current, location).ok().map(String::from);
            assert_eq!(found.as_deref(), place, "{location}");
        }
    }
}
