//! Manifests, tags, referrers and lists over HTTP.

mod common;

use common::{OCI_INDEX, OCI_MANIFEST, Registry, image, sha256, sha512};
use serde_json::json;

#[test]
fn manifest_by_tag_and_digest() {
    let registry = Registry::start();
    let manifest = registry.push_image("a/b", "v1", b"layer");
    let digest = sha256(manifest.as_bytes());
    for reference in ["v1", &digest] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let reply = registry.send("GET", &path);
        assert_eq!((reply.status, reply.body.as_slice()), (200, manifest.as_bytes()));
        assert_eq!(
            (reply.header("content-type"), reply.header("docker-content-digest")),
            (OCI_MANIFEST, digest.as_str())
        );
        let reply = registry.send("HEAD", &path);
        assert_eq!((reply.status, reply.header("content-length")), (200, manifest.len().to_string().as_str()));
        assert!(reply.body.is_empty());
    }
    registry.send("GET", "/v2/a/b/manifests/v2").assert_error(404, "MANIFEST_UNKNOWN");
    registry.send("GET", &format!("/v2/other/manifests/{digest}")).assert_error(404, "MANIFEST_UNKNOWN");
    // A manifest is no blob.
    registry.send("GET", &format!("/v2/a/b/blobs/{digest}")).assert_error(404, "BLOB_UNKNOWN");
}

#[test]
fn put_by_digest_is_verified() {
    let registry = Registry::start();
    let manifest = registry.push_image("a", "v1", b"layer");
    for digest in [sha256(manifest.as_bytes()), sha512(manifest.as_bytes())] {
        let reply = registry.put_manifest("a", &digest, OCI_MANIFEST, &manifest);
        assert_eq!((reply.status, reply.header("docker-content-digest")), (201, digest.as_str()));
        assert_eq!(registry.send("GET", &format!("/v2/a/manifests/{digest}")).body, manifest.as_bytes());
    }
    for digest in [sha256(b"x"), sha512(b"x")] {
        registry.put_manifest("a", &digest, OCI_MANIFEST, &manifest).assert_error(400, "DIGEST_INVALID");
    }
}

#[test]
fn what_a_manifest_refers_to_must_be_here() {
    let registry = Registry::start();
    let config = registry.push_blob("a", b"{}");
    let layer = registry.push_blob("b", b"layer");
    let manifest = image(&config, 2, &layer, 5, "");
    registry.put_manifest("a", "v1", OCI_MANIFEST, &manifest).assert_error(400, "MANIFEST_BLOB_UNKNOWN");
    registry.send("GET", "/v2/a/manifests/v1").assert_error(404, "MANIFEST_UNKNOWN");
    registry.push_blob("a", b"layer");
    registry
        .put_manifest("a", "v1", OCI_MANIFEST, &image(&config, 2, &layer, 6, ""))
        .assert_error(400, "MANIFEST_INVALID");
    assert_eq!(registry.put_manifest("a", "v1", OCI_MANIFEST, &manifest).status, 201);
}

#[test]
fn index_needs_its_children() {
    let registry = Registry::start();
    let index = |digest: &str, size: usize| {
        json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{ "mediaType": OCI_MANIFEST, "digest": digest, "size": size }] })
            .to_string()
    };
    let missing = index(&sha256(b"missing"), 7);
    registry.put_manifest("a", "all", OCI_INDEX, &missing).assert_error(400, "MANIFEST_BLOB_UNKNOWN");
    let manifest = registry.push_image("a", "one", b"layer");
    let whole = index(&sha256(manifest.as_bytes()), manifest.len());
    assert_eq!(registry.put_manifest("a", "all", OCI_INDEX, &whole).status, 201);
    assert_eq!(registry.send("GET", "/v2/a/manifests/all").header("content-type"), OCI_INDEX);
}

#[test]
fn what_is_no_manifest_is_refused() {
    let registry = Registry::start();
    for content in ["", "x", "{}", "[]", "{\"schemaVersion\":1}", &"[".repeat(100_000)] {
        registry.put_manifest("a", "v1", OCI_MANIFEST, content).assert_error(400, "MANIFEST_INVALID");
    }
    let manifest = registry.push_image("a", "v1", b"layer");
    registry.put_manifest("a", "v2", OCI_INDEX, &manifest).assert_error(400, "MANIFEST_INVALID");
    registry.put_manifest("a", "..", OCI_MANIFEST, &manifest).assert_error(400, "MANIFEST_INVALID");
}

#[test]
fn four_mebibytes_are_the_limit() {
    let registry = Registry::start();
    let config = registry.push_blob("a", b"{}");
    let bare = image(&config, 2, &config, 2, r#","annotations":{"a":""}"#);
    let padded = |length: usize| bare.replace("\"\"", &format!("\"{}\"", "x".repeat(length - bare.len())));
    let largest = 4 * 1024 * 1024;
    assert_eq!(registry.put_manifest("a", "large", OCI_MANIFEST, &padded(largest)).status, 201);
    registry.put_manifest("a", "larger", OCI_MANIFEST, &padded(largest + 1)).assert_error(413, "SIZE_INVALID");
}

#[test]
fn deleting_a_tag_keeps_the_manifest() {
    let registry = Registry::start();
    let manifest = registry.push_image("a", "v1", b"layer");
    assert_eq!(registry.send("DELETE", "/v2/a/manifests/v1").status, 202);
    registry.send("DELETE", "/v2/a/manifests/v1").assert_error(404, "MANIFEST_UNKNOWN");
    registry.send("GET", "/v2/a/manifests/v1").assert_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(registry.send("GET", &format!("/v2/a/manifests/{}", sha256(manifest.as_bytes()))).status, 200);
}

#[test]
fn deleting_a_manifest_takes_its_tags() {
    let registry = Registry::start();
    let manifest = registry.push_image("a", "v1", b"layer");
    registry.push_image("a", "v2", b"layer");
    registry.push_image("a", "other", b"other layer");
    let path = format!("/v2/a/manifests/{}", sha256(manifest.as_bytes()));
    assert_eq!(registry.send("DELETE", &path).status, 202);
    registry.send("DELETE", &path).assert_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(registry.send("GET", "/v2/a/tags/list").json()["tags"], json!(["other"]));
}

#[test]
fn tags_in_pages() {
    let registry = Registry::start();
    registry.send("GET", "/v2/a/tags/list").assert_error(404, "NAME_UNKNOWN");
    for tag in ["c", "a", "B", "b"] {
        registry.push_image("a", tag, b"layer");
    }
    assert_eq!(registry.send("GET", "/v2/a/tags/list").json(), json!({ "name": "a", "tags": ["B", "a", "b", "c"] }));
    let reply = registry.send("GET", "/v2/a/tags/list?n=2");
    assert_eq!(reply.json()["tags"], json!(["B", "a"]));
    assert_eq!(reply.header("link"), "</v2/a/tags/list?n=2&last=a>; rel=\"next\"");
    let reply = registry.send("GET", "/v2/a/tags/list?n=2&last=a");
    assert_eq!((reply.json()["tags"].clone(), reply.find("link")), (json!(["b", "c"]), None));
    assert_eq!(registry.send("GET", "/v2/a/tags/list?n=0").json()["tags"], json!([]));
    registry.send("GET", "/v2/a/tags/list?n=many").assert_error(400, "UNSUPPORTED");
}

#[test]
fn catalog_in_pages() {
    let registry = Registry::start();
    assert_eq!(registry.send("GET", "/v2/_catalog").json()["repositories"], json!([]));
    for name in ["b", "a/nested", "a"] {
        registry.push_image(name, "v1", b"layer");
    }
    assert_eq!(registry.send("GET", "/v2/_catalog").json()["repositories"], json!(["a", "a/nested", "b"]));
    let reply = registry.send("GET", "/v2/_catalog?n=2");
    assert_eq!(reply.header("link"), "</v2/_catalog?n=2&last=a%2Fnested>; rel=\"next\"");
    let reply = registry.send("GET", "/v2/_catalog?n=2&last=a%2Fnested");
    assert_eq!(reply.json()["repositories"], json!(["b"]));
}

#[test]
fn referrers_of_a_subject() {
    let registry = Registry::start();
    let subject = sha256(registry.push_image("a", "v1", b"layer").as_bytes());
    let path = format!("/v2/a/referrers/{subject}");
    let empty = registry.send("GET", &path);
    assert_eq!((empty.status, empty.header("content-type")), (200, OCI_INDEX));
    assert_eq!(empty.json()["manifests"], json!([]));

    let config = registry.push_blob("a", b"{}");
    let mut digests = Vec::new();
    for kind in ["application/sbom", "application/signature"] {
        let more = format!(
            r#","artifactType":"{kind}","subject":{{"mediaType":"{OCI_MANIFEST}","digest":"{subject}","size":1}},"annotations":{{"k":"{kind}"}}"#
        );
        let manifest = image(&config, 2, &config, 2, &more);
        let digest = sha256(manifest.as_bytes());
        let reply = registry.put_manifest("a", &digest, OCI_MANIFEST, &manifest);
        assert_eq!((reply.status, reply.header("oci-subject")), (201, subject.as_str()));
        digests.push(digest);
    }
    let listed = registry.send("GET", &path);
    assert_eq!(listed.json()["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(listed.find("oci-filters-applied"), None);

    let filtered = registry.send("GET", &format!("{path}?artifactType=application/sbom"));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let list = filtered.json()["manifests"].clone();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&list[0]["digest"], &list[0]["annotations"]["k"]), (&json!(digests[0]), &json!("application/sbom")));

    assert_eq!(registry.send("DELETE", &format!("/v2/a/manifests/{}", digests[0])).status, 202);
    assert_eq!(registry.send("GET", &path).json()["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(registry.send("GET", &format!("/v2/b/referrers/{subject}")).json()["manifests"], json!([]));
}

#[test]
fn names_can_not_leave_the_storage() {
    let registry = Registry::start();
    for path in [
        "/v2/../../etc/tags/list",
        "/v2/%2e%2e/%2e%2e/etc/tags/list",
        "/v2/a%2f..%2f..%2fb/tags/list",
        "/v2/A/tags/list",
    ] {
        registry.send("GET", path).assert_error(400, "NAME_INVALID");
    }
    registry.send("GET", &format!("/v2/{}/tags/list", "a".repeat(256))).assert_error(400, "NAME_INVALID");
}

#[test]
fn what_is_no_http_does_not_stop_the_server() {
    let registry = Registry::start();
    assert_eq!(registry.raw(b"\x16\x03\x01\x02\x00 hello TLS\r\n\r\n").status, 400);
    assert_eq!(registry.raw(b"GET /v2/ HTTP/1.1\r\nHost: r\r\nContent-Length: -1\r\n\r\n").status, 400);
    drop(registry.connect());
    assert_eq!(registry.send("GET", "/v2/").status, 200);
}
