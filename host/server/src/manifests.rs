//! Manifests and indexes of a repository, by tag and by digest (distribution-spec, "Pulling manifests", "Pushing Manifests",
//! "Deleting tags", "Deleting Manifests").

use http::StatusCode;

use crate::document::Document;
use crate::error::Error;
use crate::names::{Algorithm, Digest, Reference, Repository};
use crate::responses::Answer;
use crate::storage::{Store, StoredManifest, digest_of};

/// The largest manifest in bytes: what the spec says that every registry should take.
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

/// `GET` and, since hyper drops the body there, `HEAD`.
pub(crate) fn get(store: &Store, repository: &Repository, reference: &Reference) -> Result<Answer, Error> {
    let unknown = || Error::ManifestUnknown(reference.to_string());
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => store.tag(repository, tag)?.ok_or_else(unknown)?,
    };
    let StoredManifest { media_type, content } = store.manifest(repository, &digest)?.ok_or_else(unknown)?;
    Ok(Answer::bytes(StatusCode::OK, &media_type, content)
        .header("docker-content-digest", &digest)
        .header("etag", format!("\"{digest}\"")))
}

/// `PUT`: takes a manifest if all that it refers to is here.
pub(crate) fn put(
    store: &Store,
    repository: &Repository,
    reference: &Reference,
    content_type: Option<&str>,
    content: &[u8],
) -> Result<Answer, Error> {
    let digest = verified(reference, content)?;
    let document = Document::parse(content_type, content)?;
    check_references(store, repository, &document)?;
    store.put_manifest(repository, &digest, &document.media_type, content)?;
    if let Some(subject) = &document.subject {
        store.add_referrer(repository, subject, &digest, &document.referrer(&digest, content.len()))?;
    }
    if let Reference::Tag(tag) = reference {
        store.set_tag(repository, tag, &digest)?;
    }
    let answer = Answer::new(StatusCode::CREATED)
        .header("location", format!("/v2/{repository}/manifests/{digest}"))
        .header("docker-content-digest", &digest);
    Ok(match document.subject {
        Some(subject) => answer.header("oci-subject", subject),
        None => answer,
    })
}

/// `DELETE`: of a tag, that name alone; of a digest, the manifest and all tags of it.
pub(crate) fn delete(store: &Store, repository: &Repository, reference: &Reference) -> Result<Answer, Error> {
    let removed = match reference {
        Reference::Tag(tag) => store.remove_tag(repository, tag)?,
        Reference::Digest(digest) => {
            let manifest = store.manifest(repository, digest)?;
            let subject = manifest.and_then(|manifest| {
                Document::parse(Some(&manifest.media_type), &manifest.content)
                    .ok()
                    .and_then(|document| document.subject)
            });
            if let Some(subject) = subject {
                store.remove_referrer(repository, &subject, digest)?;
            }
            store.remove_manifest(repository, digest)?
        }
    };
    if removed { Ok(Answer::new(StatusCode::ACCEPTED)) } else { Err(Error::ManifestUnknown(reference.to_string())) }
}

/// The digest of the content, which must be the one it is put under.
fn verified(reference: &Reference, content: &[u8]) -> Result<Digest, Error> {
    let Reference::Digest(named) = reference else {
        return Ok(digest_of(Algorithm::Sha256, content));
    };
    let actual = digest_of(named.algorithm(), content);
    if actual == *named {
        Ok(actual)
    } else {
        Err(Error::DigestInvalid(format!("the manifest has the digest {actual}, not {named}")))
    }
}

/// All blobs and children must be here, and blobs of the size that the manifest says.
fn check_references(store: &Store, repository: &Repository, document: &Document) -> Result<(), Error> {
    let mut missing = Vec::new();
    for blob in &document.blobs {
        match store.blob_size(repository, &blob.digest)? {
            Some(size) if size != blob.size => {
                let message = format!("blob {} has {size} bytes, the manifest says {}", blob.digest, blob.size);
                return Err(Error::ManifestInvalid(message));
            }
            Some(_) => {}
            None => missing.push(blob.digest.clone()),
        }
    }
    for child in &document.children {
        // An index may list other content than manifests.
        if !store.has_manifest(repository, &child.digest) && store.blob_size(repository, &child.digest)?.is_none() {
            missing.push(child.digest.clone());
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Error::ManifestBlobUnknown(missing)) }
}
