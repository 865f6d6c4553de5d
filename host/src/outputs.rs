//! The capability `outputs`: results on standard output and in files that arguments named. Files appear whole or not at all.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use steprun_client::Progress;
use steprun_snapshot::{Descriptor, output};
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::outputs::{
    self, Host, HostOutputDirectory, HostOutputDirectoryWithStore, HostOutputFile, HostOutputFileWithStore,
    HostWithStore,
};
use crate::bindings::types;
use crate::calls::{blocking, session, table_get};
use crate::error::{CallError, CallResult};
use crate::exit::Failure;
use crate::session::{Session, State};
use crate::store::{BlobHandle, Origin};
use crate::terminal::Filter;

/// Named results, sorted.
pub type Results = BTreeMap<String, String>;

/// A file that an argument named for writing.
#[derive(Debug, Clone)]
pub struct OutputFileHandle {
    path: PathBuf,
}

impl OutputFileHandle {
    /// A handle to what an argument named.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn is_standard_output(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Writes the file whole, or goes on with standard output.
    pub fn write_with(&self, write: impl FnOnce(&mut dyn Write) -> steprun_snapshot::Result<()>) -> CallResult<()> {
        if !self.is_standard_output() {
            return Ok(output::write_file(&self.path, write)?);
        }
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        write(&mut out)?;
        out.flush().map_err(|e| CallError::io("can't write to standard output", e))
    }
}

/// A directory that an argument named to be filled.
#[derive(Debug, Clone)]
pub struct OutputDirectoryHandle {
    path: PathBuf,
}

impl OutputDirectoryHandle {
    /// A handle to what an argument named.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// A directory in it, or itself.
    ///
    /// # Errors
    /// If the path would lead out of it.
    pub fn below(&self, path: &str) -> CallResult<PathBuf> {
        let is_inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        match is_inside {
            true => Ok(self.path.join(path)),
            false => Err(CallError::invalid(format_args!("`{path}` is no path below `{}`", self.path.display()))),
        }
    }
}

/// A blob of the store on its way into a file.
#[derive(Debug)]
pub struct StoredBlob {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// Where the store has it.
    pub path: PathBuf,
}

impl output::Blob for StoredBlob {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self) -> steprun_snapshot::Result<Box<dyn Read + '_>> {
        Ok(Box::new(std::fs::File::open(&self.path).map_err(steprun_snapshot::Error::io("open", &self.path))?))
    }
}

/// Brings all blobs into the store, from where they can be written more than once.
fn stored(session: &Session, runtime: &tokio::runtime::Handle, blobs: Vec<BlobHandle>) -> CallResult<Vec<StoredBlob>> {
    blobs
        .into_iter()
        .map(|blob| Ok(StoredBlob { path: blob.fetch(session, runtime)?, descriptor: blob.descriptor }))
        .collect()
}

/// Blobs as those who write them want them.
pub fn references(blobs: &[StoredBlob]) -> Vec<&dyn output::Blob> {
    blobs.iter().map(|blob| blob as &dyn output::Blob).collect()
}

fn image_of(image: outputs::Image) -> output::Image {
    output::Image { media_type: image.media_type, manifest: image.manifest, names: image.names }
}

fn all<T: Send + 'static>(
    accessor: &Accessor<T, HasSelf<State>>,
    blobs: &[Resource<BlobHandle>],
) -> CallResult<Vec<BlobHandle>> {
    blobs.iter().map(|blob| table_get(accessor, blob)).collect()
}

impl Host for State {
    fn set(&mut self, name: String, value: String) -> wasmtime::Result<()> {
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !valid {
            return Err(wasmtime::Error::msg(format!(
                "the step set a result with the name `{}`",
                crate::terminal::plain(&name)
            )));
        }
        self.session()?.results.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
        Ok(())
    }
}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn print(accessor: &Accessor<T, Self>, content: Vec<u8>) -> CallResult<()> {
        let session = session(accessor)?;
        blocking(move || {
            let mut out = io::stdout().lock();
            let written = if session.built_in {
                out.write_all(&content).and_then(|()| out.flush())
            } else {
                // Standard output is read by CI runners too; a step that is not built in may not command them.
                let mut filter = Filter::new(out);
                filter.write_all(&content).and_then(|()| filter.finish())
            };
            written.map_err(|e| CallError::io("can't write to standard output", e))
        })
        .await
    }
}

impl HostOutputFile for State {
    fn name(&mut self, handle: Resource<OutputFileHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.path.display().to_string())
    }

    fn drop(&mut self, handle: Resource<OutputFileHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostOutputFileWithStore<T> for HasSelf<State> {
    async fn write(
        accessor: &Accessor<T, Self>,
        handle: Resource<OutputFileHandle>,
        content: Vec<u8>,
    ) -> CallResult<()> {
        let file = table_get(accessor, &handle)?;
        let name = file.path.clone();
        blocking(move || {
            file.write_with(|out| out.write_all(&content).map_err(steprun_snapshot::Error::io("write", &name)))
        })
        .await
    }

    async fn write_blob(
        accessor: &Accessor<T, Self>,
        handle: Resource<OutputFileHandle>,
        blob: Resource<BlobHandle>,
    ) -> CallResult<()> {
        let (session, file, blob) = (session(accessor)?, table_get(accessor, &handle)?, table_get(accessor, &blob)?);
        if let (Origin::Repository(repository), true) = (&blob.origin, file.is_standard_output())
            && blob.file(session.store()?).is_none()
        {
            // What is only passed on needs no room on the disk.
            let (client, Descriptor { digest, size, .. }) = (session.client()?, &blob.descriptor);
            let mut out = tokio::io::stdout();
            return Ok(client
                .pull_blob(repository, digest, Some(*size), &mut out, &Progress::none())
                .await
                .map(drop)?);
        }
        let runtime = tokio::runtime::Handle::current();
        blocking(move || {
            let path = blob.fetch(&session, &runtime)?;
            file.write_with(|out| {
                let mut content = std::fs::File::open(&path).map_err(steprun_snapshot::Error::io("open", &path))?;
                io::copy(&mut content, out).map(drop).map_err(steprun_snapshot::Error::io("copy", &path))
            })
        })
        .await
    }

    async fn write_images(
        accessor: &Accessor<T, Self>,
        handle: Resource<OutputFileHandle>,
        format: outputs::ArchiveFormat,
        images: Vec<outputs::Image>,
        blobs: Vec<Resource<BlobHandle>>,
    ) -> CallResult<()> {
        let (session, file, blobs) = (session(accessor)?, table_get(accessor, &handle)?, all(accessor, &blobs)?);
        let images: Vec<output::Image> = images.into_iter().map(image_of).collect();
        let runtime = tokio::runtime::Handle::current();
        blocking(move || {
            let blobs = stored(&session, &runtime, blobs)?;
            let format = match format {
                outputs::ArchiveFormat::Docker => output::ArchiveFormat::Docker,
                outputs::ArchiveFormat::Legacy => output::ArchiveFormat::Legacy,
                outputs::ArchiveFormat::Oci => output::ArchiveFormat::Oci,
                outputs::ArchiveFormat::Layout => {
                    let mut images = images.iter();
                    return Ok(
                        images.try_for_each(|image| output::write_layout(&file.path, image, &references(&blobs)))?
                    );
                }
            };
            file.write_with(|out| output::stream_archive(out, format, &images, &references(&blobs)))
        })
        .await
    }
}

impl HostOutputDirectory for State {
    fn name(&mut self, handle: Resource<OutputDirectoryHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.path.display().to_string())
    }

    fn drop(&mut self, handle: Resource<OutputDirectoryHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostOutputDirectoryWithStore<T> for HasSelf<State> {
    async fn write_layout(
        accessor: &Accessor<T, Self>,
        handle: Resource<OutputDirectoryHandle>,
        image: outputs::Image,
        blobs: Vec<Resource<BlobHandle>>,
    ) -> CallResult<()> {
        let (session, directory, blobs) = (session(accessor)?, table_get(accessor, &handle)?, all(accessor, &blobs)?);
        let runtime = tokio::runtime::Handle::current();
        blocking(move || {
            let blobs = stored(&session, &runtime, blobs)?;
            Ok(output::write_layout(&directory.path, &image_of(image), &references(&blobs))?)
        })
        .await
    }

    async fn collect_garbage(
        accessor: &Accessor<T, Self>,
        handle: Resource<OutputDirectoryHandle>,
    ) -> CallResult<Vec<types::Digest>> {
        let directory = table_get(accessor, &handle)?;
        blocking(move || Ok(output::collect_garbage(&directory.path)?)).await
    }
}

/// Hands the named results on in the forms that the caller asked for.
///
/// # Errors
/// If a file can't be written, or a value has a newline, which the `NAME=VALUE` form can't hold.
pub fn publish(results: &Results, env: Option<&Path>, json: Option<&Path>) -> Result<(), Failure> {
    if let Some(path) = env {
        let lines = results.iter().map(|(name, value)| {
            if value.contains(['\n', '\r']) {
                return Err(Failure::usage(format!(
                    "the result `{name}` has several lines, which `--output-env` can't hold"
                )));
            }
            Ok(format!("{}={value}\n", name.replace('-', "_").to_ascii_uppercase()))
        });
        let text = lines.collect::<Result<String, Failure>>()?;
        let appended = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        appended.map_err(|e| Failure::io(format_args!("can't write results to `{}`", path.display()), e))?;
    }
    if let Some(path) = json {
        let text = serde_json::to_vec_pretty(results).map_err(|e| Failure::io("can't write results", e.into()))?;
        output::write_file(path, |out| out.write_all(&text).map_err(steprun_snapshot::Error::io("write", path)))
            .map_err(|e| Failure::new(crate::exit::Exit::Failed, "can't write results").because(e))?;
    }
    Ok(())
}
