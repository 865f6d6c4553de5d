//! `index-append`: images added to an index.

use std::collections::BTreeSet;

use steprun_image::{Descriptor, Document, Index, media_type};
use steprun_ports::{Failure, Host, ImageArgument, Repository};

use super::{Part, finish};
use crate::arguments::full_name;
use crate::draft::Draft;
use crate::fetch;
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn append<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let (base, tag) = (host.images("base").pop(), host.images("tag").pop());
    let to = tag.or_else(|| base.clone());
    let to = to.ok_or_else(|| Failure::usage("one of BASE and --tag is needed: the index must go somewhere"))?;
    let (index, mut parts) = match &base {
        Some(base) => {
            let mut index = super::read(base).await?;
            let entries = std::mem::take(&mut index.manifests);
            (index, vec![Part { from: base.repository.clone(), entries }])
        }
        None => (empty(host.flag("docker-empty-base")), Vec::new()),
    };
    let mut known: BTreeSet<String> =
        parts.iter().flat_map(|part| &part.entries).map(|entry| entry.digest.clone()).collect();
    let flatten = host.flag("flatten");
    for image in host.images("manifest") {
        let mut entries = entries(&image, flatten).await?;
        entries.retain(|entry| known.insert(entry.digest.clone()));
        parts.push(Part { from: image.repository, entries });
    }
    let bundle = finish(host, index, parts, &to.repository, rules.jobs).await?;
    Target::<H>::image(to).take(host, bundle, rules).await
}

fn empty(docker: bool) -> Index {
    let mut index = Index::new(Vec::new());
    if docker {
        index.media_type = media_type::DOCKER_INDEX.into();
    }
    index
}

/// What an image adds: itself with its platform; of an index its entries, unless it is to stay whole.
async fn entries<R: Repository>(image: &ImageArgument<R>, flatten: bool) -> Result<Vec<Descriptor>, Failure> {
    let name = full_name(image);
    let manifest = fetch::fetch(image, None).await?;
    let mut entry = Descriptor::from(manifest.descriptor.clone());
    match fetch::parse(&name, &manifest)? {
        Document::Index(index) if flatten => return Ok(index.manifests),
        Document::Index(_) => {}
        Document::Manifest(manifest) if manifest.is_image() => {
            entry.platform = Some(Draft::read(&image.repository, &name, *manifest).await?.config.platform);
        }
        Document::Manifest(_) => {}
    }
    Ok(vec![entry])
}
