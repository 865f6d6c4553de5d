//! Commands that change what tags stand for: `tag`, `delete`.

use steprun_ports::{Failure, Host, Repository};

use crate::arguments::{full_name, image};
use crate::fetch::fetch;

/// Puts the image's manifest under each tag. The blobs are there, since the manifest is.
pub(crate) async fn tag<H: Host>(host: &H) -> Result<(), Failure> {
    let tags = host.texts("tag");
    tags.iter().try_for_each(|tag| check_tag(tag))?;
    let image = image(host, "image")?;
    let manifest = fetch(&image, None).await?;
    for tag in &tags {
        let put = image.repository.put_manifest(tag, &manifest.descriptor.media_type, &manifest.content).await;
        put.map_err(|error| Failure::because(format!("can't tag {} as {tag}", full_name(&image)), error))?;
    }
    Ok(())
}

/// A tag as the distribution-spec has it: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn check_tag(tag: &str) -> Result<(), Failure> {
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let other = |byte: &u8| first(byte) || b".-".contains(byte);
    let well_formed =
        tag.as_bytes().first().is_some_and(first) && tag.bytes().all(|byte| other(&byte)) && tag.len() <= 128;
    if well_formed {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{tag}` is no tag"));
    Err(failure.hint("a tag has up to 128 letters, digits, `_`, `.` and `-`, and stands without the repository's name"))
}

pub(crate) async fn delete<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let deleted = image.repository.delete_manifest(image.reference()).await;
    deleted.map_err(|error| Failure::because(format!("can't delete {}", full_name(&image)), error))
}
