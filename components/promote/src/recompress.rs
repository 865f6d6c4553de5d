//! `copy --recompress`: layers compressed in another way.

use steprun_image::{Document, media_type};
use steprun_ports::{Blob, Failure, Host, ImageArgument, LayerCompression};

use crate::bundle::{Bundle, whole};
use crate::draft::Draft;
use crate::fetch;
use crate::rewrite::{Original, rewrite};
use steprun_image::Platform;

/// What was asked for.
pub(crate) fn wanted(host: &impl Host) -> Option<LayerCompression> {
    host.texts("recompress")
        .pop()
        .map(|word| if word == "zstd" { LayerCompression::Zstd } else { LayerCompression::Gzip })
}

/// An image whose layers all have a compression; none if they have it as they are, so that the image keeps its bytes.
pub(crate) async fn recompressed<H: Host>(
    host: &H,
    image: &ImageArgument<H::Repository>,
    platform: Option<&Platform>,
    to: LayerCompression,
    jobs: usize,
) -> Result<Option<Bundle<H::Blob>>, Failure> {
    let root = fetch::fetch(image, platform).await?;
    let Bundle { children, root, .. } = whole(&image.repository, root, jobs).await?;
    let mut wanting = false;
    for manifest in children.iter().chain([&root]) {
        if let Document::Manifest(manifest) = fetch::parse(&image.typed, manifest)? {
            wanting |= manifest.is_image() && manifest.layers.iter().any(|layer| lacks(&layer.media_type, to));
        }
    }
    if !wanting {
        return Ok(None);
    }
    let change = async |original: Original<H::Blob>| change(host, original, to).await;
    rewrite(host, image, platform, jobs, change).await.map(Some)
}

async fn change<H: Host>(
    host: &H,
    Original { name, mut draft, .. }: Original<H::Blob>,
    to: LayerCompression,
) -> Result<Draft<H::Blob>, Failure> {
    let blobs = std::mem::take(&mut draft.layers);
    let layers = std::mem::take(&mut draft.manifest.layers);
    for (descriptor, blob) in layers.into_iter().zip(blobs) {
        if !lacks(&descriptor.media_type, to) {
            draft.add_described(descriptor, blob);
            continue;
        }
        let packed = host.recompress(&blob, to).await;
        let packed = packed
            .map_err(|error| Failure::because(format!("can't recompress {} of {name}", descriptor.digest), error))?;
        draft.add_described(descriptor.replaced_by(&packed.descriptor()), packed);
    }
    Ok(draft)
}

/// Whether a layer is to be compressed in another way. One that may not be distributed stays as it is.
fn lacks(kind: &str, wanted: LayerCompression) -> bool {
    let suffixes = match wanted {
        LayerCompression::Gzip => ["+gzip", ".gzip"],
        LayerCompression::Zstd => ["+zstd", ".zstd"],
    };
    !media_type::is_foreign(kind) && kind.contains(".tar") && !suffixes.iter().any(|suffix| kind.ends_with(suffix))
}
