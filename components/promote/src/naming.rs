//! Commands that change what tags stand for: `tag`, `delete`, `move`.

use steprun_ports::{Error, Failure, Host, Level, Repository};

use crate::arguments::{full_name, image};
use crate::copy::{Options, announce, copy_images};
use crate::fetch;
use crate::transfer::{Rules, put_manifest};

/// Puts the image's manifest under each tag. The blobs are there, since the manifest is.
pub(crate) async fn tag<H: Host>(host: &H) -> Result<(), Failure> {
    let tags = host.texts("tag");
    tags.iter().try_for_each(|tag| check_tag(tag))?;
    let image = image(host, "image")?;
    let manifest = fetch::fetch(&image, None).await?;
    for tag in &tags {
        let put = image.repository.put_manifest(tag, &manifest.descriptor.media_type, &manifest.content).await;
        put.map_err(|error| Failure::because(format!("can't tag {} as {tag}", full_name(&image)), error))?;
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), Failure> {
    if is_tag(tag) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{tag}` is no tag")).hint(TAGS))
}

/// What a tag looks like, for people.
pub(crate) const TAGS: &str =
    "a tag has up to 128 letters, digits, `_`, `.` and `-`, and stands without the repository's name";

/// A tag as the distribution-spec has it: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(crate) fn is_tag(tag: &str) -> bool {
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let other = |byte: &u8| first(byte) || b".-".contains(byte);
    tag.as_bytes().first().is_some_and(first) && tag.bytes().all(|byte| other(&byte)) && tag.len() <= 128
}

/// Deletes what is named, or with `--tag-only` the tag and nothing else.
pub(crate) async fn delete<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    if host.flag("tag-only") {
        return match (&image.tag, &image.digest) {
            (Some(tag), None) => delete_tag(host, &image.repository, tag).await,
            _ => Err(Failure::usage(format!("--tag-only deletes a tag, and `{}` names a digest", image.typed))),
        };
    }
    let name = full_name(&image);
    let Some(tag) = image.tag.as_ref().filter(|_| image.digest.is_none()) else {
        let deleted = image.repository.delete_manifest(image.reference()).await;
        return deleted.map_err(|error| Failure::because(format!("can't delete {name}"), error));
    };
    // Asked first, since a tag that is gone no longer tells. Only hints need it: what can't be asked is no reason to fail.
    let digest = image.repository.head(tag).await.ok().flatten().map(|found| found.digest);
    let deleted = image.repository.delete_manifest(tag).await;
    deleted
        .map_err(|error| not_deleted(format!("can't delete {name}"), &image.repository, digest.as_deref(), error))?;
    if let Some(digest) = digest
        && matches!(image.repository.head(&digest).await, Ok(None))
    {
        let message = format!("the registry has deleted {digest} with its tag {tag}, and all of its other tags");
        host.log(Level::Warning, &format!("{message}: `delete --tag-only` would keep it"));
    }
    Ok(())
}

/// Deletes a tag. The manifest stays, whatever the registry makes of the request: some delete it with the tag, and it is put again.
pub(crate) async fn delete_tag<H: Host>(host: &H, repository: &H::Repository, tag: &str) -> Result<(), Failure> {
    let name = format!("{}:{tag}", repository.name());
    let reading = |error| Failure::because(format!("can't read {name}"), error);
    let manifest = repository.manifest(tag).await.map_err(reading)?;
    let digest = &manifest.descriptor.digest;
    let deleted = repository.delete_manifest(tag).await;
    deleted.map_err(|error| not_deleted(format!("can't delete the tag {name}"), repository, Some(digest), error))?;
    if repository.head(digest).await.map_err(reading)?.is_none() {
        host.log(Level::Warning, &format!("the registry has deleted {digest} with its tag {tag}: it is put again"));
        put_manifest(repository, digest, &manifest).await?;
    }
    Ok(())
}

/// Why a tag can't be deleted: registries may refuse it and delete manifests alone (distribution-spec, "Deleting tags").
fn not_deleted<R: Repository>(doing: String, repository: &R, digest: Option<&str>, error: Error) -> Failure {
    let refused = matches!(error, Error::Unsupported(_) | Error::Invalid(_) | Error::Other(_));
    let failure = Failure::because(doing, error);
    if !refused {
        return failure;
    }
    let image = digest.map_or("IMAGE@DIGEST".to_owned(), |digest| format!("{}@{digest}", repository.name()));
    failure.hint(format!(
        "the registry may delete no tags, with --tag-only or without: `delete {image}` deletes the manifest, with all of its tags"
    ))
}

/// Copies an image and deletes the source's tag. The manifest stays there: other tags may stand for it.
pub(crate) async fn r#move<H: Host>(host: &H) -> Result<(), Failure> {
    let (source, destination) = (image(host, "source")?, image(host, "destination")?);
    let (Some(tag), None) = (source.tag.clone(), &source.digest) else {
        return Err(Failure::usage(format!("`{}` names a digest, and only a tag can be moved", source.typed)));
    };
    let repository = source.repository.clone();
    if repository.name() == destination.repository.name() && destination.tag.as_ref() == Some(&tag) {
        return Err(Failure::usage(format!("{} is already there", full_name(&source))));
    }
    let options = Options { platforms: Vec::new(), keep_tags: false, rules: Rules::of(host)? };
    let to = destination.repository.clone();
    let digests = copy_images(host, &[(source, destination)], &options).await?;
    digests.iter().for_each(|digest| announce(host, &to, digest));
    delete_tag(host, &repository, &tag).await
}
