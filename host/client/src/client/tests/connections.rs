//! TLS, plain HTTP, and the words for what goes wrong.

use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};

use super::server::{Reply, Server};
use super::*;
use crate::{Error, TlsSettings};

/// A private authority, as PEM, and a server configuration with a certificate of it for `name`.
fn authority(name: &str) -> (String, rustls::ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = server.signed_by(&server_key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(server_key.serialize_der().into()),
        )
        .unwrap();
    (pem, config)
}

async fn ask(server: &Server, tls: TlsSettings) -> crate::Result<super::super::Manifest> {
    let client = Client::new(Config { tls, ..hasty() })?;
    client.manifest(&repository(&server.host(), "r"), &tag("x")).await
}

#[tokio::test]
async fn private_authorities_are_trusted_where_they_are_named() {
    let (pem, config) = authority("127.0.0.1");
    let server = Server::start_tls(config, |_| Reply::new(200).body("{}")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();

    let untrusted = ask(&server, TlsSettings::default()).await.unwrap_err();
    let text = untrusted.to_string();
    let host = server.host();
    assert!(matches!(untrusted, Error::Unavailable { tries: 1, .. }), "{text}");
    assert!(text.contains(&format!("the certificate of {host} is not trusted")), "{text}");
    assert!(text.contains(&format!("--registry-certificate {host}=CA.pem")), "{text}");

    let own =
        |host: String| TlsSettings { registry_certificates: vec![(host, file.clone())], ..TlsSettings::default() };
    ask(&server, own(host.clone())).await.unwrap();
    assert!(ask(&server, own("other.example".to_owned())).await.is_err());
    let global = TlsSettings { certificates: vec![file.clone()], ..TlsSettings::default() };
    ask(&server, global).await.unwrap();
    let system = TlsSettings { system_file: Some(file.clone()), ..TlsSettings::default() };
    ask(&server, system).await.unwrap();
    let insecure = TlsSettings { insecure: [host].into(), ..TlsSettings::default() };
    ask(&server, insecure).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told() {
    let (pem, config) = authority("other.example");
    let server = Server::start_tls(config, |_| Reply::new(200).body("{}")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let tls = TlsSettings { certificates: vec![file], ..TlsSettings::default() };
    let error = ask(&server, tls).await.unwrap_err();
    assert!(error.to_string().contains("is for another name"), "{error}");
}

#[tokio::test]
async fn an_insecure_host_may_speak_plain_http() {
    let server = Server::start(|_| Reply::new(200).body("{}")).await;
    let tls = TlsSettings { insecure: [server.host()].into(), ..TlsSettings::default() };
    ask(&server, tls).await.unwrap();
}

#[tokio::test]
async fn a_host_with_an_own_authority_must_speak_tls() {
    let (pem, _) = authority("127.0.0.1");
    let server = Server::start(|_| Reply::new(200).body("{}")).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let tls = TlsSettings { registry_certificates: vec![(server.host(), file)], ..TlsSettings::default() };
    assert!(ask(&server, tls).await.is_err());
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn certificate_files_are_checked_when_the_client_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(&garbage, "no certificate").unwrap();
    let missing = directory.path().join("missing.pem");
    for (file, words) in [(&garbage, "no certificate in PEM form"), (&missing, "missing.pem")] {
        let tls = TlsSettings { certificates: vec![file.clone()], ..TlsSettings::default() };
        let error = Client::new(Config { tls, ..hasty() }).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_closed_port_is_told_after_all_tries() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = client().manifest(&repository(&host, "r"), &tag("x")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { tries: 3, .. }), "{error}");
    assert!(error.to_string().contains(&format!("cannot connect to {host}")), "{error}");
}

#[tokio::test]
async fn a_call_that_reads_tells_the_scheme_of_loopback() {
    let server = Server::start(|_| Reply::new(200).body("{}")).await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    for name in ["a", "b"] {
        client.manifest(&r, &tag(name)).await.unwrap();
    }
    assert_eq!(server.requests()[0].header("user-agent"), concat!("steprun/", env!("CARGO_PKG_VERSION")));
    assert_eq!((server.questions(), server.requests().len()), (0, 2));
}

#[tokio::test]
async fn a_call_that_writes_waits_for_the_scheme_of_loopback() {
    let server = Server::start(|_| Reply::new(201)).await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    for name in ["a", "b"] {
        client.put_manifest(&r, &tag(name), "application/json", "{}").await.unwrap();
    }
    assert_eq!(server.questions(), 1);
}
