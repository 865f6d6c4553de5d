//! The client against scripted servers: one rule, one test.

mod authentication;
mod blobs;
mod connections;
mod faults;
mod files;
mod manifests;
mod server;
mod uploads;

use std::time::Duration;

use oci_spec::image::Digest;

use super::{Client, Config};
use crate::verify::digest_of;
use crate::{Credential, Keychain, RepositoryName, RetryPolicy, Secret, Selector};

/// A client without pauses between tries.
fn hasty() -> Config {
    Config {
        retry: RetryPolicy {
            tries: 3,
            first_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
            longest_retry_after: Duration::from_secs(60),
        },
        ..Config::default()
    }
}

fn client() -> Client {
    Client::new(hasty()).unwrap()
}

fn repository(host: &str, name: &str) -> RepositoryName {
    format!("{host}/{name}").parse().unwrap()
}

fn tag(tag: &str) -> Selector {
    tag.parse().unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    digest_of(bytes, None)
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { username: user.to_owned(), secret: Secret::new(password), source: "the test".to_owned() }
}

/// A client that knows one password for one host.
fn client_for(host: &str, credential: Credential) -> Client {
    let keychain = Keychain::anonymous().with_credential(host, credential);
    Client::new(Config { keychain, ..hasty() }).unwrap()
}

#[test]
fn calls_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let client = client();
    let repository = repository("a.io", "b");
    let digest = sha256(b"");
    let source = bytes::Bytes::new();
    let progress = super::Progress::none();
    let mut sink = Vec::new();
    check(client.head(&repository, &tag("x")));
    check(client.put_manifest(&repository, &tag("x"), "a/b", source.clone()));
    check(client.pull_blob(&repository, &digest, None, &mut sink, &progress));
    check(client.push_blob(&repository, &digest, 0, &source, &progress));
    check(client.copy_blob(&repository, &repository, &digest, 0, &progress));
    check(client.referrers(&repository, &digest));
}
