//! Manifests, tags, referrers, and how refusals are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server::{Reply, Server};
use super::*;
use crate::Error;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest_reply(content: &str) -> Reply {
    Reply::new(200)
        .header("content-type", OCI)
        .header("docker-content-digest", sha256(content.as_bytes()))
        .body(content)
}

#[tokio::test]
async fn manifests_are_verified() {
    let server = Server::start(|request| match request.target.as_str() {
        "/v2/r/manifests/good" => manifest_reply("{}"),
        "/v2/r/manifests/plain" => Reply::new(200)
            .header("content-type", "text/plain; charset=utf-8")
            .body(r#"{"mediaType": "application/x"}"#),
        "/v2/r/manifests/page" => {
            Reply::new(200).header("content-type", "text/html").body("<html><title>Sign in</title></html>")
        }
        "/v2/r/manifests/lying" => manifest_reply("{}").body("{ }"),
        target if target.contains("sha256:") => Reply::new(200).body("other"),
        _ => Reply::new(404),
    })
    .await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    let good = client.manifest(&r, &tag("good")).await.unwrap();
    assert_eq!((good.media_type.as_str(), good.digest), (OCI, sha256(b"{}")));
    let plain = client.manifest(&r, &tag("plain")).await.unwrap();
    assert_eq!(plain.media_type, "application/x");
    let page = client.manifest(&r, &tag("page")).await.unwrap_err();
    assert!(page.to_string().contains("no manifest: an HTML page"), "{page}");
    // Without a digest announced, HEAD leads to GET.
    assert!(matches!(client.head(&r, &tag("page")).await, Err(Error::Invalid { .. })));
    let lying = client.manifest(&r, &tag("lying")).await.unwrap_err();
    assert!(matches!(lying, Error::Corrupt { .. }), "{lying}");
    let other = Selector::Digest(sha256(b"asked"));
    let other = client.manifest(&r, &other).await.unwrap_err();
    assert!(matches!(other, Error::Corrupt { .. }), "{other}");
    let missing = client.manifest(&r, &tag("no")).await.unwrap_err();
    let subject = format!("{}/r:no", server.host());
    assert!(missing.to_string().starts_with(&subject), "{missing}");
    assert!(matches!(missing, Error::NotFound { .. }));
    let accept = server.requests()[0].header("accept").to_owned();
    assert!(accept.contains("image.index.v1") && accept.contains("manifest.list.v2"));
}

#[tokio::test]
async fn large_manifests_are_refused() {
    let server = Server::start(|_| Reply::new(200).body(vec![b' '; (4 << 20) + 1])).await;
    let r = repository(&server.host(), "r");
    let error = client().manifest(&r, &tag("x")).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn head_falls_back_to_get_without_a_digest() {
    let server = Server::start(|request| match request.target.as_str() {
        "/v2/r/manifests/full" => manifest_reply("{}"),
        "/v2/r/manifests/bare" => Reply::new(200).header("content-type", OCI).body("{}"),
        "/v2/r/manifests/no-head" if request.method == "HEAD" => Reply::new(405),
        "/v2/r/manifests/no-head" => manifest_reply("{}"),
        _ => Reply::new(404),
    })
    .await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    for (name, requests) in [("full", 1), ("bare", 2), ("no-head", 2), ("missing", 1)] {
        let before = server.lines().len();
        let head = client.head(&r, &tag(name)).await.unwrap();
        assert_eq!(server.lines().len() - before, requests, "{name}");
        let found = head.map(|d| (d.media_type, d.digest, d.size));
        let expected = (OCI.to_owned(), sha256(b"{}"), 2);
        assert_eq!(found, (name != "missing").then_some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_head_with_another_digest_is_corrupt() {
    let server = Server::start(|_| manifest_reply("{}")).await;
    let r = repository(&server.host(), "r");
    let asked = Selector::Digest(sha256(b"asked"));
    let error = client().head(&r, &asked).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn put_sends_the_media_type_and_checks_the_digest() {
    let server = Server::start(|request| {
        let digest = match request.target.as_str() {
            "/v2/r/manifests/odd" => sha256(b"something else"),
            _ => sha256(&request.body),
        };
        Reply::new(201).header("docker-content-digest", digest)
    })
    .await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    let digest = client.put_manifest(&r, &tag("x"), OCI, "{}").await.unwrap();
    assert_eq!(digest, sha256(b"{}"));
    let request = &server.requests()[0];
    assert_eq!((request.header("content-type"), &*request.body), (OCI, &b"{}"[..]));
    let odd = client.put_manifest(&r, &tag("odd"), OCI, "{}").await.unwrap_err();
    assert!(matches!(odd, Error::Corrupt { .. }), "{odd}");
    let wrong = Selector::Digest(sha256(b"wrong"));
    let wrong = client.put_manifest(&r, &wrong, OCI, "{}").await.unwrap_err();
    assert!(matches!(wrong, Error::Invalid { .. }), "{wrong}");
    let by_digest = Selector::Digest(sha256(b"{}"));
    client.put_manifest(&r, &by_digest, OCI, "{}").await.unwrap();
    client.delete_manifest(&r, &by_digest).await.unwrap();
    let last = server.lines().pop().unwrap();
    assert_eq!(last, format!("DELETE /v2/r/manifests/{by_digest}"));
}

#[tokio::test]
async fn tags_follow_pages_on_the_same_server() {
    let server = Server::start(|request| match request.target.as_str() {
        "/v2/r/tags/list?n=1000" => Reply::new(200)
            .header("link", "</v2/r/tags/list?last=b>; rel=\"next\"")
            .body(r#"{"name":"r","tags":["a","b"]}"#),
        "/v2/r/tags/list?last=b" => Reply::new(200).body(r#"{"tags":["c"]}"#),
        "/v2/none/tags/list?n=1000" => Reply::new(200).body(r#"{"tags":null}"#),
        "/v2/orders/tags/list?n=1000" => Reply::new(200).body("{\"tags\":[\"a\\n::error::b\"]}"),
        "/v2/evil/tags/list?n=1000" => {
            Reply::new(200).header("link", "<http://evil.example/>; rel=\"next\"").body(r#"{"tags":[]}"#)
        }
        _ => Reply::new(404)
            .body(r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#),
    })
    .await;
    let host = server.host();
    let client = client();
    assert_eq!(client.tags(&repository(&host, "r")).await.unwrap(), ["a", "b", "c"]);
    assert!(client.tags(&repository(&host, "none")).await.unwrap().is_empty());
    let evil = client.tags(&repository(&host, "evil")).await.unwrap_err();
    assert!(evil.to_string().contains("another server"), "{evil}");
    let orders = client.tags(&repository(&host, "orders")).await.unwrap_err().to_string();
    assert!(orders.contains("`a\\n::error::b`, which is no tag"), "{orders}");
    let missing = client.tags(&repository(&host, "x/y")).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("{host}/x/y: not found: NAME_UNKNOWN: repository name not known to registry")
    );
}

#[tokio::test]
async fn a_catalog_comes_in_pages() {
    let server = Server::start(|request| match request.target.as_str() {
        "/v2/_catalog?n=1000" => Reply::new(200)
            .header("link", "</v2/_catalog?last=b%2Fc&n=1000>; rel=\"next\"")
            .body(r#"{"repositories":["a","b/c"]}"#),
        "/v2/_catalog?last=b%2Fc&n=1000" => Reply::new(200).body(r#"{"repositories":["d"]}"#),
        _ => Reply::new(404),
    })
    .await;
    let registry = server.host().parse().unwrap();
    assert_eq!(client().catalog(&registry).await.unwrap(), ["a", "b/c", "d"]);
    let server = Server::start(|_| Reply::new(200).body(r#"{"repositories":["a\u001b[2J"]}"#)).await;
    let error = client().catalog(&server.host().parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("which is no repository") && !error.contains('\u{1b}'), "{error}");
    let server = Server::start(|_| Reply::new(401)).await;
    let error = client().catalog(&server.host().parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }) && error.to_string().contains("registry:catalog:*"), "{error}");
}

#[tokio::test]
async fn referrers_come_from_the_api_or_the_tag() {
    let subject = sha256(b"subject");
    let entry = format!(
        r#"{{"mediaType":"{OCI}","digest":"{}","size":7,"artifactType":"a/b","annotations":{{"k":"v"}}}}"#,
        sha256(b"signature")
    );
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    let fallback = format!("/v2/old/manifests/sha256-{}", subject.digest());
    let server = Server::start(move |request| match request.target.as_str() {
        target if target.starts_with("/v2/new/referrers/") => Reply::new(200).body(index.clone()),
        target if target == fallback => Reply::new(200).body(index.clone()),
        _ => Reply::new(404),
    })
    .await;
    let client = client();
    for (name, count) in [("new", 1), ("old", 1), ("none", 0)] {
        let found = client.referrers(&repository(&server.host(), name), &subject).await.unwrap();
        assert_eq!(found.len(), count, "{name}");
        for referrer in found {
            assert_eq!(referrer.descriptor.size, 7);
            assert_eq!(referrer.artifact_type.as_deref(), Some("a/b"));
            assert_eq!(referrer.annotations["k"], "v");
        }
    }
}

#[tokio::test]
async fn a_registry_without_referrers_gets_the_fallback_tag() {
    let stored = Arc::new(Mutex::new(None::<Vec<u8>>));
    let (shelf, subject) = (Arc::clone(&stored), sha256(b"subject"));
    let tag_path = format!("/v2/r/manifests/sha256-{}", subject.digest());
    let server = Server::start(move |request| {
        let reply = Reply::new(201).header("docker-content-digest", sha256(&request.body));
        let is_tag = request.target == tag_path;
        match (request.method.as_str(), request.header("x-none")) {
            ("GET", _) if is_tag => match &*shelf.lock().unwrap() {
                Some(content) => Reply::new(200).body(content.clone()),
                None => Reply::new(404),
            },
            ("PUT", _) if is_tag => {
                *shelf.lock().unwrap() = Some(request.body.clone());
                reply
            }
            ("PUT", _) if request.target.ends_with("/api") => reply.header("oci-subject", "x"),
            _ => reply,
        }
    })
    .await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    let content = |n| {
        format!(
            r#"{{"schemaVersion":2,"n":{n},"config":{{"mediaType":"c/d"}},"subject":{{"digest":"{subject}"}},"annotations":{{"k":"v"}}}}"#
        )
    };
    client.put_manifest(&r, &tag("api"), OCI, content(0)).await.unwrap();
    assert!(stored.lock().unwrap().is_none());
    for n in [1, 2, 2] {
        client.put_manifest(&r, &tag("old"), OCI, content(n)).await.unwrap();
    }
    let index: serde_json::Value = serde_json::from_slice(stored.lock().unwrap().as_ref().unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["artifactType"], "c/d");
    assert_eq!(entries[0]["annotations"]["k"], "v");
    assert_eq!(entries[0]["digest"], sha256(content(1).as_bytes()).to_string());
}

#[tokio::test]
async fn transient_failures_are_tried_again() {
    for status in [408, 429, 499, 500, 502, 503, 504, 522, 0] {
        let server = Server::start(move |request| match (request.before, status) {
            (0 | 1, 0) => Reply::hang_up(),
            (0 | 1, status) => Reply::new(status),
            _ => manifest_reply("{}"),
        })
        .await;
        let r = repository(&server.host(), "r");
        client().manifest(&r, &tag("x")).await.unwrap();
        assert_eq!(server.lines().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn the_tries_end_with_the_last_cause() {
    let server = Server::start(|_| {
        Reply::new(503).header("content-type", "text/html").body("<html><title>Sign in</title></html>")
    })
    .await;
    let r = repository(&server.host(), "r");
    let error = client().manifest(&r, &tag("x")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { tries: 3, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("status 503") && text.contains("`Sign in`"), "{text}");
    assert_eq!(server.lines().len(), 3);
}

#[tokio::test]
async fn final_refusals_are_not_tried_again() {
    for (status, body, words) in [
        (400, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"no"}]}"#, "status 400: MANIFEST_INVALID: no"),
        (
            403,
            r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#,
            "forbidden by the registry: DENIED: not yours; no credentials found for",
        ),
        (418, "<html>Portal</html>", "an HTML page and not a registry's answer, `Portal`"),
    ] {
        let server = Server::start(move |_| Reply::new(status).body(body)).await;
        let r = repository(&server.host(), "r");
        let error = client().put_manifest(&r, &tag("x"), OCI, "{}").await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = Server::start(|request| match request.before {
        0 => Reply::new(429).header("retry-after", "1"),
        1 => Reply::new(503).header("retry-after", "9999"),
        _ => manifest_reply("{}"),
    })
    .await;
    let mut config = hasty();
    config.retry.longest_retry_after = Duration::from_secs(1);
    let r = repository(&server.host(), "r");
    let start = std::time::Instant::now();
    Client::new(config).unwrap().manifest(&r, &tag("x")).await.unwrap();
    // One second each: the registry's own, and the limit in place of 9999.
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_manifest_that_breaks_off_is_read_again() {
    let server = Server::start(|request| match request.before {
        0 => manifest_reply("{ }").cut(1),
        _ => manifest_reply("{ }"),
    })
    .await;
    let r = repository(&server.host(), "r");
    client().manifest(&r, &tag("x")).await.unwrap();
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn warnings_are_handed_on_once() {
    let server = Server::start(|_| manifest_reply("{}").header("warning", "299 - \"old\"")).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let on_warning: super::super::OnWarning = Arc::new(move |host: &str, text: &str| {
        ear.lock().unwrap().push(format!("{host}: {text}"));
    });
    let client = Client::new(Config { on_warning: Some(on_warning), ..hasty() }).unwrap();
    let r = repository(&server.host(), "r");
    client.manifest(&r, &tag("x")).await.unwrap();
    client.manifest(&r, &tag("y")).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [format!("{}: old", server.host())]);
}
