//! `blob`: the bytes of a blob.

use steprun_ports::{Failure, Host, OutputFile, Repository};

use crate::arguments::{full_name, image, missing};

pub(crate) async fn blob<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "blob")?;
    let file = host.output_files("file").pop().ok_or_else(|| missing("file"))?;
    let Some(digest) = &image.digest else {
        let failure = Failure::usage(format!("`{}` names no blob", image.typed));
        return Err(failure.hint("a blob is named by its digest: registry.example/app@sha256:..."));
    };
    let name = full_name(&image);
    let reading = |error| Failure::because(format!("can't read {name}"), error);
    let blob = image.repository.find_blob(digest).await.map_err(reading)?;
    let blob = blob.ok_or_else(|| Failure::failed(format!("{name} does not exist")))?;
    file.write_blob(&blob).await.map_err(reading)
}
