//! `append`: layers on top of an image, or of every image of an index.

use steprun_image::History;
use steprun_ports::{Failure, Host, InputFile, Layer, Level};

use crate::annotation;
use crate::arguments::{full_name, one_platform, platform};
use crate::bundle::Bundle;
use crate::draft::Draft;
use crate::rewrite::{Original, rewrite};
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn append<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let target = Target::given(host, "new_tag");
    let target = target.ok_or_else(|| Failure::usage("one of --new_tag and --output is needed"))?;
    let one = one_platform(host)?;
    let layers = import(host, "new_layer").await?;
    let bundle = match host.images("base").pop() {
        Some(base) => {
            // An archive for `docker load` holds one image.
            let platform = if target.is_file() { Some(one) } else { platform(host)? };
            let name = base.digest.is_none().then(|| full_name(&base));
            let annotate = host.flag("set-base-image-annotations");
            let change = async |Original { digest, mut draft, .. }: Original<H::Blob>| {
                if annotate {
                    annotation::set_base(&mut draft.manifest.annotations, name.as_deref(), &digest);
                }
                add_all(&mut draft, &layers);
                Ok(draft)
            };
            rewrite(host, &base, platform.as_ref(), rules.jobs, change).await?
        }
        None => {
            host.log(Level::Warning, "there is no --base: the layers make an image of their own");
            let mut draft = Draft::empty(one, host.flag("oci-empty-base"));
            add_all(&mut draft, &layers);
            Bundle::from(draft.finish(host).await?)
        }
    };
    target.take(host, bundle, rules).await
}

/// The archives that an argument names, as layers.
pub(crate) async fn import<H: Host>(host: &H, argument: &str) -> Result<Vec<Layer<H::Blob>>, Failure> {
    let mut layers = Vec::new();
    for file in host.input_files(argument) {
        let layer = host.import_layer(&file).await;
        layers.push(layer.map_err(|error| Failure::because(format!("can't add {} as a layer", file.name()), error))?);
    }
    Ok(layers)
}

/// Adds layers without a time: the same base and layers give the same image.
pub(crate) fn add_all<B: steprun_ports::Blob>(draft: &mut Draft<B>, layers: &[Layer<B>]) {
    for layer in layers {
        draft.add(layer.clone(), History::new(None, "append", false));
    }
}
