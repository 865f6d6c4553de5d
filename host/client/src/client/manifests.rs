//! Manifests: head, get, put, delete.

use bytes::Bytes;
use oci_spec::image::Digest;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use super::{Client, Descriptor, Manifest};
use crate::auth::Access;
use crate::exchange::body::Body;
use crate::exchange::refusal::Refusal;
use crate::exchange::{Call, Fetched, Target, content_type};
use crate::verify::digest_of;
use crate::{Error, RepositoryName, Result, Selector};

/// The largest manifest that is read, in bytes: what registries must accept at least (distribution-spec, "Pushing Manifests").
const LONGEST_MANIFEST: usize = 4 << 20;

/// Every kind of manifest that a registry may hold.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.artifact.manifest.v1+json";

const CONTENT_DIGEST: &str = "docker-content-digest";

impl Client {
    /// What a tag or digest refers to, or none. Costs a HEAD request, and a GET where the registry's answer lacks the digest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the registry answers with another digest than the one asked for.
    pub async fn head(&self, repository: &RepositoryName, selector: &Selector) -> Result<Option<Descriptor>> {
        let call = manifest_call(Method::HEAD, repository, selector);
        let response = self.exchange.send(&call).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED => return self.head_by_get(repository, selector).await,
            _ => return Err(self.exchange.error(&call, response).await),
        }
        let media_type = media_type(&content_type(&response));
        let size = length(response.headers());
        let digest = announced(response.headers(), &call.subject)?;
        match (digest, size) {
            (Some(digest), Some(size)) if !media_type.is_empty() => {
                expect(selector, &digest, &call.subject)?;
                Ok(Some(Descriptor { media_type, digest, size }))
            }
            _ => self.head_by_get(repository, selector).await,
        }
    }

    async fn head_by_get(&self, repository: &RepositoryName, selector: &Selector) -> Result<Option<Descriptor>> {
        match self.manifest(repository, selector).await {
            Ok(manifest) => Ok(Some(Descriptor {
                size: manifest.content.len() as u64,
                media_type: manifest.media_type,
                digest: manifest.digest,
            })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a manifest of at most 4 MiB.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Corrupt`] if it does not have the digest asked for, or not the one that the registry
    /// announces.
    pub async fn manifest(&self, repository: &RepositoryName, selector: &Selector) -> Result<Manifest> {
        let call = manifest_call(Method::GET, repository, selector);
        let fetched = self.exchange.fetch(&call, LONGEST_MANIFEST).await?;
        if fetched.status != StatusCode::OK {
            return Err(self.exchange.unexpected(&call, &fetched).await);
        }
        let digest = verified(selector, &fetched, &call.subject)?;
        check_json(&fetched, &call.subject)?;
        Ok(Manifest { media_type: declared_media_type(&fetched), digest, content: fetched.body })
    }

    /// Puts a manifest under a tag or its digest, and gives its digest. What it refers to must be there. Where the manifest has
    /// a subject and the registry no referrers API, the fallback tag of the subject is kept up (distribution-spec,
    /// "Pushing Manifests with Subject").
    ///
    /// # Errors
    /// [`Error::Invalid`] if `selector` is another digest than that of `content`; [`Error::Corrupt`] if the registry stored
    /// something else; [`Error::Refused`] with the registry's words.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        selector: &Selector,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> Result<Digest> {
        let content = content.into();
        let (digest, headers) = self.put(repository, selector, media_type, &content).await?;
        if !headers.contains_key("oci-subject") {
            let descriptor =
                Descriptor { media_type: media_type.to_owned(), digest: digest.clone(), size: content.len() as u64 };
            self.keep_up_referrers(repository, descriptor, &content).await?;
        }
        Ok(digest)
    }

    /// Puts a manifest and nothing else.
    pub(super) async fn put(
        &self,
        repository: &RepositoryName,
        selector: &Selector,
        media_type: &str,
        content: &Bytes,
    ) -> Result<(Digest, HeaderMap)> {
        let mut call = manifest_call(Method::PUT, repository, selector);
        let invalid = |reason: String| Error::Invalid { subject: repository.at(selector).to_string(), reason };
        let like = match selector {
            Selector::Digest(digest) => Some(digest),
            Selector::Tag(_) => None,
        };
        let digest = digest_of(content, like);
        if like.is_some_and(|asked| *asked != digest) {
            return Err(invalid(format!("the manifest has the digest {digest}")));
        }
        let kind =
            HeaderValue::from_str(media_type).map_err(|_| invalid(format!("`{media_type}` is no media type")))?;
        call.headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        call.access = Access::push(repository);
        call.body = Body::Bytes(content.clone());
        let response = self.exchange.send(&call).await?;
        if !response.status().is_success() {
            return Err(self.exchange.error(&call, response).await);
        }
        match announced(response.headers(), &call.subject)? {
            Some(stored) if stored.algorithm() == digest.algorithm() && stored != digest => Err(Error::Corrupt {
                subject: call.subject,
                reason: format!("the registry stored {stored} where {digest} was sent"),
            }),
            _ => Ok((digest, response.headers().clone())),
        }
    }

    /// Deletes a manifest (a digest) or a tag.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] where the registry does not delete.
    pub async fn delete_manifest(&self, repository: &RepositoryName, selector: &Selector) -> Result<()> {
        let mut call = manifest_call(Method::DELETE, repository, selector);
        call.access = Access::delete(repository);
        let response = self.exchange.send(&call).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(self.exchange.error(&call, response).await)
    }
}

fn manifest_call(method: Method, repository: &RepositoryName, selector: &Selector) -> Call<'static> {
    let target = Target::Path(format!("manifests/{selector}"));
    let subject = repository.at(selector).to_string();
    let mut call = Call::new(method, target, Access::pull(repository), subject);
    call.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    call
}

/// `Content-Length`, in bytes.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A media type without its parameters.
fn media_type(content_type: &str) -> String {
    let bare = content_type.split(';').next().unwrap_or_default();
    bare.trim().to_owned()
}

/// The media type that the registry announces or, where it announces none in particular, the one in the manifest.
fn declared_media_type(fetched: &Fetched) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Declared {
        media_type: String,
    }
    let announced = media_type(&fetched.content_type);
    let vague = ["", "application/json", "text/plain", "application/octet-stream"];
    if !vague.contains(&announced.as_str()) {
        return announced;
    }
    match serde_json::from_slice::<Declared>(&fetched.body) {
        Ok(declared) => declared.media_type,
        Err(_) => announced,
    }
}

/// A manifest is a JSON object. The sign-in page of a proxy has a digest too, and comes with status 200.
fn check_json(fetched: &Fetched, subject: &str) -> Result<()> {
    type Object = std::collections::HashMap<String, serde::de::IgnoredAny>;
    if serde_json::from_slice::<Object>(&fetched.body).is_ok() {
        return Ok(());
    }
    let words = Refusal::new(fetched.status, &fetched.content_type, &fetched.body).words;
    Err(Error::Invalid { subject: subject.to_owned(), reason: format!("the answer is no manifest: {words}") })
}

/// The digest that the registry announces.
fn announced(headers: &HeaderMap, subject: &str) -> Result<Option<Digest>> {
    let Some(value) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    match text.parse() {
        Ok(digest) => Ok(Some(digest)),
        Err(_) if text.is_empty() => Ok(None),
        Err(e) => Err(Error::Invalid {
            subject: subject.to_owned(),
            reason: format!("the registry announces the malformed digest `{text}`: {e}"),
        }),
    }
}

/// Compares an announced digest with the one asked for.
fn expect(selector: &Selector, announced: &Digest, subject: &str) -> Result<()> {
    match selector {
        Selector::Digest(asked) if asked.algorithm() == announced.algorithm() && asked != announced => {
            Err(Error::Corrupt {
                subject: subject.to_owned(),
                reason: format!("the registry announces {announced} instead"),
            })
        }
        _ => Ok(()),
    }
}

/// The digest of a manifest that was read: it must be the one asked for, and the one announced.
fn verified(selector: &Selector, fetched: &Fetched, subject: &str) -> Result<Digest> {
    let announced = announced(&fetched.headers, subject)?;
    let asked = match selector {
        Selector::Digest(digest) => Some(digest),
        Selector::Tag(_) => None,
    };
    let found = digest_of(&fetched.body, asked.or(announced.as_ref()));
    let corrupt = |expected: &Digest| Error::Corrupt {
        subject: subject.to_owned(),
        reason: format!("the manifest has the digest {found}, not {expected}"),
    };
    if let Some(asked) = asked.filter(|asked| **asked != found) {
        return Err(corrupt(asked));
    }
    match announced {
        Some(announced) if digest_of(&fetched.body, Some(&announced)) != announced => Err(corrupt(&announced)),
        _ => Ok(found),
    }
}
