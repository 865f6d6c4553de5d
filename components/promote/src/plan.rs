//! What a copy has to bring.

use std::collections::BTreeSet;

use steprun_image::Document;
use steprun_ports::{Descriptor, Failure, Host, Manifest, Repository, concurrently};

use crate::bundle::is_document;
use crate::fetch;
use crate::transfer::Rules;

/// What has to be brought for root manifests.
pub(crate) struct Plan {
    /// Manifests below the roots, those that they name themselves first. One that is named on several levels stands on each of them, so
    /// that from the last level to the first children come before their parents.
    pub(crate) levels: Vec<Vec<Manifest>>,
    pub(crate) blobs: Vec<Descriptor>,
}

impl Plan {
    /// Reads all manifests that the destination lacks.
    pub(crate) async fn make<H: Host>(
        from: &H::Repository,
        to: &H::Repository,
        roots: &[(&str, &Manifest)],
        rules: Rules,
    ) -> Result<Self, Failure> {
        let mut plan = Self { levels: Vec::new(), blobs: Vec::new() };
        let mut children = Vec::new();
        for (_, root) in roots {
            children.extend(plan.take_in(&from.name(), root)?);
        }
        while !children.is_empty() {
            let mut seen = BTreeSet::new();
            children.retain(|child| seen.insert(child.digest.clone()));
            let found = concurrently(rules.jobs, &children, |child| missing_child(from, to, child)).await?;
            let level: Vec<Manifest> = found.into_iter().flatten().collect();
            children = Vec::new();
            for manifest in &level {
                children.extend(plan.take_in(&from.name(), manifest)?);
            }
            plan.levels.push(level);
        }
        Ok(plan)
    }

    /// Notes the blobs of a manifest; gives the children of an index.
    fn take_in(&mut self, repository: &str, manifest: &Manifest) -> Result<Vec<Descriptor>, Failure> {
        let name = format!("{repository}@{}", manifest.descriptor.digest);
        match fetch::parse(&name, manifest)? {
            Document::Manifest(manifest) => {
                self.blobs.extend(manifest.blobs().into_iter().map(|blob| blob.port()));
                Ok(Vec::new())
            }
            Document::Index(index) => {
                let entries = index.manifests.iter().map(steprun_image::Descriptor::port);
                let (documents, blobs) = entries.partition::<Vec<_>, _>(|entry| is_document(&entry.media_type));
                // An index may name anything; what is no manifest is kept as a blob.
                self.blobs.extend(blobs);
                Ok(documents)
            }
        }
    }
}

/// A child of an index, unless the destination has it: then it also has all that the child refers to.
async fn missing_child<R: Repository>(from: &R, to: &R, child: &Descriptor) -> Result<Option<Manifest>, Failure> {
    let head = to.head(&child.digest).await;
    let existing =
        head.map_err(|error| Failure::because(format!("can't read {}@{}", to.name(), child.digest), error))?;
    if existing.is_some() {
        return Ok(None);
    }
    fetch::by_digest(from, &child.digest).await.map(Some)
}
