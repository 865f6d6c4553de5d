//! Which registries are trusted, and which may be reached without TLS.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// How connections to registries are secured.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM files with certificates of authorities that are trusted for every host, besides the system's.
    pub certificates: Vec<PathBuf>,
    /// Hosts (`registry.example.com` or `registry.example.com:5000`) and a PEM file with authorities that are trusted for that
    /// host only, besides the system's. Such a host is never spoken to without TLS.
    pub registry_certificates: Vec<(String, PathBuf)>,
    /// Hosts, with the port if there is one, whose certificate is not verified and which may be spoken to without TLS.
    pub insecure: BTreeSet<String>,
    /// A PEM file that replaces the system's authorities (`SSL_CERT_FILE`).
    pub system_file: Option<PathBuf>,
    /// Directories of PEM files that replace the system's authorities (`SSL_CERT_DIR`).
    pub system_directories: Vec<PathBuf>,
}
