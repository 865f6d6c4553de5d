//! What `--context` may name: a directory, or what one is made of.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use steprun_client::{Digest, Environment, ObjectStore, Url};

use super::reference::{By, GitReference};

/// Where a directory is, or what it is made of.
#[derive(Debug, Clone)]
pub enum Place {
    /// A directory, or the file of a tar archive: told when it is opened.
    Path(PathBuf),
    /// A tar archive, or a Dockerfile alone, on standard input.
    StandardInput,
    /// A tar archive, or a Dockerfile alone, behind a URL.
    Url {
        /// `http` or `https`.
        url: Url,
        /// What the file is checked by.
        digest: Option<Digest>,
    },
    /// A tar archive, or a Dockerfile alone, in an S3-compatible store.
    Object {
        /// `s3://BUCKET/KEY`.
        name: String,
        /// Whom to ask, and who asks.
        store: ObjectStore,
        /// Where the store has it.
        url: Url,
        /// What the file is checked by.
        digest: Option<Digest>,
    },
    /// A Git repository.
    Git(GitReference),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::StandardInput => f.write_str("-"),
            // A query may hold a signature, which lets anybody who reads it fetch the file.
            Self::Url { url, .. } => f.write_str(url.as_str().split('?').next().unwrap_or_default()),
            Self::Object { name, .. } => f.write_str(name),
            Self::Git(reference) => write!(f, "{reference}"),
        }
    }
}

impl Place {
    /// Reads what was typed; schemes are those of Docker and Kaniko.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(typed: &Path) -> Result<Self, String> {
        let bytes = typed.as_os_str().as_bytes();
        let path =
            |prefix: &str| bytes.strip_prefix(prefix.as_bytes()).map(|rest| PathBuf::from(OsStr::from_bytes(rest)));
        if matches!(bytes, b"-" | b"tar://-" | b"tar://stdin") {
            return Ok(Self::StandardInput);
        }
        if let Some(path) = path("dir://").or_else(|| path("tar://")) {
            return Ok(Self::Path(path));
        }
        let Some(text) = typed.to_str() else { return Ok(Self::Path(typed.to_owned())) };
        // A directory may have the form of `USER@HOST:PATH`.
        if !text.contains("://") && typed.exists() {
            return Ok(Self::Path(typed.to_owned()));
        }
        let over_http = kaniko_git(text);
        let text = over_http.as_deref().unwrap_or(text);
        if GitReference::is_one(text, By::Caller) || over_http.is_some() {
            return GitReference::parse(text, By::Caller).map(Self::Git);
        }
        match text.split_once("://") {
            Some(("http" | "https", _)) => archive(text),
            Some(("s3", rest)) => object(rest, &Environment::of_process()),
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Err(format!(
                "a context can't be had by `{scheme}://`: it is a directory, a tar archive, a URL, an object of S3 or a Git repository"
            )),
            _ => Ok(Self::Path(typed.to_owned())),
        }
    }

    /// `host[:port]/path` of what is not on this machine.
    pub fn remote(&self) -> Option<String> {
        match self {
            Self::Url { url, .. } | Self::Object { url, .. } => Some(super::place_of(url)),
            Self::Git(reference) if reference.protocol != super::reference::Protocol::File => {
                Some(reference.place.clone())
            }
            Self::Git(_) | Self::Path(_) | Self::StandardInput => None,
        }
    }
}

/// `git://` of Kaniko means HTTPS, or plain HTTP where `GIT_PULL_METHOD` says so; Git's own protocol is served almost nowhere any more.
fn kaniko_git(text: &str) -> Option<String> {
    let rest = text.strip_prefix("git://")?;
    let plain = std::env::var("GIT_PULL_METHOD").is_ok_and(|method| method == "http");
    Some(format!("{}://{rest}", if plain { "http" } else { "https" }))
}

/// `URL[#sha256:...]`.
fn archive(text: &str) -> Result<Place, String> {
    let (location, fragment) = text.split_once('#').unwrap_or((text, ""));
    let url = Url::parse(location).map_err(|error| format!("`{text}` is no URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL of an archive can't have credentials".to_owned());
    }
    let digest = match fragment {
        "" => None,
        digest => Some(checksum(digest)?),
    };
    Ok(Place::Url { url, digest })
}

/// `BUCKET/KEY[#sha256:...]`. A key may hold any character.
fn object(text: &str, environment: &Environment) -> Result<Place, String> {
    let (name, digest) = match text.rsplit_once("#sha256:") {
        Some((name, digits)) => (name, Some(checksum(&format!("sha256:{digits}"))?)),
        None => (text, None),
    };
    let (bucket, key) = name.split_once('/').unwrap_or((name, ""));
    let store = ObjectStore::of(environment)?;
    let url = store.url(bucket, key)?;
    Ok(Place::Object { name: format!("s3://{name}"), store, url, digest })
}

fn checksum(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error| format!("`#{text}` is no digest: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_as_docker_and_kaniko_write_them() {
        let sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (typed, wanted) in [
            (".", "path ."),
            ("dir:///workspace", "path /workspace"),
            ("dir://sub", "path sub"),
            ("a/dir://b", "path a/dir://b"),
            ("tar://x.tar.gz", "path x.tar.gz"),
            ("-", "stdin -"),
            ("tar://-", "stdin -"),
            ("tar://stdin", "stdin -"),
            ("https://h.test/x.tar.gz", "url https://h.test/x.tar.gz"),
            (&format!("https://h.test/x.tar.gz#{sum}"), "url https://h.test/x.tar.gz checked"),
            ("https://h.test/x.git#v1:d", "git https://h.test/x.git#v1:d"),
            ("git://h.test/x#main", "git https://h.test/x#main"),
            ("git@h.test:x", "git ssh://git@h.test/x"),
            ("file:///srv/x.git", "git file:///srv/x.git"),
            ("s3://bucket/a#b.tar", "object s3://bucket/a#b.tar"),
            (&format!("s3://bucket/a.tar#{sum}"), "object s3://bucket/a.tar checked"),
        ] {
            let place = Place::parse(Path::new(typed)).unwrap();
            let kind = match &place {
                Place::Path(_) => "path",
                Place::StandardInput => "stdin",
                Place::Url { .. } => "url",
                Place::Object { .. } => "object",
                Place::Git(_) => "git",
            };
            let checked = matches!(&place, Place::Url { digest: Some(_), .. } | Place::Object { digest: Some(_), .. });
            assert_eq!(format!("{kind} {place}{}", if checked { " checked" } else { "" }), wanted, "{typed}");
        }
        for typed in [
            "s3://bucket",
            "s3:///x",
            "gs://bucket/x",
            "https://h.test/x.tar#v1",
            "https://me:x@h.test/x.tar",
            "https://h.test/x.git#-v",
        ] {
            assert!(Place::parse(Path::new(typed)).is_err(), "{typed}");
        }
    }

    #[test]
    fn an_object_is_where_its_store_has_it() {
        let at = |variables: &[(&str, &str)]| {
            let place = object("bucket/dir/c.tar", &Environment::new(variables.iter().copied()));
            place.map(|place| (place.remote().unwrap_or_default(), format!("{place:?}")))
        };
        let login = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
        let (remote, shown) = at(&login).unwrap();
        assert_eq!(remote, "bucket.s3.us-east-1.amazonaws.com/dir/c.tar");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(at(&[("S3_ENDPOINT", "http://127.0.0.1:9")]).unwrap().0, "127.0.0.1:9/bucket/dir/c.tar");
        assert!(at(&login[1..]).unwrap_err().contains("AWS_ACCESS_KEY_ID is not"));
    }
}
