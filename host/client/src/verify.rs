//! Digests of bytes that pass by.

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash that is being computed.
enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(algorithm: &DigestAlgorithm) -> Option<Self> {
        match algorithm {
            DigestAlgorithm::Sha256 => Some(Hasher::Sha256(Sha256::new())),
            DigestAlgorithm::Sha512 => Some(Hasher::Sha512(Sha512::new())),
            _ => None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn hex(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Hasher::Sha256(hasher) => hex(&hasher.clone().finalize()),
            Hasher::Sha512(hasher) => hex(&hasher.clone().finalize()),
        }
    }
}

/// Checks that a stream of bytes has the digest that it was announced with.
pub(crate) struct Verifier {
    expected: Digest,
    hasher: Hasher,
    hashed: u64,
}

impl Verifier {
    /// Expects `digest`. The error is a reason: an algorithm that is not supported.
    pub(crate) fn new(expected: &Digest) -> Result<Self, String> {
        let algorithm = expected.algorithm();
        let hasher =
            Hasher::new(algorithm).ok_or_else(|| format!("the digest algorithm `{algorithm}` is not supported"))?;
        Ok(Verifier { expected: expected.clone(), hasher, hashed: 0 })
    }

    /// Takes the bytes that stand at `position` in the stream. What was seen before is not hashed again, so that a transfer can
    /// go back; a gap is impossible, since no transfer goes on behind what was seen.
    pub(crate) fn update(&mut self, position: u64, bytes: &[u8]) {
        let seen = usize::try_from(self.hashed.saturating_sub(position)).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(seen..) {
            self.hasher.update(new);
            self.hashed += new.len() as u64;
        }
    }

    /// The digest of what passed, unless it is the expected one.
    pub(crate) fn mismatch(&self) -> Option<String> {
        let found = self.hasher.hex();
        (found != self.expected.digest()).then(|| format!("{}:{found}", self.expected.algorithm()))
    }
}

/// The digest of some bytes, by the algorithm of `like` where that can be computed, else by SHA-256.
pub(crate) fn digest_of(bytes: &[u8], like: Option<&Digest>) -> Digest {
    let algorithm = like.map_or(&DigestAlgorithm::Sha256, Digest::algorithm);
    let mut hasher = Hasher::new(algorithm).unwrap_or_else(|| Hasher::Sha256(Sha256::new()));
    hasher.update(bytes);
    let name = match hasher {
        Hasher::Sha256(_) => "sha256",
        Hasher::Sha512(_) => "sha512",
    };
    let text = format!("{name}:{}", hasher.hex());
    text.parse().expect("a hash in hexadecimal is a digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_come_twice_are_hashed_once() {
        let expected = digest_of(b"hello world", None);
        let mut verifier = Verifier::new(&expected).unwrap();
        verifier.update(0, b"hello");
        assert!(verifier.mismatch().is_some());
        verifier.update(2, b"llo wor");
        verifier.update(0, b"hell");
        verifier.update(9, b"ld");
        assert_eq!(verifier.mismatch(), None);
    }

    #[test]
    fn the_algorithm_is_that_of_the_digest_asked_for() {
        let like = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        let digest = digest_of(b"", Some(&like));
        assert!(digest.to_string().starts_with("sha512:cf83e135"));
        let odd = "blake3:00".parse().unwrap();
        assert!(digest_of(b"", Some(&odd)).to_string().starts_with("sha256:e3b0"));
        assert!(Verifier::new(&odd).is_err());
    }
}
