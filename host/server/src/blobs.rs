//! Blobs of a repository: read, whole or in part, and taken out (distribution-spec, "Pulling blobs", "Deleting blobs").

use std::io::Seek;

use http::{HeaderMap, StatusCode, header};

use crate::error::Error;
use crate::names::{Digest, Repository};
use crate::responses::{Answer, FileBody};
use crate::storage::Store;
use crate::uploads::decimal;

/// `GET` and, since hyper drops the body there, `HEAD`.
pub(crate) fn get(
    store: &Store,
    repository: &Repository,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let size = size(store, repository, digest)?;
    let mut file = store.open_content(digest)?;
    let answer = match wanted(headers, digest, size)? {
        None => Answer::file(StatusCode::OK, FileBody::new(file, size)),
        Some((start, end)) => {
            file.seek(std::io::SeekFrom::Start(start))?;
            Answer::file(StatusCode::PARTIAL_CONTENT, FileBody::new(file, end - start + 1))
                .header("content-range", format!("bytes {start}-{end}/{size}"))
        }
    };
    Ok(describe(answer, digest))
}

/// `HEAD`: what `GET` says of the whole, without opening the file.
pub(crate) fn head(store: &Store, repository: &Repository, digest: &Digest) -> Result<Answer, Error> {
    let size = size(store, repository, digest)?;
    let answer =
        Answer::new(StatusCode::OK).header("content-type", "application/octet-stream").header("content-length", size);
    Ok(describe(answer, digest))
}

/// `DELETE`. The content stays where other repositories have it.
pub(crate) fn delete(store: &Store, repository: &Repository, digest: &Digest) -> Result<Answer, Error> {
    if store.unlink_blob(repository, digest)? {
        Ok(Answer::new(StatusCode::ACCEPTED).header("docker-content-digest", digest))
    } else {
        Err(Error::BlobUnknown(digest.clone()))
    }
}

fn size(store: &Store, repository: &Repository, digest: &Digest) -> Result<u64, Error> {
    store.blob_size(repository, digest)?.ok_or_else(|| Error::BlobUnknown(digest.clone()))
}

fn describe(answer: Answer, digest: &Digest) -> Answer {
    answer.header("docker-content-digest", digest).header("etag", etag(digest)).header("accept-ranges", "bytes")
}

fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// The part that is asked for: first and last byte. A range that is malformed, of another unit, one of several, or meant for other
/// content (`If-Range`) asks for the whole (RFC 9110, sections 14.2 and 13.1.5).
fn wanted(headers: &HeaderMap, digest: &Digest, size: u64) -> Result<Option<(u64, u64)>, Error> {
    let other = headers.get(header::IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag(digest).as_bytes());
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")).filter(|_| !other) else {
        return Ok(None);
    };
    let Some((first, last)) = range.split_once('-') else {
        return Ok(None);
    };
    let part = match (first, decimal(first), last, decimal(last)) {
        ("", _, _, Some(suffix)) if suffix > 0 && size > 0 => Some((size.saturating_sub(suffix), size - 1)),
        ("", _, _, Some(_)) => None,
        (_, Some(start), "", _) => (start < size).then(|| (start, size - 1)),
        (_, Some(start), _, Some(end)) if start <= end => (start < size).then(|| (start, end.min(size - 1))),
        _ => return Ok(None),
    };
    part.map(Some).ok_or_else(|| Error::RangeInvalid { range: range.to_owned(), size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Algorithm;
    use crate::storage::digest_of;

    #[test]
    fn ranges() {
        let digest = digest_of(Algorithm::Sha256, b"");
        let of = |range: &str, size: u64| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            wanted(&headers, &digest, size).map_err(|_| ())
        };
        type Part = Result<Option<(u64, u64)>, ()>;
        let cases: &[(&str, u64, Part)] = &[
            ("bytes=0-3", 10, Ok(Some((0, 3)))),
            ("bytes=4-", 10, Ok(Some((4, 9)))),
            ("bytes=-3", 10, Ok(Some((7, 9)))),
            ("bytes=-30", 10, Ok(Some((0, 9)))),
            ("bytes=5-99", 10, Ok(Some((5, 9)))),
            ("bytes=9-9", 10, Ok(Some((9, 9)))),
            ("bytes=10-", 10, Err(())),
            ("bytes=10-11", 10, Err(())),
            ("bytes=-0", 10, Err(())),
            ("bytes=0-", 0, Err(())),
            ("bytes=-1", 0, Err(())),
            ("bytes=0-1,3-4", 10, Ok(None)),
            ("bytes=4-3", 10, Ok(None)),
            ("bytes=a-b", 10, Ok(None)),
            ("bytes=-", 10, Ok(None)),
            ("bytes=", 10, Ok(None)),
            ("lines=0-3", 10, Ok(None)),
            ("bytes=99999999999999999999-", 10, Ok(None)),
        ];
        for (range, size, expected) in cases {
            assert_eq!(of(range, *size), *expected, "{range} of {size}");
        }
    }

    #[test]
    fn range_for_other_content_is_ignored() {
        let digest = digest_of(Algorithm::Sha256, b"");
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-3".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"sha256:other\"".parse().unwrap());
        assert_eq!(wanted(&headers, &digest, 10).unwrap(), None);
        headers.insert(header::IF_RANGE, etag(&digest).parse().unwrap());
        assert_eq!(wanted(&headers, &digest, 10).unwrap(), Some((0, 3)));
    }
}
