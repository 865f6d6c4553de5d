//! `push`: the image of an archive.

use steprun_ports::{Failure, Host};

use crate::archive::Archive;
use crate::arguments::{image, missing};
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn push<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let file = host.input_files("path").pop().ok_or_else(|| missing("path"))?;
    let image = image(host, "image")?;
    let bundle = Archive::open(host, &file).await?.image(host.flag("index")).await?;
    Target::<H>::image(image).take(host, bundle, rules).await
}
