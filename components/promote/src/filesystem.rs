//! Commands about the file system of an image: `export`, `files`, `cat`.

use serde_json::{Map, Value, json};
use steprun_image::{Manifest, Platform, media_type, time};
use steprun_ports::{Failure, FileKind, Host, ImageArgument, OutputFile, Repository, Snapshot};

use crate::arguments::{full_name, image, missing, one_platform, wants_json};
use crate::draft::Draft;
use crate::fetch;
use crate::query::print;
use crate::select;
use crate::walk::{self, File};

/// The file system of an image.
pub(crate) async fn of<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    platform: &Platform,
) -> Result<H::Snapshot, Failure> {
    let manifest = fetch::one(image, platform).await?.manifest;
    of_manifest(host, image, manifest).await
}

async fn of_manifest<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    manifest: Manifest,
) -> Result<H::Snapshot, Failure> {
    let name = full_name(image);
    let draft = Draft::read(&image.repository, &name, manifest).await?;
    let snapshot = host.from_layers(&draft.with_diff_ids()).await;
    snapshot.map_err(|error| Failure::because(format!("can't read the layers of {name}"), error))
}

/// All files of an image.
pub(crate) async fn files_of<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    platform: &Platform,
) -> Result<(H::Snapshot, Vec<File>), Failure> {
    let snapshot = of(host, image, platform).await?;
    let files = walk::walk(&snapshot).await;
    let files = files.map_err(|error| Failure::because(format!("can't list {}", full_name(image)), error))?;
    Ok((snapshot, files))
}

/// `export`: all of it as a tar archive. What is no file system but one blob of another type is written as it is, as crane does.
pub(crate) async fn export<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let file = host.output_files("tarball").into_iter().next().ok_or_else(|| missing("tarball"))?;
    let manifest = fetch::one(&image, &one_platform(host)?).await?.manifest;
    let written = match manifest.layers.as_slice() {
        [blob] if !media_type::is_layer(&blob.media_type) => {
            file.write_blob(&image.repository.blob(&blob.port())).await
        }
        _ => of_manifest(host, &image, manifest).await?.export(&file).await,
    };
    written.map_err(|error| Failure::because(format!("can't write {} to {}", full_name(&image), file.name()), error))
}

/// `files`: the paths, directories with a `/` behind them as `tar t` has it.
pub(crate) async fn files<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let (_, files) = files_of(host, &image, &one_platform(host)?).await?;
    let mut out = Vec::new();
    if wants_json(host) {
        let pointer = select::pointer(host)?;
        for file in &files {
            let mut object = Map::from_iter([("path".to_owned(), json!(file.path))]);
            object.extend(properties(file));
            let line = select::line(&Value::Object(object), pointer.as_deref());
            // Files of different kinds have different properties.
            out.extend_from_slice(line.unwrap_or_else(|_| "null\n".to_owned()).as_bytes());
        }
        return print(host, &out).await;
    }
    for file in &files {
        out.extend(walk::bytes(&file.path));
        out.extend_from_slice(if file.stat.kind == FileKind::Directory { b"/\n" } else { b"\n" });
    }
    print(host, &out).await
}

/// What a file is, but for its path.
pub(crate) fn properties(file: &File) -> Map<String, Value> {
    let stat = &file.stat;
    let kind = match stat.kind {
        FileKind::Regular => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::Fifo => "fifo",
        FileKind::Socket => "socket",
        FileKind::CharacterDevice => "character-device",
        FileKind::BlockDevice => "block-device",
    };
    let mut map = Map::new();
    map.insert("type".into(), kind.into());
    map.insert("mode".into(), format!("{:04o}", stat.mode).into());
    map.insert("uid".into(), stat.uid.into());
    map.insert("gid".into(), stat.gid.into());
    if stat.kind == FileKind::Regular {
        map.insert("size".into(), stat.size.into());
    }
    map.insert("modified".into(), time::format(stat.modified).into());
    map.extend(stat.target.iter().map(|target| ("target".to_owned(), target.as_str().into())));
    map.extend(file.link.iter().map(|link| ("link".to_owned(), link.as_str().into())));
    map
}

/// `cat`: the content of one file. Symlinks are followed.
pub(crate) async fn cat<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let path = host.texts("path").into_iter().next().ok_or_else(|| missing("path"))?;
    let file = host.output_files("file").pop().ok_or_else(|| missing("file"))?;
    let snapshot = of(host, &image, &one_platform(host)?).await?;
    let written = snapshot.write_file(&path, &file).await;
    written.map_err(|error| Failure::because(format!("can't read {path} of {}", full_name(&image)), error))
}
