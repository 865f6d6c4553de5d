//! `edit-config`, `edit-manifest`, `edit-fs`: a part of an image replaced by what the caller gives.
//!
//! crane opens an editor where it runs on a terminal, and reads standard input elsewhere. A step starts no program of its caller, so it always
//! reads: `promote config IMAGE | jq ... | promote edit-config IMAGE`.

use steprun_image::History;
use steprun_ports::{
    Change, ChangeEntry, Error, Failure, FileKind, Host, ImageArgument, InputFile, Repository, Snapshot, Stat,
    Timestamp, Tree,
};

use crate::arguments::{image, missing, one_platform, platform};
use crate::bundle::{Bundle, whole};
use crate::draft::{self, Draft};
use crate::fetch;
use crate::query::print;
use crate::rewrite::{Original, rewrite};
use crate::target::put;
use crate::transfer::Rules;

/// The largest content that is read. It crosses into the component, unlike that of layers.
const LIMIT: u64 = 64 << 20;

/// Mode of a file that was not there (crane, `blankHeader`).
const NEW_FILE: u32 = 0o555;

/// `edit-config`: another config; layers and annotations stay.
pub(crate) async fn config<H: Host>(host: &H) -> Result<(), Failure> {
    let (image, content) = (image(host, "image")?, content(host).await?);
    let found = fetch::one(&image, &one_platform(host)?).await?;
    let layers = found.manifest.layers.iter().map(|layer| image.repository.blob(&layer.port())).collect();
    let draft = Draft::of("the new config", found.manifest, &content, layers)?;
    take(host, image, draft.finish(host).await?.into()).await
}

/// `edit-manifest`: another manifest or index, of the same blobs and images.
pub(crate) async fn manifest<H: Host>(host: &H) -> Result<(), Failure> {
    let (image, content) = (image(host, "image")?, content(host).await?);
    let old = fetch::fetch(&image, None).await?.descriptor.media_type;
    let media_type = media_type(&content).unwrap_or(old);
    let root = draft::describe(host, &media_type, content).await?;
    fetch::parse("the new manifest", &root)?;
    let bundle = whole(&image.repository, root, Rules::of(host)?.jobs).await?;
    take(host, image, bundle).await
}

/// What a manifest says that it is.
fn media_type(content: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(content).ok()?;
    Some(json.get("mediaType")?.as_str()?.to_owned())
}

/// `edit-fs`: a layer on top that has one file.
pub(crate) async fn file<H: Host>(host: &H) -> Result<(), Failure> {
    let path = host.texts("filename").pop().ok_or_else(|| missing("filename"))?;
    let (image, content, rules) = (image(host, "image")?, content(host).await?, Rules::of(host)?);
    let change = async |Original { name, mut draft, .. }: Original<H::Blob>| {
        let changed = |error| Failure::because(format!("can't change `{path}` in {name}"), error);
        let snapshot = host.from_layers(&draft.with_diff_ids()).await.map_err(changed)?;
        let entries = entries(&snapshot, &path, content.clone()).await.map_err(changed)?;
        let changed_snapshot = snapshot.extend(&[], entries).await.map_err(changed)?;
        if let Some(layer) = changed_snapshot.pack(true).await.map_err(changed)? {
            draft.add(layer, History::new(None, &format!("edit fs {path}"), false));
        }
        Ok(draft)
    };
    let bundle = rewrite(host, &image, platform(host)?.as_ref(), rules.jobs, change).await?;
    take(host, image, bundle).await
}

/// The file, with the mode and owner of the one that it replaces, and the directories that it needs.
async fn entries<T: Tree>(tree: &T, path: &str, content: Vec<u8>) -> Result<Vec<ChangeEntry>, Error> {
    let path = tree.real_path(path).await?;
    let old = stat(tree, &path).await?;
    if path.is_empty() || old.as_ref().is_some_and(|old| old.kind != FileKind::Regular) {
        return Err(Error::Invalid(format!("`/{path}` is no regular file")));
    }
    let entry = |path: &str, change, mode, (uid, gid)| {
        let modified = Timestamp::default();
        ChangeEntry { path: path.to_owned(), change, mode, uid, gid, modified }
    };
    let mut entries = Vec::new();
    for (end, _) in path.match_indices('/') {
        if stat(tree, &path[..end]).await?.is_none() {
            entries.push(entry(&path[..end], Change::Directory, 0o755, (0, 0)));
        }
    }
    let (mode, owner) = old.map_or((NEW_FILE, (0, 0)), |old| (old.mode, (old.uid, old.gid)));
    entries.push(entry(&path, Change::Inline(content), mode, owner));
    Ok(entries)
}

async fn stat<T: Tree>(tree: &T, path: &str) -> Result<Option<Stat>, Error> {
    match tree.stat(path, false).await {
        Ok(stat) => Ok(Some(stat)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn content<H: Host>(host: &H) -> Result<Vec<u8>, Failure> {
    let file = host.input_files("content").pop().ok_or_else(|| missing("content"))?;
    let read = file.read(LIMIT).await;
    read.map_err(|error| Failure::because(format!("can't read {}", file.name()), error))
}

/// Puts the result where `--tag` says, else over what was read, and prints its name as it was typed; of a digest, the new one (crane does both).
async fn take<H: Host>(host: &H, image: ImageArgument<H::Repository>, bundle: Bundle<H::Blob>) -> Result<(), Failure> {
    let to = host.images("tag").pop().unwrap_or(image);
    let tag = to.tag.as_deref().filter(|_| to.digest.is_none());
    let digest = bundle.root.descriptor.digest.clone();
    put(host, &to.repository, tag, bundle, Rules::of(host)?).await?;
    let made = format!("{}@{digest}", to.repository.name());
    host.set("digest", &digest);
    host.set("image", &made);
    let shown = if tag.is_some() { to.typed } else { made };
    print(host, format!("{shown}\n").as_bytes()).await
}
