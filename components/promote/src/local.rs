//! Images of files and directories that arguments named without saying what is in them.

use steprun_ports::{Error, Failure, Host, ImageArgument, InputFile};

use crate::bundle::{Bundle, whole};
use crate::fetch;

/// The only image of a file or directory, as if an argument had named it; with `all`, the index of all images of a layout.
pub(crate) async fn image<H: Host>(file: &H::InputFile, all: bool) -> Result<ImageArgument<H::Repository>, Failure> {
    let name = file.name();
    let images = file.images().await;
    let repository = images.map_err(|error| Failure::because(format!("can't read {name}"), error))?;
    let tag = Some(if all { "*" } else { "latest" }.to_owned());
    Ok(ImageArgument { repository, typed: name, tag, digest: None })
}

/// The same with all that it refers to.
pub(crate) async fn bundle<H: Host>(file: &H::InputFile, all: bool) -> Result<Bundle<<H as Host>::Blob>, Failure> {
    use steprun_ports::Repository;
    let image = image::<H>(file, all).await?;
    let root = match image.repository.manifest(image.reference()).await {
        Err(Error::NotFound(_)) if all => {
            return Err(Failure::usage(format!("--index: {} holds no OCI layout", file.name())));
        }
        Err(error) => return Err(Failure::because(format!("can't read {}", file.name()), error)),
        Ok(root) => root,
    };
    fetch::parse(&file.name(), &root)?;
    whole(&image.repository, root, 1).await
}
