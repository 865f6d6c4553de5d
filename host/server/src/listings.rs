//! Lists: tags, repositories, referrers (distribution-spec, "Content Discovery"; `_catalog` is Docker's).

use http::StatusCode;
use serde_json::json;

use crate::document::OCI_INDEX;
use crate::error::Error;
use crate::names::{Digest, Repository};
use crate::responses::Answer;
use crate::routes::Query;
use crate::storage::Store;
use crate::uploads::decimal;

/// `GET /v2/NAME/tags/list`, in the order of bytes.
pub(crate) fn tags(store: &Store, repository: &Repository, query: &Query) -> Result<Answer, Error> {
    let tags = store.tags(repository)?.ok_or_else(|| Error::NameUnknown(repository.clone()))?;
    let mut names: Vec<String> = tags.iter().map(|tag| tag.as_str().to_owned()).collect();
    names.sort_unstable();
    let page = Page::of(names, query)?;
    let body = json!({ "name": repository.as_str(), "tags": page.names });
    Ok(page.link(Answer::json(StatusCode::OK, "application/json", &body), &format!("/v2/{repository}/tags/list")))
}

/// `GET /v2/_catalog`, in the order of bytes.
pub(crate) fn catalog(store: &Store, query: &Query) -> Result<Answer, Error> {
    let page = Page::of(store.repositories()?, query)?;
    let body = json!({ "repositories": page.names });
    Ok(page.link(Answer::json(StatusCode::OK, "application/json", &body), "/v2/_catalog"))
}

/// `GET /v2/NAME/referrers/DIGEST`: an index of what has the digest as its subject, empty if nothing has.
pub(crate) fn referrers(
    store: &Store,
    repository: &Repository,
    subject: &Digest,
    query: &Query,
) -> Result<Answer, Error> {
    let mut descriptors = store.referrers(repository, subject)?;
    let filter = query.get("artifactType");
    if let Some(kind) = filter {
        descriptors.retain(|descriptor| descriptor["artifactType"] == kind);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors });
    let answer = Answer::json(StatusCode::OK, OCI_INDEX, &index);
    Ok(if filter.is_some() { answer.header("oci-filters-applied", "artifactType") } else { answer })
}

/// A part of a sorted list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    names: Vec<String>,
    /// Query of the next page.
    next: Option<String>,
}

impl Page {
    /// At most `n` names after `last`, which need not be in the list.
    fn of(mut names: Vec<String>, query: &Query) -> Result<Self, Error> {
        if let Some(last) = query.get("last") {
            names.retain(|name| name.as_str() > last);
        }
        let Some(text) = query.get("n") else {
            return Ok(Self { names, next: None });
        };
        let limit = decimal(text).ok_or_else(|| Error::PageInvalid(text.to_owned()))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = names.len() > limit;
        names.truncate(limit);
        let last = names.last().filter(|_| more);
        let next = last.map(|last| {
            form_urlencoded::Serializer::new(String::new()).append_pair("n", text).append_pair("last", last).finish()
        });
        Ok(Self { names, next })
    }

    fn link(&self, answer: Answer, path: &str) -> Answer {
        match &self.next {
            Some(query) => answer.header("link", format!("<{path}?{query}>; rel=\"next\"")),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let names = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("", &["a", "b", "c"], None),
            ("n=2", &["a", "b"], Some("n=2&last=b")),
            ("n=2&last=b", &["c"], None),
            ("n=3", &["a", "b", "c"], None),
            ("n=0", &[], None),
            ("last=aa", &["b", "c"], None),
            ("last=z", &[], None),
            ("n=1&last=a%2F", &["b"], Some("n=1&last=b")),
            ("n=9999999999", &["a", "b", "c"], None),
        ];
        for (query, expected, next) in cases {
            let page = Page::of(names(), &Query::parse(Some(query))).unwrap();
            assert_eq!(page.names, *expected, "{query}");
            assert_eq!(page.next.as_deref(), *next, "{query}");
        }
        for query in ["n=", "n=-1", "n=x", "n=99999999999999999999"] {
            let result = Page::of(names(), &Query::parse(Some(query)));
            assert!(matches!(result, Err(Error::PageInvalid(_))), "{query}");
        }
    }
}
