//! Registries: repositories with blobs, manifests and tags.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reference::is_digest;
use super::run::yield_now;
use super::tree::within;
use super::{MemoryHost, digest};
use crate::{
    Blob, Denial, Descriptor, Digest, Error, Manifest, PushOutcome, Referrer, RegistryAccess, Repository, Result,
};

/// A write to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryEvent {
    /// A blob came to a repository.
    Blob {
        /// `registry/repository`.
        repository: String,
        /// Of the blob.
        digest: Digest,
        /// How.
        outcome: PushOutcome,
    },
    /// A manifest was put.
    Manifest {
        /// `registry/repository`.
        repository: String,
        /// The tag or digest it was put under.
        reference: String,
        /// Of the manifest.
        digest: Digest,
    },
    /// A manifest or tag was deleted.
    Deleted {
        /// `registry/repository`.
        repository: String,
        /// The tag or digest.
        reference: String,
    },
}

/// All repositories by `registry/repository`.
#[derive(Default)]
pub(super) struct Registries {
    repositories: BTreeMap<String, Content>,
    pub(super) events: Vec<RegistryEvent>,
    pub(super) failures: BTreeMap<String, Error>,
    pub(super) most_transfers: usize,
    transfers: usize,
}

impl Registries {
    /// The repositories of a registry, without its name.
    pub(super) fn of(&self, registry: &str) -> Vec<String> {
        let below = |name: &String| Some(name.strip_prefix(registry)?.strip_prefix('/')?.to_owned());
        self.repositories.keys().filter_map(below).collect()
    }
}

/// What a repository holds.
#[derive(Default)]
struct Content {
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// Media type and bytes.
    manifests: BTreeMap<Digest, (String, Vec<u8>)>,
    tags: BTreeMap<String, Digest>,
    deletes: Deletes,
    /// Whether it is a file or directory, where the only image needs no name.
    is_local: bool,
}

/// What a registry makes of a request to delete a tag.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    /// The tag goes, as the distribution-spec has it.
    #[default]
    Tags,
    /// The manifest goes too, with all of its tags.
    Manifests,
    /// Refused.
    Nothing,
}

impl Content {
    fn find(&self, reference: &str) -> Option<Manifest> {
        let only = || {
            self.tags
                .values()
                .next()
                .filter(|first| reference == "latest" && self.tags.values().all(|tag| tag == *first))
        };
        let local = || if self.is_local { only() } else { None };
        let digest = if is_digest(reference) { reference } else { self.tags.get(reference).or_else(local)? };
        let (media_type, content) = self.manifests.get(digest)?;
        let descriptor =
            Descriptor { media_type: media_type.clone(), digest: digest.into(), size: content.len() as u64 };
        Some(Manifest { descriptor, content: content.clone() })
    }
}

/// A repository with the access of its grant; [`MemoryHost::repository`] gives every right.
#[derive(Clone)]
pub struct MemoryRepository {
    host: MemoryHost,
    name: String,
    access: RegistryAccess,
}

/// Filling a repository and looking at it, past grants, checks and events.
impl MemoryRepository {
    pub(super) fn new(host: MemoryHost, name: String, access: RegistryAccess) -> Self {
        Self { host, name, access }
    }

    /// Adds a blob.
    pub fn add_blob(&self, media_type: &str, content: impl AsRef<[u8]>) -> Descriptor {
        let content = content.as_ref();
        let digest = digest(content);
        self.edit(|repository| repository.blobs.insert(digest.clone(), content.to_vec()));
        Descriptor { media_type: media_type.into(), digest, size: content.len() as u64 }
    }

    /// Adds a manifest or index, under a tag if there is one.
    pub fn add_manifest(&self, tag: Option<&str>, media_type: &str, content: impl AsRef<[u8]>) -> Descriptor {
        let content = content.as_ref();
        let digest = digest(content);
        self.edit(|repository| {
            repository.manifests.insert(digest.clone(), (media_type.into(), content.to_vec()));
            if let Some(tag) = tag {
                repository.tags.insert(tag.into(), digest.clone());
            }
        });
        Descriptor { media_type: media_type.into(), digest, size: content.len() as u64 }
    }

    /// Whether it holds no manifest.
    pub fn is_empty(&self) -> bool {
        self.look(|repository| (!repository.manifests.is_empty()).then_some(())).is_none()
    }

    /// Takes a blob away.
    pub fn remove_blob(&self, digest: &str) {
        self.edit(|repository| repository.blobs.remove(digest));
    }

    /// Replaces the bytes that a digest stands for, as a registry that lies would.
    pub fn corrupt(&self, digest: &str, content: &[u8]) {
        self.edit(|repository| {
            if let Some((_, bytes)) = repository.manifests.get_mut(digest) {
                *bytes = content.to_vec();
            }
            if let Some(bytes) = repository.blobs.get_mut(digest) {
                *bytes = content.to_vec();
            }
        });
    }

    /// From now on the manifest goes with its tag, as some registries do it.
    pub fn delete_manifests_with_tags(&self) {
        self.edit(|repository| repository.deletes = Deletes::Manifests);
    }

    /// From now on nothing can be deleted.
    pub fn refuse_deletes(&self) {
        self.edit(|repository| repository.deletes = Deletes::Nothing);
    }

    /// The bytes of a blob.
    pub fn blob_content(&self, digest: &str) -> Option<Vec<u8>> {
        self.look(|repository| repository.blobs.get(digest).cloned())
    }

    /// A manifest by tag or digest.
    pub fn find(&self, reference: &str) -> Option<Manifest> {
        self.look(|repository| repository.find(reference))
    }

    /// The digests that tags stand for.
    pub fn tagged(&self) -> BTreeMap<String, Digest> {
        self.look(|repository| Some(repository.tags.clone())).unwrap_or_default()
    }

    fn edit<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        let is_local =
            ["oci:", "oci-archive:", "docker-archive:", "dir:"].iter().any(|word| self.name.starts_with(word))
                || !self.name.contains('/');
        let new = || Content { is_local, ..Content::default() };
        change(self.host.state_mut().registries.repositories.entry(self.name.clone()).or_insert_with(new))
    }

    fn look<T>(&self, look: impl FnOnce(&Content) -> Option<T>) -> Option<T> {
        self.host.state().registries.repositories.get(&self.name).and_then(look)
    }

    /// Fails as a call about `reference` would before it has any effect.
    fn check(&self, capability: &str, needed: RegistryAccess, reference: &str) -> Result<()> {
        let rank = |access: RegistryAccess| access as u8;
        if rank(self.access) < rank(needed) {
            return Err(Error::Denied(Denial {
                capability: capability.into(),
                subject: self.name.clone(),
                reason: format!("the argument grants {:?} access", self.access),
                remedy: None,
            }));
        }
        self.host.state().registries.failures.get(reference).map_or(Ok(()), |error| Err(error.clone()))
    }

    fn not_found(&self, reference: &str) -> Error {
        let separator = if is_digest(reference) { '@' } else { ':' };
        Error::NotFound(format!("{}{separator}{reference} does not exist", self.name))
    }

    fn record(&self, event: RegistryEvent) {
        self.host.state_mut().registries.events.push(event);
    }

    /// Fails unless all that a manifest refers to is here, as a registry does. Layers that may not be distributed need not be.
    fn check_references(&self, manifest: &[u8]) -> Result<()> {
        for (digest, media_type) in referenced(manifest)? {
            let foreign = media_type.contains("nondistributable") || media_type.contains("foreign");
            let here = |content: &Content| {
                (content.blobs.contains_key(&digest) || content.manifests.contains_key(&digest)).then_some(())
            };
            if !foreign && self.look(here).is_none() {
                return Err(Error::NotFound(format!(
                    "{}@{digest}, which the manifest refers to, does not exist",
                    self.name
                )));
            }
        }
        Ok(())
    }

    fn push_now(&self, blob: &MemoryBlob) -> Result<PushOutcome> {
        let digest = &blob.descriptor.digest;
        if self.blob_content(digest).is_some() {
            return Ok(PushOutcome::Existing);
        }
        let content = blob.content()?;
        self.edit(|repository| repository.blobs.insert(digest.clone(), content));
        let near = blob.origin.as_ref().is_some_and(|origin| registry(origin) == registry(&self.name));
        Ok(if near { PushOutcome::Mounted } else { PushOutcome::Uploaded })
    }
}

fn registry(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

/// Digest and media type of all that a manifest or index refers to, but its subject.
pub(super) fn referenced(manifest: &[u8]) -> Result<Vec<(Digest, String)>> {
    let value: Value = serde_json::from_slice(manifest)
        .map_err(|error| Error::Invalid(format!("the manifest is no JSON: {error}")))?;
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let config = value.get("config").cloned();
    let descriptors = config.into_iter().chain(list("layers")).chain(list("manifests"));
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Ok(descriptors.map(|descriptor| (text(&descriptor, "digest"), text(&descriptor, "mediaType"))).collect())
}

impl Repository for MemoryRepository {
    type Blob = MemoryBlob;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn registry(&self) -> String {
        registry(&self.name).to_owned()
    }

    async fn head(&self, reference: &str) -> Result<Option<Descriptor>> {
        self.check("registry.pull", RegistryAccess::Pull, reference)?;
        Ok(self.find(reference).map(|manifest| manifest.descriptor))
    }

    async fn manifest(&self, reference: &str) -> Result<Manifest> {
        self.check("registry.pull", RegistryAccess::Pull, reference)?;
        let manifest = self.find(reference).ok_or_else(|| self.not_found(reference))?;
        if digest(&manifest.content) != manifest.descriptor.digest {
            return Err(Error::Corrupt(format!("{}@{} has other bytes", self.name, manifest.descriptor.digest)));
        }
        Ok(manifest)
    }

    async fn put_manifest(&self, reference: &str, media_type: &str, content: &[u8]) -> Result<Digest> {
        self.check("registry.push", RegistryAccess::Push, reference)?;
        self.check_references(content)?;
        let digest = digest(content);
        if is_digest(reference) && reference != digest {
            return Err(Error::Corrupt(format!("the manifest has the digest {digest}, not {reference}")));
        }
        let tag = (!is_digest(reference)).then_some(reference);
        self.add_manifest(tag, media_type, content);
        let (repository, reference) = (self.name.clone(), reference.to_owned());
        self.record(RegistryEvent::Manifest { repository, reference, digest: digest.clone() });
        Ok(digest)
    }

    async fn delete_manifest(&self, reference: &str) -> Result<()> {
        self.check("registry.delete", RegistryAccess::Delete, reference)?;
        let found = self.find(reference).ok_or_else(|| self.not_found(reference))?;
        let deletes = self.look(|repository| Some(repository.deletes)).unwrap_or_default();
        if deletes == Deletes::Nothing {
            return Err(Error::Unsupported("UNSUPPORTED: the operation is unsupported".into()));
        }
        self.edit(|repository| {
            if is_digest(reference) || deletes == Deletes::Manifests {
                repository.manifests.remove(&found.descriptor.digest);
                repository.tags.retain(|_, digest| *digest != found.descriptor.digest);
            } else {
                repository.tags.remove(reference);
            }
        });
        self.record(RegistryEvent::Deleted { repository: self.name.clone(), reference: reference.to_owned() });
        Ok(())
    }

    fn blob(&self, descriptor: &Descriptor) -> MemoryBlob {
        MemoryBlob::new(self.host.clone(), descriptor.clone(), Some(self.name.clone()))
    }

    async fn push(&self, blob: &MemoryBlob) -> Result<PushOutcome> {
        let digest = &blob.descriptor.digest;
        self.check("registry.push", RegistryAccess::Push, digest)?;
        let guard = TransferGuard::new(&self.host);
        yield_now().await;
        let outcome = self.push_now(blob)?;
        drop(guard);
        self.record(RegistryEvent::Blob { repository: self.name.clone(), digest: digest.clone(), outcome });
        Ok(outcome)
    }

    async fn check_push(&self) -> Result<()> {
        self.check("registry.push", RegistryAccess::Push, "")
    }

    async fn find_blob(&self, digest: &str) -> Result<Option<MemoryBlob>> {
        self.check("registry.pull", RegistryAccess::Pull, digest)?;
        let media_type = "application/octet-stream".to_owned();
        let descriptor =
            |content: Vec<u8>| Descriptor { media_type, digest: digest.into(), size: content.len() as u64 };
        Ok(self.blob_content(digest).map(|content| self.blob(&descriptor(content))))
    }

    async fn referrers(&self, digest: &str) -> Result<Vec<Referrer>> {
        self.check("registry.pull", RegistryAccess::Pull, digest)?;
        let refers = |(own, (media_type, content)): (&Digest, &(String, Vec<u8>))| {
            let value: Value = serde_json::from_slice(content).ok()?;
            let pairs = value["annotations"].as_object().into_iter().flatten();
            let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
            let kind = value["artifactType"].as_str().or(value["config"]["mediaType"].as_str());
            (value["subject"]["digest"].as_str() == Some(digest)).then(|| Referrer {
                descriptor: Descriptor {
                    media_type: media_type.clone(),
                    digest: own.clone(),
                    size: content.len() as u64,
                },
                artifact_type: kind.map(str::to_owned),
                annotations: pairs.filter_map(pair).collect(),
            })
        };
        let found = |repository: &Content| Some(repository.manifests.iter().filter_map(refers).collect());
        Ok(self.look(found).unwrap_or_default())
    }

    async fn tags(&self) -> Result<Vec<String>> {
        self.check("registry.pull", RegistryAccess::Pull, "")?;
        self.look(|repository| Some(repository.tags.keys().cloned().collect()))
            .ok_or_else(|| Error::NotFound(format!("{} does not exist", self.name)))
    }
}

/// Counts a push while it runs.
struct TransferGuard(MemoryHost);

impl TransferGuard {
    fn new(host: &MemoryHost) -> Self {
        let registries = &mut host.state_mut().registries;
        registries.transfers += 1;
        registries.most_transfers = registries.most_transfers.max(registries.transfers);
        Self(host.clone())
    }
}

impl Drop for TransferGuard {
    fn drop(&mut self) {
        self.0.state_mut().registries.transfers -= 1;
    }
}

/// A blob of the store, or of a repository.
#[derive(Clone)]
pub struct MemoryBlob {
    host: MemoryHost,
    descriptor: Descriptor,
    /// The repository; none for the store.
    origin: Option<String>,
}

impl MemoryBlob {
    pub(super) fn new(host: MemoryHost, descriptor: Descriptor, origin: Option<String>) -> Self {
        Self { host, descriptor, origin }
    }

    /// The content, verified.
    fn content(&self) -> Result<Vec<u8>> {
        let Descriptor { digest: wanted, size, .. } = &self.descriptor;
        let state = self.host.state();
        let blobs = match &self.origin {
            Some(repository) => state.registries.repositories.get(repository).map(|content| &content.blobs),
            None => Some(&state.store),
        };
        let place = self.origin.as_deref().unwrap_or("the store");
        let content = blobs
            .and_then(|blobs| blobs.get(wanted))
            .ok_or_else(|| Error::NotFound(format!("{wanted} does not exist in {place}")))?;
        if digest(content) != *wanted || content.len() as u64 != *size {
            return Err(Error::Corrupt(format!("{wanted} in {place} has other bytes")));
        }
        Ok(content.clone())
    }
}

impl Blob for MemoryBlob {
    fn descriptor(&self) -> Descriptor {
        self.descriptor.clone()
    }

    async fn read(&self, limit: u64) -> Result<Vec<u8>> {
        within(&self.descriptor.digest, &self.content()?, limit)
    }

    async fn fetch(&self) -> Result<()> {
        let Descriptor { media_type, digest, .. } = &self.descriptor;
        if self.host.state().store.contains_key(digest) {
            return Ok(());
        }
        self.host.state().registries.failures.get(digest).map_or(Ok(()), |error| Err(error.clone()))?;
        let guard = TransferGuard::new(&self.host);
        yield_now().await;
        self.host.store_blob(media_type, &self.content()?);
        drop(guard);
        Ok(())
    }
}
