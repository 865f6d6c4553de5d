//! The host itself: its state and the imports that stand alone.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::arguments::Arguments;
use super::files::{MemoryDirectory, MemoryInputFile, MemoryOutputDirectory, MemoryOutputFile, Written};
use super::process::{MemoryAgent, MemorySecret, Runs};
use super::reference::Reference;
use super::registry::{MemoryBlob, MemoryRepository, Registries, RegistryEvent};
use super::snapshot::{self, MemorySnapshot};
use super::sources::Sources;
use super::tree::FileTree;
use crate::{
    Blob, Catalog, ContextSource, Denial, Descriptor, Digest, Error, Host, ImageArgument, InputFile, Layer,
    LayerCompression, Level, NamedContext, Position, RegistryAccess, Remembered, RemoteFile, ResolvedImage, Result,
    Source, Task, Timestamp, Tree,
};

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LogLine {
    pub level: Level,
    pub position: Option<Position>,
    pub message: String,
}

/// How a [`MemoryTask`] stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// Under way.
    Running,
    /// Ended with this note.
    Finished(String),
    /// Dropped without being finished.
    GivenUp,
}

/// All that a host in memory knows.
#[derive(Default)]
pub(super) struct State {
    pub(super) arguments: Arguments,
    pub(super) registries: Registries,
    pub(super) store: BTreeMap<Digest, Vec<u8>>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) contexts: BTreeMap<String, FileTree>,
    pub(super) written: BTreeMap<String, Written>,
    pub(super) stdout: Vec<u8>,
    pub(super) garbage: BTreeMap<String, Vec<Digest>>,
    pub(super) runs: Runs,
    pub(super) sources: Sources,
    remembered: BTreeMap<String, (Vec<u8>, Vec<Descriptor>, Timestamp)>,
    /// The clock of what is remembered: it goes on with each record.
    records: i64,
    resolvable: Option<BTreeSet<String>>,
    platform: Option<String>,
    outputs: BTreeMap<String, String>,
    log: Vec<LogLine>,
    tasks: Vec<(String, TaskEnd)>,
}

impl State {
    /// One of [`MemoryHost::with_context`]; an empty one of another name.
    fn directory(&self, path: &str) -> MemoryDirectory {
        self.sources.context(path, self.contexts.get(path).cloned().unwrap_or_default())
    }
}

/// The imports of a step in memory. See the [module](super).
#[derive(Clone, Default)]
pub struct MemoryHost {
    state: Rc<RefCell<State>>,
}

/// Building and looking at a host.
impl MemoryHost {
    /// A host with no arguments, empty registries and the platform `linux/amd64`.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the platform that the host says it runs on.
    #[must_use]
    pub fn with_platform(self, platform: &str) -> Self {
        self.state_mut().platform = Some(platform.into());
        self
    }

    /// With a file of the caller, to be named by an argument for reading; `-` is standard input.
    #[must_use]
    pub fn with_file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.state_mut().files.insert(path.into(), content.as_ref().to_vec());
        self
    }

    /// With a directory of the caller, to be named by an argument.
    #[must_use]
    pub fn with_context(self, path: &str, tree: FileTree) -> Self {
        self.state_mut().contexts.insert(path.into(), tree);
        self
    }

    /// With an OCI layout that has these blobs too many.
    #[must_use]
    pub fn with_garbage(self, path: &str, digests: &[&str]) -> Self {
        self.state_mut().garbage.insert(path.into(), digests.iter().map(|digest| (*digest).to_owned()).collect());
        self
    }

    /// The images in a file or directory, named as an argument names it: `oci:DIR` or, where the form is told by what is there, the path alone.
    pub fn local(&self, place: &str, access: RegistryAccess) -> MemoryRepository {
        MemoryRepository::new(self.clone(), place.into(), access)
    }

    /// Limits `resolve` to these registries; without it every one is allowed.
    #[must_use]
    pub fn with_allowed_pulls(self, registries: &[&str]) -> Self {
        self.state_mut().resolvable = Some(registries.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Loses what steps remembered, as a new runner has.
    pub fn forget_remembered(&self) {
        self.state_mut().remembered.clear();
    }

    /// Loses a blob of the store.
    pub fn lose_blob(&self, digest: &str) {
        self.state_mut().store.remove(digest);
    }

    /// A repository with every right, to fill it or to look at it: `registry.test/app`, `oci:DIR`.
    pub fn repository(&self, name: &str) -> MemoryRepository {
        MemoryRepository::new(self.clone(), Reference::parse(name).repository, RegistryAccess::Delete)
    }

    /// A directory handle, as an argument would grant it.
    pub fn directory(&self, name: &str, tree: FileTree) -> MemoryDirectory {
        MemoryDirectory::new(name, tree)
    }

    /// What was written to standard output.
    pub fn stdout(&self) -> Vec<u8> {
        self.state().stdout.clone()
    }

    /// The named results.
    pub fn outputs(&self) -> BTreeMap<String, String> {
        self.state().outputs.clone()
    }

    /// What was said, in order.
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.state().log.clone()
    }

    /// The pieces of work by label, in the order they began.
    pub fn tasks(&self) -> Vec<(String, TaskEnd)> {
        self.state().tasks.clone()
    }

    /// What was written to the file or directory of this name, as typed.
    pub fn written(&self, path: &str) -> Option<Written> {
        self.state().written.get(path).cloned()
    }

    /// Every write to a registry since [`forget_events`](Self::forget_events), in order.
    pub fn events(&self) -> Vec<RegistryEvent> {
        self.state().registries.events.clone()
    }

    /// Begins [`events`](Self::events) anew.
    pub fn forget_events(&self) {
        self.state_mut().registries.events.clear();
    }

    /// The most blobs that were pushed or fetched at the same time.
    pub fn most_transfers_at_once(&self) -> usize {
        self.state().registries.most_transfers
    }

    /// From now on every registry call about this tag or digest fails with this error.
    pub fn fail_on(&self, reference: &str, error: Error) {
        self.state_mut().registries.failures.insert(reference.into(), error);
    }

    /// An image as an argument grants it.
    fn image(&self, typed: String, access: RegistryAccess) -> ImageArgument<MemoryRepository> {
        let Reference { repository, tag, digest } = Reference::parse(&typed);
        ImageArgument { repository: MemoryRepository::new(self.clone(), repository, access), typed, tag, digest }
    }

    pub(super) fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    pub(super) fn state_mut(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Puts bytes into the store.
    pub fn store_blob(&self, media_type: &str, content: &[u8]) -> MemoryBlob {
        let digest = super::digest(content);
        let descriptor =
            Descriptor { media_type: media_type.into(), digest: digest.clone(), size: content.len() as u64 };
        self.state_mut().store.insert(digest, content.to_vec());
        MemoryBlob::new(self.clone(), descriptor, None)
    }

    /// A file system as one layer of the store, in the encoding of this module: the base image of a test.
    pub fn store_layer(&self, tree: &FileTree, gzip: bool) -> Layer<MemoryBlob> {
        snapshot::store_layer(self, snapshot::changes(&FileTree::new(), tree), gzip)
    }
}

impl Host for MemoryHost {
    type Directory = MemoryDirectory;
    type Blob = MemoryBlob;
    type Secret = MemorySecret;
    type Agent = MemoryAgent;
    type Repository = MemoryRepository;
    type Snapshot = MemorySnapshot;
    type InputFile = MemoryInputFile;
    type Catalog = MemoryCatalog;
    type OutputFile = MemoryOutputFile;
    type OutputDirectory = MemoryOutputDirectory;
    type Task = MemoryTask;

    fn command(&self) -> String {
        self.state().arguments.command().to_owned()
    }

    fn flag(&self, name: &str) -> bool {
        self.state().arguments.flag(name)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.state().arguments.texts(name)
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        self.state().arguments.integers(name)
    }

    fn pairs(&self, name: &str) -> Vec<(String, Option<String>)> {
        self.state().arguments.pairs(name)
    }

    fn context_directories(&self, name: &str) -> Vec<MemoryDirectory> {
        let state = self.state();
        state.arguments.context_directories(name).iter().map(|path| state.directory(path)).collect()
    }

    fn named_contexts(&self, name: &str) -> Vec<NamedContext<MemoryDirectory, MemoryRepository>> {
        let state = self.state();
        let source = |text: String| match text.strip_prefix("docker-image://") {
            Some(typed) => ContextSource::Image(self.image(typed.to_owned(), RegistryAccess::Pull)),
            None => ContextSource::Directory(state.directory(&text)),
        };
        let given = state.arguments.named_contexts(name).into_iter();
        given.map(|(name, text)| NamedContext { name, source: source(text) }).collect()
    }

    fn images(&self, name: &str) -> Vec<ImageArgument<MemoryRepository>> {
        let (access, images) = self.state().arguments.images(name);
        images.into_iter().map(|typed| self.image(typed, access)).collect()
    }

    fn repositories(&self, name: &str) -> Vec<MemoryRepository> {
        let (access, names) = self.state().arguments.repositories(name);
        names
            .iter()
            .map(|name| MemoryRepository::new(self.clone(), super::reference::full_name(name), access))
            .collect()
    }

    fn repository_in(&self, name: &str, repository: &str) -> Result<MemoryRepository> {
        let (access, namespaces) = self.state().arguments.namespaces(name);
        let full = super::reference::full_name(repository);
        let below =
            |namespace: &&String| full.strip_prefix(namespace.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if namespaces.iter().find(below).is_none() {
            return Err(Error::Denied(Denial {
                capability: "registry".into(),
                subject: full,
                reason: format!("no --{name} covers it"),
                remedy: None,
            }));
        }
        Ok(MemoryRepository::new(self.clone(), full, access))
    }

    fn catalogs(&self, name: &str) -> Vec<MemoryCatalog> {
        let registries = self.state().arguments.catalogs(name);
        registries.into_iter().map(|registry| MemoryCatalog { host: self.clone(), registry }).collect()
    }

    fn times(&self, name: &str) -> Vec<Timestamp> {
        let times = self.state().arguments.times(name);
        times.into_iter().map(|seconds| Timestamp { seconds, nanoseconds: 0 }).collect()
    }

    fn input_files(&self, name: &str) -> Vec<MemoryInputFile> {
        let paths = self.state().arguments.input_files(name);
        paths.into_iter().map(|path| MemoryInputFile::new(self.clone(), path)).collect()
    }

    fn output_files(&self, name: &str) -> Vec<MemoryOutputFile> {
        let paths = self.state().arguments.output_files(name);
        paths.into_iter().map(|path| MemoryOutputFile::new(self.clone(), path)).collect()
    }

    fn output_directories(&self, name: &str) -> Vec<MemoryOutputDirectory> {
        let paths = self.state().arguments.output_directories(name);
        paths.into_iter().map(|path| MemoryOutputDirectory::new(self.clone(), path)).collect()
    }

    fn secrets(&self, name: &str) -> Vec<MemorySecret> {
        self.state().arguments.secrets(name).into_iter().map(MemorySecret).collect()
    }

    fn agents(&self, name: &str) -> Vec<MemoryAgent> {
        self.state().arguments.agents(name).into_iter().map(MemoryAgent).collect()
    }

    fn host_platform(&self) -> String {
        self.state().platform.clone().unwrap_or_else(|| "linux/amd64".into())
    }

    async fn resolve(&self, name: &str) -> Result<ResolvedImage<MemoryRepository>> {
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Error::Invalid(format!("`{name}` is no image name")));
        }
        let Reference { repository, tag, digest } = Reference::parse(name);
        let repository = MemoryRepository::new(self.clone(), repository, RegistryAccess::Pull);
        let registry = crate::Repository::registry(&repository);
        if self.state().resolvable.as_ref().is_some_and(|allowed| !allowed.contains(&registry)) {
            return Err(Error::Denied(Denial {
                capability: "registry.resolve".into(),
                subject: name.into(),
                reason: format!("no argument names the registry {registry}"),
                remedy: Some(format!("--allow-pull {registry}")),
            }));
        }
        Ok(ResolvedImage { repository, tag, digest })
    }

    async fn put(&self, media_type: &str, content: &[u8]) -> Result<MemoryBlob> {
        Ok(self.store_blob(media_type, content))
    }

    async fn recall(&self, key: &str) -> Result<Option<Remembered<MemoryBlob>>> {
        let Some((content, descriptors, stored)) = self.state().remembered.get(key).cloned() else { return Ok(None) };
        let there = descriptors.iter().all(|descriptor| self.state().store.contains_key(&descriptor.digest));
        let blobs = descriptors.into_iter().map(|descriptor| MemoryBlob::new(self.clone(), descriptor, None)).collect();
        Ok(there.then_some(Remembered { content, blobs, stored }))
    }

    async fn remember(&self, key: &str, content: &[u8], blobs: &[MemoryBlob]) -> Result<()> {
        let descriptors = blobs.iter().map(Blob::descriptor).collect();
        let state = &mut *self.state_mut();
        state.records += 1;
        let stored = Timestamp { seconds: state.records, nanoseconds: 0 };
        state.remembered.insert(key.into(), (content.into(), descriptors, stored));
        Ok(())
    }

    async fn recompress(&self, layer: &MemoryBlob, to: LayerCompression) -> Result<MemoryBlob> {
        snapshot::recompress(self, &layer.read(u64::MAX).await?, to)
    }

    fn scratch(&self) -> MemorySnapshot {
        MemorySnapshot::new(self.clone(), FileTree::new())
    }

    async fn from_layers(&self, layers: &[Layer<MemoryBlob>]) -> Result<MemorySnapshot> {
        snapshot::from_layers(self, layers).await
    }

    async fn from_archive(
        &self,
        source: &Source<MemoryDirectory, MemorySnapshot>,
        path: &str,
    ) -> Result<Option<MemorySnapshot>> {
        let path = super::tree::literal(path)?;
        let content = match source {
            Source::Directory(directory) => directory.read(&path, u64::MAX).await?,
            Source::Snapshot(snapshot) => snapshot.read(&path, u64::MAX).await?,
        };
        snapshot::from_archive(self, &content)
    }

    async fn import_layer(&self, file: &MemoryInputFile) -> Result<Layer<MemoryBlob>> {
        snapshot::import_layer(self, &file.read(u64::MAX).await?)
    }

    async fn from_blob(&self, blob: &MemoryBlob, name: &str, mode: u32, modified: Timestamp) -> Result<MemorySnapshot> {
        let tree = FileTree::new().file(name, blob.read(u64::MAX).await?).mode(name, mode);
        Ok(MemorySnapshot::new(self.clone(), tree.modified(name, modified.seconds)))
    }

    async fn fetch(&self, url: &str, digest: Option<&str>) -> Result<RemoteFile<MemoryBlob>> {
        let (content, modified) = self.state().sources.file(url, digest)?;
        Ok(RemoteFile { blob: self.store_blob("application/octet-stream", &content), modified })
    }

    async fn checkout(
        &self,
        reference: &str,
        commit: Option<&str>,
        keep_git_dir: bool,
        agent: Option<&MemoryAgent>,
    ) -> Result<MemoryDirectory> {
        self.state_mut().sources.checkout(reference, commit, keep_git_dir, agent)
    }

    async fn print(&self, content: &[u8]) -> Result<()> {
        self.state_mut().stdout.extend_from_slice(content);
        Ok(())
    }

    fn set(&self, name: &str, value: &str) {
        self.state_mut().outputs.insert(name.into(), value.into());
    }

    fn task(&self, label: &str) -> MemoryTask {
        let mut state = self.state_mut();
        state.tasks.push((label.into(), TaskEnd::Running));
        MemoryTask { host: self.clone(), number: state.tasks.len() - 1 }
    }

    fn log(&self, level: Level, message: &str) {
        self.state_mut().log.push(LogLine { level, position: None, message: message.into() });
    }

    fn log_at(&self, level: Level, position: &Position, message: &str) {
        self.state_mut().log.push(LogLine { level, position: Some(position.clone()), message: message.into() });
    }
}

/// The list of a registry's repositories.
pub struct MemoryCatalog {
    host: MemoryHost,
    registry: String,
}

impl Catalog for MemoryCatalog {
    fn registry(&self) -> String {
        self.registry.clone()
    }

    async fn repositories(&self) -> Result<Vec<String>> {
        Ok(self.host.state().registries.of(&self.registry))
    }
}

/// A piece of work of a [`MemoryHost`].
pub struct MemoryTask {
    host: MemoryHost,
    number: usize,
}

impl Task for MemoryTask {
    fn finish(self, note: &str) {
        self.host.state_mut().tasks[self.number].1 = TaskEnd::Finished(note.into());
    }
}

impl Drop for MemoryTask {
    fn drop(&mut self) {
        let end = &mut self.host.state_mut().tasks[self.number].1;
        if *end == TaskEnd::Running {
            *end = TaskEnd::GivenUp;
        }
    }
}
