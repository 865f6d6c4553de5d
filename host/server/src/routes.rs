//! From a request to an operation: paths are parsed into checked names here, once, before anything else happens.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};

use crate::error::Error;
use crate::names::{Digest, Reference, Repository};
use crate::responses::{Answer, Body};
use crate::storage::Store;
use crate::uploads::{self, Uploads};
use crate::{blobs, listings, manifests};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) store: Store,
    pub(crate) uploads: Uploads,
}

impl Registry {
    /// Runs work on the file system where it may block.
    pub(crate) async fn blocking<T, F>(self: &Arc<Self>, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    {
        let registry = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&registry)).await.unwrap_or(Err(Error::Internal))
    }
}

/// The parameters of an address.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses what follows `?`. Anything parses.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An address of the API.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Base,
    Catalog,
    Tags(Repository),
    Referrers(Repository, Digest),
    Manifest(Repository, Reference),
    Blob(Repository, Digest),
    Uploads(Repository),
    Upload(Repository, String),
}

impl Route {
    /// Reads a path from its end, since a repository may have components such as `blobs`.
    fn parse(path: &str) -> Result<Self, Error> {
        let path = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| Error::AddressUnknown)?;
        let segments: Vec<&str> = path.split('/').collect();
        let ["", "v2", rest @ ..] = segments.as_slice() else {
            return Err(Error::AddressUnknown);
        };
        let name = |components: &[&str]| components.join("/").parse::<Repository>();
        match rest {
            [] | [""] => Ok(Self::Base),
            ["_catalog"] => Ok(Self::Catalog),
            [repository @ .., "tags", "list"] => Ok(Self::Tags(name(repository)?)),
            [repository @ .., "referrers", digest] => Ok(Self::Referrers(name(repository)?, digest.parse()?)),
            [repository @ .., "manifests", reference] => Ok(Self::Manifest(name(repository)?, reference.parse()?)),
            [repository @ .., "blobs", "uploads", ""] | [repository @ .., "blobs", "uploads"] => {
                Ok(Self::Uploads(name(repository)?))
            }
            [repository @ .., "blobs", "uploads", id] => Ok(Self::Upload(name(repository)?, (*id).to_owned())),
            [repository @ .., "blobs", digest] => Ok(Self::Blob(name(repository)?, digest.parse()?)),
            _ => Err(Error::AddressUnknown),
        }
    }

    /// As in the header `Allow`.
    fn methods(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET, HEAD",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, PATCH, PUT, DELETE",
        }
    }
}

/// Answers a request; whatever is wrong becomes an answer too. Runs to its end even if the client goes away, so that an upload's
/// session keeps what it received.
pub(crate) async fn answer(registry: Arc<Registry>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let answer = tokio::spawn(async move { dispatch(&registry, request).await }).await;
    Ok(answer.unwrap_or(Err(Error::Internal)).unwrap_or_else(Answer::from).into_response())
}

async fn dispatch(registry: &Arc<Registry>, request: Request<Incoming>) -> Result<Answer, Error> {
    let (head, body) = request.into_parts();
    let route = Route::parse(head.uri.path())?;
    let query = Query::parse(head.uri.query());
    match (&head.method, route) {
        (&Method::POST, Route::Uploads(repository)) => uploads::post(registry, repository, &query, body).await,
        (&Method::PATCH, Route::Upload(repository, id)) => {
            uploads::patch(registry, &repository, &id, &head.headers, body).await
        }
        (&Method::PUT, Route::Upload(repository, id)) => {
            uploads::put(registry, repository, &id, &query, &head.headers, body).await
        }
        (&Method::GET, Route::Upload(repository, id)) => uploads::status(registry, &repository, &id).await,
        (&Method::DELETE, Route::Upload(repository, id)) => uploads::cancel(registry, &repository, &id).await,
        (&Method::PUT, Route::Manifest(repository, reference)) => {
            let content = read_manifest(body).await?;
            let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
            registry
                .blocking(move |registry| {
                    manifests::put(&registry.store, &repository, &reference, kind.as_deref(), &content)
                })
                .await
        }
        (_, route) => {
            let method = head.method.clone();
            registry.blocking(move |registry| short(&registry.store, &method, route, &query, &head.headers)).await
        }
    }
}

/// Requests without a body.
fn short(store: &Store, method: &Method, route: Route, query: &Query, headers: &HeaderMap) -> Result<Answer, Error> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match route {
        Route::Base if reads => Ok(Answer::json(StatusCode::OK, "application/json", &serde_json::json!({}))),
        Route::Catalog if reads => listings::catalog(store, query),
        Route::Tags(repository) if reads => listings::tags(store, &repository, query),
        Route::Referrers(repository, subject) if reads => listings::referrers(store, &repository, &subject, query),
        Route::Manifest(repository, reference) if reads => manifests::get(store, &repository, &reference),
        Route::Manifest(repository, reference) if method == Method::DELETE => {
            manifests::delete(store, &repository, &reference)
        }
        Route::Blob(repository, digest) if method == Method::HEAD => blobs::head(store, &repository, &digest),
        Route::Blob(repository, digest) if reads => blobs::get(store, &repository, &digest, headers),
        Route::Blob(repository, digest) if method == Method::DELETE => blobs::delete(store, &repository, &digest),
        route => Err(Error::MethodNotAllowed(route.methods())),
    }
}

async fn read_manifest(body: Incoming) -> Result<Bytes, Error> {
    match Limited::new(body, manifests::LARGEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::ManifestTooLarge(manifests::LARGEST)),
        Err(error) => Err(Error::ManifestInvalid(format!("the body broke off: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Repository {
        text.parse().unwrap()
    }

    #[test]
    fn paths() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let parsed: Digest = digest.parse().unwrap();
        let cases = [
            ("/v2".to_owned(), Route::Base),
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags(name("a/b"))),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(name("tags/list"))),
            (format!("/v2/a/referrers/{digest}"), Route::Referrers(name("a"), parsed.clone())),
            (format!("/v2/a/blobs/{digest}"), Route::Blob(name("a"), parsed.clone())),
            (format!("/v2/a/blobs/{}", digest.replace(':', "%3A")), Route::Blob(name("a"), parsed.clone())),
            (
                format!("/v2/a/blobs/uploads/manifests/{digest}"),
                Route::Manifest(name("a/blobs/uploads"), Reference::Digest(parsed)),
            ),
            ("/v2/a/manifests/latest".to_owned(), Route::Manifest(name("a"), "latest".parse().unwrap())),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/0123".to_owned(), Route::Upload(name("a"), "0123".to_owned())),
        ];
        for (path, expected) in cases {
            assert_eq!(Route::parse(&path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn bad_paths() {
        let cases = [
            ("/", "UNSUPPORTED"),
            ("/v1/", "UNSUPPORTED"),
            ("/v2/a", "UNSUPPORTED"),
            ("/v2/%ff/tags/list", "UNSUPPORTED"),
            ("/v2/tags/list", "NAME_INVALID"),
            ("/v2/A/tags/list", "NAME_INVALID"),
            ("/v2/../tags/list", "NAME_INVALID"),
            ("/v2/a/%2e%2e/b/tags/list", "NAME_INVALID"),
            ("/v2/..%2f..%2fetc/manifests/x", "NAME_INVALID"),
            ("/v2/a//b/manifests/x", "NAME_INVALID"),
            ("/v2/a/manifests/", "MANIFEST_INVALID"),
            ("/v2/a/manifests/..", "MANIFEST_INVALID"),
            ("/v2/a/manifests/sha256:xyz", "DIGEST_INVALID"),
            ("/v2/a/blobs/x", "DIGEST_INVALID"),
            ("/v2/a/blobs/sha256:..%2f..", "UNSUPPORTED"),
            ("/v2/a/referrers/x", "DIGEST_INVALID"),
        ];
        for (path, code) in cases {
            assert_eq!(Route::parse(path).unwrap_err().code(), code, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_gets_an_answer(path in "/v2/[a/._%2e0-]{0,20}/(manifests|blobs|tags|referrers|uploads)/[a.%/0:-]{0,9}") {
            if let Ok(Route::Manifest(name, _) | Route::Upload(name, _) | Route::Uploads(name) | Route::Tags(name)) = Route::parse(&path) {
                prop_assert!(!name.as_str().contains("..") && !name.as_str().starts_with('/'));
            }
        }

        #[test]
        fn any_text_gets_an_answer(path in any::<String>(), query in any::<String>()) {
            drop(Route::parse(&path));
            Query::parse(Some(&query));
        }
    }
}
