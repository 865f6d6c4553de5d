//! Commands that only read: `digest`, `manifest`, `config`, `ls`.

use steprun_ports::{Failure, Host, Repository};

use crate::arguments::{full_name, image, missing, one_platform, platform};
use crate::fetch;

pub(crate) async fn print(host: &impl Host, content: &[u8]) -> Result<(), Failure> {
    host.print(content).await.map_err(|error| Failure::because("can't write the result", error))
}

/// Without a platform a HEAD request does.
pub(crate) async fn digest<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let digest = match platform(host)? {
        Some(platform) => fetch::fetch(&image, Some(&platform)).await?.descriptor.digest,
        None => {
            let name = full_name(&image);
            let head = image.repository.head(image.reference()).await;
            let found = head.map_err(|error| Failure::because(format!("can't read {name}"), error))?;
            found.ok_or_else(|| Failure::failed(format!("{name} does not exist")))?.digest
        }
    };
    host.set("digest", &digest);
    let repository = if host.flag("full-ref") { format!("{}@", image.repository.name()) } else { String::new() };
    print(host, format!("{repository}{digest}\n").as_bytes()).await
}

pub(crate) async fn manifest<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let manifest = fetch::fetch(&image, platform(host)?.as_ref()).await?;
    print(host, &manifest.content).await
}

pub(crate) async fn config<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let found = fetch::one(&image, &one_platform(host)?).await?;
    print(host, &fetch::config(&image, &found.manifest).await?).await
}

pub(crate) async fn list<H: Host>(host: &H) -> Result<(), Failure> {
    let repository = host.repositories("repository").into_iter().next().ok_or_else(|| missing("repository"))?;
    let name = repository.name();
    let tags =
        repository.tags().await.map_err(|error| Failure::because(format!("can't list the tags of {name}"), error))?;
    let omit = host.flag("omit-digest-tags");
    let prefix = if host.flag("full-ref") { format!("{name}:") } else { String::new() };
    let shown = tags.iter().filter(|tag| !(omit && tag.starts_with("sha256-")));
    let lines: String = shown.map(|tag| format!("{prefix}{tag}\n")).collect();
    print(host, lines.as_bytes()).await
}
