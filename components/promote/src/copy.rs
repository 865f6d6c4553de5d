//! `copy`: an image, an index with all its images, or all tags of a repository.

use std::collections::BTreeSet;

use steprun_image::{Document, Platform, media_type};
use steprun_ports::{Descriptor, Error, Failure, Host, ImageArgument, Level, Manifest, Repository, both, concurrently};

use crate::arguments::{full_name, image, platform};
use crate::fetch::{fetch, malformed};
use crate::transfer::{Rules, push_blobs, put_manifest};

/// How many images are copied together. More would share more, and keep more manifests in memory.
const BATCH: usize = 64;

/// What holds for all images of one call.
struct Options {
    platform: Option<Platform>,
    keep_tags: bool,
    rules: Rules,
}

pub(crate) async fn copy<H: Host>(host: &H) -> Result<(), Failure> {
    let (source, destination) = (image(host, "source")?, image(host, "destination")?);
    let options = Options { platform: platform(host)?, keep_tags: host.flag("no-clobber"), rules: Rules::of(host)? };
    if host.flag("all-tags") {
        return copy_all(host, &source, &destination, &options).await;
    }
    if options.keep_tags {
        refuse_existing(&destination).await?;
    }
    copy_images(host, &[(source, destination)], &options).await
}

/// Copies every tag; those that are there already are left alone if tags are to be kept.
async fn copy_all<H: Host>(
    host: &H,
    source: &ImageArgument<H::Repository>,
    destination: &ImageArgument<H::Repository>,
    options: &Options,
) -> Result<(), Failure> {
    for image in [source, destination] {
        if names_more_than_repository(&image.typed) {
            let failure =
                Failure::usage(format!("--all-tags copies repositories, and `{}` names an image", image.typed));
            return Err(failure.hint("leave out the tag and the digest"));
        }
    }
    let kept = if options.keep_tags { tags_of(&destination.repository).await? } else { BTreeSet::new() };
    let listing = |error| Failure::because(format!("can't list the tags of {}", source.repository.name()), error);
    let tags = source.repository.tags().await.map_err(listing)?;
    let wanted: Vec<String> = tags.into_iter().filter(|tag| !kept.contains(tag)).collect();
    for batch in wanted.chunks(BATCH) {
        let pair = |tag: &String| {
            let tagged =
                |image: &ImageArgument<H::Repository>| ImageArgument { tag: Some(tag.clone()), ..image.clone() };
            (tagged(source), tagged(destination))
        };
        copy_images(host, &batch.iter().map(pair).collect::<Vec<_>>(), options).await?;
    }
    Ok(())
}

/// Whether a tag or digest was typed: the argument itself has the tag `latest` where none was.
fn names_more_than_repository(typed: &str) -> bool {
    typed.contains('@') || typed.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

async fn tags_of<R: Repository>(repository: &R) -> Result<BTreeSet<String>, Failure> {
    match repository.tags().await {
        Ok(tags) => Ok(tags.into_iter().collect()),
        // A repository begins with its first push.
        Err(Error::NotFound(_)) => Ok(BTreeSet::new()),
        Err(error) => Err(Failure::because(format!("can't list the tags of {}", repository.name()), error)),
    }
}

async fn refuse_existing<R: Repository>(destination: &ImageArgument<R>) -> Result<(), Failure> {
    match head(destination).await? {
        Some(existing) => {
            let name = full_name(destination);
            Err(Failure::failed(format!("refusing to clobber existing tag {name}@{}", existing.digest)))
        }
        None => Ok(()),
    }
}

async fn head<R: Repository>(image: &ImageArgument<R>) -> Result<Option<Descriptor>, Failure> {
    let head = image.repository.head(target(image)).await;
    head.map_err(|error| Failure::because(format!("can't read {}", full_name(image)), error))
}

/// What an image is put under: its tag, if it has one.
fn target<R>(image: &ImageArgument<R>) -> &str {
    image.tag.as_deref().unwrap_or_else(|| image.reference())
}

/// An image to be copied, and where to.
type Pair<R> = (ImageArgument<R>, ImageArgument<R>);

/// Copies images of one repository to another together: they share blobs and children, and round trips.
async fn copy_images<H: Host>(host: &H, pairs: &[Pair<H::Repository>], options: &Options) -> Result<(), Failure> {
    let roots = concurrently(options.rules.jobs, pairs, |pair| missing_root(host, pair, options)).await?;
    let new = pairs.iter().zip(&roots).filter_map(|((_, to), (_, root))| Some((target(to), root.as_ref()?)));
    let new: Vec<(&str, &Manifest)> = new.collect();
    if let (Some((source, destination)), false) = (pairs.first(), new.is_empty()) {
        bring(host, &source.repository, &destination.repository, &new, options.rules).await?;
    }
    for ((_, destination), (digest, _)) in pairs.iter().zip(&roots) {
        host.set("digest", digest);
        host.set("image", &format!("{}@{digest}", destination.repository.name()));
    }
    Ok(())
}

/// The digest of an image's manifest, and the manifest unless the destination's name stands for it already.
async fn missing_root<H: Host>(
    host: &H,
    (source, destination): &Pair<H::Repository>,
    options: &Options,
) -> Result<(String, Option<Manifest>), Failure> {
    let (from, to) = (full_name(source), full_name(destination));
    let (root, existing) = both(fetch(source, options.platform.as_ref()), head(destination)).await?;
    let digest = root.descriptor.digest.clone();
    if let Some(wanted) = destination.digest.as_ref().filter(|wanted| **wanted != digest) {
        return Err(Failure::usage(format!("{from} has the digest {digest}, so it can't be copied to {wanted}")));
    }
    if existing.is_some_and(|existing| existing.digest == digest) {
        host.log(Level::Info, &format!("{to} is already {digest}"));
        return Ok((digest, None));
    }
    host.log(Level::Info, &format!("copying {from} to {to}"));
    Ok((digest, Some(root)))
}

/// Brings manifests with all they refer to: blobs first, children before the indexes that name them, the tags last.
async fn bring<H: Host>(
    host: &H,
    from: &H::Repository,
    to: &H::Repository,
    roots: &[(&str, &Manifest)],
    rules: Rules,
) -> Result<(), Failure> {
    // In its own repository everything is there: a registry takes no manifest before that.
    if from.name() != to.name() {
        let Plan { levels, blobs } = Plan::make::<H>(from, to, roots, rules).await?;
        push_blobs(host, to, blobs.iter().map(|blob| from.blob(blob)).collect(), rules).await?;
        let mut put = BTreeSet::new();
        for level in levels.iter().rev() {
            let new: Vec<&Manifest> =
                level.iter().filter(|manifest| put.insert(manifest.descriptor.digest.clone())).collect();
            concurrently(rules.jobs, new, |manifest| put_manifest(to, &manifest.descriptor.digest, manifest)).await?;
        }
    }
    concurrently(rules.jobs, roots, |(reference, root)| put_manifest(to, reference, root)).await.map(drop)
}

/// What has to be brought for root manifests.
struct Plan {
    /// Manifests below the roots, those that they name themselves first. One that is named on several levels stands on each of them, so
    /// that from the last level to the first children come before their parents.
    levels: Vec<Vec<Manifest>>,
    blobs: Vec<Descriptor>,
}

impl Plan {
    /// Reads all manifests that the destination lacks.
    async fn make<H: Host>(
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
        let Manifest { descriptor, content } = manifest;
        let name = || format!("{repository}@{}", descriptor.digest);
        match Document::parse(&descriptor.media_type, content).map_err(|error| malformed(&name(), &error))? {
            Document::Manifest(manifest) => {
                self.blobs.extend(manifest.blobs().into_iter().map(|blob| blob.port()));
                Ok(Vec::new())
            }
            Document::Index(index) => {
                let is_document = |child: &Descriptor| {
                    media_type::is_index(&child.media_type) || media_type::is_manifest(&child.media_type)
                };
                let (documents, blobs) =
                    index.manifests.iter().map(steprun_image::Descriptor::port).partition::<Vec<_>, _>(is_document);
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
    let manifest = from.manifest(&child.digest).await;
    manifest.map(Some).map_err(|error| Failure::because(format!("can't read {}@{}", from.name(), child.digest), error))
}
