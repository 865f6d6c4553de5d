//! An image from registry to registry, through one fault at a time: what can succeed does, nothing that was finished is sent again, and no tag appears
//! before all that it stands for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::Progress;
use super::server::{Reply, Request, Server};
use super::*;
use crate::{Error, RepositoryName};

const BLOBS: [&[u8]; 3] = [b"the config of the image", b"its first layer, some bytes", b"its second layer, others"];
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a registry holds.
#[derive(Default)]
struct Shelf {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Digests of blobs in the order in which their uploads were finished.
    finished: Vec<String>,
}

impl Shelf {
    fn answer(&mut self, request: &Request) -> Reply {
        let path = request.target.split('?').next().unwrap();
        let (kind, name) = path.strip_prefix("/v2/r/").and_then(|rest| rest.split_once('/')).unwrap_or(("", ""));
        match (kind, name.strip_prefix("uploads/")) {
            ("blobs", Some(session)) => self.upload(request, session),
            ("blobs", None) => found(self.blobs.get(name)),
            ("manifests", _) if request.method == "PUT" => {
                self.manifests.insert(name.to_owned(), request.body.clone());
                Reply::new(201).header("oci-subject", "none")
            }
            ("manifests", _) => found(self.manifests.get(name)).header("content-type", OCI),
            _ if path == "/token" => Reply::new(200).body(r#"{"token":"fresh"}"#),
            _ => Reply::new(404),
        }
    }

    fn upload(&mut self, request: &Request, session: &str) -> Reply {
        let here = |status: u16, session: &str, length: usize| {
            Reply::new(status)
                .header("location", format!("/v2/r/blobs/uploads/{session}"))
                .header("range", format!("0-{}", length.saturating_sub(1)))
        };
        if request.method == "POST" {
            let session = format!("s{}", request.before);
            self.uploads.insert(session.clone(), Vec::new());
            return here(202, &session, 0);
        }
        let Some(upload) = self.uploads.get_mut(session) else { return Reply::new(404) };
        match request.method.as_str() {
            "GET" => here(204, session, upload.len()),
            "PATCH" => {
                upload.extend(&request.body);
                here(202, session, upload.len())
            }
            "PUT" => {
                upload.extend(&request.body);
                let (digest, content) = (sha256(upload).to_string(), std::mem::take(upload));
                let asked = request.target.split("digest=").nth(1).unwrap().replace("%3A", ":");
                if asked != digest {
                    return Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
                }
                self.finished.push(digest.clone());
                self.blobs.insert(digest, content);
                Reply::new(201)
            }
            _ => Reply::new(204),
        }
    }
}

fn found(content: Option<&Vec<u8>>) -> Reply {
    content.map_or_else(|| Reply::new(404), |content| Reply::new(200).body(content.clone()))
}

/// A fault: what a registry answers instead; it is told all but the question for the scheme.
type Fault = fn(&Request) -> Option<Reply>;

struct Registry {
    server: Server,
    shelf: Arc<Mutex<Shelf>>,
}

impl Registry {
    async fn start(fault: Fault) -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let held = Arc::clone(&shelf);
        let answer = move |request: &Request| fault(request).unwrap_or_else(|| held.lock().unwrap().answer(request));
        Self { server: Server::start(answer).await, shelf }
    }

    fn name(&self) -> RepositoryName {
        repository(&self.server.host(), "r")
    }
}

/// A registry with the image, which has these faults, and one without it, which has those.
async fn registries(source: Fault, destination: Fault) -> (Registry, Registry) {
    let (from, to) = (Registry::start(source).await, Registry::start(destination).await);
    let mut shelf = from.shelf.lock().unwrap();
    shelf.blobs.extend(BLOBS.map(|blob| (sha256(blob).to_string(), blob.to_vec())));
    shelf.manifests.insert("v1".to_owned(), b"{\"schemaVersion\":2}".to_vec());
    drop(shelf);
    (from, to)
}

/// Copies the image as a step does: its blobs, then its manifest.
async fn copy(client: &Client, from: &Registry, to: &Registry) -> crate::Result<()> {
    for blob in BLOBS {
        let size = blob.len() as u64;
        client.copy_blob(&from.name(), &to.name(), &sha256(blob), size, &Progress::none()).await?;
    }
    let manifest = client.manifest(&from.name(), &tag("v1")).await?;
    client.put_manifest(&to.name(), &tag("v1"), &manifest.media_type, manifest.content).await?;
    Ok(())
}

fn is(request: &Request, method: &str, part: &str) -> bool {
    request.method == method && request.target.contains(part) && request.before == 0
}

/// Whether a request is about the second layer's bytes.
fn of_layer(request: &Request) -> bool {
    request.target.contains(&sha256(BLOBS[2]).digest().to_owned())
}

fn none(_: &Request) -> Option<Reply> {
    None
}

#[tokio::test]
async fn one_fault_delays_and_repeats_nothing_that_was_finished() {
    let of_source: [(&str, Fault); 7] = [
        ("the connection breaks in a blob", |r| {
            (is(r, "GET", "/blobs/") && of_layer(r)).then(|| Reply::new(200).body(BLOBS[2]).cut(9))
        }),
        ("a blob comes slowly", |r| {
            (is(r, "GET", "/blobs/") && of_layer(r))
                .then(|| Reply::new(200).body(BLOBS[2]).trickle(Duration::from_millis(2)))
        }),
        ("no answer for a blob", |r| is(r, "GET", "/blobs/").then(Reply::hang_up)),
        ("500 for a blob", |r| is(r, "GET", "/blobs/").then(|| Reply::new(500))),
        ("429 for a blob", |r| is(r, "GET", "/blobs/").then(|| Reply::new(429).header("retry-after", 0))),
        ("a manifest breaks off", |r| {
            is(r, "GET", "/manifests/").then(|| Reply::new(200).body(b"{\"schemaVersion\":2}").cut(5))
        }),
        ("502 for a manifest", |r| is(r, "GET", "/manifests/").then(|| Reply::new(502))),
    ];
    let of_destination: [(&str, Fault); 9] = [
        ("no answer to a HEAD", |r| is(r, "HEAD", "/blobs/").then(Reply::hang_up)),
        ("429 for a new upload", |r| is(r, "POST", "/uploads/").then(|| Reply::new(429).header("retry-after", 0))),
        ("a new upload without place", |r| is(r, "POST", "/uploads/").then(|| Reply::new(202))),
        ("the connection breaks in an upload", |r| (is(r, "PUT", "/uploads/") && of_layer(r)).then(Reply::hang_up)),
        ("500 at an upload's end", |r| (is(r, "PUT", "/uploads/") && of_layer(r)).then(|| Reply::new(500))),
        ("503 at an upload's end", |r| {
            (is(r, "PUT", "/uploads/") && of_layer(r)).then(|| Reply::new(503).header("retry-after", 0))
        }),
        ("the registry forgets an upload", |r| (is(r, "PUT", "/uploads/") && of_layer(r)).then(|| Reply::new(404))),
        ("the token expires in an upload", |r| {
            let realm = format!("Bearer realm=\"http://{}/token\"", r.header("host"));
            let expired = is(r, "PUT", "/uploads/") && of_layer(r) && r.header("authorization").is_empty();
            expired.then(|| Reply::new(401).header("www-authenticate", realm))
        }),
        ("503 for a manifest", |r| is(r, "PUT", "/manifests/").then(|| Reply::new(503))),
    ];
    let none: Fault = none;
    let all = of_source.map(|(what, fault)| (what, fault, none)).into_iter();
    for (what, source, destination) in all.chain(of_destination.map(|(what, fault)| (what, none, fault))) {
        let (from, to) = registries(source, destination).await;
        let done = copy(&client(), &from, &to).await;
        done.unwrap_or_else(|error| panic!("{what}: {error}"));
        let shelf = to.shelf.lock().unwrap();
        assert_eq!(shelf.finished, BLOBS.map(|blob| sha256(blob).to_string()), "{what}");
        assert!(shelf.manifests.contains_key("v1"), "{what}");
        let healthy = BLOBS[..2].iter().map(|blob| blob.to_vec()).filter(|blob| {
            let sent = |request: &&Request| matches!(request.method.as_str(), "PUT" | "PATCH") && request.body == *blob;
            to.server.requests().iter().filter(sent).count() > 1
        });
        assert_eq!(healthy.count(), 0, "{what}: a finished blob was sent again");
    }
}

#[tokio::test]
async fn what_can_not_succeed_fails_within_its_budget_and_leaves_no_tag() {
    let cases: [(&str, Fault, Fault); 4] = [
        (
            "other bytes",
            |r| (r.method == "GET" && of_layer(r)).then(|| Reply::new(200).body(b"its second layer, OTHERS")),
            none,
        ),
        ("a blob of another size", |r| (r.method == "GET" && of_layer(r)).then(|| Reply::new(200).body("short")), none),
        ("no end of 503", none, |r| (r.method == "PUT" && of_layer(r)).then(|| Reply::new(503))),
        ("no place for uploads", none, |r| (r.method == "POST").then(|| Reply::new(202))),
    ];
    for (what, source, destination) in cases {
        let (from, to) = registries(source, destination).await;
        let error = copy(&client(), &from, &to).await.unwrap_err();
        let expected = match what {
            "other bytes" | "a blob of another size" => matches!(error, Error::Corrupt { .. }),
            _ => matches!(error, Error::Unavailable { tries: 3, .. }),
        };
        assert!(expected, "{what}: {error}");
        assert!(
            error.to_string().contains(&from.server.host()) || error.to_string().contains(&to.server.host()),
            "{error}"
        );
        assert!(to.shelf.lock().unwrap().manifests.is_empty(), "{what}");
        assert!(to.server.requests().len() < 40, "{what}");
    }
}
