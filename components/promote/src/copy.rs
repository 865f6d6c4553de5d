//! `copy`: an image, an index with all its images, or all tags of a repository.

use std::collections::BTreeSet;

use steprun_image::{Document, Platform};
use steprun_ports::{
    Descriptor, Error, Failure, Host, ImageArgument, LayerCompression, Level, Manifest, Repository, both, concurrently,
};

use crate::arguments::{full_name, image, platforms};
use crate::digest_tags;
use crate::draft::describe;
use crate::fetch::{self, malformed};
use crate::plan::Plan;
use crate::query::tags;
use crate::target::put;
use crate::transfer::{Rules, push_blobs, put_manifest};
use crate::{recompress, referrers};

/// How many images are copied together. More would share more, and keep more manifests in memory.
const BATCH: usize = 64;

/// What holds for all images of one call.
pub(crate) struct Options {
    /// Which images of an index; none for all.
    pub(crate) platforms: Vec<Platform>,
    pub(crate) keep_tags: bool,
    pub(crate) rules: Rules,
}

pub(crate) async fn copy<H: Host>(host: &H) -> Result<(), Failure> {
    let (source, destination) = (image(host, "source")?, image(host, "destination")?);
    let options = Options { platforms: platforms(host)?, keep_tags: host.flag("no-clobber"), rules: Rules::of(host)? };
    let compression = recompress::wanted(host);
    if host.flag("all-tags") {
        if compression.is_some() || host.flag("referrers") || host.flag("digest-tags") {
            let failure = Failure::usage(
                "--all-tags copies tags as they are, without --recompress, --referrers and --digest-tags",
            );
            return Err(failure.hint("digest tags are among all tags in any case"));
        }
        return copy_all(host, &source, &destination, &options).await;
    }
    if options.keep_tags {
        refuse_existing(&destination).await?;
    }
    let pair = (source, destination);
    if let Some(compression) = compression {
        if host.flag("referrers") || host.flag("digest-tags") {
            return Err(Failure::usage(
                "what belongs to an image by its digest does not belong to the recompressed one",
            ));
        }
        if copy_recompressed(host, &pair, &options, compression).await? {
            return Ok(());
        }
    }
    let pairs = [pair];
    let digests = copy_images(host, &pairs, &options).await?;
    if host.flag("digest-tags") {
        digest_tags::copy(host, &pairs[0], &options).await?;
    }
    if host.flag("referrers") {
        referrers::copy(host, &pairs[0], &options).await?;
    }
    digests.iter().for_each(|digest| announce(host, &pairs[0].1.repository, digest));
    Ok(())
}

/// Names the result.
pub(crate) fn announce<H: Host>(host: &H, repository: &H::Repository, digest: &str) {
    host.set("digest", digest);
    host.set("image", &format!("{}@{digest}", repository.name()));
}

/// Copies an image with other compressions of its layers; false, and nothing is done, if they are those that are wanted.
async fn copy_recompressed<H: Host>(
    host: &H,
    (source, destination): &Pair<H::Repository>,
    options: &Options,
    compression: LayerCompression,
) -> Result<bool, Failure> {
    let platform = match options.platforms.as_slice() {
        [] => None,
        [one] => Some(one),
        [_, _, ..] => return Err(Failure::usage("--recompress takes one --platform, or all")),
    };
    let Options { rules, .. } = options;
    let made = recompress::recompressed(host, source, platform, compression, rules.jobs).await?;
    let Some(bundle) = made else { return Ok(false) };
    let digest = bundle.root.descriptor.digest.clone();
    let tag = destination.tag.as_deref().filter(|_| destination.digest.is_none());
    put(host, &destination.repository, tag, bundle, *rules).await?;
    announce(host, &destination.repository, &digest);
    Ok(true)
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
    let mut wanted = tags(&source.repository).await?;
    wanted.retain(|tag| !kept.contains(tag));
    copy_tags(host, &source.repository, &destination.repository, &wanted, options).await
}

/// Copies these tags, some at a time.
pub(crate) async fn copy_tags<H: Host>(
    host: &H,
    from: &H::Repository,
    to: &H::Repository,
    tags: &[String],
    options: &Options,
) -> Result<(), Failure> {
    for batch in tags.chunks(BATCH) {
        let pairs: Vec<_> = batch.iter().map(|tag| (tagged(from, tag), tagged(to, tag))).collect();
        let digests = copy_images(host, &pairs, options).await?;
        digests.iter().for_each(|digest| announce(host, to, digest));
    }
    Ok(())
}

/// A tag of a repository, as if an argument had named it.
pub(crate) fn tagged<R: Repository>(repository: &R, tag: &str) -> ImageArgument<R> {
    let typed = format!("{}:{tag}", repository.name());
    ImageArgument { repository: repository.clone(), typed, tag: Some(tag.into()), digest: None }
}

/// Whether a tag or digest was typed: the argument itself has the tag `latest` where none was.
fn names_more_than_repository(typed: &str) -> bool {
    typed.contains('@') || typed.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// The tags of a repository that need not be there yet.
pub(crate) async fn tags_of<R: Repository>(repository: &R) -> Result<BTreeSet<String>, Failure> {
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

pub(crate) async fn head<R: Repository>(image: &ImageArgument<R>) -> Result<Option<Descriptor>, Failure> {
    let head = image.repository.head(target(image)).await;
    head.map_err(|error| Failure::because(format!("can't read {}", full_name(image)), error))
}

/// What an image is put under: its tag, if it has one.
fn target<R>(image: &ImageArgument<R>) -> &str {
    image.tag.as_deref().unwrap_or_else(|| image.reference())
}

/// An image to be copied, and where to.
pub(crate) type Pair<R> = (ImageArgument<R>, ImageArgument<R>);

/// Copies images of one repository to another together: they share blobs and children, and round trips. Gives their digests.
pub(crate) async fn copy_images<H: Host>(
    host: &H,
    pairs: &[Pair<H::Repository>],
    options: &Options,
) -> Result<Vec<String>, Failure> {
    let roots = concurrently(options.rules.jobs, pairs, |pair| missing_root(host, pair, options)).await?;
    let new = pairs.iter().zip(&roots).filter_map(|((_, to), (_, root))| Some((target(to), root.as_ref()?)));
    let new: Vec<(&str, &Manifest)> = new.collect();
    if let (Some((source, destination)), false) = (pairs.first(), new.is_empty()) {
        bring(host, &source.repository, &destination.repository, &new, options.rules).await?;
    }
    Ok(roots.into_iter().map(|(digest, _)| digest).collect())
}

/// The digest of an image's manifest, and the manifest unless the destination's name stands for it already.
async fn missing_root<H: Host>(
    host: &H,
    (source, destination): &Pair<H::Repository>,
    options: &Options,
) -> Result<(String, Option<Manifest>), Failure> {
    let (from, to) = (full_name(source), full_name(destination));
    let (root, existing) = both(chosen(host, source, &options.platforms), head(destination)).await?;
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

/// What is copied of an image: all of it, the image for one platform, or for several an index of those alone.
pub(crate) async fn chosen<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    platforms: &[Platform],
) -> Result<Manifest, Failure> {
    let [_, _, ..] = platforms else { return fetch::fetch(image, platforms.first()).await };
    let name = full_name(image);
    let root = fetch::fetch(image, None).await?;
    let Document::Index(index) = fetch::parse(&name, &root)? else { return Ok(root) };
    let all = index.manifests.len();
    let narrowed = index.narrowed(platforms).map_err(|error| malformed(&name, &error))?;
    if narrowed.manifests.len() == all {
        return Ok(root);
    }
    describe(host, &narrowed.media_type, narrowed.to_bytes()).await
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
