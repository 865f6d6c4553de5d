//! Names of Git repositories, as Docker writes them: a URL, and what of the repository is meant (BuildKit `dfgitutil/git_ref.go`).

use std::fmt;

use steprun_client::{Secret, Url};

/// A commit's name has so many hexadecimal digits, with SHA-1 or SHA-256.
const WHOLE_NAMES: [usize; 2] = [40, 64];

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP.
    Http,
    /// The caller's or a granted agent's keys log in.
    Ssh,
    /// Git's own, which nothing secures.
    Git,
    /// A repository of this machine.
    File,
}

impl Protocol {
    /// In the words of `GIT_ALLOW_PROTOCOL` and of URLs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Git => "git",
            Self::File => "file",
        }
    }
}

/// Who names a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The caller, on the command line. May name one of this machine, and give credentials.
    Caller,
    /// A step's input.
    Input,
}

/// A repository, and what of it is meant.
#[derive(Debug, Clone)]
pub struct GitReference {
    /// The URL that git gets: without credentials, query and fragment.
    pub remote: String,
    /// How it is reached.
    pub protocol: Protocol,
    /// `host[:port]/path`; of [`Protocol::File`] only the path.
    pub place: String,
    /// `user:password`.
    pub credentials: Option<Secret>,
    /// A branch, tag, other ref or whole name of a commit; the default branch where there is none.
    pub wanted: Option<String>,
    /// How the commit's name must begin.
    pub commit: Option<String>,
    /// The directory of the repository that is meant.
    pub directory: String,
    /// Whether `.git` is kept.
    pub keep_git_dir: bool,
    /// Whether submodules are fetched.
    pub submodules: bool,
}

/// What a query or a fragment says.
#[derive(Default)]
struct Meant {
    wanted: Option<String>,
    commit: Option<String>,
    directory: Option<String>,
    keep_git_dir: bool,
    no_submodules: bool,
}

impl fmt::Display for GitReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.remote)?;
        let wanted = self.wanted.as_deref().unwrap_or_default();
        match (wanted, self.directory.as_str()) {
            ("", "") => Ok(()),
            (wanted, "") => write!(f, "#{wanted}"),
            (wanted, directory) => write!(f, "#{wanted}:{directory}"),
        }
    }
}

impl GitReference {
    /// Whether a text names a repository, or at least seems to. A URL over HTTP does if its path ends with `.git`.
    pub fn is_one(text: &str, by: By) -> bool {
        let path = text.split(['#', '?']).next().unwrap_or(text);
        match text.split_once("://").map(|(scheme, _)| scheme) {
            Some("ssh" | "git") => true,
            Some("file") => by == By::Caller,
            Some("http" | "https") => path.ends_with(".git"),
            Some(_) => false,
            None => shorthand(text).is_some(),
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, by: By) -> Result<Self, String> {
        let (location, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut meant = fragment_of(fragment)?;
        let (location, query) = location.split_once('?').unwrap_or((location, ""));
        meant.read_query(query)?;
        let (protocol, remote, place, credentials) = locate(location, by)?;
        let wanted = meant.wanted.or_else(|| meant.commit.clone());
        wanted.as_deref().map_or(Ok(()), check_ref)?;
        if let Some(commit) = meant.commit.as_deref().filter(|commit| !is_hexadecimal(commit)) {
            return Err(format!("`{commit}` is no name of a commit"));
        }
        Ok(Self {
            remote,
            protocol,
            place,
            credentials,
            wanted,
            commit: meant.commit,
            directory: meant.directory.unwrap_or_default().trim_matches('/').to_owned(),
            keep_git_dir: meant.keep_git_dir,
            submodules: !meant.no_submodules,
        })
    }

    /// The ref, if it is a whole name of a commit.
    pub fn whole_commit(&self) -> Option<&str> {
        self.wanted.as_deref().filter(|wanted| WHOLE_NAMES.contains(&wanted.len()) && is_hexadecimal(wanted))
    }
}

/// Whether a text may be the beginning of a commit's name.
pub(super) fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.len() <= WHOLE_NAMES[1] && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `REF[:DIRECTORY]`, or as Kaniko has it, `REF#COMMIT`.
fn fragment_of(fragment: &str) -> Result<Meant, String> {
    // The commit is what is taken; that it belongs to the ref is not asked for.
    if let Some((_, commit)) = fragment.split_once('#') {
        if commit.is_empty() || commit.contains('#') {
            return Err(format!("`#{fragment}` is neither `#REF:DIRECTORY` nor `#REF#COMMIT`"));
        }
        let commit = Some(commit.to_owned());
        return Ok(Meant { wanted: commit.clone(), commit, ..Meant::default() });
    }
    let (wanted, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(Meant { wanted: filled(wanted), directory: filled(directory), ..Meant::default() })
}

impl Meant {
    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let pairs: Vec<(String, String)> = match Url::parse(&format!("query:?{query}")) {
            Ok(url) => url.query_pairs().into_owned().collect(),
            Err(error) => return Err(format!("the query `{query}` is malformed: {error}")),
        };
        for (key, value) in pairs.into_iter().filter(|(key, value)| !(key.is_empty() && value.is_empty())) {
            let truth = || match value.as_str() {
                "" | "1" | "t" | "true" => Ok(true),
                "0" | "f" | "false" => Ok(false),
                other => Err(format!("`{key}={other}` is neither true nor false")),
            };
            match key.as_str() {
                "keep-git-dir" => self.keep_git_dir = truth()?,
                "submodules" => self.no_submodules = !truth()?,
                "ref" => set(&mut self.wanted, &key, value)?,
                "branch" => set(&mut self.wanted, &key, full("refs/heads/", value))?,
                "tag" => set(&mut self.wanted, &key, full("refs/tags/", value))?,
                "subdir" => set(&mut self.directory, &key, value)?,
                "checksum" | "commit" => set(&mut self.commit, &key, value)?,
                _ => return Err(format!("the query has a key `{key}`, which nothing knows")),
            }
        }
        Ok(())
    }
}

fn full(prefix: &str, name: String) -> String {
    if name.is_empty() || name.starts_with(prefix) { name } else { format!("{prefix}{name}") }
}

/// Sets a value that must not be set to another one before.
fn set(slot: &mut Option<String>, key: &str, value: String) -> Result<(), String> {
    match slot.as_deref() {
        _ if value.is_empty() => Err(format!("`{key}` has no value")),
        Some(before) if before != value => Err(format!("`{key}={value}` contradicts `{before}`")),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

type Location = (Protocol, String, String, Option<Secret>);

fn locate(location: &str, by: By) -> Result<Location, String> {
    if let Some((user, host, path)) = shorthand(location) {
        let remote = format!("ssh://{user}@{host}/{}", path.trim_start_matches('/'));
        return Ok((Protocol::Ssh, remote, format!("{host}/{}", path.trim_start_matches('/')), None));
    }
    let mut url = Url::parse(location).map_err(|error| format!("`{location}` is no URL: {error}"))?;
    let protocol = match (url.scheme(), by) {
        ("https", _) => Protocol::Https,
        ("http", _) => Protocol::Http,
        ("ssh", _) => Protocol::Ssh,
        ("git", _) => Protocol::Git,
        ("file", By::Caller) => {
            let path = url.path().to_owned();
            return Ok((Protocol::File, format!("file://{path}"), path, None));
        }
        (scheme, _) => return Err(format!("a Git repository can't be named by `{scheme}:`")),
    };
    let credentials = take_credentials(&mut url, protocol, by)?;
    let host =
        url.host_str().filter(|host| !host.starts_with('-')).ok_or_else(|| format!("`{location}` names no host"))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let place = format!("{host}{port}{}", url.path());
    Ok((protocol, url.into(), place, credentials))
}

/// Credentials of the caller, which git gets in another way than in its arguments, where others on the machine could read them.
fn take_credentials(url: &mut Url, protocol: Protocol, by: By) -> Result<Option<Secret>, String> {
    let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
    let found = match (protocol, by) {
        (Protocol::Ssh, _) if password.is_none() => return Ok(None),
        (Protocol::Http | Protocol::Https, By::Caller) if !user.is_empty() || password.is_some() => {
            let decode = |text: &str| percent_decoded(text);
            Some(Secret::new(format!("{}:{}", decode(&user), decode(&password.unwrap_or_default()))))
        }
        _ if user.is_empty() && password.is_none() => return Ok(None),
        (Protocol::Http | Protocol::Https, By::Input) => {
            return Err("a URL with credentials is refused: they would stay in the image's history".to_owned());
        }
        _ => return Err(format!("a password can't be given to the protocol `{}`", protocol.word())),
    };
    // Neither can fail for a URL with a host.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    Ok(found)
}

/// What `%XX` stands for in a user name or password.
fn percent_decoded(text: &str) -> String {
    let query = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D").replace('#', "%23");
    match Url::parse(&format!("query:?={query}")) {
        Ok(url) => url.query_pairs().next().map(|(_, value)| value.into_owned()).unwrap_or_default(),
        Err(_) => text.to_owned(),
    }
}

/// User, host and path of `USER@HOST:PATH` (git-fetch(1), "GIT URLS").
fn shorthand(text: &str) -> Option<(&str, &str, &str)> {
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let word = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    (word(user, "-_") && word(host, "-.") && !path.is_empty() && !path.starts_with("//")).then_some((user, host, path))
}

/// By git-check-ref-format(1), and nothing that git would take for an option or a pattern.
fn check_ref(name: &str) -> Result<(), String> {
    let strange = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    if name.starts_with(['-', '+', '/']) || name.contains(strange) || name.contains("..") || name.contains("@{") {
        return Err(format!("`{name}` can't be the name of a branch, tag or commit"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parsed(text: &str) -> String {
        match GitReference::parse(text, By::Caller) {
            Ok(found) => {
                let credentials = found.credentials.as_ref().map(Secret::expose).unwrap_or("-");
                let commit = found.commit.as_deref().unwrap_or("-");
                format!("{found} in {} as {credentials} at {commit}", found.place)
            }
            Err(reason) => reason,
        }
    }

    #[test]
    fn repositories_and_what_of_them_is_meant() {
        for (text, wanted) in [
            ("https://h.test/a.git", "https://h.test/a.git in h.test/a.git as - at -".to_owned()),
            (
                "http://h.test:81/a.git#v1:sub/dir",
                "http://h.test:81/a.git#v1:sub/dir in h.test:81/a.git as - at -".into(),
            ),
            ("https://h.test/a.git#:sub", "https://h.test/a.git#:sub in h.test/a.git as - at -".into()),
            ("git@h.test:team/a.git#main", "ssh://git@h.test/team/a.git#main in h.test/team/a.git as - at -".into()),
            ("ssh://git@h.test:22/a", "ssh://git@h.test:22/a in h.test:22/a as - at -".into()),
            ("file:///srv/a.git#x", "file:///srv/a.git#x in /srv/a.git as - at -".into()),
            ("https://me:p%40ss+@h.test/a.git", "https://h.test/a.git in h.test/a.git as me:p@ss+ at -".into()),
            (
                "https://h.test/a.git?tag=v1&subdir=d",
                "https://h.test/a.git#refs/tags/v1:d in h.test/a.git as - at -".into(),
            ),
            ("https://h.test/a.git?branch=b", "https://h.test/a.git#refs/heads/b in h.test/a.git as - at -".into()),
            ("https://h.test/a.git?commit=abc", "https://h.test/a.git#abc in h.test/a.git as - at abc".into()),
            ("https://h.test/a.git?ref=r#r:d", "https://h.test/a.git#r:d in h.test/a.git as - at -".into()),
            (
                &format!("https://h.test/a.git#refs/heads/main#{ID}"),
                format!("https://h.test/a.git#{ID} in h.test/a.git as - at {ID}"),
            ),
        ] {
            assert_eq!(parsed(text), wanted, "{text}");
        }
        let found = GitReference::parse("https://h.test/a.git?keep-git-dir&submodules=false", By::Input).unwrap();
        assert!(found.keep_git_dir && !found.submodules);
        assert_eq!(GitReference::parse(&format!("file:///a#{ID}"), By::Caller).unwrap().whole_commit(), Some(ID));
    }

    #[test]
    fn what_is_refused() {
        for (text, words) in [
            ("https://h.test/a.git#--upload-pack=x", "can't be the name"),
            ("https://h.test/a.git#+x", "can't be the name"),
            ("https://h.test/a.git#a..b", "can't be the name"),
            ("https://h.test/a.git#a%20b c", "can't be the name"),
            ("https://h.test/a.git#a#b#c", "neither"),
            ("https://h.test/a.git?x=y", "key `x`"),
            ("https://h.test/a.git?tag=", "`tag` has no value"),
            ("https://h.test/a.git?tag=a&branch=b", "contradicts"),
            ("https://h.test/a.git?commit=xyz", "no name of a commit"),
            ("https://h.test/a.git?submodules=maybe", "neither true nor false"),
            ("ext::sh -c true", "can't be named by `ext:`"),
            ("ssh://me:secret@h.test/a", "a password can't be given"),
            ("ssh://-oProxyCommand=x/a", ""),
        ] {
            let error = GitReference::parse(text, By::Caller).map(|found| found.to_string()).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in ["file:///srv/a.git", "https://me:hunter2@h.test/a.git", "https://token@h.test/a.git"] {
            let error = GitReference::parse(text, By::Input).map(|found| found.to_string()).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn repositories_are_told_from_files() {
        for (text, caller, input) in [
            ("https://h.test/a.git#x", true, true),
            ("https://h.test/a.tar", false, false),
            ("file:///a", true, false),
            ("git@h.test:a", true, true),
            ("./git@h.test:a", false, false),
            ("s3://bucket/a.git", false, false),
            ("a.git", false, false),
        ] {
            assert_eq!(GitReference::is_one(text, By::Caller), caller, "{text}");
            assert_eq!(GitReference::is_one(text, By::Input), input, "{text}");
        }
    }
}
