//! Which registries are trusted, and which may be reached without TLS.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::{Error, Result};

/// How connections to registries are secured.
///
/// The system's authorities are those that rustls-native-certs finds; it honours `SSL_CERT_FILE` and `SSL_CERT_DIR`. Where the
/// system has none, as in an empty container, Mozilla's list that is built in takes their place.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM files with certificates of authorities that are trusted for every host, besides the system's.
    pub certificates: Vec<PathBuf>,
    /// Hosts (`registry.example.com` or `registry.example.com:5000`) and a PEM file with authorities that are trusted for that
    /// host only, besides the system's. Such a host is never spoken to without TLS.
    pub registry_certificates: Vec<(String, PathBuf)>,
    /// Hosts, with the port if there is one, whose certificate is not verified and which may be spoken to without TLS.
    pub insecure: BTreeSet<String>,
    /// The same for every host.
    pub all_insecure: bool,
    /// A PEM file that replaces the system's authorities, as `SSL_CERT_FILE` does.
    pub system_file: Option<PathBuf>,
    /// Directories of PEM files that replace the system's authorities, as `SSL_CERT_DIR` does.
    pub system_directories: Vec<PathBuf>,
}

/// The authorities of a client, read from files once.
pub(super) struct Authorities {
    everywhere: Vec<CertificateDer<'static>>,
    by_host: Vec<(String, Vec<CertificateDer<'static>>)>,
    system_file: Option<PathBuf>,
    system_directories: Vec<PathBuf>,
}

impl Authorities {
    /// Reads the files that the settings name. The system's own wait until the first connection.
    pub(super) fn load(settings: &TlsSettings) -> Result<Self> {
        let mut everywhere = Vec::new();
        for path in &settings.certificates {
            everywhere.extend(read_pem(path)?);
        }
        let mut by_host = Vec::new();
        for (host, path) in &settings.registry_certificates {
            by_host.push((host.to_ascii_lowercase(), read_pem(path)?));
        }
        Ok(Authorities {
            everywhere,
            by_host,
            system_file: settings.system_file.clone(),
            system_directories: settings.system_directories.clone(),
        })
    }

    /// Whether there are authorities for this host in particular.
    pub(super) fn knows(&self, authority: &str) -> bool {
        self.by_host.iter().any(|(host, _)| host == authority)
    }

    /// The TLS configuration for one host, or for all that nothing particular is said about.
    pub(super) fn config(&self, host: Option<&str>) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let system = self.system();
        roots.add_parsable_certificates(system);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots.add_parsable_certificates(self.everywhere.iter().cloned());
        let own = self.by_host.iter().filter(|(h, _)| Some(h.as_str()) == host);
        for (_, certificates) in own {
            roots.add_parsable_certificates(certificates.iter().cloned());
        }
        let builder = builder()?;
        Ok(with_protocols(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    fn system(&self) -> Vec<CertificateDer<'static>> {
        if self.system_file.is_none() && self.system_directories.is_empty() {
            return rustls_native_certs::load_native_certs().certs;
        }
        let file = self.system_file.as_deref();
        let mut found = rustls_native_certs::load_certs_from_paths(file, None).certs;
        for directory in &self.system_directories {
            found.extend(rustls_native_certs::load_certs_from_paths(None, Some(directory)).certs);
        }
        found
    }
}

/// The configuration that trusts no certificate at all.
pub(super) fn untrusting() -> Result<ClientConfig> {
    Ok(with_protocols(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()))
}

/// The configuration for hosts whose certificate is not verified.
pub(super) fn unverified() -> Result<ClientConfig> {
    let verifier = Arc::new(Unverified(provider()));
    let builder = builder()?;
    Ok(with_protocols(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<Builder> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Invalid { subject: "TLS".to_owned(), reason: e.to_string() })
}

fn with_protocols(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Reads a PEM file of one or more certificates.
fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let subject = || path.display().to_string();
    let text = std::fs::read(path).map_err(|e| Error::io(subject(), &e))?;
    let invalid = |reason: String| Error::Invalid { subject: subject(), reason };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| invalid(format!("not a PEM file: {e}")))?;
    let mut probe = RootCertStore::empty();
    for certificate in &certificates {
        probe.add(certificate.clone()).map_err(|e| invalid(format!("a certificate is malformed: {e}")))?;
    }
    if certificates.is_empty() {
        return Err(invalid("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

/// Accepts every certificate, for hosts that the caller declared insecure. Signatures are still checked.
#[derive(Debug)]
struct Unverified(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS failure in a chain of errors, if it is one.
pub(super) fn failure<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An io::Error hides what it wraps from `source`.
        let wrapped = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|w| failure(w)) {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// A TLS failure in words, with what to do about it.
pub(super) fn explain(host: &str, error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the certificate of {host} is not trusted (issuer unknown): pass --registry-certificate {host}=CA.pem"
        ),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the certificate of {host} has expired")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => format!("the certificate of {host} is not valid yet: check the clock"),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the certificate of {host} is for another name ({error})"),
        rustls::Error::InvalidMessage(_) => {
            format!("{host} does not speak TLS: pass --insecure-registry {host} if it is meant to speak plain HTTP")
        }
        other => format!("TLS with {host} failed: {other}"),
    }
}

/// Whether trying again can help: a certificate stays what it is.
pub(super) fn is_final(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidMessage(_))
}
