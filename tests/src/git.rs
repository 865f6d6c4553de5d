//! Git repositories, made by git and served by its own CGI program.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::fake::{Fake, Request, Response};
use crate::tools::tool;

/// The time of each commit, in seconds since 1970.
pub const COMMITTED: i64 = 1_600_000_000;

/// Repositories in a directory, which is removed when it is dropped.
#[derive(Debug)]
pub struct Repositories {
    directory: TempDir,
}

impl Default for Repositories {
    fn default() -> Self {
        Self::new()
    }
}

impl Repositories {
    /// None yet.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// An empty repository, `app.git` for example.
    pub fn create(&self, name: &str) -> Repository {
        let path = self.directory.path().join(name);
        let repository = Repository { path };
        std::fs::create_dir(&repository.path).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// Serves all of them by HTTP; their URLs are `http://ADDRESS/NAME`.
    pub fn serve(&self) -> Fake {
        let root = self.directory.path().to_owned();
        Fake::serve(move |request| backend(&root, request))
    }
}

/// A repository with a working tree.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
}

impl Repository {
    /// `file:///...`.
    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// Writes a file, to be committed.
    pub fn write(&self, path: &str, content: &str) -> &Self {
        let full = self.path.join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, content).unwrap();
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Commits all files; gives the commit's name.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs `git ARGUMENTS` in it; gives what it says.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = tool("git");
        command.args(["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always"]);
        let time = format!("{COMMITTED} +0000");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_AUTHOR_DATE", &time).env("GIT_COMMITTER_DATE", &time);
        let output = command.args(arguments).current_dir(&self.path).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// One request to `git http-backend` (git-http-backend(1), RFC 3875).
fn backend(root: &Path, request: &Request) -> Response {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let header =
        |name: &str| request.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let mut command = tool("git");
    command.arg("http-backend").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("REQUEST_METHOD", &request.method).env("PATH_INFO", path).env("QUERY_STRING", query);
    command.env("CONTENT_TYPE", header("content-type")).env("HTTP_CONTENT_ENCODING", header("content-encoding"));
    command.env("GIT_PROTOCOL", header("git-protocol")).env("CONTENT_LENGTH", request.body.len().to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len());
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let headers: Vec<(&str, &str)> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = headers.iter().find(|(name, _)| *name == "Status").map_or("200", |(_, value)| &value[..3]);
    let response = Response::new(status.parse().unwrap()).body(output.get(end + 4..).unwrap_or_default());
    headers
        .iter()
        .filter(|(name, _)| *name != "Status")
        .fold(response, |response, (name, value)| response.header(name, value))
}
