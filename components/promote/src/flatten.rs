//! `flatten`: all layers of an image as one.

use steprun_image::History;
use steprun_ports::{Failure, Host, Snapshot, Source, Tree};

use crate::arguments::{image, platform};
use crate::draft::Draft;
use crate::rewrite::{Original, rewrite};
use crate::target::Target;
use crate::transfer::Rules;
use crate::walk::{File, walk};

pub(crate) async fn flatten<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let image = image(host, "image")?;
    let change = async |original| flattened(host, original).await;
    let bundle = rewrite(host, &image, platform(host)?.as_ref(), rules.jobs, change).await?;
    let target = host.images("tag").pop().map_or_else(|| Target::image(image), Target::image);
    target.take(host, bundle, rules).await
}

/// The image with one layer. Its history says what it was, as crane's does: the digest, and the old history as the comment.
async fn flattened<H: Host>(host: &H, original: Original<H::Blob>) -> Result<Draft<H::Blob>, Failure> {
    let Original { name, digest, mut draft } = original;
    let failed = |error| Failure::because(format!("can't flatten {name}"), error);
    let snapshot = host.from_layers(&draft.with_diff_ids()).await.map_err(failed)?;
    let root = File { path: String::new(), stat: snapshot.stat("", true).await.map_err(failed)?, link: None };
    let files = walk(&snapshot).await.map_err(failed)?;
    let entries = std::iter::once(root).chain(files).filter_map(|file| file.into_change(0)).collect();
    let flat = host.scratch().extend(&[Source::Snapshot(snapshot)], entries).await.map_err(failed)?;
    let layer = flat.pack(true).await.map_err(failed)?;
    let history = draft.config.history_json();
    draft.clear_layers();
    // An image without files has no layer either.
    if let Some(layer) = layer {
        draft.add(layer, History::new(None, &format!("flatten {digest}"), false).comment(&history));
    }
    Ok(draft)
}
