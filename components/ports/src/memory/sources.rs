//! Files and Git repositories elsewhere.

use std::collections::BTreeMap;

use super::files::MemoryDirectory;
use super::process::MemoryAgent;
use super::tree::FileTree;
use super::{MemoryHost, digest};
use crate::{Agent, Commit, Error, Result, Timestamp};

/// What can be fetched, and what was.
#[derive(Default)]
pub(super) struct Sources {
    files: BTreeMap<String, (Vec<u8>, Option<Timestamp>)>,
    repositories: BTreeMap<String, (FileTree, Commit)>,
    checkouts: Vec<Checkout>,
}

/// A checkout that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// As written.
    pub reference: String,
    /// Whether `.git` was to be kept.
    pub keep_git_dir: bool,
    /// The agent's name.
    pub agent: Option<String>,
}

impl MemoryHost {
    /// With a file that can be fetched, and its modification time in seconds.
    #[must_use]
    pub fn with_remote_file(self, url: &str, content: impl AsRef<[u8]>, modified: Option<i64>) -> Self {
        let modified = modified.map(|seconds| Timestamp { seconds, nanoseconds: 0 });
        self.state_mut().sources.files.insert(url.into(), (content.as_ref().to_vec(), modified));
        self
    }

    /// With the files of a commit, by what names it in an ADD or as a context.
    #[must_use]
    pub fn with_repository(self, reference: &str, tree: FileTree, commit: Commit) -> Self {
        self.state_mut().sources.repositories.insert(reference.into(), (tree, commit));
        self
    }

    /// The checkouts so far.
    pub fn checkouts(&self) -> Vec<Checkout> {
        self.state().sources.checkouts.clone()
    }
}

impl Sources {
    /// What an argument names: a repository of ours, else these files.
    pub(super) fn context(&self, name: &str, tree: FileTree) -> MemoryDirectory {
        match self.repositories.get(name) {
            Some((tree, commit)) => MemoryDirectory::new(name, tree.clone()).of_commit(commit.clone()),
            None => MemoryDirectory::new(name, tree),
        }
    }

    pub(super) fn file(&self, url: &str, expected: Option<&str>) -> Result<(Vec<u8>, Option<Timestamp>)> {
        let file = self.files.get(url).ok_or_else(|| Error::NotFound(format!("{url}: not found")))?;
        let found = digest(&file.0);
        match expected.filter(|expected| **expected != *found) {
            Some(expected) => Err(Error::Corrupt(format!("{url}: it has the digest {found}, not {expected}"))),
            None => Ok(file.clone()),
        }
    }

    pub(super) fn checkout(
        &mut self,
        reference: &str,
        expected: Option<&str>,
        keep_git_dir: bool,
        agent: Option<&MemoryAgent>,
    ) -> Result<MemoryDirectory> {
        let agent = agent.map(Agent::id);
        self.checkouts.push(Checkout { reference: reference.into(), keep_git_dir, agent });
        let missing = || Error::NotFound(format!("there is no repository `{reference}`"));
        let (tree, commit) = self.repositories.get(reference).ok_or_else(missing)?;
        match expected.filter(|expected| !commit.id.starts_with(expected)) {
            Some(expected) => Err(Error::Corrupt(format!("the commit is {}, not {expected}", commit.id))),
            None => Ok(MemoryDirectory::new(reference, tree.clone()).of_commit(commit.clone())),
        }
    }
}
