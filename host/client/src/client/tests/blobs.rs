//! Blobs down.

use super::super::Progress;
use super::server::{Reply, Server};
use super::*;
use crate::Error;

const BLOB: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

async fn pull(client: &Client, server: &Server, size: Option<u64>) -> crate::Result<Vec<u8>> {
    let r = repository(&server.host(), "r");
    let mut sink = Vec::new();
    let pulled = client.pull_blob(&r, &sha256(BLOB), size, &mut sink, &Progress::none()).await;
    pulled.map(|size| {
        assert_eq!(size, sink.len() as u64);
        sink
    })
}

fn start_of(range: &str) -> usize {
    let number = range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-'));
    number.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let server = Server::start(|request| match request.header("range") {
        "" => Reply::new(200).body(BLOB).cut(10),
        range => {
            let start = start_of(range);
            let reply = Reply::new(206).header("content-range", format!("bytes {start}-35/36")).body(&BLOB[start..]);
            if start < 20 { reply.cut(10) } else { reply }
        }
    })
    .await;
    for size in [Some(36), None] {
        assert_eq!(pull(&client(), &server, size).await.unwrap(), BLOB);
    }
    let ranges: Vec<_> = server.requests().iter().map(|r| r.header("range").to_owned()).collect();
    assert_eq!(ranges[..3], ["", "bytes=10-", "bytes=20-"]);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_again() {
    let server = Server::start(|request| {
        let reply = Reply::new(200).body(BLOB);
        if request.before == 0 { reply.cut(10) } else { reply }
    })
    .await;
    assert_eq!(pull(&client(), &server, Some(36)).await.unwrap(), BLOB);
}

#[tokio::test]
async fn a_transfer_that_never_moves_on_fails() {
    let server = Server::start(|_| Reply::new(200).body(BLOB).cut(0)).await;
    let error = pull(&client(), &server, Some(36)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { tries: 3, .. }), "{error}");
    assert!(error.to_string().contains("after 0 of 36 bytes"), "{error}");
}

#[tokio::test]
async fn wrong_bytes_and_sizes_are_corrupt() {
    for (body, size, words) in [
        (&b"0123456789abcdefghijklmnopqrstuvwxyZ"[..], Some(36), "its bytes have the digest"),
        (b"0123456789abcdefghijklmnopqrstuvwxyZ", None, "its bytes have the digest"),
        (BLOB, Some(35), "it has 36 bytes, not the 35 announced"),
        (BLOB, Some(37), "it has 36 bytes, not the 37 announced"),
    ] {
        let server = Server::start(move |_| Reply::new(200).body(body)).await;
        let error = pull(&client(), &server, size).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_range_is_corrupt() {
    let server = Server::start(|request| match request.header("range") {
        "" => Reply::new(200).body(BLOB).cut(10),
        _ => Reply::new(206).header("content-range", "bytes 0-35/36").body(BLOB),
    })
    .await;
    let error = pull(&client(), &server, Some(36)).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let server = Server::start(|_| Reply::new(200)).await;
    let r = repository(&server.host(), "r");
    let mut sink = Vec::new();
    let size = client().pull_blob(&r, &sha256(b""), Some(0), &mut sink, &Progress::none()).await.unwrap();
    assert_eq!((size, sink.len()), (0, 0));
}

#[tokio::test]
async fn whether_a_blob_exists_is_one_request() {
    let there = format!("/v2/r/blobs/{}", sha256(BLOB));
    let server = Server::start(move |request| match request.target == there {
        true => Reply::new(200).header("content-length", 36),
        false => Reply::new(404),
    })
    .await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    assert!(client.blob_exists(&r, &sha256(BLOB)).await.unwrap());
    assert!(!client.blob_exists(&r, &sha256(b"")).await.unwrap());
    assert_eq!(server.lines().len(), 2);
    assert_eq!(client.blob_size(&r, &sha256(BLOB)).await.unwrap(), Some(36));
    assert_eq!(client.blob_size(&r, &sha256(b"")).await.unwrap(), None);
}

#[tokio::test]
async fn a_redirect_without_end_is_refused() {
    let server = Server::start(|request| Reply::new(307).header("location", &request.target)).await;
    let error = pull(&client(), &server, None).await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_left() {
    // It accepts connections and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let r = repository(&listener.local_addr().unwrap().to_string(), "r");
    let limit = Duration::from_millis(50);
    let config = Config { idle_timeout: limit, connect_timeout: limit, ..hasty() };
    let error = Client::new(config).unwrap().manifest(&r, &tag("x")).await.unwrap_err();
    assert!(error.to_string().contains("silent for 50ms"), "{error}");
}
