//! Commands that print what a registry says: `digest`, `manifest`, `config`, `ls`, `version`.

use serde_json::{Value, json};
use steprun_image::Document;
use steprun_ports::{Descriptor, Failure, Host, ImageArgument, Repository};

use crate::arguments::{full_name, image, missing, one_platform, platform, wants_json};
use crate::{draft, fetch, local, select};

pub(crate) async fn print(host: &impl Host, content: &[u8]) -> Result<(), Failure> {
    host.print(content).await.map_err(|error| Failure::because("can't write the result", error))
}

/// A JSON document, or the part of it that is wanted, on a line of its own.
pub(crate) async fn print_json(host: &impl Host, value: &Value) -> Result<(), Failure> {
    let pointer = select::pointer(host)?;
    print(host, select::line(value, pointer.as_deref())?.as_bytes()).await
}

pub(crate) async fn version(host: &impl Host) -> Result<(), Failure> {
    print(host, concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes()).await
}

pub(crate) async fn digest<H: Host>(host: &H) -> Result<(), Failure> {
    let (image, tarball) = (host.images("image").pop(), host.input_files("tarball").pop());
    let (Descriptor { media_type, digest, size }, repository) = match (image, tarball) {
        (Some(image), None) => (described(host, &image).await?, Some(image.repository.name())),
        (None, Some(file)) if !host.flag("full-ref") => {
            (fetch::fetch(&local::image::<H>(&file, false).await?, None).await?.descriptor, None)
        }
        (None, Some(_)) => return Err(Failure::usage("--full-ref is for images of registries")),
        (Some(_), Some(_)) => return Err(Failure::usage("IMAGE and --tarball are two images, and one is needed")),
        (None, None) => return Err(missing("IMAGE")),
    };
    host.set("digest", &digest);
    let full = repository.map(|repository| format!("{repository}@{digest}"));
    if wants_json(host) {
        return print_json(host, &json!({"image": full, "mediaType": media_type, "digest": digest, "size": size}))
            .await;
    }
    let shown = full.filter(|_| host.flag("full-ref")).unwrap_or(digest);
    print(host, format!("{shown}\n").as_bytes()).await
}

/// Without a platform a HEAD request does.
async fn described<H: Host>(host: &H, image: &ImageArgument<H::Repository>) -> Result<Descriptor, Failure> {
    if let Some(platform) = platform(host)? {
        return Ok(fetch::fetch(image, Some(&platform)).await?.descriptor);
    }
    let name = full_name(image);
    let head = image.repository.head(image.reference()).await;
    let found = head.map_err(|error| Failure::because(format!("can't read {name}"), error))?;
    found.ok_or_else(|| Failure::failed(format!("{name} does not exist")))
}

pub(crate) async fn manifest<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let manifest = fetch::fetch(&image, platform(host)?.as_ref()).await?;
    if wants_json(host) {
        let document = fetch::parse(&full_name(&image), &manifest)?;
        return print_json(host, &summary(&manifest.descriptor, &document)).await;
    }
    print(host, &manifest.content).await
}

/// What a manifest or index is about, in few words.
fn summary(Descriptor { media_type, digest, size }: &Descriptor, document: &Document) -> Value {
    let mut summary = json!({"mediaType": media_type, "digest": digest, "size": size});
    match document {
        Document::Index(index) => {
            summary["manifests"] = index.manifests.iter().map(entry).collect();
            summary["annotations"] = json!(index.annotations);
        }
        Document::Manifest(manifest) => {
            summary["config"] = entry(&manifest.config);
            summary["layers"] = manifest.layers.iter().map(entry).collect();
            summary["annotations"] = json!(manifest.annotations);
        }
    }
    summary
}

/// An entry of a manifest or index, for programs.
pub(crate) fn entry(descriptor: &steprun_image::Descriptor) -> Value {
    let steprun_image::Descriptor { media_type, digest, size, platform, .. } = descriptor;
    let mut entry = json!({"digest": digest, "mediaType": media_type, "size": size});
    if let Some(platform) = platform {
        entry["platform"] = platform.to_string().into();
    }
    entry
}

pub(crate) async fn config<H: Host>(host: &H) -> Result<(), Failure> {
    let (image, platform) = (image(host, "image")?, one_platform(host)?);
    let name = full_name(&image);
    let found = fetch::one(&image, &platform).await?;
    let config = draft::read_config(&image.repository.blob(&found.manifest.config.port()), &name).await?;
    if !wants_json(host) {
        return print(host, &config).await;
    }
    let parsed: serde_json::Result<Value> = serde_json::from_slice(&config);
    let value = parsed.map_err(|error| Failure::failed(format!("the config of {name} is no JSON: {error}")))?;
    print_json(host, &value).await
}

pub(crate) async fn list<H: Host>(host: &H) -> Result<(), Failure> {
    let repository = host.repositories("repository").into_iter().next().ok_or_else(|| missing("repository"))?;
    let name = repository.name();
    let tags = tags(&repository).await?;
    let omit = host.flag("omit-digest-tags");
    let shown = tags.iter().filter(|tag| !(omit && tag.starts_with("sha256-")));
    if wants_json(host) {
        let tags: Vec<&String> = shown.collect();
        // As the registry itself answers (distribution-spec, "Content Discovery"), with the registry's name.
        return print_json(host, &json!({"name": name, "tags": tags})).await;
    }
    let prefix = if host.flag("full-ref") { format!("{name}:") } else { String::new() };
    let lines: String = shown.map(|tag| format!("{prefix}{tag}\n")).collect();
    print(host, lines.as_bytes()).await
}

/// All tags of a repository.
pub(crate) async fn tags<R: Repository>(repository: &R) -> Result<Vec<String>, Failure> {
    let tags = repository.tags().await;
    tags.map_err(|error| Failure::because(format!("can't list the tags of {}", repository.name()), error))
}
