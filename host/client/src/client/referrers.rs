//! Referrers: the API, and the tag that stands in for it (distribution-spec, "Listing Referrers", "Referrers Tag Schema").

use std::collections::BTreeMap;

use bytes::Bytes;
use oci_spec::image::Digest;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::lists::{LONGEST_PAGE, MOST_PAGES, malformed, next_page};
use super::{Client, Descriptor, Referrer, blob_subject};
use crate::auth::Access;
use crate::exchange::{Call, Target};
use crate::{Error, RepositoryName, Result, Selector};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An index of referrers. Entries are kept as they are: other tools write properties that we don't know.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Vec<serde_json::Map<String, serde_json::Value>>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// What of a manifest its index entry repeats.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    subject: Option<Subject>,
    artifact_type: Option<String>,
    config: Option<Config>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: String,
}

impl From<Entry> for Referrer {
    fn from(entry: Entry) -> Self {
        Referrer {
            descriptor: Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size },
            artifact_type: entry.artifact_type.filter(|kind| !kind.is_empty()),
            annotations: entry.annotations.unwrap_or_default(),
        }
    }
}

impl Client {
    /// The manifests whose subject is `digest`, from the referrers API or, where there is none, from the fallback tag.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an answer that is no index.
    pub async fn referrers(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>> {
        let mut found = Vec::new();
        let mut target = Target::Path(format!("referrers/{digest}"));
        for page_number in 0..MOST_PAGES {
            let subject = blob_subject(repository, digest);
            let mut call = Call::new(Method::GET, target, Access::pull(repository), subject);
            call.headers.insert(ACCEPT, HeaderValue::from_static(INDEX));
            let page = self.exchange.fetch(&call, LONGEST_PAGE).await?;
            match page.status {
                StatusCode::OK => {}
                // Registries without the API answer 404; older ones take the path for something else and answer 400 or 405.
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED
                    if page_number == 0 =>
                {
                    return self.referrers_by_tag(repository, digest).await;
                }
                _ => return Err(self.exchange.unexpected(&call, &page).await),
            }
            found.extend(parse(repository, &page.body)?);
            match next_page(&page.url, &page.headers) {
                Ok(None) => return Ok(found),
                Ok(Some(url)) => target = Target::Url(url),
                Err(reason) => return Err(malformed(repository, &reason)),
            }
        }
        Err(malformed(repository, "the list of referrers does not end"))
    }

    async fn referrers_by_tag(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Referrer>> {
        match self.manifest(repository, &fallback_tag(repository, digest)?).await {
            Ok(index) => parse(repository, &index.content),
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds a pushed manifest to the fallback tag of its subject, if it has one.
    pub(super) async fn keep_up_referrers(
        &self,
        repository: &RepositoryName,
        pushed: Descriptor,
        content: &Bytes,
    ) -> Result<()> {
        let Ok(referring) = serde_json::from_slice::<Referring>(content) else { return Ok(()) };
        let Some(subject) = &referring.subject else { return Ok(()) };
        let tag = fallback_tag(repository, &subject.digest)?;
        let _one_at_a_time = self.referrers.lock().await;
        let mut index = match self.manifest(repository, &tag).await {
            Ok(manifest) => serde_json::from_slice(&manifest.content)
                .map_err(|_| malformed(repository, "the fallback tag of referrers is no index"))?,
            Err(Error::NotFound { .. }) => Index {
                schema_version: 2,
                media_type: INDEX.to_owned(),
                manifests: Vec::new(),
                others: BTreeMap::new(),
            },
            Err(error) => return Err(error),
        };
        let digest = serde_json::Value::from(pushed.digest.to_string());
        if index.manifests.iter().any(|entry| entry.get("digest") == Some(&digest)) {
            return Ok(());
        }
        index.manifests.push(entry(&pushed, &referring));
        INDEX.clone_into(&mut index.media_type);
        let content = serde_json::to_vec(&index).map_err(|e| malformed(repository, &e.to_string()))?;
        self.put(repository, &tag, INDEX, &content.into()).await.map(drop)
    }
}

/// The index entry of a referring manifest: the type of an image is that of its config.
fn entry(pushed: &Descriptor, referring: &Referring) -> serde_json::Map<String, serde_json::Value> {
    let mut entry = serde_json::Map::new();
    entry.insert("mediaType".to_owned(), pushed.media_type.clone().into());
    entry.insert("digest".to_owned(), pushed.digest.to_string().into());
    entry.insert("size".to_owned(), pushed.size.into());
    let config = referring.config.as_ref().map(|config| &config.media_type);
    let declared = referring.artifact_type.as_ref().filter(|kind| !kind.is_empty());
    if let Some(kind) = declared.or(config) {
        entry.insert("artifactType".to_owned(), kind.clone().into());
    }
    if let Some(annotations) = &referring.annotations {
        let pairs = annotations.iter().map(|(k, v)| (k.clone(), v.clone().into()));
        entry.insert("annotations".to_owned(), serde_json::Value::Object(pairs.collect()));
    }
    entry
}

fn parse(repository: &RepositoryName, content: &[u8]) -> Result<Vec<Referrer>> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        manifests: Option<Vec<Entry>>,
    }
    let page: Page = serde_json::from_slice(content)
        .map_err(|e| malformed(repository, &format!("the list of referrers is no index: {e}")))?;
    let entries = page.manifests.unwrap_or_default();
    Ok(entries.into_iter().map(Referrer::from).collect())
}

/// `sha256-<hex>`.
fn fallback_tag(repository: &RepositoryName, digest: &Digest) -> Result<Selector> {
    // A tag has 128 characters at most, which a longer digest is cut to.
    let text = format!("{}-{}", digest.algorithm(), digest.digest());
    let tag = text.get(..128).unwrap_or(&text).parse();
    tag.map(Selector::Tag).map_err(|e: crate::ReferenceError| malformed(repository, &e.to_string()))
}
