//! The capability `inputs`: the values that the caller typed. Each handle that is made here is a grant, and no other place makes one.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::inputs::{self, Host, HostAgent, HostInputFile, HostInputFileWithStore, HostSecret};
use crate::bindings::types;
use crate::calls::{blocking, session, table_get, table_push};
use crate::cli::arguments::{AgentValue, ContextSource, ImageValue, SecretSource, SecretValue, Values};
use crate::context::DirectoryHandle;
use crate::error::{CallError, CallResult};
use crate::grants::{self, Scope};
use crate::local::LocalImages;
use crate::outputs::{OutputDirectoryHandle, OutputFileHandle};
use crate::registry::{CatalogHandle, Place, RepositoryHandle};
use crate::session::{Session, State};
use crate::sources;

/// A file that an argument named for reading.
#[derive(Debug, Clone)]
pub struct InputFileHandle {
    path: PathBuf,
    /// The argument, for people.
    argument: String,
}

impl InputFileHandle {
    fn is_standard_input(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Begins to read the file; one behind a URL is fetched first.
    pub async fn open(&self, session: &Session) -> CallResult<Box<dyn Read + Send>> {
        if self.is_standard_input() {
            return Ok(Box::new(standard_input(session, &self.argument)));
        }
        let path = match sources::url(&self.path)? {
            Some(url) => {
                let blob = sources::fetch(session, &url, None).await?.blob;
                session.store()?.blob_path(&blob.descriptor.digest)?
            }
            None => self.path.clone(),
        };
        blocking(move || Ok(Box::new(open(&path)?) as Box<dyn Read + Send>)).await
    }
}

/// The caller's standard input. Who sits at a terminal is told what of, since nothing else shows that it is waited for.
pub fn standard_input(session: &Session, what: &str) -> io::Stdin {
    let input = io::stdin();
    if input.is_terminal() {
        session
            .display
            .info(&format!("waiting for {what} on standard input, a terminal: Ctrl-D on an empty line ends it"));
    }
    input
}

/// A secret. Nothing gives its content to the component.
#[derive(Debug, Clone)]
pub struct SecretHandle(pub SecretValue);

/// No secret is larger (BuildKit, `secretsprovider`).
const LARGEST_SECRET: u64 = 500 << 10;

impl SecretHandle {
    /// Its content, for commands.
    pub fn read(&self) -> CallResult<Vec<u8>> {
        match &self.0.source {
            SecretSource::File(path) => read(open(path)?, path, LARGEST_SECRET),
            SecretSource::Variable(name) => {
                std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec).ok_or_else(|| {
                    CallError::Error(types::Error::NotFound(format!("the environment has no variable `{name}`")))
                })
            }
        }
    }
}

/// An SSH agent.
#[derive(Debug, Clone)]
pub struct AgentHandle(pub AgentValue);

fn open(path: &Path) -> CallResult<File> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            CallError::Error(types::Error::NotFound(format!("there is no file `{}`", path.display())))
        }
        _ => CallError::io(format_args!("can't open `{}`", path.display()), error),
    })
}

fn read(from: impl Read, name: &Path, limit: u64) -> CallResult<Vec<u8>> {
    let mut content = Vec::new();
    let taken = from.take(limit.saturating_add(1)).read_to_end(&mut content);
    taken.map_err(|error| CallError::io(format_args!("can't read `{}`", name.display()), error))?;
    if content.len() as u64 > limit {
        return Err(CallError::invalid(format_args!("`{}` is larger than {limit} bytes", name.display())));
    }
    Ok(content)
}

impl State {
    /// The values of a parameter, or a trap: asking for what was not described is an error of the step.
    fn values<'a, V>(&'a self, name: &str, select: impl FnOnce(&'a Values) -> Option<V>) -> wasmtime::Result<V> {
        let values = self.session()?.arguments.values.get(name);
        values.and_then(select).ok_or_else(|| {
            wasmtime::Error::msg(format!(
                "the step asked for the input `{name}`, which it did not describe for this command, or not as this kind"
            ))
        })
    }

    /// The grant of an image.
    fn image(&mut self, image: ImageValue) -> wasmtime::Result<inputs::Image> {
        let pull_only = image.access == crate::bindings::exported::RegistryAccess::Pull;
        let scope = match image.place {
            Place::Registry(_) if pull_only && !self.session()?.built_in => {
                Scope::of(image.tag.as_deref(), image.digest.as_ref())
            }
            _ => Scope::Whole,
        };
        let handle = RepositoryHandle { place: image.place, access: image.access, scope };
        Ok(inputs::Image {
            repository: self.table.push(handle)?,
            typed: image.typed,
            tag: image.tag,
            digest: image.digest.map(|digest| digest.to_string()),
        })
    }

    fn push_all<H: Send + 'static>(&mut self, objects: Vec<H>) -> wasmtime::Result<Vec<Resource<H>>> {
        objects.into_iter().map(|object| Ok(self.table.push(object)?)).collect()
    }
}

/// `Some` of what the variant holds, copied.
macro_rules! of {
    ($variant:path) => {
        |values| match values {
            $variant(inner) => Some(inner.clone()),
            _ => None,
        }
    };
}

impl Host for State {
    fn command(&mut self) -> wasmtime::Result<String> {
        Ok(self.session()?.arguments.command.clone())
    }

    fn flag(&mut self, name: String) -> wasmtime::Result<bool> {
        self.values(&name, of!(Values::Flag))
    }

    fn texts(&mut self, name: String) -> wasmtime::Result<Vec<String>> {
        self.values(&name, of!(Values::Texts))
    }

    fn integers(&mut self, name: String) -> wasmtime::Result<Vec<i64>> {
        self.values(&name, of!(Values::Integers))
    }

    fn pairs(&mut self, name: String) -> wasmtime::Result<Vec<(String, Option<String>)>> {
        self.values(&name, of!(Values::Pairs))
    }

    fn context_directories(&mut self, name: String) -> wasmtime::Result<Vec<Resource<DirectoryHandle>>> {
        let directories = self.values(&name, of!(Values::ContextDirectories))?;
        self.push_all(directories)
    }

    fn images(&mut self, name: String) -> wasmtime::Result<Vec<inputs::Image>> {
        let images = self.values(&name, of!(Values::Images))?;
        images.into_iter().map(|image| self.image(image)).collect()
    }

    fn named_contexts(&mut self, name: String) -> wasmtime::Result<Vec<inputs::NamedContext>> {
        let contexts = self.values(&name, of!(Values::NamedContexts))?;
        contexts
            .into_iter()
            .map(|(name, source)| {
                let source = match source {
                    ContextSource::Directory(handle) => inputs::ContextSource::Directory(self.table.push(handle)?),
                    ContextSource::Image(image) => inputs::ContextSource::Image(self.image(image)?),
                };
                Ok(inputs::NamedContext { name, source })
            })
            .collect()
    }

    fn repositories(&mut self, name: String) -> wasmtime::Result<Vec<Resource<RepositoryHandle>>> {
        let names = self.values(&name, of!(Values::Repositories))?;
        let handle = |(name, access)| RepositoryHandle { place: Place::Registry(name), access, scope: Scope::Whole };
        self.push_all(names.into_iter().map(handle).collect())
    }

    fn repository_in(&mut self, name: String, repository: String) -> CallResult<Resource<RepositoryHandle>> {
        let (namespaces, access) = self.values(&name, |values| match values {
            Values::Namespaces(namespaces, access) => Some((namespaces.clone(), *access)),
            _ => None,
        })?;
        let wanted = repository.parse()?;
        grants::check_namespace(&name, &namespaces, access, &wanted)?;
        self.session()?.policies.check_repository(&wanted, access)?;
        let handle = RepositoryHandle { place: Place::Registry(wanted), access, scope: Scope::Whole };
        Ok(self.table.push(handle)?)
    }

    fn catalogs(&mut self, name: String) -> wasmtime::Result<Vec<Resource<CatalogHandle>>> {
        let registries = self.values(&name, of!(Values::Catalogs))?;
        self.push_all(registries.into_iter().map(CatalogHandle).collect())
    }

    fn times(&mut self, name: String) -> wasmtime::Result<Vec<types::Timestamp>> {
        let times = self.values(&name, of!(Values::Times))?;
        Ok(times.into_iter().map(|seconds| types::Timestamp { seconds, nanoseconds: 0 }).collect())
    }

    fn input_files(&mut self, name: String) -> wasmtime::Result<Vec<Resource<InputFileHandle>>> {
        let paths = self.values(&name, of!(Values::InputFiles))?;
        self.push_all(paths.into_iter().map(|path| InputFileHandle { path, argument: name.clone() }).collect())
    }

    fn output_files(&mut self, name: String) -> wasmtime::Result<Vec<Resource<OutputFileHandle>>> {
        let paths = self.values(&name, of!(Values::OutputFiles))?;
        self.push_all(paths.into_iter().map(OutputFileHandle::new).collect())
    }

    fn output_directories(&mut self, name: String) -> wasmtime::Result<Vec<Resource<OutputDirectoryHandle>>> {
        let paths = self.values(&name, of!(Values::OutputDirectories))?;
        self.push_all(paths.into_iter().map(OutputDirectoryHandle::new).collect())
    }

    fn secrets(&mut self, name: String) -> wasmtime::Result<Vec<Resource<SecretHandle>>> {
        let secrets = self.values(&name, of!(Values::Secrets))?;
        self.push_all(secrets.into_iter().map(SecretHandle).collect())
    }

    fn agents(&mut self, name: String) -> wasmtime::Result<Vec<Resource<AgentHandle>>> {
        let agents = self.values(&name, of!(Values::Agents))?;
        self.push_all(agents.into_iter().map(AgentHandle).collect())
    }

    fn host_platform(&mut self) -> wasmtime::Result<String> {
        Ok(host_platform().to_owned())
    }
}

/// The words of the OCI image-spec, which are Go's, for the machine that this was compiled for.
fn host_platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "x86" => "linux/386",
        "aarch64" => "linux/arm64",
        "arm" => "linux/arm/v7",
        "powerpc64" => "linux/ppc64le",
        "riscv64" => "linux/riscv64",
        "s390x" => "linux/s390x",
        _ => "linux/unknown",
    }
}

impl HostSecret for State {
    fn id(&mut self, handle: Resource<SecretHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.id.clone())
    }

    fn drop(&mut self, handle: Resource<SecretHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostAgent for State {
    fn id(&mut self, handle: Resource<AgentHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.id.clone())
    }

    fn drop(&mut self, handle: Resource<AgentHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostInputFile for State {
    fn name(&mut self, handle: Resource<InputFileHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.path.display().to_string())
    }

    fn is_standard_input(&mut self, handle: Resource<InputFileHandle>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&handle)?.is_standard_input())
    }

    fn drop(&mut self, handle: Resource<InputFileHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostInputFileWithStore<T> for HasSelf<State> {
    async fn read(accessor: &Accessor<T, Self>, handle: Resource<InputFileHandle>, limit: u64) -> CallResult<Vec<u8>> {
        let (session, file) = (session(accessor)?, table_get(accessor, &handle)?);
        let content = file.open(&session).await?;
        blocking(move || read(content, &file.path, limit)).await
    }

    async fn images(
        accessor: &Accessor<T, Self>,
        handle: Resource<InputFileHandle>,
    ) -> CallResult<Resource<RepositoryHandle>> {
        let (session, file) = (session(accessor)?, table_get(accessor, &handle)?);
        let images = Arc::new(LocalImages::detected(file.path));
        let opened = Arc::clone(&images);
        blocking(move || opened.open(session.store()?).map(drop)).await?;
        let access = crate::bindings::exported::RegistryAccess::Pull;
        table_push(accessor, RepositoryHandle { place: Place::Local(images), access, scope: Scope::Whole })
    }

    async fn read_ignore_file(
        accessor: &Accessor<T, Self>,
        handle: Resource<InputFileHandle>,
        limit: u64,
    ) -> CallResult<Vec<u8>> {
        let file = table_get(accessor, &handle)?;
        if sources::url(&file.path)?.is_some() {
            let message = "a file behind a URL has no ignore file beside it".to_owned();
            return Err(CallError::Error(types::Error::NotFound(message)));
        }
        let mut path = file.path.into_os_string();
        path.push(".dockerignore");
        let path = PathBuf::from(path);
        blocking(move || read(open(&path)?, &path, limit)).await
    }
}
