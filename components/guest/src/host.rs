//! The imports that stand alone.

use steprun_ports::{
    ContextSource, Host, ImageArgument, Layer, LayerCompression, Level, NamedContext, Position, Remembered, RemoteFile,
    ResolvedImage, Result, Source, Timestamp,
};

use crate::bindings::steprun::step::{cache, inputs, outputs, progress, registry, snapshots, sources, store};
use crate::convert::all;
use crate::handles::{
    GuestAgent, GuestBlob, GuestCatalog, GuestDirectory, GuestInputFile, GuestOutputDirectory, GuestOutputFile,
    GuestRepository, GuestSecret, GuestSnapshot, GuestTask, borrow_blobs, borrow_layer, borrow_source, layer,
};

/// The imports of this component.
#[derive(Debug, Clone, Copy)]
pub struct GuestHost;

impl Host for GuestHost {
    type Directory = GuestDirectory;
    type Blob = GuestBlob;
    type Repository = GuestRepository;
    type Secret = GuestSecret;
    type Agent = GuestAgent;
    type Snapshot = GuestSnapshot;
    type InputFile = GuestInputFile;
    type Catalog = GuestCatalog;
    type OutputFile = GuestOutputFile;
    type OutputDirectory = GuestOutputDirectory;
    type Task = GuestTask;

    fn command(&self) -> String {
        inputs::command()
    }

    fn flag(&self, name: &str) -> bool {
        inputs::flag(name)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        inputs::texts(name)
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        inputs::integers(name)
    }

    fn pairs(&self, name: &str) -> Vec<(String, Option<String>)> {
        inputs::pairs(name)
    }

    fn context_directories(&self, name: &str) -> Vec<GuestDirectory> {
        all(inputs::context_directories(name))
    }

    fn images(&self, name: &str) -> Vec<ImageArgument<GuestRepository>> {
        inputs::images(name).into_iter().map(image).collect()
    }

    fn named_contexts(&self, name: &str) -> Vec<NamedContext<GuestDirectory, GuestRepository>> {
        let named = |inputs::NamedContext { name, source }| {
            let source = match source {
                inputs::ContextSource::Directory(directory) => ContextSource::Directory(directory.into()),
                inputs::ContextSource::Image(granted) => ContextSource::Image(image(granted)),
            };
            NamedContext { name, source }
        };
        inputs::named_contexts(name).into_iter().map(named).collect()
    }

    fn repositories(&self, name: &str) -> Vec<GuestRepository> {
        all(inputs::repositories(name))
    }

    fn repository_in(&self, name: &str, repository: &str) -> Result<GuestRepository> {
        Ok(inputs::repository_in(name, repository)?.into())
    }

    fn catalogs(&self, name: &str) -> Vec<GuestCatalog> {
        all(inputs::catalogs(name))
    }

    fn times(&self, name: &str) -> Vec<Timestamp> {
        all(inputs::times(name))
    }

    fn input_files(&self, name: &str) -> Vec<GuestInputFile> {
        all(inputs::input_files(name))
    }

    fn output_files(&self, name: &str) -> Vec<GuestOutputFile> {
        all(inputs::output_files(name))
    }

    fn output_directories(&self, name: &str) -> Vec<GuestOutputDirectory> {
        all(inputs::output_directories(name))
    }

    fn secrets(&self, name: &str) -> Vec<GuestSecret> {
        all(inputs::secrets(name))
    }

    fn agents(&self, name: &str) -> Vec<GuestAgent> {
        all(inputs::agents(name))
    }

    fn host_platform(&self) -> String {
        inputs::host_platform()
    }

    async fn resolve(&self, name: &str) -> Result<ResolvedImage<GuestRepository>> {
        let registry::ResolvedImage { repository, tag, digest } = registry::resolve(name.into()).await?;
        Ok(ResolvedImage { repository: repository.into(), tag, digest })
    }

    async fn put(&self, media_type: &str, content: &[u8]) -> Result<GuestBlob> {
        Ok(store::put(media_type.into(), content.into()).await?.into())
    }

    async fn recompress(&self, layer: &GuestBlob, to: LayerCompression) -> Result<GuestBlob> {
        Ok(store::recompress(&layer.0, to.into()).await?.into())
    }

    async fn recall(&self, key: &str) -> Result<Option<Remembered<GuestBlob>>> {
        let entry = cache::get(key.into()).await?;
        Ok(entry.map(|cache::Entry { content, blobs, stored }| Remembered {
            content,
            blobs: all(blobs),
            stored: stored.into(),
        }))
    }

    async fn remember(&self, key: &str, content: &[u8], blobs: &[GuestBlob]) -> Result<()> {
        Ok(cache::put(key.into(), content.into(), borrow_blobs(blobs)).await?)
    }

    fn scratch(&self) -> GuestSnapshot {
        snapshots::scratch().into()
    }

    async fn from_layers(&self, layers: &[Layer<GuestBlob>]) -> Result<GuestSnapshot> {
        let layers = layers.iter().map(borrow_layer).collect();
        Ok(snapshots::from_layers(layers).await?.into())
    }

    async fn from_archive(
        &self,
        source: &Source<GuestDirectory, GuestSnapshot>,
        path: &str,
    ) -> Result<Option<GuestSnapshot>> {
        Ok(snapshots::from_archive(borrow_source(source), path.into()).await?.map(Into::into))
    }

    async fn import_layer(&self, file: &GuestInputFile) -> Result<Layer<GuestBlob>> {
        Ok(layer(snapshots::import_layer(&file.0).await?))
    }

    async fn from_blob(&self, blob: &GuestBlob, name: &str, mode: u32, modified: Timestamp) -> Result<GuestSnapshot> {
        Ok(snapshots::from_blob(&blob.0, name.into(), mode, modified.into()).await?.into())
    }

    async fn fetch(&self, url: &str, digest: Option<&str>) -> Result<RemoteFile<GuestBlob>> {
        let sources::RemoteFile { blob, modified } = sources::fetch(url.into(), digest.map(Into::into)).await?;
        Ok(RemoteFile { blob: blob.into(), modified: modified.map(Into::into) })
    }

    async fn checkout(
        &self,
        reference: &str,
        commit: Option<&str>,
        keep_git_dir: bool,
        agent: Option<&GuestAgent>,
    ) -> Result<GuestDirectory> {
        let (commit, agent) = (commit.map(Into::into), agent.map(|agent| &*agent.0));
        Ok(sources::checkout(reference.into(), commit, keep_git_dir, agent).await?.into())
    }

    async fn print(&self, content: &[u8]) -> Result<()> {
        Ok(outputs::print(content.into()).await?)
    }

    fn set(&self, name: &str, value: &str) {
        outputs::set(name, value);
    }

    fn task(&self, label: &str) -> GuestTask {
        GuestTask(progress::Task::new(label))
    }

    fn log(&self, level: Level, message: &str) {
        progress::log(level.into(), message);
    }

    fn log_at(&self, level: Level, position: &Position, message: &str) {
        progress::log_at(level.into(), &position.clone().into(), message);
    }
}

fn image(image: inputs::Image) -> ImageArgument<GuestRepository> {
    let inputs::Image { repository, typed, tag, digest } = image;
    ImageArgument { repository: repository.into(), typed, tag, digest }
}
