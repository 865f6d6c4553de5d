//! The capability `registry`. The doors are [`RepositoryHandle::may`] and [`Scope::check`] for what a handle may do, and
//! [`Pulls::check`](crate::grants::Pulls::check) for names in a step's input.

use steprun_client::{Progress, PushOutcome, Reference, RepositoryName, Selector};
use steprun_snapshot::Descriptor;
use wasmtime::component::{Accessor, HasSelf, Resource};

use crate::bindings::exported::RegistryAccess;
use crate::bindings::registry::{self, Host, HostRepository, HostRepositoryWithStore, HostWithStore};
use crate::bindings::types;
use crate::calls::{session, table_get, table_push};
use crate::error::{CallError, CallResult};
use crate::grants::{self, Scope};
use crate::session::{Session, State};
use crate::store::{BlobHandle, Origin};

/// A granted repository.
#[derive(Debug, Clone)]
pub struct RepositoryHandle {
    /// Which.
    pub name: RepositoryName,
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
            &self.name,
            format!("the argument that names it grants {} only", grants::capability(self.access)),
            None,
        ))
    }

    /// The door for one manifest.
    fn may_pull(&self, reference: &str) -> CallResult<Selector> {
        let selector: Selector = reference.parse()?;
        self.may(RegistryAccess::Pull)?;
        self.scope.check(&self.name, &selector)?;
        Ok(selector)
    }
}

impl Host for State {}

impl<T: Send + 'static> HostWithStore<T> for HasSelf<State> {
    async fn resolve(accessor: &Accessor<T, Self>, name: String) -> CallResult<registry::ResolvedImage> {
        let session = session(accessor);
        let reference: Reference = name.parse()?;
        session.pulls.check(&reference.name)?;
        session.policies.check_repository(&reference.name, RegistryAccess::Pull)?;
        let handle = RepositoryHandle { name: reference.name, access: RegistryAccess::Pull, scope: Scope::Whole };
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
        Ok(self.table.get(&handle)?.name.to_string())
    }

    fn registry(&mut self, handle: Resource<RepositoryHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.name.registry().to_owned())
    }

    fn blob(
        &mut self,
        handle: Resource<RepositoryHandle>,
        descriptor: types::Descriptor,
    ) -> wasmtime::Result<Resource<BlobHandle>> {
        let repository = self.table.get(&handle)?.name.clone();
        let descriptor = Descriptor::try_from(descriptor).map_err(|error| match error {
            CallError::Error(error) => wasmtime::Error::msg(format!("{error:?}")),
            CallError::Trap(trap) => trap,
        })?;
        Ok(self.table.push(BlobHandle { descriptor, origin: Origin::Repository(repository) })?)
    }

    fn drop(&mut self, handle: Resource<RepositoryHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostRepositoryWithStore<T> for HasSelf<State> {
    async fn head(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
    ) -> CallResult<Option<types::Descriptor>> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        let selector = repository.may_pull(&reference)?;
        let found = session.client()?.head(&repository.name, &selector).await?;
        if let Some(descriptor) = &found {
            repository.scope.learn(&descriptor.digest, b"");
        }
        Ok(found.map(|d| types::Descriptor { media_type: d.media_type, digest: d.digest.to_string(), size: d.size }))
    }

    async fn manifest(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
    ) -> CallResult<registry::Manifest> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        let selector = repository.may_pull(&reference)?;
        let manifest = session.client()?.manifest(&repository.name, &selector).await?;
        repository.scope.learn(&manifest.digest, &manifest.content);
        Ok(registry::Manifest {
            descriptor: types::Descriptor {
                media_type: manifest.media_type,
                digest: manifest.digest.to_string(),
                size: manifest.content.len() as u64,
            },
            content: manifest.content.to_vec(),
        })
    }

    async fn put_manifest(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
        media_type: String,
        content: Vec<u8>,
    ) -> CallResult<types::Digest> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Push)?;
        let selector: Selector = reference.parse()?;
        Ok(session.client()?.put_manifest(&repository.name, &selector, &media_type, content).await?.to_string())
    }

    async fn delete_manifest(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        reference: String,
    ) -> CallResult<()> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Delete)?;
        let selector: Selector = reference.parse()?;
        Ok(session.client()?.delete_manifest(&repository.name, &selector).await?)
    }

    async fn push(
        accessor: &Accessor<T, Self>,
        handle: Resource<RepositoryHandle>,
        blob: Resource<BlobHandle>,
    ) -> CallResult<registry::PushOutcome> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Push)?;
        let blob = table_get(accessor, &blob)?;
        push_blob(&session, &repository.name, &blob).await
    }

    async fn check_push(accessor: &Accessor<T, Self>, handle: Resource<RepositoryHandle>) -> CallResult<()> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Push)?;
        Ok(session.client()?.check_push(&repository.name).await?)
    }

    async fn tags(accessor: &Accessor<T, Self>, handle: Resource<RepositoryHandle>) -> CallResult<Vec<String>> {
        let (session, repository) = (session(accessor), table_get(accessor, &handle)?);
        repository.may(RegistryAccess::Pull)?;
        repository.scope.check_whole(&repository.name, "tags")?;
        Ok(session.client()?.tags(&repository.name).await?)
    }
}

/// The cheapest way to a blob in a repository: inside one registry a mount, from the store an upload, else a stream from registry to registry.
async fn push_blob(session: &Session, to: &RepositoryName, blob: &BlobHandle) -> CallResult<registry::PushOutcome> {
    let (client, store) = (session.client()?, session.store()?);
    let (digest, size) = (&blob.descriptor.digest, blob.descriptor.size);
    let outcome = match (&blob.origin, blob.file(store)) {
        (Origin::Repository(from), file) if from.registry() == to.registry() || file.is_none() => {
            client.copy_blob(from, to, digest, size, &Progress::none()).await?
        }
        (_, Some(file)) => client.push_blob(to, digest, size, &file, &Progress::none()).await?,
        (_, None) => return Err(blob.lost()),
    };
    Ok(match outcome {
        PushOutcome::Existing => registry::PushOutcome::Existing,
        PushOutcome::Mounted => registry::PushOutcome::Mounted,
        PushOutcome::Uploaded => registry::PushOutcome::Uploaded,
    })
}
