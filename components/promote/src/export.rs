//! `export`: the file system of an image as a tar archive.

use steprun_image::Config;
use steprun_ports::{Failure, Host, Layer, OutputFile, Repository, Snapshot};

use crate::arguments::{full_name, image, missing, one_platform};
use crate::fetch;

pub(crate) async fn export<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let name = full_name(&image);
    let file = host.output_files("tarball").into_iter().next().ok_or_else(|| missing("tarball"))?;
    let found = fetch::one(&image, &one_platform(host)?).await?;
    let config = fetch::config(&image, &found.manifest).await?;
    let config = Config::parse(&config).map_err(|error| fetch::malformed(&name, &error))?;
    let layers = found.manifest.layers;
    if layers.len() != config.diff_ids.len() {
        let (layers, diff_ids) = (layers.len(), config.diff_ids.len());
        return Err(Failure::failed(format!("{name} has {layers} layers and {diff_ids} diff IDs")));
    }
    let with_diff_id = |(layer, diff_id): (&steprun_image::Descriptor, &String)| Layer {
        blob: image.repository.blob(&layer.port()),
        diff_id: diff_id.clone(),
    };
    let layers: Vec<_> = layers.iter().zip(&config.diff_ids).map(with_diff_id).collect();
    let snapshot = host.from_layers(&layers).await;
    let snapshot = snapshot.map_err(|error| Failure::because(format!("can't read the layers of {name}"), error))?;
    let written = snapshot.export(&file).await;
    written.map_err(|error| Failure::because(format!("can't write {name} to {}", file.name()), error))
}
