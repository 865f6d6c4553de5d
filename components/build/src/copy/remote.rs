//! What ADD takes from elsewhere: the file behind a URL, or a Git repository (BuildKit `dockerfile2llb/convert_copy.go`).

use std::rc::Rc;

use steprun_ports::{Agent, Blob, Directory, Failure, Host, Tree};

use super::find::Match;
use super::origin::{Context, Origin};
use super::place::reading;
use super::{Destination, Request, Scene, Text};
use crate::ignore::Ignore;
use crate::paths;

/// A fetched file in a directory, where its URL names none (BuildKit `dockerfile2llb/convert_copy.go`).
const UNNAMED: &str = "__unnamed__";

/// What a source is, if it is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    File,
    Repository,
}

impl Remote {
    /// A URL over HTTP is a repository if its path ends with `.git` (BuildKit `dfgitutil/git_ref.go`).
    pub(crate) fn of(source: &str) -> Option<Self> {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| source.starts_with(prefix));
        if starts(&["git://", "ssh://"]) || is_ssh_shorthand(source) {
            return Some(Self::Repository);
        }
        if !starts(&["http://", "https://"]) {
            return None;
        }
        let path = source.split(['#', '?']).next().unwrap_or(source);
        Some(if path.ends_with(".git") { Self::Repository } else { Self::File })
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "a URL",
            Self::Repository => "a Git repository",
        }
    }
}

/// `USER@HOST:PATH` (git-fetch(1), "GIT URLS").
fn is_ssh_shorthand(source: &str) -> bool {
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    source
        .split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)))
        .is_some_and(|(user, host)| word(user, "-_") && word(host, "-."))
}

/// A source that was fetched.
pub(crate) struct Fetched<H: Host> {
    pub(crate) origin: Origin<H>,
    /// The file, or the root of the repository's files.
    pub(crate) found: Match,
    /// Of a file.
    pub(crate) digest: Option<String>,
}

/// Fetches a source.
///
/// # Errors
/// What the host says.
pub(crate) async fn fetch<H: Host>(
    scene: &Scene<H>,
    request: &Request,
    source: &Text,
    kind: Remote,
) -> Result<Fetched<H>, Failure> {
    match kind {
        Remote::File => file(scene, request, &source.value).await,
        Remote::Repository => repository(scene, request, &source.value).await,
    }
}

/// BuildKit gives a fetched file the mode 0600, the time that its server says, or 1970 (`source/http/source.go`).
async fn file<H: Host>(scene: &Scene<H>, request: &Request, url: &str) -> Result<Fetched<H>, Failure> {
    let failed = |error| Failure::because(format!("could not fetch `{url}`"), error);
    let name = file_name(url);
    let into_directory = Destination::new(&scene.working_directory, &request.destination.value).directory;
    if name.is_none() && into_directory && !request.unpack_fetched {
        return Err(Failure::failed(format!("the URL `{url}` names no file, and the destination is a directory"))
            .hint("write the name that the file should have at the end of the destination"));
    }
    let checksum = request.checksum.as_ref().map(|checksum| checksum.value.as_str());
    let file = scene.host.fetch(url, checksum).await.map_err(failed)?;
    let name = name.unwrap_or_else(|| UNNAMED.to_owned());
    let files = scene.host.from_blob(&file.blob, &name, 0o600, file.modified.unwrap_or_default()).await;
    let files = files.map_err(failed)?;
    let stat = files.stat(&name, false).await.map_err(failed)?;
    let found = Match { path: name.clone(), named: name, stat };
    let digest = Some(file.blob.descriptor().digest);
    Ok(Fetched { origin: Origin::Snapshot(files), found, digest })
}

async fn repository<H: Host>(scene: &Scene<H>, request: &Request, reference: &str) -> Result<Fetched<H>, Failure> {
    let failed = |error| Failure::because(format!("could not check out `{reference}`"), error);
    let commit = request.checksum.as_ref().map(|checksum| checksum.value.as_str());
    let agent = scene.agents.iter().find(|agent| agent.id() == "default");
    let directory = scene.host.checkout(reference, commit, request.keep_git_dir, agent).await.map_err(failed)?;
    let stat = directory.stat("", true).await.map_err(|error| reading(&directory.name(), error))?;
    let found = Match { path: String::new(), named: String::new(), stat };
    let context = Context { directory, ignore: Ignore::default() };
    Ok(Fetched { origin: Origin::Context(Rc::new(context)), found, digest: None })
}

/// The last component of a URL's path; none where it has none that can be a file's name.
fn file_name(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1.split(['?', '#']).next()?;
    let path = unescape(rest.split_once('/')?.1);
    let name = paths::base(&path);
    let usable = !matches!(name, "" | "." | "..") && !name.contains('\0');
    usable.then(|| name.to_owned())
}

/// A path without percent-encoding, as it is where that would be no text.
fn unescape(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| first == b'%' && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        for (source, kind) in [
            ("https://x.test/a.tar.gz", Some(Remote::File)),
            ("http://x.test/a.git/b", Some(Remote::File)),
            ("https://x.test/a.git", Some(Remote::Repository)),
            ("https://x.test/a.git#v1:sub", Some(Remote::Repository)),
            ("https://x.test/a.git?ref=v1", Some(Remote::Repository)),
            ("https://x.test/a?b=c.git", Some(Remote::File)),
            ("git@x.test:team/a.git", Some(Remote::Repository)),
            ("deploy-1@x.test:a", Some(Remote::Repository)),
            ("ssh://git@x.test/a", Some(Remote::Repository)),
            ("git://x.test/a", Some(Remote::Repository)),
            ("file:///a.git", None),
            ("a@b", None),
            ("dir/a@b:c", None),
            ("x.git", None),
            ("", None),
        ] {
            assert_eq!(Remote::of(source), kind, "{source}");
        }
    }

    #[test]
    fn files_are_named_by_the_path() {
        for (url, name) in [
            ("https://x.test/a/b.txt", Some("b.txt")),
            ("https://x.test/a/b.txt?c=/d#e/f", Some("b.txt")),
            ("https://x.test/a%20b", Some("a b")),
            ("https://x.test/a%2Fb", Some("b")),
            ("https://x.test/a/", Some("a")),
            ("https://x.test/%zz", Some("%zz")),
            ("https://x.test/%ff", Some("%ff")),
            ("https://x.test/%2e%2e", None),
            ("https://x.test/..", None),
            ("https://x.test/", None),
            ("https://x.test", None),
            ("https://x.test?a=/b", None),
        ] {
            assert_eq!(file_name(url).as_deref(), name, "{url}");
        }
    }
}
