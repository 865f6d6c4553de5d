//! Blobs and uploads over HTTP.

mod common;

use std::io::{Read, Write};
use std::path::Path;

use common::{Registry, sha256, sha512};

/// Files below a directory.
fn count_files(directory: &Path) -> usize {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}

#[test]
fn base_says_the_version() {
    let registry = Registry::start();
    for path in ["/v2/", "/v2"] {
        let reply = registry.send("GET", path);
        assert_eq!((reply.status, reply.header("docker-distribution-api-version")), (200, "registry/2.0"));
    }
    registry.send("GET", "/").assert_error(404, "UNSUPPORTED");
}

#[test]
fn whole_blob_in_one_request() {
    let registry = Registry::start();
    let digest = sha256(b"hello");
    let reply = registry.request("POST", &format!("/v2/a/b/blobs/uploads/?digest={digest}"), &[], b"hello");
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("location"), format!("/v2/a/b/blobs/{digest}"));
    assert_eq!(reply.header("docker-content-digest"), digest);
    let reply = registry.send("GET", &format!("/v2/a/b/blobs/{digest}"));
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(reply.header("content-length"), "5");
    assert_eq!(reply.header("docker-content-digest"), digest);
    let reply = registry.send("HEAD", &format!("/v2/a/b/blobs/{digest}"));
    assert_eq!((reply.status, reply.header("content-length"), reply.body.len()), (200, "5", 0));
}

#[test]
fn empty_blob() {
    let registry = Registry::start();
    let digest = registry.push_blob("a", b"");
    let reply = registry.send("GET", &format!("/v2/a/blobs/{digest}"));
    assert_eq!((reply.status, reply.header("content-length"), reply.body.len()), (200, "0", 0));
}

#[test]
fn sha512_is_verified() {
    let registry = Registry::start();
    let digest = sha512(b"long");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    registry.request("POST", &path, &[], b"other").assert_error(400, "DIGEST_INVALID");
    assert_eq!(registry.request("POST", &path, &[], b"long").status, 201);
    assert_eq!(registry.send("GET", &format!("/v2/a/blobs/{digest}")).body, b"long");
    registry.send("GET", &format!("/v2/a/blobs/{}", sha256(b"long"))).assert_error(404, "BLOB_UNKNOWN");
}

#[test]
fn part_of_a_blob() {
    let registry = Registry::start();
    let digest = registry.push_blob("a", b"0123456789");
    let path = format!("/v2/a/blobs/{digest}");
    let reply = registry.request("GET", &path, &[("Range", "bytes=2-4")], b"");
    assert_eq!((reply.status, reply.body.as_slice()), (206, b"234".as_slice()));
    assert_eq!((reply.header("content-range"), reply.header("content-length")), ("bytes 2-4/10", "3"));
    let reply = registry.request("GET", &path, &[("Range", "bytes=-2")], b"");
    assert_eq!((reply.status, reply.body.as_slice()), (206, b"89".as_slice()));
    let reply = registry.request("GET", &path, &[("Range", "bytes=10-")], b"");
    assert_eq!(reply.header("content-range"), "bytes */10");
    reply.assert_error(416, "SIZE_INVALID");
}

#[test]
fn chunks_in_order() {
    let registry = Registry::start();
    let location = registry.start_upload("a");
    let reply = registry.request("PATCH", &location, &[("Content-Range", "0-2")], b"abc");
    assert_eq!((reply.status, reply.header("range")), (202, "0-2"));
    let reply = registry.request("PATCH", reply.header("location"), &[("Content-Range", "3-5")], b"def");
    assert_eq!((reply.status, reply.header("range")), (202, "0-5"));
    let reply = registry.send("GET", reply.header("location"));
    assert_eq!((reply.status, reply.header("range"), reply.header("location")), (204, "0-5", location.as_str()));
    let digest = sha256(b"abcdefgh");
    let close = format!("{location}?digest={digest}");
    let reply = registry.request("PUT", &close, &[("Content-Range", "6-7")], b"gh");
    assert_eq!((reply.status, reply.header("docker-content-digest")), (201, digest.as_str()));
    assert_eq!(registry.send("GET", &format!("/v2/a/blobs/{digest}")).body, b"abcdefgh");
    registry.send("GET", &location).assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn chunk_out_of_order_says_where_to_go_on() {
    let registry = Registry::start();
    let location = registry.start_upload("a");
    assert_eq!(registry.request("PATCH", &location, &[("Content-Range", "0-2")], b"abc").status, 202);
    for range in ["0-2", "4-6"] {
        let reply = registry.request("PATCH", &location, &[("Content-Range", range)], b"def");
        assert_eq!((reply.header("range"), reply.header("location")), ("0-2", location.as_str()));
        reply.assert_error(416, "BLOB_UPLOAD_INVALID");
    }
    let digest = sha256(b"abcdef");
    let close = format!("{location}?digest={digest}");
    registry.request("PUT", &close, &[("Content-Range", "9-11")], b"def").assert_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(registry.request("PUT", &close, &[("Content-Range", "3-5")], b"def").status, 201);
}

#[test]
fn chunk_of_the_wrong_length_is_taken_back() {
    let registry = Registry::start();
    let location = registry.start_upload("a");
    assert_eq!(registry.request("PATCH", &location, &[], b"abc").status, 202);
    registry.request("PATCH", &location, &[("Content-Range", "3-9")], b"XY").assert_error(400, "SIZE_INVALID");
    registry.request("PATCH", &location, &[("Content-Range", "3")], b"XY").assert_error(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(registry.send("GET", &location).header("range"), "0-2");
    let digest = sha256(b"abcd");
    assert_eq!(registry.request("PUT", &format!("{location}?digest={digest}"), &[], b"d").status, 201);
}

#[test]
fn stream_of_unknown_length() {
    let registry = Registry::start();
    let location = registry.start_upload("a");
    let chunked = [("Transfer-Encoding", "chunked")];
    assert_eq!(registry.request("PATCH", &location, &chunked, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").status, 202);
    let digest = sha256(b"abcde");
    assert_eq!(registry.send("PUT", &format!("{location}?digest={digest}")).status, 201);
}

#[test]
fn broken_connection_can_be_resumed() {
    let registry = Registry::start();
    let location = registry.start_upload("a");
    let mut stream = registry.connect();
    write!(stream, "PATCH {location} HTTP/1.1\r\nHost: r\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    // No more will come; the server's last word on this connection says that it has noticed.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(registry.send("GET", &location).header("range"), "0-2");
    let digest = sha256(b"abcdef");
    let reply = registry.request("PUT", &format!("{location}?digest={digest}"), &[("Content-Range", "3-5")], b"def");
    assert_eq!(reply.status, 201);
}

#[test]
fn wrong_content_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::start_in(Some(root.path().to_owned()));
    let digest = sha256(b"right");
    registry
        .request("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"wrong")
        .assert_error(400, "DIGEST_INVALID");
    let location = registry.start_upload("a");
    registry.request("PUT", &format!("{location}?digest={digest}"), &[], b"wrong").assert_error(400, "DIGEST_INVALID");
    registry.send("GET", &location).assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    registry.send("GET", &format!("/v2/a/blobs/{digest}")).assert_error(404, "BLOB_UNKNOWN");
    for directory in ["uploads", "blobs", "repositories"] {
        assert_eq!(count_files(&root.path().join(directory)), 0, "{directory}");
    }
}

#[test]
fn cancelled_upload_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::start_in(Some(root.path().to_owned()));
    let location = registry.start_upload("a");
    assert_eq!(registry.request("PATCH", &location, &[], b"abc").status, 202);
    assert_eq!(count_files(&root.path().join("uploads")), 1);
    assert_eq!(registry.send("DELETE", &location).status, 204);
    registry.send("DELETE", &location).assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    registry.request("PATCH", &location, &[], b"abc").assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(count_files(&root.path().join("uploads")), 0);
}

#[test]
fn unclosed_upload_goes_with_the_server() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::start_in(Some(root.path().to_owned()));
    let location = registry.start_upload("a");
    assert_eq!(registry.request("PATCH", &location, &[], b"abc").status, 202);
    drop(registry);
    assert_eq!(count_files(&root.path().join("uploads")), 0);
}

#[test]
fn uploads_belong_to_their_repository() {
    let registry = Registry::start();
    let location = registry.start_upload("a").replace("/a/", "/b/");
    registry.send("GET", &location).assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    registry.send("PUT", &location).assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn closing_needs_a_digest() {
    let registry = Registry::start();
    let location = registry.start_upload("a");
    registry.send("PUT", &location).assert_error(400, "DIGEST_INVALID");
    registry.send("PUT", &format!("{location}?digest=md5:00")).assert_error(400, "DIGEST_INVALID");
    assert_eq!(registry.send("PUT", &format!("{location}?digest={}", sha256(b""))).status, 201);
}

#[test]
fn mount_shares_and_falls_back() {
    let registry = Registry::start();
    let digest = registry.push_blob("a", b"shared");
    registry.send("GET", &format!("/v2/b/blobs/{digest}")).assert_error(404, "BLOB_UNKNOWN");
    let reply = registry.send("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"));
    assert_eq!((reply.status, reply.header("location")), (201, format!("/v2/b/blobs/{digest}").as_str()));
    assert_eq!(registry.send("GET", &format!("/v2/b/blobs/{digest}")).body, b"shared");
    for query in
        [format!("mount={digest}&from=none"), format!("mount={digest}"), format!("mount={}&from=a", sha256(b"x"))]
    {
        let reply = registry.send("POST", &format!("/v2/c/blobs/uploads/?{query}"));
        assert_eq!(reply.status, 202, "{query}");
        assert_eq!(registry.send("GET", reply.header("location")).status, 204);
    }
    registry
        .send("POST", &format!("/v2/c/blobs/uploads/?mount={digest}&from=..%2Fa"))
        .assert_error(400, "NAME_INVALID");
}

#[test]
fn deleting_takes_a_blob_out_of_one_repository() {
    let registry = Registry::start();
    let digest = registry.push_blob("a", b"both");
    registry.push_blob("b", b"both");
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(registry.send("DELETE", &path).status, 202);
    registry.send("DELETE", &path).assert_error(404, "BLOB_UNKNOWN");
    assert_eq!(registry.send("HEAD", &path).status, 404);
    assert_eq!(registry.send("GET", &format!("/v2/b/blobs/{digest}")).body, b"both");
}

#[test]
fn other_methods_are_named() {
    let registry = Registry::start();
    let digest = sha256(b"");
    let cases = [
        ("POST", "/v2/".to_owned(), "GET, HEAD"),
        ("PUT", format!("/v2/a/blobs/{digest}"), "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/".to_owned(), "POST"),
        ("POST", "/v2/a/manifests/x".to_owned(), "GET, HEAD, PUT, DELETE"),
        ("DELETE", "/v2/a/tags/list".to_owned(), "GET, HEAD"),
        ("BREW", "/v2/_catalog".to_owned(), "GET, HEAD"),
    ];
    for (method, path, allowed) in cases {
        let reply = registry.send(method, &path);
        assert_eq!(reply.header("allow"), allowed, "{method} {path}");
        reply.assert_error(405, "UNSUPPORTED");
    }
}

#[test]
fn several_clients_push_the_same_and_their_own() {
    let registry = Registry::start();
    let shared = vec![7; 3_000_000];
    let digest = sha256(&shared);
    std::thread::scope(|scope| {
        for client in 0..6_u8 {
            let (registry, shared) = (&registry, &shared);
            scope.spawn(move || {
                registry.push_blob("same", shared);
                let own = vec![client; 1_000_000];
                let own_digest = registry.push_blob("own", &own);
                assert_eq!(registry.send("GET", &format!("/v2/own/blobs/{own_digest}")).body, own);
            });
        }
    });
    assert_eq!(registry.send("GET", &format!("/v2/same/blobs/{digest}")).body, shared);
}

#[test]
fn content_outlives_the_server() {
    let root = tempfile::tempdir().unwrap();
    let digest = Registry::start_in(Some(root.path().to_owned())).push_blob("a", b"kept");
    let registry = Registry::start_in(Some(root.path().to_owned()));
    assert_eq!(registry.send("GET", &format!("/v2/a/blobs/{digest}")).body, b"kept");
}
