//! Debian's `docker-registry` on loopback: the reference implementation that users run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use crate::tools::tool;

/// The user whom [`Registry::htpasswd`] lets in.
pub const USER: &str = "ci";

/// That user's password.
pub const PASSWORD: &str = "correct horse";

/// `htpasswd -nbBC 5 ci 'correct horse'`.
const HTPASSWD: &str = "ci:$2y$05$8/h/egxzs4NG/eeVZS8DFeuNyMCgK0W1p7DlrJce.q89Ujjuda/hS\n";

/// A registry that runs until it is dropped.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: String,
    directory: TempDir,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Tls,
    Htpasswd,
}

impl Registry {
    /// Plain HTTP, open to all.
    pub fn plain() -> Self {
        Self::start(Kind::Plain)
    }

    /// HTTPS with a certificate of a private authority, see [`Registry::authority`].
    pub fn tls() -> Self {
        Self::start(Kind::Tls)
    }

    /// Plain HTTP for [`USER`] with [`PASSWORD`] only.
    pub fn htpasswd() -> Self {
        Self::start(Kind::Htpasswd)
    }

    fn start(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.yml");
        fs::write(&config, configuration(kind, directory.path())).unwrap();
        let mut process = tool("docker-registry")
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = listening(&mut process);
        Self { process, address, directory, kind }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of an image in this registry: `127.0.0.1:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The file with the certificate of the authority behind [`Registry::tls`].
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority/ca.crt")
    }

    /// Writes a `config.json` with this registry's credentials into a directory for `DOCKER_CONFIG`.
    pub fn write_credentials(&self, directory: &Path) {
        let auth = base64(format!("{USER}:{PASSWORD}").as_bytes());
        let config = serde_json::json!({ "auths": { &self.address: { "auth": auth } } });
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("config.json"), config.to_string()).unwrap();
    }

    /// What skopeo needs to reach this registry; `side` is `src-`, `dest-`, or nothing for `inspect`.
    pub(crate) fn skopeo_options(&self, side: &str) -> Vec<String> {
        let plain = format!("--{side}tls-verify=false");
        match self.kind {
            Kind::Plain => vec![plain],
            Kind::Htpasswd => vec![plain, format!("--{side}creds={USER}:{PASSWORD}")],
            Kind::Tls => {
                let authority = self.authority();
                vec![format!("--{side}cert-dir={}", authority.parent().unwrap().display())]
            }
        }
    }

    /// The file that holds a blob or manifest, to count or break what is stored.
    pub fn stored(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.directory.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// The tags of a repository, and the digests that they stand for.
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        let tags =
            self.directory.path().join("data/docker/registry/v2/repositories").join(repository).join("_manifests/tags");
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            // A tag that was deleted leaves its directory.
            let digest = fs::read_to_string(entry.path().join("current/link")).ok()?;
            Some((entry.file_name().into_string().unwrap(), digest))
        };
        fs::read_dir(tags).into_iter().flatten().filter_map(read).collect()
    }

    /// The repositories that anything was put into.
    pub fn repositories(&self) -> Vec<String> {
        let root = self.directory.path().join("data/docker/registry/v2/repositories");
        let mut found = Vec::new();
        let mut pending = vec![root.clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.ends_with("_manifests") {
                    found.push(directory.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                } else if path.is_dir() && !path.file_name().unwrap().to_str().unwrap().starts_with('_') {
                    pending.push(path);
                }
            }
        }
        found.sort_unstable();
        found
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have died by itself; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(kind: Kind, directory: &Path) -> String {
    let root = directory.display();
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\n  formatter: text\nstorage:\n  filesystem:\n    rootdirectory: {root}/data\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:0\n"
    );
    match kind {
        Kind::Plain => {}
        Kind::Tls => {
            make_certificates(directory);
            text += &format!("  tls:\n    certificate: {root}/server.crt\n    key: {root}/server.key\n");
        }
        Kind::Htpasswd => {
            fs::write(directory.join("htpasswd"), HTPASSWD).unwrap();
            text += &format!("auth:\n  htpasswd:\n    realm: steprun-tests\n    path: {root}/htpasswd\n");
        }
    }
    text
}

/// An authority, and a server's certificate for loopback.
fn make_certificates(directory: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    fs::create_dir(directory.join("authority")).unwrap();
    fs::write(directory.join("authority/ca.crt"), authority.pem()).unwrap();
    fs::write(directory.join("server.crt"), certificate.pem()).unwrap();
    fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
}

/// Waits until the registry says where it listens, and keeps reading what it says, so that it never waits for us.
fn listening(process: &mut Child) -> String {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut log = String::new();
    let address = loop {
        let Some(Ok(line)) = lines.next() else {
            let _ = process.kill();
            panic!("docker-registry did not start:\n{log}");
        };
        if let Some((_, rest)) = line.split_once("listening on ") {
            break rest.split(['"', ',']).next().unwrap().to_owned();
        }
        log += &line;
        log.push('\n');
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * index) & 63) as usize] as char;
            text.push(if index <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
