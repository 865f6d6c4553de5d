//! The capability `registry`: repositories of registries, and images in files and directories as such. The doors are [`RepositoryHandle::may`] and [`Scope::check`] for what a handle may do, and
//! [`Pulls::check`](crate::grants::Pulls::check) for names in a step's input.

use std::fmt;
use std::sync::Arc;

use steprun_client::{
    Client, FileSource, Mount, Progress, PushOutcome, Reference, RegistryName, RepositoryName, Selector,
};
use steprun_snapshot::Descriptor;
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::exported::RegistryAccess;
use crate::bindings::registry::{
    self, Host, HostCatalog, HostCatalogWithStore, HostRepository, HostRepositoryWithStore, HostWithStore,
};
use crate::bindings::types;
use crate::calls::{blocking, session, table_get, table_push};
use crate::error::{CallError, CallResult};
use crate::grants::{self, Scope};
use crate::local::LocalImages;
use crate::outputs::StoredBlob;
use crate::session::{Session, State};
use crate::store::{BlobHandle, Origin, parse_digest};

/// Where a repository is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a registry.
    Registry(RepositoryName),
    /// In a file or directory.
    Local(Arc<LocalImages>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) => name.fmt(f),
            Self::Local(images) => images.fmt(f),
        }
    }
}

/// A registry whose list of repositories is granted.
#[derive(Debug, Clone)]
pub struct CatalogHandle(pub RegistryName);

/// A granted repository.
#[derive(Debug, Clone)]
pub struct RepositoryHandle {
    /// Which.
    pub place: Place,
    /// What may be done.
    pub access: RegistryAccess,
    /// With which of its manifests.
    pub scope: Scope,
}

impl RepositoryHandle {
    /// The door: fails unless the grant includes the access.
    fn may(&self, wanted: RegistryAccess) -> CallResult<()> {
        if self.access as u8 >= wanted as u8 {
            return Ok(());
        }
        Err(CallError::denied(
            grants::capability(wanted),
            &self.place,
            format!("the argument that names it grants {} only", grants::capability(self.access)),
            None,
        ))
    }

    /// The door for one manifest.
    fn may_pull(&self, name: &RepositoryName, reference: &str) -> CallResult<Selector> {
        let selector: Selector = reference.parse()?;
        self.scope.check(name, &selector)?;
        Ok(selector)
    }

    fn is_writable(&self) -> bool {
        self.may(RegistryAccess::Push).is_ok()
    }
}

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn resolve(accessor: &Accessor<T, Self>, name: String) -> CallResult<registry::ResolvedImage> {
        let session = session(accessor)?;
        let reference: Reference = name.parse()?;
        session.pulls.check(&reference.name)?;
        session.policies.check_repository(&reference.name, RegistryAccess::Pull)?;
        let place = Place::Registry(reference.name);
        let handle = RepositoryHandle { place, access: RegistryAccess::Pull, scope: Scope::Whole };
        let tag = match (reference.tag, &reference.digest) {
            (Some(tag), _) => Some(tag.to_string()),
            (None, None) => Some("latest".to_owned()),
            (None, Some(_)) => None,
        };
        Ok(registry::ResolvedImage {
            repository: table_push(accessor, handle)?,
            tag,
            digest: reference.digest.map(|digest| digest.to_string()),
        })
    }
}

impl HostRepository for State {
    fn name(&mut self, handle: Resource<RepositoryHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.place.to_string())
    }

    fn registry(&mut self, handle: Resource<RepositoryHandle>) -> wasmtime::Result<String> {
        Ok(match &self.table.get(&handle)?.place {
            Place::Registry(name) => name.registry().to_owned(),
            Place::Local(images) => images.to_string(),
        })
    }

    fn blob(
        &mut self,
        handle: Resource<RepositoryHandle>,
        descriptor: types::Descriptor,
    ) -> wasmtime::Result<Resource<BlobHandle>> {
        let origin = origin(&self.table.get(&handle)?.place);
        let descriptor = Descriptor::try_from(descriptor).map_err(|error| match error {
            CallError::Error(error) => wasmtime::Error::msg(format!("{error:?}")),
            CallError::Trap(trap) => trap,
        })?;
        Ok(self.table.push(BlobHandle { descriptor, origin })?)
    }

    fn drop(&mut self, handle: Resource<RepositoryHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

/// Where the blobs of a repository are.
fn origin(place: &Place) -> Origin {
    match place {
        Place::Registry(name) => Origin::Repository(name.clone()),
        Place::Local(images) => Origin::Local(Arc::clone(images)),
    }
}

/// Does work on local images, with the store.
async fn local<R: Send + 'static>(
    session: Arc<Session>,
    images: Arc<LocalImages>,
    work: impl FnOnce(&LocalImages, &steprun_snapshot::Store) -> CallResult<R> + Send + 'static,
) -> CallResult<R> {
    blocking(move || work(&images, session.store()?)).await
}

impl<T: Send + 'static> HostRepositoryWithStore<T> for HasSelf<State> {
    async fn head(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
    ) -> CallResult<Option<types::Descriptor>> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Pull)?;
        match &repository.place {
            Place::Registry(name) => {
                let selector = repository.may_pull(name, &reference)?;
                let found = session.client()?.head(name, &selector).await?;
                if let Some(descriptor) = &found {
                    repository.scope.learn(&descriptor.digest, b"");
                }
                Ok(found.map(descriptor))
            }
            Place::Local(images) => {
                let writable = repository.is_writable();
                local(session, Arc::clone(images), move |images, store| images.head(store, &reference, writable)).await
            }
        }
    }

    async fn manifest(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
    ) -> CallResult<registry::Manifest> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Pull)?;
        match &repository.place {
            Place::Registry(name) => {
                let selector = repository.may_pull(name, &reference)?;
                let manifest = session.client()?.manifest(name, &selector).await?;
                repository.scope.learn(&manifest.digest, &manifest.content);
                let steprun_client::Manifest { media_type, digest, content } = manifest;
                let (digest, size) = (digest.to_string(), content.len() as u64);
                let descriptor = types::Descriptor { media_type, digest, size };
                Ok(registry::Manifest { descriptor, content: content.to_vec() })
            }
            Place::Local(images) => {
                local(session, Arc::clone(images), move |images, store| images.manifest(store, &reference)).await
            }
        }
    }

    async fn put_manifest(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
        media_type: String,
        content: Vec<u8>,
    ) -> CallResult<types::Digest> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Push)?;
        match &repository.place {
            Place::Registry(name) => {
                let selector: Selector = reference.parse()?;
                Ok(session.client()?.put_manifest(name, &selector, &media_type, content).await?.to_string())
            }
            Place::Local(images) => {
                let put =
                    move |images: &LocalImages, store: &_| images.put_manifest(store, &reference, media_type, content);
                local(session, Arc::clone(images), put).await
            }
        }
    }

    async fn delete_manifest(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
    ) -> CallResult<()> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Delete)?;
        match &repository.place {
            Place::Registry(name) => Ok(session.client()?.delete_manifest(name, &reference.parse()?).await?),
            Place::Local(images) => {
                local(session, Arc::clone(images), move |images, _| images.delete(&reference)).await
            }
        }
    }

    async fn find_blob(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        digest: types::Digest,
    ) -> CallResult<Option<Resource<BlobHandle>>> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Pull)?;
        let digest = parse_digest(&digest)?;
        let size = match &repository.place {
            Place::Registry(name) => {
                repository.scope.check(name, &Selector::Digest(digest.clone()))?;
                session.client()?.blob_size(name, &digest).await?
            }
            Place::Local(images) => {
                let digest = digest.clone();
                local(session, Arc::clone(images), move |images, store| Ok(images.open(store)?.blob(&digest)?)).await?
            }
        };
        let blob = |size| BlobHandle {
            descriptor: Descriptor { media_type: "application/octet-stream".to_owned(), digest: digest.clone(), size },
            origin: origin(&repository.place),
        };
        size.map(|size| table_push(accessor, blob(size))).transpose()
    }

    async fn push(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        blob: Resource<BlobHandle>,
    ) -> CallResult<registry::PushOutcome> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Push)?;
        let blob = table_get(accessor, &blob)?;
        match &repository.place {
            Place::Registry(name) => push_blob(session, name, blob).await,
            Place::Local(images) => {
                let images = Arc::clone(images);
                let runtime = tokio::runtime::Handle::current();
                blocking(move || {
                    let path = blob.fetch(&session, &runtime)?;
                    images.add_blob(StoredBlob { descriptor: blob.descriptor, path })?;
                    Ok(registry::PushOutcome::Uploaded)
                })
                .await
            }
        }
    }

    async fn check_push(accessor: &Accessor<T, Self>, handle: Resource<RepositoryHandle>) -> CallResult<()> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Push)?;
        match &repository.place {
            Place::Registry(name) => Ok(session.client()?.check_push(name).await?),
            Place::Local(_) => Ok(()),
        }
    }

    async fn tags(accessor: &Accessor<T, Self>, handle: Resource<RepositoryHandle>) -> CallResult<Vec<String>> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Pull)?;
        match &repository.place {
            Place::Registry(name) => {
                repository.scope.check_whole(name, "tags")?;
                Ok(session.client()?.tags(name).await?)
            }
            Place::Local(images) => {
                local(session, Arc::clone(images), |images, store| Ok(images.open(store)?.names())).await
            }
        }
    }

    async fn referrers(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        digest: types::Digest,
    ) -> CallResult<Vec<registry::Referrer>> {
        let (session, repository) = (session(accessor)?, table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Pull)?;
        match &repository.place {
            Place::Registry(name) => {
                let digest = parse_digest(&digest)?;
                repository.scope.check(name, &Selector::Digest(digest.clone()))?;
                let found = session.client()?.referrers(name, &digest).await?;
                found.iter().for_each(|found| repository.scope.learn(&found.descriptor.digest, b""));
                Ok(found.into_iter().map(referrer).collect())
            }
            Place::Local(images) => {
                local(session, Arc::clone(images), move |images, store| images.referrers(store, &digest)).await
            }
        }
    }
}

impl HostCatalog for State {
    fn registry(&mut self, handle: Resource<CatalogHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.to_string())
    }

    fn drop(&mut self, handle: Resource<CatalogHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostCatalogWithStore<T> for HasSelf<State> {
    async fn repositories(accessor: &Accessor<T, Self>, handle: Resource<CatalogHandle>) -> CallResult<Vec<String>> {
        let (session, catalog) = (session(accessor)?, table_get(accessor, &handle)?);
        Ok(session.client()?.catalog(&catalog.0).await?)
    }
}

fn descriptor(found: steprun_client::Descriptor) -> types::Descriptor {
    let steprun_client::Descriptor { media_type, digest, size } = found;
    types::Descriptor { media_type, digest: digest.to_string(), size }
}

fn referrer(found: steprun_client::Referrer) -> registry::Referrer {
    let steprun_client::Referrer { descriptor: found, artifact_type, annotations } = found;
    registry::Referrer { descriptor: descriptor(found), artifact_type, annotations: annotations.into_iter().collect() }
}

/// The cheapest way to a blob in a repository: inside one registry a mount, from the store an upload, else a stream from registry to registry.
async fn push_blob(session: Arc<Session>, to: &RepositoryName, blob: BlobHandle) -> CallResult<registry::PushOutcome> {
    let blob = in_reach(&session, blob).await?;
    let (client, store) = (session.client()?, session.store()?);
    let (digest, size) = (&blob.descriptor.digest, blob.descriptor.size);
    let outcome = match (&blob.origin, blob.file(store)) {
        (Origin::Repository(from), file) if from.registry() == to.registry() || file.is_none() => {
            client.copy_blob(from, to, digest, size, &Progress::none()).await?
        }
        (_, Some(file)) => upload(client, session.placed_beside(digest, to), to, &blob.descriptor, &file).await?,
        (_, None) => return Err(blob.lost()),
    };
    session.place(digest, to);
    Ok(match outcome {
        PushOutcome::Existing => registry::PushOutcome::Existing,
        PushOutcome::Mounted => registry::PushOutcome::Mounted,
        PushOutcome::Uploaded => registry::PushOutcome::Uploaded,
    })
}

/// Uploads a file, unless this run has brought it into another repository of the registry already: then it is mounted from there.
async fn upload(
    client: &Client,
    beside: Option<RepositoryName>,
    to: &RepositoryName,
    Descriptor { digest, size, .. }: &Descriptor,
    file: &FileSource,
) -> CallResult<PushOutcome> {
    let Some(from) = beside else { return Ok(client.push_blob(to, digest, *size, file, &Progress::none()).await?) };
    match client.mount(to, digest, &from).await? {
        Mount::Mounted => Ok(PushOutcome::Mounted),
        Mount::NotMounted(session) => {
            client.push_blob_in(session, digest, *size, file, &Progress::none()).await?;
            Ok(PushOutcome::Uploaded)
        }
    }
}

/// A blob of a local image is verified on its way into the store, from where an upload can begin more than once.
async fn in_reach(session: &Arc<Session>, blob: BlobHandle) -> CallResult<BlobHandle> {
    if !matches!(blob.origin, Origin::Local(_)) {
        return Ok(blob);
    }
    let (session, runtime) = (Arc::clone(session), tokio::runtime::Handle::current());
    blocking(move || blob.fetch(&session, &runtime).map(|_| blob)).await
}
