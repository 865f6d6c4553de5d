//! Blobs up, mounts and copies.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::super::{Mount, Progress, PushOutcome};
use super::server::{Reply, Request, Server};
use super::*;
use crate::{BlobSource, Error, FileSource, OpenFuture};

const BLOB: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A registry that really keeps the bytes of one upload, with the failures that `script` adds: it may answer first.
struct Registry {
    server: Server,
    stored: Arc<Mutex<Option<Vec<u8>>>>,
}

type Upload = Arc<Mutex<Vec<u8>>>;

impl Registry {
    async fn start(script: impl Fn(&Request, &Upload) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let stored = Arc::new(Mutex::new(None));
        let (upload, shelf) = (Upload::default(), Arc::clone(&stored));
        let server =
            Server::start(move |request| script(request, &upload).unwrap_or_else(|| answer(request, &upload, &shelf)))
                .await;
        Registry { server, stored }
    }

    fn stored(&self) -> Option<Vec<u8>> {
        self.stored.lock().unwrap().clone()
    }

    async fn push(&self, client: &Client) -> crate::Result<PushOutcome> {
        let r = repository(&self.server.host(), "r");
        let source = Bytes::from_static(BLOB);
        client.push_blob(&r, &sha256(BLOB), 36, &source, &Progress::none()).await
    }
}

fn answer(request: &Request, upload: &Upload, shelf: &Mutex<Option<Vec<u8>>>) -> Reply {
    let mut upload = upload.lock().unwrap();
    let here = |status: u16, length: usize| {
        Reply::new(status)
            .header("location", "/v2/r/blobs/uploads/u?state=1")
            .header("range", format!("0-{}", length.saturating_sub(1)))
    };
    match request.method.as_str() {
        "HEAD" => Reply::new(if shelf.lock().unwrap().is_some() { 200 } else { 404 }),
        "POST" => {
            upload.clear();
            here(202, 0)
        }
        "GET" => here(204, upload.len()),
        "PATCH" => {
            let start = request.header("content-range").split('-').next().unwrap();
            if start.parse() != Ok(upload.len()) {
                return Reply::new(416);
            }
            upload.extend(&request.body);
            here(202, upload.len())
        }
        "PUT" => {
            upload.extend(&request.body);
            let digest = sha256(&upload);
            let asked = request.target.split("digest=").nth(1).unwrap();
            if asked.replace("%3A", ":") != digest.to_string() {
                return Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            *shelf.lock().unwrap() = Some(std::mem::take(&mut upload));
            Reply::new(201).header("docker-content-digest", digest)
        }
        _ => Reply::new(204),
    }
}

fn methods(server: &Server) -> String {
    let methods: Vec<_> = server.requests().into_iter().map(|r| r.method).collect();
    methods.join(" ")
}

#[tokio::test]
async fn a_blob_goes_up_in_two_requests() {
    let registry = Registry::start(|_, _| None).await;
    assert_eq!(registry.push(&client()).await.unwrap(), PushOutcome::Uploaded);
    assert_eq!(registry.stored().as_deref(), Some(BLOB));
    assert_eq!(methods(&registry.server), "HEAD POST PUT");
    let put = &registry.server.requests()[2];
    assert!(put.target.starts_with("/v2/r/blobs/uploads/u?state=1&digest=sha256%3A"));
    assert_eq!(put.header("content-length"), "36");
    assert_eq!(registry.push(&client()).await.unwrap(), PushOutcome::Existing);
}

#[tokio::test]
async fn an_empty_blob_goes_up_too() {
    let registry = Registry::start(|_, _| None).await;
    let r = repository(&registry.server.host(), "r");
    for chunk in [None, Some(10)] {
        *registry.stored.lock().unwrap() = None;
        let client = Client::new(Config { upload_chunk: chunk, ..hasty() }).unwrap();
        client.push_blob(&r, &sha256(b""), 0, &Bytes::new(), &Progress::none()).await.unwrap();
        assert_eq!(registry.stored().as_deref(), Some(&b""[..]));
    }
}

#[tokio::test]
async fn chunks_keep_to_the_registrys_least_size() {
    let registry = Registry::start(|request, _| {
        (request.method == "POST").then(|| Reply::new(202).header("location", "u").header("oci-chunk-min-length", 15))
    })
    .await;
    let client = Client::new(Config { upload_chunk: Some(10), ..hasty() }).unwrap();
    registry.push(&client).await.unwrap();
    assert_eq!(methods(&registry.server), "HEAD POST PATCH PATCH PATCH PUT");
    let requests = registry.server.requests();
    let ranges: Vec<_> = requests[2..5].iter().map(|r| r.header("content-range")).collect();
    assert_eq!(ranges, ["0-14", "15-29", "30-35"]);
    assert_eq!(registry.stored().as_deref(), Some(BLOB));
}

#[tokio::test]
async fn a_refused_body_leads_to_chunks() {
    for (status, body) in [(413, ""), (405, ""), (400, r#"{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}"#)] {
        let registry = Registry::start(move |request, _| {
            let large = request.method == "PUT" && request.body.len() > 20;
            large.then(|| Reply::new(status).body(body))
        })
        .await;
        registry.push(&client()).await.unwrap();
        assert_eq!(methods(&registry.server), "HEAD POST PUT DELETE POST PATCH PATCH PUT");
        assert_eq!(registry.stored().as_deref(), Some(BLOB));
    }
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_the_registry_stands() {
    let registry = Registry::start(|request, upload| {
        let first = request.method == "PUT" && request.before == 0;
        first.then(|| {
            upload.lock().unwrap().extend(&request.body[..10]);
            Reply::hang_up()
        })
    })
    .await;
    registry.push(&client()).await.unwrap();
    assert_eq!(methods(&registry.server), "HEAD POST PUT GET PATCH PUT");
    assert_eq!(registry.server.requests()[4].header("content-range"), "10-35");
    assert_eq!(registry.stored().as_deref(), Some(BLOB));
}

#[tokio::test]
async fn an_upload_that_the_registry_forgot_starts_over() {
    let registry = Registry::start(|request, _| match (request.method.as_str(), request.before) {
        ("PUT", 0) => Some(Reply::new(503)),
        ("GET", _) => Some(Reply::new(404)),
        _ => None,
    })
    .await;
    registry.push(&client()).await.unwrap();
    assert_eq!(methods(&registry.server), "HEAD POST PUT GET DELETE POST PUT");
    assert_eq!(registry.stored().as_deref(), Some(BLOB));
}

#[tokio::test]
async fn a_proxy_that_hangs_up_on_large_bodies_gets_chunks() {
    let registry =
        Registry::start(|request, _| (request.method == "PUT" && !request.body.is_empty()).then(Reply::hang_up)).await;
    registry.push(&client()).await.unwrap();
    assert_eq!(methods(&registry.server), "HEAD POST PUT GET PUT GET DELETE POST PATCH PUT");
}

#[tokio::test]
async fn the_tries_of_an_upload_end_and_it_is_cancelled() {
    let registry = Registry::start(|request, _| match request.method.as_str() {
        "PUT" | "PATCH" => Some(Reply::new(500).body("disk full")),
        _ => None,
    })
    .await;
    let error = registry.push(&client()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { tries: 3, .. }), "{error}");
    assert!(error.to_string().contains("disk full"), "{error}");
    assert!(methods(&registry.server).ends_with("DELETE"));
}

#[tokio::test]
async fn wrong_bytes_are_corrupt_and_cancelled() {
    let registry = Registry::start(|_, _| None).await;
    let r = repository(&registry.server.host(), "r");
    let other = Bytes::from(vec![b'x'; 36]);
    let error = client().push_blob(&r, &sha256(BLOB), 36, &other, &Progress::none()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(methods(&registry.server).ends_with("DELETE"));
}

struct Failing;

impl BlobSource for Failing {
    fn open(&self, _offset: u64) -> OpenFuture<'_> {
        Box::pin(async { Err(std::io::Error::other("the tape is torn")) })
    }
}

#[tokio::test]
async fn failures_of_the_source_are_told_as_such() {
    let registry = Registry::start(|_, _| None).await;
    let r = repository(&registry.server.host(), "r");
    let (client, none) = (client(), Progress::none());
    let missing = FileSource { path: "/nowhere/blob".into() };
    let short = Bytes::from_static(b"short");
    let sources: [(&dyn BlobSource, &str); 3] =
        [(&Failing, "the tape is torn"), (&missing, "/nowhere/blob"), (&short, "ended after 5 of 36 bytes")];
    for (source, words) in sources {
        let pushed = client.push_blob(&r, &sha256(BLOB), 36, source, &none).await;
        let error = pushed.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(methods(&registry.server).ends_with("DELETE"));
    }
}

#[tokio::test]
async fn files_are_sources_and_progress_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blob");
    let content = vec![7; 200_000];
    std::fs::write(&path, &content).unwrap();
    let registry = Registry::start(|_, _| None).await;
    let r = repository(&registry.server.host(), "r");
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&told);
    let progress = Progress::new(move |bytes| ear.lock().unwrap().push(bytes));
    let source = FileSource { path };
    client().push_blob(&r, &sha256(&content), 200_000, &source, &progress).await.unwrap();
    assert_eq!(registry.stored().unwrap(), content);
    let told = told.lock().unwrap();
    assert!(told.is_sorted() && told.last() == Some(&200_000), "{told:?}");
}

#[tokio::test]
async fn mounts_are_201_or_go_on_as_uploads() {
    let registry = Registry::start(|request, _| match request.target.contains("from=good") {
        true => Some(Reply::new(201)),
        false if request.target.contains("from=bad") => Some(Reply::new(404)),
        false => None,
    })
    .await;
    let host = registry.server.host();
    let (client, r, digest) = (client(), repository(&host, "r"), sha256(BLOB));
    let good = client.mount(&r, &digest, &repository(&host, "good")).await.unwrap();
    assert!(matches!(good, Mount::Mounted));
    let line = registry.server.lines().pop().unwrap();
    assert_eq!(line, format!("POST /v2/r/blobs/uploads/?mount={digest}&from=good"));
    for from in ["other", "bad"] {
        *registry.stored.lock().unwrap() = None;
        let mount = client.mount(&r, &digest, &repository(&host, from)).await.unwrap();
        let Mount::NotMounted(session) = mount else { panic!("{mount:?}") };
        let source = Bytes::from_static(BLOB);
        client.push_blob_in(session, &digest, 36, &source, &Progress::none()).await.unwrap();
        assert_eq!(registry.stored().as_deref(), Some(BLOB));
    }
    let far = client.mount(&r, &digest, &repository("quay.io", "x")).await.unwrap_err();
    assert!(matches!(far, Error::Invalid { .. }), "{far}");
}

#[tokio::test]
async fn copies_inside_a_registry_are_mounts() {
    let registry = Registry::start(|request, _| request.target.contains("mount=").then(|| Reply::new(201))).await;
    let host = registry.server.host();
    let copied = client()
        .copy_blob(&repository(&host, "a"), &repository(&host, "r"), &sha256(BLOB), 36, &Progress::none())
        .await;
    assert_eq!(copied.unwrap(), PushOutcome::Mounted);
    assert_eq!(methods(&registry.server), "POST");
}

#[tokio::test]
async fn what_is_there_is_not_copied_where_nothing_can_be_mounted() {
    let registry = Registry::start(|_, _| None).await;
    *registry.stored.lock().unwrap() = Some(BLOB.to_vec());
    let host = registry.server.host();
    let copied = client()
        .copy_blob(&repository(&host, "a"), &repository(&host, "r"), &sha256(BLOB), 36, &Progress::none())
        .await;
    assert_eq!(copied.unwrap(), PushOutcome::Existing);
    assert_eq!(methods(&registry.server), "POST HEAD DELETE");
}

/// A source registry whose first answer breaks off.
async fn flaky_source(content: &'static [u8]) -> Server {
    Server::start(move |request| match request.header("range") {
        "" => Reply::new(200).body(content).cut(12),
        range => {
            let start: usize = range[6..range.len() - 1].parse().unwrap();
            Reply::new(206).header("content-range", format!("bytes {start}-35/36")).body(&content[start..])
        }
    })
    .await
}

#[tokio::test]
async fn copies_between_registries_stream_and_survive_breaks_on_both_sides() {
    let source = flaky_source(BLOB).await;
    let registry = Registry::start(|request, upload| {
        let first = request.method == "PUT" && request.before == 0;
        first.then(|| {
            upload.lock().unwrap().extend(&request.body[..20]);
            Reply::hang_up()
        })
    })
    .await;
    let (from, to) = (repository(&source.host(), "s"), repository(&registry.server.host(), "r"));
    let copied = client().copy_blob(&from, &to, &sha256(BLOB), 36, &Progress::none()).await;
    assert_eq!(copied.unwrap(), PushOutcome::Uploaded);
    assert_eq!(registry.stored().as_deref(), Some(BLOB));
}

#[tokio::test]
async fn a_copy_of_wrong_bytes_never_completes() {
    let source = flaky_source(b"0123456789abcdefghijklmnopqrstuvwxyZ").await;
    // Even a registry that checks nothing must not get the whole.
    let registry = Registry::start(|request, _| (request.method == "PUT").then(|| Reply::new(201))).await;
    let (from, to) = (repository(&source.host(), "s"), repository(&registry.server.host(), "r"));
    let copied = client().copy_blob(&from, &to, &sha256(BLOB), 36, &Progress::none()).await;
    let error = copied.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains(&source.host()), "{error}");
    assert_eq!(methods(&registry.server), "HEAD POST DELETE");
}

#[tokio::test]
async fn a_push_check_starts_and_cancels() {
    let registry = Registry::start(|_, _| None).await;
    client().check_push(&repository(&registry.server.host(), "r")).await.unwrap();
    assert_eq!(methods(&registry.server), "POST DELETE");
    let refusing = Registry::start(|_, _| Some(Reply::new(403))).await;
    let error = client().check_push(&repository(&refusing.server.host(), "r")).await;
    assert!(matches!(error, Err(Error::Denied { .. })));
}
