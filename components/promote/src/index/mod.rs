//! Commands about indexes: `index-append`, `index-filter`, `index-list`.

mod append;
mod filter;
mod list;

pub(crate) use append::append;
pub(crate) use filter::filter;
pub(crate) use list::list;

use steprun_image::{Document, Index};
use steprun_ports::{Failure, Host, ImageArgument, Repository, concurrently};

use crate::arguments::full_name;
use crate::bundle::{Bundle, is_document, whole};
use crate::fetch;
use crate::rewrite::finish_index;

/// The index that an argument names.
async fn read<R: Repository>(image: &ImageArgument<R>) -> Result<Index, Failure> {
    let name = full_name(image);
    let manifest = fetch::fetch(image, None).await?;
    match fetch::parse(&name, &manifest)? {
        Document::Index(index) => Ok(*index),
        Document::Manifest(_) => Err(Failure::failed(format!("{name} is no index, but a single image"))),
    }
}

/// Entries of a new index, and where they come from.
struct Part<R> {
    from: R,
    entries: Vec<steprun_image::Descriptor>,
}

/// An index of these parts, for a repository. What it names there already is not read again.
async fn finish<H: Host>(
    host: &H,
    mut index: Index,
    parts: Vec<Part<H::Repository>>,
    to: &H::Repository,
    jobs: usize,
) -> Result<Bundle<H::Blob>, Failure> {
    let (mut children, mut blobs) = (Vec::new(), Vec::new());
    for Part { from, entries } in parts {
        if from.name() != to.name() {
            let (documents, others): (Vec<_>, Vec<_>) =
                entries.iter().partition(|entry| is_document(&entry.media_type));
            let read = async |entry: &steprun_image::Descriptor| {
                whole(&from, fetch::by_digest(&from, &entry.digest).await?, jobs).await
            };
            for bundle in concurrently(jobs, documents, read).await? {
                Bundle::absorb(&mut children, &mut blobs, bundle);
            }
            blobs.extend(others.iter().map(|other| from.blob(&other.port())));
        }
        index.manifests.extend(entries);
    }
    let root = finish_index(host, index).await?;
    Ok(Bundle { children, root, blobs })
}
