//! `edit-config`, `edit-manifest`, `edit-fs`: a part of an image replaced by what the caller gives.
//!
//! crane opens an editor where it runs on a terminal, and reads standard input elsewhere. A step starts no program of its caller, so it always
//! reads: `promote config IMAGE | jq ... | promote edit-config IMAGE`.

use serde_json::{Map, Value};
use steprun_image::History;
use steprun_ports::{
    Blob, Change, ChangeEntry, Descriptor, Error, Failure, FileKind, Host, ImageArgument, InputFile, Manifest,
    Repository, Snapshot, Stat, Timestamp, Tree,
};

use crate::arguments::{full_name, image, missing, one_platform, platform};
use crate::bundle::{Bundle, is_document, whole};
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

/// `edit-config`: another config, of exactly the bytes that were given; layers and annotations stay.
pub(crate) async fn config<H: Host>(host: &H) -> Result<(), Failure> {
    let (image, content) = (image(host, "image")?, content(host).await?);
    let old = fetch::fetch(&image, Some(&one_platform(host)?)).await?;
    let manifest = fetch::image(&full_name(&image), &old)?;
    let media_type = manifest.config.media_type.clone();
    let layers = manifest.layers.iter().map(|layer| image.repository.blob(&layer.port())).collect();
    // Read to see that it fits; what is stored is what was given.
    let Draft { layers: mut blobs, .. } = Draft::of("the new config", manifest, &content, layers)?;
    let stored = host.put(&media_type, &content).await;
    let config = stored.map_err(|error| Failure::because("can't store the config", error))?;
    let descriptor = Descriptor { media_type, ..config.descriptor() };
    blobs.push(config);
    let root = draft::describe(host, &old.descriptor.media_type, with_config(&old, &descriptor)?).await?;
    take(host, image, Bundle { children: Vec::new(), root, blobs }).await
}

/// A manifest with another config and no change beside it. The fields are in the order that crane writes here, the alphabet's but for those of
/// the config, so that the same edit has the same digest. `urls` and `data` go: they hold or lead to the old content.
fn with_config(old: &Manifest, config: &Descriptor) -> Result<Vec<u8>, Failure> {
    let malformed = |reason| Failure::failed(format!("the manifest {} {reason}", old.descriptor.digest));
    let parsed: serde_json::Result<Value> = serde_json::from_slice(&old.content);
    let mut manifest = parsed.map_err(|error| malformed(format!("is no JSON: {error}")))?;
    manifest.sort_all_objects();
    let found = manifest.get_mut("config").and_then(Value::as_object_mut);
    let fields = found.ok_or_else(|| malformed("has no config".to_owned()))?;
    let Descriptor { media_type, digest, size } = config.clone();
    let mut new = Map::from_iter([
        ("mediaType".to_owned(), media_type.into()),
        ("size".to_owned(), size.into()),
        ("digest".to_owned(), digest.into()),
    ]);
    let known = |name: &str| matches!(name, "mediaType" | "size" | "digest" | "urls" | "data");
    new.extend(std::mem::take(fields).into_iter().filter(|(name, _)| !known(name)));
    *fields = new;
    Ok(manifest.to_string().into_bytes())
}

/// `edit-manifest`: another manifest or index, of the same blobs and images.
pub(crate) async fn manifest<H: Host>(host: &H) -> Result<(), Failure> {
    let (image, content) = (image(host, "image")?, content(host).await?);
    let old = fetch::fetch(&image, None).await?.descriptor.media_type;
    let given = host.texts("media-type").pop().filter(|given| !given.is_empty());
    // What only the caller knows is taken on trust: nothing here can tell what such a document refers to.
    let is_known = given.as_deref().is_none_or(is_document);
    let media_type = given.or_else(|| media_type(&content)).unwrap_or(old);
    let root = draft::describe(host, &media_type, content).await?;
    let bundle = if is_known {
        fetch::parse("the new manifest", &root)?;
        whole(&image.repository, root, Rules::of(host)?.jobs).await?
    } else {
        Bundle { children: Vec::new(), root, blobs: Vec::new() }
    };
    take(host, image, bundle).await
}

/// What a manifest says that it is.
fn media_type(content: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(content).ok()?;
    Some(json.get("mediaType")?.as_str().filter(|media_type| !media_type.is_empty())?.to_owned())
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
