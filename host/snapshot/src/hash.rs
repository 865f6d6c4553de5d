//! Digests of what goes by.

use std::fmt::Write as _;
use std::io::{self, Read, Write};

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{Error, Result};

/// A running digest. The contract accepts `sha256` and `sha512`.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
    /// Computes nothing: who gives the bytes has verified them.
    Verified(Digest),
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// The hasher that a digest was made with. Fails with [`Error::Unsupported`] on other algorithms.
    pub(crate) fn of(digest: &Digest) -> Result<Self> {
        match digest.algorithm() {
            DigestAlgorithm::Sha256 => Ok(Self::sha256()),
            DigestAlgorithm::Sha512 => Ok(Self::Sha512(Box::new(Sha512::new()))),
            other => Err(Error::Unsupported(format!(
                "digests of algorithm `{other}` are not supported, only sha256 and sha512"
            ))),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Verified(_) => {}
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => digest("sha256", &hasher.finalize()),
            Self::Sha512(hasher) => digest("sha512", &hasher.finalize()),
            Self::Verified(digest) => digest,
        }
    }
}

fn digest(algorithm: &str, hash: &[u8]) -> Digest {
    let mut text = format!("{algorithm}:");
    for byte in hash {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    Digest::try_from(text).expect("an algorithm and hexadecimal digits are a digest")
}

/// The SHA-256 digest of bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::sha256();
    hasher.update(bytes);
    hasher.finish()
}

/// The digest of bytes by the algorithm of another one. Fails with [`Error::Unsupported`] on algorithms that are not ours.
pub(crate) fn digest_like(bytes: &[u8], other: &Digest) -> Result<Digest> {
    let mut hasher = Hasher::of(other)?;
    hasher.update(bytes);
    Ok(hasher.finish())
}

/// Hashes and counts what is read or written through it.
pub(crate) struct Hashing<T> {
    pub(crate) inner: T,
    pub(crate) hasher: Hasher,
    pub(crate) count: u64,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T, hasher: Hasher) -> Self {
        Self { inner, hasher, count: 0 }
    }

    fn seen(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.count += bytes.len() as u64;
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.seen(&buffer[..count]);
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.seen(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b"").to_string(), empty);
        let sha512 = Digest::try_from(format!("sha512:{}", "0".repeat(128))).unwrap();
        let hash = Hasher::of(&sha512).unwrap().finish().to_string();
        assert!(hash.starts_with("sha512:cf83e1357eefb8bd"), "{hash}");
        let other = Digest::try_from("blake3:00".to_owned()).unwrap();
        assert!(matches!(Hasher::of(&other), Err(Error::Unsupported(_))));
    }
}
