//! Files of servers that are no registries.

use super::client;
use super::server::{Reply, Server};
use crate::{Environment, Error, ObjectStore, RemoteFile, Result, Url};

const LIMIT: u64 = 1 << 20;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

async fn fetch(url: &str, limit: u64) -> (Result<RemoteFile>, Vec<u8>) {
    let mut sink = Vec::new();
    let url: Url = url.parse().unwrap();
    let file = client().fetch_file(&url, limit, None, &mut sink).await;
    (file.map(|file| file.expect("nothing was known")), sink)
}

#[tokio::test]
async fn a_file_comes_with_its_time_after_redirects_and_retries() {
    let server = Server::start(|request| match (request.line().as_str(), request.before) {
        ("GET /a?b=c", 0) => Reply::new(503).header("Retry-After", 0),
        ("GET /a?b=c", _) => Reply::new(302).header("Location", "/d"),
        _ => Reply::new(200).header("Last-Modified", DATE).body("content"),
    })
    .await;
    let (file, content) = fetch(&format!("http://{}/a?b=c#e", server.address), LIMIT).await;
    let modified = Some(httpdate::parse_http_date(DATE).unwrap());
    assert_eq!(file.unwrap(), RemoteFile { size: 7, modified, validator: Some(DATE.into()) });
    assert_eq!(content, b"content");
    assert!(server.requests().iter().all(|request| request.header("authorization").is_empty()));
}

#[tokio::test]
async fn a_file_that_is_known_does_not_come_again() {
    let server =
        Server::start(|request| match (request.header("if-none-match"), request.header("if-modified-since")) {
            ("\"one\"", "") | ("", DATE) => Reply::new(304),
            _ => Reply::new(200).header("ETag", "\"two\"").body("content"),
        })
        .await;
    let url: Url = format!("http://{}/a", server.address).parse().unwrap();
    for (known, comes) in [("\"one\"", false), (DATE, false), ("\"old\"", true)] {
        let mut sink = Vec::new();
        let file = client().fetch_file(&url, LIMIT, Some(known), &mut sink).await.unwrap();
        let validator = file.and_then(|file| file.validator);
        assert_eq!((validator.as_deref(), sink.is_empty()), (comes.then_some("\"two\""), !comes), "{known}");
    }
}

#[tokio::test]
async fn a_transfer_goes_on_where_it_broke_off() {
    for resumes in [true, false] {
        let server = Server::start(move |request| {
            let reply = |status| Reply::new(status).header("ETag", "\"one\"");
            match (request.before, request.header("range")) {
                (0, "") => reply(200).body("0123456789").cut(4),
                (_, "bytes=4-") if resumes => {
                    assert_eq!(request.header("if-range"), "\"one\"");
                    reply(206).header("Content-Range", "bytes 4-9/10").body("456789")
                }
                _ => reply(200).body("0123456789"),
            }
        })
        .await;
        let (file, content) = fetch(&format!("http://{}/a", server.address), LIMIT).await;
        assert_eq!((file.unwrap().size, content.as_slice()), (10, &b"0123456789"[..]), "resumes: {resumes}");
    }
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_no_file() {
    let server = Server::start(|request| match request.before {
        0 => Reply::new(200).header("ETag", "\"one\"").body("0123456789").cut(4),
        _ => Reply::new(200).header("ETag", "\"two\"").body("abcdefghij"),
    })
    .await;
    let (file, _) = fetch(&format!("http://{}/a", server.address), LIMIT).await;
    assert!(matches!(file, Err(Error::Corrupt { .. })), "{file:?}");
    // Without a way to tell, it isn't tried.
    let server = Server::start(|_| Reply::new(200).body("0123456789").cut(4)).await;
    let (file, _) = fetch(&format!("http://{}/a", server.address), LIMIT).await;
    assert!(matches!(file, Err(Error::Unavailable { .. })), "{file:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_is_refused() {
    let server = Server::start(|request| match request.target.as_str() {
        "/missing?signature=s" => Reply::new(404),
        "/secret" => Reply::new(403),
        "/large" => Reply::new(200).body(vec![0; 101]),
        _ => Reply::new(302).header("Location", "ftp://files.test/"),
    })
    .await;
    for (path, words) in [
        ("missing?signature=s", "/missing: not found: the server answers 404 Not Found"),
        ("secret", "/secret: the server answers 403 Forbidden"),
        ("large", "/large: it has more than 100 bytes"),
        ("elsewhere", "redirects to the scheme `ftp`"),
    ] {
        let error = fetch(&format!("http://{}/{path}", server.address), 100).await.0.unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("signature"), "{error}");
    }
    for (url, words) in [
        ("ftp://files.test/a", "not by `ftp`"),
        ("file:///etc/passwd", "not by `file`"),
        ("https://me:hunter2@files.test/a", "a URL with credentials"),
    ] {
        let error = fetch(url, LIMIT).await.0.unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn an_object_is_asked_for_with_a_signature_each_time() {
    let server = Server::start(|request| {
        let signed =
            request.header("authorization").contains("Credential=me/") && !request.header("x-amz-date").is_empty();
        let reply = |status| Reply::new(status).header("ETag", "\"one\"");
        match (signed, request.before, request.header("range")) {
            (false, ..) => Reply::new(403).body("<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"),
            (_, 0, _) => reply(200).body("0123456789").cut(4),
            (_, _, "bytes=4-") => reply(206).header("Content-Range", "bytes 4-9/10").body("456789"),
            _ => Reply::new(500),
        }
    })
    .await;
    let endpoint = format!("http://{}", server.address);
    let store = |more: &[(&str, &str)]| {
        let fixed = [("S3_ENDPOINT", endpoint.as_str())];
        ObjectStore::of(&Environment::new(fixed.iter().chain(more).copied())).unwrap()
    };
    let login = store(&[("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "hunter2")]);
    let url = login.url("b", "k").unwrap();
    let mut sink = Vec::new();
    let file = client().fetch_object(&login, &url, LIMIT, None, &mut sink).await.unwrap().unwrap();
    assert_eq!((file.size, sink.as_slice()), (10, &b"0123456789"[..]));
    assert!(server.requests()[1].header("authorization").contains("SignedHeaders=host;if-range;range;"));

    let error = client().fetch_object(&store(&[]), &url, LIMIT, None, &mut Vec::new()).await.unwrap_err().to_string();
    for words in ["/b/k: the server answers 403 Forbidden: AccessDenied: No.", "AWS_ACCESS_KEY_ID is not set"] {
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_signed_request_follows_no_redirect() {
    let elsewhere = Server::start(|_| Reply::new(200).body("content")).await;
    let to = format!("http://{}/k", elsewhere.address);
    let body = "<Error><Code>PermanentRedirect</Code></Error>";
    let server = Server::start(move |_| Reply::new(301).header("Location", &to).body(body)).await;
    let endpoint = format!("http://{}", server.address);
    let variables =
        [("S3_ENDPOINT", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let store = ObjectStore::of(&Environment::new(variables)).unwrap();
    let url = store.url("b", "k").unwrap();
    let error = client().fetch_object(&store, &url, LIMIT, None, &mut Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("301 Moved Permanently: PermanentRedirect"), "{error}");
    assert!(elsewhere.requests().is_empty());
}
