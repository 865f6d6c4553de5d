//! What a step can reach, as Rust traits.
//!
//! The contract itself is `wit/`; this crate mirrors it without its bindings, so that the logic of a step compiles natively and
//! is tested against an implementation in memory (module `memory`, feature `memory`), while in a component the same logic runs on the real imports (crate
//! `steprun-guest`). Each item stands for the WIT item of the same name, where its documentation is.

mod concurrent;
mod describe;
mod error;
#[cfg(feature = "memory")]
pub mod memory;
mod process;

pub use concurrent::{both, concurrently};
pub use describe::{Arity, Command, Description, FileAccess, Parameter, Placement, RegistryAccess, ValueKind};
pub use error::{Denial, Error, Failure, FailureKind, Position};
pub use process::{
    Access, Agent, BindMount, CacheMount, Difference, DifferenceKind, Mount, MountSource, Network, Outcome, Process,
    Secret, Sharing, User,
};

/// `algorithm:hex`.
pub type Digest = String;

/// Result of a call to the host.
pub type Result<T> = std::result::Result<T, Error>;

/// Seconds and nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// An OCI descriptor without its optional properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
}

/// What is known of a file without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// Modification time.
    pub modified: Timestamp,
    /// Where a symlink points.
    pub target: Option<String>,
    /// Equal for hard links of one file.
    pub link_group: Option<u64>,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// One path component.
    pub name: String,
    /// Its metadata; symlinks not followed.
    pub stat: Stat,
}

/// A read-only tree: a granted directory or a snapshot.
#[allow(async_fn_in_trait)]
pub trait Tree {
    /// Metadata of a path. Fails with [`Error::NotFound`].
    async fn stat(&self, path: &str, follow: bool) -> Result<Stat>;
    /// The entries of a directory, sorted by name. Symlinks are resolved.
    async fn list(&self, path: &str) -> Result<Vec<Entry>>;
    /// A small file.
    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>>;
    /// The path with symlinks resolved, without leading `/`. A directory fails with [`Error::NotFound`] on what does not exist;
    /// a snapshot keeps the components from the first missing one on.
    async fn real_path(&self, path: &str) -> Result<String>;
}

/// A commit of a Git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The repository's URL, without credentials.
    pub repository: String,
    /// Its whole name, in hexadecimal digits.
    pub id: String,
    /// When it was committed.
    pub time: Timestamp,
}

/// A granted directory.
#[allow(async_fn_in_trait)]
pub trait Directory: Tree + Clone {
    /// As typed; of a part, with its path behind that.
    fn name(&self) -> String;
    /// The entries of several directories.
    async fn lists(&self, paths: Vec<String>) -> Result<Vec<Vec<Entry>>>;
    /// A digest of each regular file's content and extended attributes.
    async fn digests(&self, paths: Vec<String>) -> Result<Vec<Digest>>;
    /// The commit that the files were checked out of, if they were.
    async fn commit(&self) -> Result<Option<Commit>>;
    /// A directory in this one, as one of its own. Fails with [`Error::NotFound`], and with [`Error::Invalid`] if it is no directory.
    async fn below(&self, path: &str) -> Result<Self>;
}

/// A manifest's bytes and descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes.
    pub content: Vec<u8>,
}

/// A manifest that names another one as its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The referring manifest.
    pub descriptor: Descriptor,
    /// What it says that it is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: Vec<(String, String)>,
}

/// A compression of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LayerCompression {
    Gzip,
    Zstd,
}

/// How a blob came to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PushOutcome {
    Existing,
    Mounted,
    Uploaded,
}

/// A blob in the store or a registry.
#[allow(async_fn_in_trait)]
pub trait Blob: Clone {
    /// Media type, digest and size.
    fn descriptor(&self) -> Descriptor;
    /// The content, verified.
    async fn read(&self, limit: u64) -> Result<Vec<u8>>;
    /// Brings the content into the store, verified, unless it is there.
    async fn fetch(&self) -> Result<()>;
}

/// A granted repository.
#[allow(async_fn_in_trait)]
pub trait Repository: Clone {
    /// The host's blob handle.
    type Blob: Blob;
    /// `registry/repository`.
    fn name(&self) -> String;
    /// `registry`.
    fn registry(&self) -> String;
    /// What a tag or digest refers to.
    async fn head(&self, reference: &str) -> Result<Option<Descriptor>>;
    /// A manifest by tag or digest.
    async fn manifest(&self, reference: &str) -> Result<Manifest>;
    /// Puts a manifest; gives its digest.
    async fn put_manifest(&self, reference: &str, media_type: &str, content: &[u8]) -> Result<Digest>;
    /// Deletes a manifest or tag.
    async fn delete_manifest(&self, reference: &str) -> Result<()>;
    /// A blob of this repository, not yet transferred.
    fn blob(&self, descriptor: &Descriptor) -> Self::Blob;
    /// Makes a blob available here.
    async fn push(&self, blob: &Self::Blob) -> Result<PushOutcome>;
    /// Fails unless pushing is possible.
    async fn check_push(&self) -> Result<()>;
    /// All tags.
    async fn tags(&self) -> Result<Vec<String>>;
    /// A blob of this repository by its digest alone; its media type is not known.
    async fn find_blob(&self, digest: &str) -> Result<Option<Self::Blob>>;
    /// The manifests whose subject is this one.
    async fn referrers(&self, digest: &str) -> Result<Vec<Referrer>>;
}

/// The list of a granted registry's repositories.
#[allow(async_fn_in_trait)]
pub trait Catalog {
    /// `HOST[:PORT]`.
    fn registry(&self) -> String;
    /// The repositories without the registry's name.
    async fn repositories(&self) -> Result<Vec<String>>;
}

/// Something that the step remembers from an earlier run.
#[derive(Debug, Clone)]
pub struct Remembered<B> {
    /// The step's own words.
    pub content: Vec<u8>,
    /// In the order in which they were put.
    pub blobs: Vec<B>,
    /// When it was put.
    pub stored: Timestamp,
}

/// A layer: its blob and the digest of its uncompressed tar.
#[derive(Debug, Clone)]
pub struct Layer<B> {
    /// The layer as stored.
    pub blob: B,
    /// Digest of the tar.
    pub diff_id: Digest,
}

/// Where the content of a file comes from: an index into the sources of the call and a path there, taken literally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Index into the sources.
    pub source: u32,
    /// Path in that source.
    pub path: String,
}

/// What an entry puts at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Content and extended attributes of a source's file.
    File(SourceFile),
    /// These bytes.
    Inline(Vec<u8>),
    /// A directory; one that is there keeps its entries.
    Directory,
    /// A symlink to this target.
    Symlink(String),
    /// Another name of the file at this path.
    HardLink(String),
    /// A fifo.
    Fifo,
    /// A device node.
    Device {
        /// Block, else character.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// What is there goes away.
    Removed,
}

/// One change of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEntry {
    /// Where, literally.
    pub path: String,
    /// What.
    pub change: Change,
    /// 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub modified: Timestamp,
}

/// A source of content for [`Snapshot::extend`].
#[derive(Debug, Clone)]
pub enum Source<D, S> {
    /// A granted directory.
    Directory(D),
    /// A snapshot.
    Snapshot(S),
}

/// A file system as a value.
#[allow(async_fn_in_trait)]
pub trait Snapshot: Tree + Clone {
    /// The host's directory handle.
    type Directory: Directory;
    /// The host's blob handle.
    type Blob: Blob;
    /// The host's output file handle.
    type OutputFile: OutputFile;
    /// The host's output directory handle.
    type OutputDirectory: OutputDirectory;
    /// The host's secret handle.
    type Secret: Secret;
    /// The host's agent handle.
    type Agent: Agent;
    /// This file system with changes.
    async fn extend(&self, sources: &[Source<Self::Directory, Self>], entries: Vec<ChangeEntry>) -> Result<Self>;
    /// Runs a native command with this file system as its root. Fails with [`Error::Denied`] where that is not granted, and with
    /// [`Error::Unsupported`] where the place has no sandbox; a command that fails is an [`Outcome`].
    async fn run(&self, process: Process<Self, Self::Secret, Self::Agent>) -> Result<Outcome<Self, Self::Blob>>;
    /// The first path at which this file system looks other than the one that a command saw, by [`Outcome::reads`]. None says that the command would do
    /// the same here, so that its layer fits on this file system, too.
    async fn differs(&self, reads: &Self::Blob) -> Result<Option<Difference>>;
    /// The last `extend` or `run` as a layer, gzip or plain; none if it changed nothing.
    async fn pack(&self, gzip: bool) -> Result<Option<Layer<Self::Blob>>>;
    /// The content of a file, of any size.
    async fn write_file(&self, path: &str, to: &Self::OutputFile) -> Result<()>;
    /// The whole file system as a tar archive.
    async fn export(&self, to: &Self::OutputFile) -> Result<()>;
    /// The whole file system as files of the caller's in a directory below `to`; an empty path is itself. Gives the device nodes, which are left out.
    async fn unpack(&self, to: &Self::OutputDirectory, below: &str) -> Result<Vec<String>>;
}

/// An image for a file or directory.
#[derive(Debug, Clone)]
pub struct OutputImage {
    /// Media type of the manifest.
    pub media_type: String,
    /// Bytes of the manifest or index.
    pub manifest: Vec<u8>,
    /// `registry/repository:tag`.
    pub names: Vec<String>,
}

/// Form of an image in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArchiveFormat {
    Docker,
    Legacy,
    Oci,
    Layout,
}

/// A file that an argument named for reading.
#[allow(async_fn_in_trait)]
pub trait InputFile: Clone {
    /// The host's repository handle.
    type Repository: Repository;
    /// As typed.
    fn name(&self) -> String;
    /// Whether it is standard input.
    fn is_standard_input(&self) -> bool;
    /// The whole file.
    async fn read(&self, limit: u64) -> Result<Vec<u8>>;
    /// The images in the file or directory.
    async fn images(&self) -> Result<Self::Repository>;
    /// The file with `.dockerignore` appended to its name.
    async fn read_ignore_file(&self, limit: u64) -> Result<Vec<u8>>;
}

/// A file that an argument named for writing.
#[allow(async_fn_in_trait)]
pub trait OutputFile: Clone {
    /// The host's blob handle.
    type Blob: Blob;
    /// As typed.
    fn name(&self) -> String;
    /// Writes the file whole.
    async fn write(&self, content: &[u8]) -> Result<()>;
    /// Writes the content of a blob, of any size.
    async fn write_blob(&self, blob: &Self::Blob) -> Result<()>;
    /// Writes images with their blobs.
    async fn write_images(&self, format: ArchiveFormat, images: Vec<OutputImage>, blobs: &[Self::Blob]) -> Result<()>;
    /// Writes an image with its blobs.
    async fn write_image(&self, format: ArchiveFormat, image: OutputImage, blobs: &[Self::Blob]) -> Result<()> {
        self.write_images(format, vec![image], blobs).await
    }
}

/// A directory that an argument named to be filled.
#[allow(async_fn_in_trait)]
pub trait OutputDirectory: Clone {
    /// The host's blob handle.
    type Blob: Blob;
    /// As typed.
    fn name(&self) -> String;
    /// Adds an image to the OCI layout in the directory.
    async fn write_layout(&self, image: OutputImage, blobs: &[Self::Blob]) -> Result<()>;
    /// Removes the blobs of the layout that no image of it leads to; gives their digests.
    async fn collect_garbage(&self) -> Result<Vec<Digest>>;
}

/// An image that an argument named.
#[derive(Debug, Clone)]
pub struct ImageArgument<R> {
    /// The grant.
    pub repository: R,
    /// As typed.
    pub typed: String,
    /// Given, or `latest` where neither tag nor digest was.
    pub tag: Option<String>,
    /// Given.
    pub digest: Option<Digest>,
}

impl<R> ImageArgument<R> {
    /// The digest where there is one, else the tag: what to ask a registry for.
    pub fn reference(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }
}

/// What a named context leads to.
#[derive(Debug, Clone)]
pub enum ContextSource<D, R> {
    /// A granted directory.
    Directory(D),
    /// An image in a registry.
    Image(ImageArgument<R>),
}

/// What an argument gave a name.
#[derive(Debug, Clone)]
pub struct NamedContext<D, R> {
    /// As typed; not empty.
    pub name: String,
    /// What it leads to.
    pub source: ContextSource<D, R>,
}

/// An image that the step's input named.
#[derive(Debug, Clone)]
pub struct ResolvedImage<R> {
    /// Pull access.
    pub repository: R,
    /// Given, or `latest` where neither tag nor digest was.
    pub tag: Option<String>,
    /// Given.
    pub digest: Option<Digest>,
}

impl<R> ResolvedImage<R> {
    /// The digest where there is one, else the tag: what to ask a registry for.
    pub fn reference(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }
}

/// A file that was fetched.
#[derive(Debug, Clone)]
pub struct RemoteFile<B> {
    /// Its content.
    pub blob: B,
    /// When it was last modified, as its server says.
    pub modified: Option<Timestamp>,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Info,
    Warning,
}

/// A piece of work that people see. Dropping it without `finish` says that it was given up.
pub trait Task {
    /// Ends it well.
    fn finish(self, note: &str);
}

/// All imports together. One value of it is handed down through a step's logic.
// The methods are named as the functions of the WIT interfaces: `from-layers` makes a snapshot, not a host.
#[allow(async_fn_in_trait, clippy::wrong_self_convention)]
pub trait Host: Clone {
    /// See [`Directory`].
    type Directory: Directory;
    /// See [`Blob`].
    type Blob: Blob;
    /// See [`Repository`].
    type Repository: Repository<Blob = Self::Blob>;
    /// See [`Secret`].
    type Secret: Secret;
    /// See [`Agent`].
    type Agent: Agent;
    /// See [`Snapshot`].
    type Snapshot: Snapshot<
            Directory = Self::Directory,
            Blob = Self::Blob,
            OutputFile = Self::OutputFile,
            OutputDirectory = Self::OutputDirectory,
            Secret = Self::Secret,
            Agent = Self::Agent,
        >;
    /// See [`InputFile`].
    type InputFile: InputFile<Repository = Self::Repository>;
    /// See [`Catalog`].
    type Catalog: Catalog;
    /// See [`OutputFile`].
    type OutputFile: OutputFile<Blob = Self::Blob>;
    /// See [`OutputDirectory`].
    type OutputDirectory: OutputDirectory<Blob = Self::Blob>;
    /// See [`Task`].
    type Task: Task;

    // inputs
    /// Name of the command; empty for a step with a single one.
    fn command(&self) -> String;
    /// Whether a flag was given.
    fn flag(&self, name: &str) -> bool;
    /// Values of a text or choice.
    fn texts(&self, name: &str) -> Vec<String>;
    /// Values of an integer.
    fn integers(&self, name: &str) -> Vec<i64>;
    /// Values of a pair.
    fn pairs(&self, name: &str) -> Vec<(String, Option<String>)>;
    /// Granted directories.
    fn context_directories(&self, name: &str) -> Vec<Self::Directory>;
    /// Granted images.
    fn images(&self, name: &str) -> Vec<ImageArgument<Self::Repository>>;
    /// Granted repositories.
    fn repositories(&self, name: &str) -> Vec<Self::Repository>;
    /// A repository that the step's input names, below a granted namespace.
    fn repository_in(&self, name: &str, repository: &str) -> Result<Self::Repository>;
    /// Granted registries.
    fn catalogs(&self, name: &str) -> Vec<Self::Catalog>;
    /// Moments that were named.
    fn times(&self, name: &str) -> Vec<Timestamp>;
    /// Files to read.
    fn input_files(&self, name: &str) -> Vec<Self::InputFile>;
    /// Files to write.
    fn output_files(&self, name: &str) -> Vec<Self::OutputFile>;
    /// Directories to fill.
    fn output_directories(&self, name: &str) -> Vec<Self::OutputDirectory>;
    /// Granted secrets.
    fn secrets(&self, name: &str) -> Vec<Self::Secret>;
    /// Granted SSH agents.
    fn agents(&self, name: &str) -> Vec<Self::Agent>;
    /// Named contexts, in the order given.
    fn named_contexts(&self, name: &str) -> Vec<NamedContext<Self::Directory, Self::Repository>>;
    /// `os/architecture[/variant]` of the host.
    fn host_platform(&self) -> String;

    // registry, store, cache, snapshots
    /// Resolves an image name to a repository with pull access.
    async fn resolve(&self, name: &str) -> Result<ResolvedImage<Self::Repository>>;
    /// Makes a blob of bytes.
    async fn put(&self, media_type: &str, content: &[u8]) -> Result<Self::Blob>;
    /// The content of a layer, compressed in another way.
    async fn recompress(&self, layer: &Self::Blob, to: LayerCompression) -> Result<Self::Blob>;
    /// What an earlier run of this step remembered under a key.
    async fn recall(&self, key: &str) -> Result<Option<Remembered<Self::Blob>>>;
    /// Remembers something for later runs.
    async fn remember(&self, key: &str, content: &[u8], blobs: &[Self::Blob]) -> Result<()>;
    /// The empty file system.
    fn scratch(&self) -> Self::Snapshot;
    /// The file system of layers.
    async fn from_layers(&self, layers: &[Layer<Self::Blob>]) -> Result<Self::Snapshot>;
    /// The content of a tar archive in a source, or none if the file is no archive.
    async fn from_archive(
        &self,
        source: &Source<Self::Directory, Self::Snapshot>,
        path: &str,
    ) -> Result<Option<Self::Snapshot>>;
    /// A tar archive of the caller as a layer; a plain one is compressed by gzip.
    async fn import_layer(&self, file: &Self::InputFile) -> Result<Layer<Self::Blob>>;

    /// A file system with one regular file, whose content is a blob's.
    async fn from_blob(&self, blob: &Self::Blob, name: &str, mode: u32, modified: Timestamp) -> Result<Self::Snapshot>;

    // sources
    /// Fetches the file behind a URL. Fails with [`Error::Corrupt`] if it does not have the digest.
    async fn fetch(&self, url: &str, digest: Option<&str>) -> Result<RemoteFile<Self::Blob>>;
    /// The files of a commit of a Git repository. `commit` is how its name must begin.
    async fn checkout(
        &self,
        reference: &str,
        commit: Option<&str>,
        keep_git_dir: bool,
        agent: Option<&Self::Agent>,
    ) -> Result<Self::Directory>;

    // outputs, progress
    /// Writes result bytes to standard output.
    async fn print(&self, content: &[u8]) -> Result<()>;
    /// Sets a named result.
    fn set(&self, name: &str, value: &str);
    /// Starts a piece of work that people see.
    fn task(&self, label: &str) -> Self::Task;
    /// Says something.
    fn log(&self, level: Level, message: &str);
    /// Says something about a place in a source file.
    fn log_at(&self, level: Level, position: &Position, message: &str);
}
