//! `push`: the image of an archive or layout.

use steprun_ports::{Failure, Host, OutputFile, Repository};

use crate::arguments::{image, missing};
use crate::local;
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn push<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let file = host.input_files("path").pop().ok_or_else(|| missing("path"))?;
    let image = image(host, "image")?;
    let refs = host.output_files("image-refs").pop();
    let bundle = local::bundle::<H>(&file, host.flag("index")).await?;
    let made = format!("{}@{}\n", image.repository.name(), bundle.root.descriptor.digest);
    Target::<H>::image(image).take(host, bundle, rules).await?;
    let Some(refs) = refs else { return Ok(()) };
    let written = refs.write(made.as_bytes()).await;
    written.map_err(|error| Failure::because(format!("can't write {}", refs.name()), error))
}
