//! From what an argument names to a directory's files.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use steprun_snapshot::{Change, ChangeEntry, Directory, Opened, Snapshot, Timestamp, read_archive};

use super::git::Login;
use super::{Fetched, Place, checkout, file};
use crate::calls::blocking;
use crate::context::Files;
use crate::error::{CallError, CallResult};
use crate::inputs::standard_input;
use crate::session::Session;

/// A Dockerfile that comes alone is no larger, in bytes.
const LARGEST_DOCKERFILE: u64 = 4 << 20;

impl Place {
    /// Opens a directory, or fetches and reads what is to be one. Whether that is granted was asked before.
    ///
    /// # Errors
    /// `not-found`, `invalid` for what is neither directory nor archive, and those of transfers.
    pub async fn open(&self, session: &Arc<Session>) -> CallResult<Files> {
        let session = Arc::clone(session);
        if let Self::Path(path) = self {
            let path = path.clone();
            return blocking(move || open_path(&session, &path)).await;
        }
        let task = session.display.start(&format!("context {self}"));
        let (files, note) = match self {
            Self::Git(reference) => {
                let files = checkout::checkout(&session, reference, Login::Caller).await?;
                let commit =
                    if let Files::Fetched(_, Some(commit)) = &files { commit.id.clone() } else { String::new() };
                (files, commit)
            }
            Self::Url { .. } | Self::Object { .. } => {
                let blob = self.fetch(&session).await?.blob;
                let path = session.store()?.blob_path(&blob.descriptor.digest)?;
                let shown = self.to_string();
                let read = move || archive_or_dockerfile(&session, open_file(&path)?, &shown);
                (blocking(read).await?, blob.descriptor.digest.to_string())
            }
            Self::StandardInput | Self::Path(_) => {
                let input = standard_input(&session, "the context");
                let read = move || archive_or_dockerfile(&session, input, "standard input");
                (blocking(read).await?, String::new())
            }
        };
        task.finish(&note);
        Ok(files)
    }

    /// The file of an archive elsewhere.
    async fn fetch(&self, session: &Session) -> CallResult<Fetched> {
        match self {
            Self::Url { url, digest } => file::fetch(session, url, digest.as_ref()).await,
            Self::Object { store, url, digest, .. } => file::fetch_object(session, store, url, digest.as_ref()).await,
            Self::Path(_) | Self::StandardInput | Self::Git(_) => {
                Err(CallError::invalid(format_args!("`{self}` is no single file elsewhere")))
            }
        }
    }
}

/// A directory, or the file of an archive.
fn open_path(session: &Session, path: &Path) -> CallResult<Files> {
    let shown = path.display().to_string();
    if !path.is_file() {
        return Ok(Files::Directory(Directory::open(path, shown)?));
    }
    match read_archive(session.store()?, open_file(path)?, &shown)? {
        Opened::Archive(files) => Ok(Files::Fetched(files, None)),
        Opened::Other(_) => Err(CallError::invalid(format_args!("`{shown}` is neither a directory nor a tar archive"))),
    }
}

fn open_file(path: &Path) -> CallResult<File> {
    File::open(path).map_err(|error| CallError::io(format_args!("can't open `{}`", path.display()), error))
}

/// As with `docker build -`, a text that is no archive is a Dockerfile, which needs nothing else.
fn archive_or_dockerfile(session: &Session, input: impl Read, shown: &str) -> CallResult<Files> {
    let rest = match read_archive(session.store()?, input, shown)? {
        Opened::Archive(files) => return Ok(Files::Fetched(files, None)),
        Opened::Other(rest) => rest,
    };
    let mut text = Vec::new();
    let read = rest.take(LARGEST_DOCKERFILE + 1).read_to_end(&mut text);
    read.map_err(|error| CallError::io(format_args!("can't read {shown}"), error))?;
    let is_text = std::str::from_utf8(&text).is_ok_and(|text| !text.contains('\0'));
    if text.len() as u64 > LARGEST_DOCKERFILE || !is_text || text.is_empty() {
        return Err(CallError::invalid(format_args!("{shown} is neither a tar archive nor a Dockerfile")));
    }
    let modified = Timestamp::default();
    let change = Change::Inline(text);
    let entry = ChangeEntry { path: "Dockerfile".to_owned(), change, mode: 0o644, uid: 0, gid: 0, modified };
    Ok(Files::Fetched(Snapshot::scratch().extend(&[], vec![entry])?, None))
}
