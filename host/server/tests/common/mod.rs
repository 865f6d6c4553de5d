//! A registry in a thread, and an HTTP client of raw sockets that shows every byte.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::Digest as _;
use steprun_server::{Config, Server};

pub struct Registry {
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_in(None)
    }

    pub fn start_in(root: Option<PathBuf>) -> Self {
        let server = Server::bind(Config { address: ([127, 0, 0, 1], 0).into(), root }).unwrap();
        let address = server.address();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(server.run(async { drop(stopped.await) })).unwrap();
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub fn send(&self, method: &str, path: &str) -> Reply {
        self.request(method, path, &[], b"")
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes)
    }

    /// Sends bytes as they are and reads until the server closes.
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that refuses a body may close before it has read all of it.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Reply::parse(&answer)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Pushes a blob in one request and gives its digest.
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = sha256(content);
        let reply = self.request("POST", &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), &[], content);
        assert_eq!(reply.status, 201, "{reply:?}");
        digest
    }

    pub fn put_manifest(&self, repository: &str, reference: &str, kind: &str, content: &str) -> Reply {
        self.request(
            "PUT",
            &format!("/v2/{repository}/manifests/{reference}"),
            &[("Content-Type", kind)],
            content.as_bytes(),
        )
    }

    /// Pushes an image of one layer and gives its manifest.
    pub fn push_image(&self, repository: &str, reference: &str, layer: &[u8]) -> String {
        let config = self.push_blob(repository, b"{}");
        let digest = self.push_blob(repository, layer);
        let manifest = image(&config, 2, &digest, layer.len(), "");
        let reply = self.put_manifest(repository, reference, OCI_MANIFEST, &manifest);
        assert_eq!(reply.status, 201, "{reply:?}");
        manifest
    }

    /// Starts an upload session and gives its address.
    pub fn start_upload(&self, repository: &str) -> String {
        let reply = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"));
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.header("location").to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A manifest with one layer; `more` goes before the closing brace.
pub fn image(config: &str, config_size: usize, layer: &str, layer_size: usize, more: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{layer_size}}}]{more}}}"#
    )
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
        Self { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }

    pub fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the first error.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", String::from_utf8_lossy(&self.body));
    }
}

pub fn sha256(content: &[u8]) -> String {
    hex("sha256", &sha2::Sha256::digest(content))
}

pub fn sha512(content: &[u8]) -> String {
    hex("sha512", &sha2::Sha512::digest(content))
}

fn hex(algorithm: &str, bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{algorithm}:{digits}")
}
