//! The handles of the contract. A handle can't be copied, so clones share one.

use std::rc::Rc;

use steprun_ports::{
    Agent, ArchiveFormat, Blob, Catalog, ChangeEntry, Commit, Descriptor, Difference, Digest, Directory, Entry,
    InputFile, Layer, Manifest, Outcome, OutputDirectory, OutputFile, OutputImage, PushOutcome, Referrer, Repository,
    Result, Secret, Snapshot, Source, Stat, Task, Tree,
};

use crate::bindings::steprun::step::{context, inputs, outputs, progress, registry, snapshots, store};
use crate::convert::all;
use crate::process::{self, GuestProcess};

/// Defines shared handles.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident($resource:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(pub(crate) Rc<$resource>);

        impl From<$resource> for $name {
            fn from(handle: $resource) -> Self {
                Self(Rc::new(handle))
            }
        }
    )*};
}

handles! {
    /// `context.directory`.
    GuestDirectory(context::Directory);
    /// `store.blob`.
    GuestBlob(store::Blob);
    /// `registry.repository`.
    GuestRepository(registry::Repository);
    /// `registry.catalog`.
    GuestCatalog(registry::Catalog);
    /// `snapshots.snapshot`.
    GuestSnapshot(snapshots::Snapshot);
    /// `inputs.secret`.
    GuestSecret(inputs::Secret);
    /// `inputs.agent`.
    GuestAgent(inputs::Agent);
    /// `inputs.input-file`.
    GuestInputFile(inputs::InputFile);
    /// `outputs.output-file`.
    GuestOutputFile(outputs::OutputFile);
    /// `outputs.output-directory`.
    GuestOutputDirectory(outputs::OutputDirectory);
}

/// `progress.task`.
#[derive(Debug)]
pub struct GuestTask(pub(crate) progress::Task);

/// The methods that directories and snapshots have in common.
macro_rules! tree {
    ($name:ident) => {
        impl Tree for $name {
            async fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
                Ok(self.0.stat(path.into(), follow).await?.into())
            }

            async fn list(&self, path: &str) -> Result<Vec<Entry>> {
                Ok(all(self.0.list(path.into()).await?))
            }

            async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
                Ok(self.0.read(path.into(), limit).await?)
            }

            async fn real_path(&self, path: &str) -> Result<String> {
                Ok(self.0.real_path(path.into()).await?)
            }
        }
    };
}

tree!(GuestDirectory);
tree!(GuestSnapshot);

impl Directory for GuestDirectory {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn lists(&self, paths: Vec<String>) -> Result<Vec<Vec<Entry>>> {
        Ok(self.0.lists(paths).await?.into_iter().map(all).collect())
    }

    async fn digests(&self, paths: Vec<String>) -> Result<Vec<Digest>> {
        Ok(self.0.digests(paths).await?)
    }

    async fn commit(&self) -> Result<Option<Commit>> {
        Ok(self.0.commit().await?.map(Into::into))
    }

    async fn below(&self, path: &str) -> Result<Self> {
        Ok(self.0.below(path.into()).await?.into())
    }
}

impl Secret for GuestSecret {
    fn id(&self) -> String {
        self.0.id()
    }
}

impl Agent for GuestAgent {
    fn id(&self) -> String {
        self.0.id()
    }
}

impl Blob for GuestBlob {
    fn descriptor(&self) -> Descriptor {
        self.0.descriptor().into()
    }

    async fn read(&self, limit: u64) -> Result<Vec<u8>> {
        Ok(self.0.read(limit).await?)
    }

    async fn fetch(&self) -> Result<()> {
        Ok(self.0.fetch().await?)
    }
}

impl Repository for GuestRepository {
    type Blob = GuestBlob;

    fn name(&self) -> String {
        self.0.name()
    }

    fn registry(&self) -> String {
        self.0.registry()
    }

    async fn head(&self, reference: &str) -> Result<Option<Descriptor>> {
        Ok(self.0.head(reference.into()).await?.map(Into::into))
    }

    async fn manifest(&self, reference: &str) -> Result<Manifest> {
        Ok(self.0.manifest(reference.into()).await?.into())
    }

    async fn put_manifest(&self, reference: &str, media_type: &str, content: &[u8]) -> Result<Digest> {
        Ok(self.0.put_manifest(reference.into(), media_type.into(), content.into()).await?)
    }

    async fn delete_manifest(&self, reference: &str) -> Result<()> {
        Ok(self.0.delete_manifest(reference.into()).await?)
    }

    fn blob(&self, descriptor: &Descriptor) -> GuestBlob {
        self.0.blob(&descriptor.into()).into()
    }

    async fn push(&self, blob: &GuestBlob) -> Result<PushOutcome> {
        Ok(self.0.push(&blob.0).await?.into())
    }

    async fn check_push(&self) -> Result<()> {
        Ok(self.0.check_push().await?)
    }

    async fn tags(&self) -> Result<Vec<String>> {
        Ok(self.0.tags().await?)
    }

    async fn find_blob(&self, digest: &str) -> Result<Option<GuestBlob>> {
        Ok(self.0.find_blob(digest.into()).await?.map(Into::into))
    }

    async fn referrers(&self, digest: &str) -> Result<Vec<Referrer>> {
        Ok(all(self.0.referrers(digest.into()).await?))
    }
}

impl Catalog for GuestCatalog {
    fn registry(&self) -> String {
        self.0.registry()
    }

    async fn repositories(&self) -> Result<Vec<String>> {
        Ok(self.0.repositories().await?)
    }
}

impl Snapshot for GuestSnapshot {
    type Directory = GuestDirectory;
    type Blob = GuestBlob;
    type OutputFile = GuestOutputFile;
    type OutputDirectory = GuestOutputDirectory;
    type Secret = GuestSecret;
    type Agent = GuestAgent;

    async fn extend(&self, sources: &[Source<GuestDirectory, Self>], entries: Vec<ChangeEntry>) -> Result<Self> {
        let sources = sources.iter().map(borrow_source).collect();
        Ok(self.0.extend(sources, all(entries)).await?.into())
    }

    async fn run(&self, process: GuestProcess) -> Result<Outcome<Self, GuestBlob>> {
        Ok(process::outcome(self.0.run(process::borrow(&process)).await?))
    }

    async fn differs(&self, reads: &GuestBlob) -> Result<Option<Difference>> {
        Ok(self.0.differs(&reads.0).await?.map(process::difference))
    }

    async fn pack(&self, gzip: bool) -> Result<Option<Layer<GuestBlob>>> {
        let compression = if gzip { snapshots::Compression::Gzip } else { snapshots::Compression::None };
        Ok(self.0.pack(compression).await?.map(layer))
    }

    async fn write_file(&self, path: &str, to: &GuestOutputFile) -> Result<()> {
        Ok(self.0.write_file(path.into(), &to.0).await?)
    }

    async fn export(&self, to: &GuestOutputFile) -> Result<()> {
        Ok(self.0.export(&to.0).await?)
    }

    async fn unpack(&self, to: &GuestOutputDirectory, below: &str) -> Result<Vec<String>> {
        Ok(self.0.unpack(&to.0, below.into()).await?)
    }
}

pub(crate) fn borrow_source(source: &Source<GuestDirectory, GuestSnapshot>) -> snapshots::Source<'_> {
    match source {
        Source::Directory(directory) => snapshots::Source::Directory(&directory.0),
        Source::Snapshot(snapshot) => snapshots::Source::Snapshot(&snapshot.0),
    }
}

pub(crate) fn borrow_layer(layer: &Layer<GuestBlob>) -> snapshots::BorrowedLayer<'_> {
    snapshots::BorrowedLayer { blob: &layer.blob.0, diff_id: layer.diff_id.clone() }
}

pub(crate) fn layer(layer: snapshots::Layer) -> Layer<GuestBlob> {
    Layer { blob: layer.blob.into(), diff_id: layer.diff_id }
}

impl InputFile for GuestInputFile {
    type Repository = GuestRepository;

    fn name(&self) -> String {
        self.0.name()
    }

    fn is_standard_input(&self) -> bool {
        self.0.is_standard_input()
    }

    async fn read(&self, limit: u64) -> Result<Vec<u8>> {
        Ok(self.0.read(limit).await?)
    }

    async fn images(&self) -> Result<GuestRepository> {
        Ok(self.0.images().await?.into())
    }

    async fn read_ignore_file(&self, limit: u64) -> Result<Vec<u8>> {
        Ok(self.0.read_ignore_file(limit).await?)
    }
}

impl OutputFile for GuestOutputFile {
    type Blob = GuestBlob;

    fn name(&self) -> String {
        self.0.name()
    }

    async fn write(&self, content: &[u8]) -> Result<()> {
        Ok(self.0.write(content.into()).await?)
    }

    async fn write_blob(&self, blob: &GuestBlob) -> Result<()> {
        Ok(self.0.write_blob(&blob.0).await?)
    }

    async fn write_images(&self, format: ArchiveFormat, images: Vec<OutputImage>, blobs: &[GuestBlob]) -> Result<()> {
        Ok(self.0.write_images(format.into(), all(images), borrow_blobs(blobs)).await?)
    }
}

impl OutputDirectory for GuestOutputDirectory {
    type Blob = GuestBlob;

    fn name(&self) -> String {
        self.0.name()
    }

    async fn write_layout(&self, image: OutputImage, blobs: &[GuestBlob]) -> Result<()> {
        Ok(self.0.write_layout(image.into(), borrow_blobs(blobs)).await?)
    }

    async fn collect_garbage(&self) -> Result<Vec<Digest>> {
        Ok(self.0.collect_garbage().await?)
    }
}

pub(crate) fn borrow_blobs(blobs: &[GuestBlob]) -> Vec<&store::Blob> {
    blobs.iter().map(|blob| &*blob.0).collect()
}

impl Task for GuestTask {
    fn finish(self, note: &str) {
        self.0.finish(note);
    }
}
