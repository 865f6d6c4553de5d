//! `rebase`: an image, or every image of an index, on a newer base.

use steprun_image::{Manifest, Platform};
use steprun_ports::{Failure, Host, ImageArgument, Repository};

use crate::annotation::{self, BASE_DIGEST, BASE_NAME};
use crate::arguments::{full_name, missing, platform};
use crate::draft::Draft;
use crate::fetch;
use crate::rewrite::{Original, rewrite};
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn rebase<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    // `--original` and `--rebased` are crane's old names of IMAGE and --tag.
    let image = match (host.images("image").pop(), host.images("original").pop()) {
        (Some(image), None) | (None, Some(image)) => image,
        (Some(_), Some(_)) => return Err(Failure::usage("IMAGE is given twice: --original is its old name")),
        (None, None) => return Err(missing("IMAGE")),
    };
    let bases = Bases { old: host.images("old_base").pop(), new: host.images("new_base").pop() };
    let change = async |original| rebased(host, &bases, original).await;
    let bundle = rewrite(host, &image, platform(host)?.as_ref(), rules.jobs, change).await?;
    let target = host.images("tag").pop().map_or_else(|| Target::image(image), Target::image);
    target.take(host, bundle, rules).await
}

/// The bases that arguments name.
struct Bases<R> {
    old: Option<ImageArgument<R>>,
    new: Option<ImageArgument<R>>,
}

/// The base of one image.
struct Base<R: Repository> {
    name: String,
    draft: Draft<R::Blob>,
}

async fn rebased<H: Host>(
    host: &H,
    bases: &Bases<H::Repository>,
    original: Original<H::Blob>,
) -> Result<Draft<H::Blob>, Failure> {
    let Original { name, draft: top, .. } = original;
    let (old, new) = bases.of(host, &name, &top.manifest).await?;
    let old = base(&old, &top.config.platform).await?;
    check_based(&name, &top, &old)?;
    // The annotation is what was named, so that it leads to a newer one for each platform.
    let head = new.repository.head(new.reference()).await;
    let head = head.map_err(|error| Failure::because(format!("can't read {}", full_name(&new)), error))?;
    let digest = head.ok_or_else(|| Failure::failed(format!("{} does not exist", full_name(&new))))?.digest;
    let new_name = new.digest.is_none().then(|| full_name(&new));
    let new = base(&new, &top.config.platform).await?;
    let mut draft = joined(top, &old.draft, new.draft);
    annotation::set_base(&mut draft.manifest.annotations, new_name.as_deref(), &digest);
    Ok(draft)
}

impl<R: Repository> Bases<R> {
    /// The old and the new base of an image: those given, else those of its annotations.
    async fn of<H: Host<Repository = R>>(
        &self,
        host: &H,
        name: &str,
        manifest: &Manifest,
    ) -> Result<(ImageArgument<R>, ImageArgument<R>), Failure> {
        let annotation = |key: &str, option: &str| {
            let found = manifest.annotations.get(key).cloned();
            found.ok_or_else(|| {
                let message = format!("{name} doesn't say what it is based on: it has no annotation `{key}`");
                Failure::failed(message).hint(format!("name the base by --{option}"))
            })
        };
        let new = match &self.new {
            Some(new) => new.clone(),
            None => resolve(host, &annotation(BASE_NAME, "new_base")?).await?,
        };
        let old = match &self.old {
            Some(old) => old.clone(),
            None => {
                let digest = annotation(BASE_DIGEST, "old_base")?;
                ImageArgument { typed: digest.clone(), tag: None, digest: Some(digest), ..new.clone() }
            }
        };
        Ok((old, new))
    }
}

async fn resolve<H: Host>(host: &H, name: &str) -> Result<ImageArgument<H::Repository>, Failure> {
    let resolved = host.resolve(name).await;
    let resolved = resolved.map_err(|error| Failure::because(format!("can't use the base {name}"), error))?;
    Ok(ImageArgument {
        repository: resolved.repository,
        typed: name.into(),
        tag: resolved.tag,
        digest: resolved.digest,
    })
}

async fn base<R: Repository>(image: &ImageArgument<R>, platform: &Platform) -> Result<Base<R>, Failure> {
    let fetch::Image { digest, manifest, .. } = fetch::one(image, platform).await?;
    let name = format!("{}@{digest}", image.repository.name());
    let draft = Draft::read(&image.repository, &name, manifest).await?;
    Ok(Base { name, draft })
}

/// Fails unless the layers of the base are the first of the image.
fn check_based<R: Repository>(name: &str, image: &Draft<R::Blob>, base: &Base<R>) -> Result<(), Failure> {
    // Compression may differ: what counts is what the layers hold.
    if image.config.diff_ids.starts_with(&base.draft.config.diff_ids) {
        return Ok(());
    }
    let (own, other) = (image.config.diff_ids.iter(), base.draft.config.diff_ids.iter());
    let same = own.zip(other).take_while(|(own, other)| own == other).count();
    let failure = Failure::failed(format!("{name} is not based on {}: layer {} is another one", base.name, same + 1));
    Err(failure.hint("name the base that it was built on by --old_base"))
}

/// The new base's layers and history, and on them what the image had above its old base.
fn joined<B: steprun_ports::Blob>(top: Draft<B>, old: &Draft<B>, new: Draft<B>) -> Draft<B> {
    let Draft { manifest, mut config, layers } = top;
    let own_layers: Vec<_> = manifest.layers.iter().cloned().zip(layers).skip(old.layers.len()).collect();
    let diff_ids = chain(&new.config.diff_ids, &config.diff_ids, old.config.diff_ids.len());
    let history = chain(&new.config.history, &config.history, old.config.history.len());
    config.platform = new.config.platform;
    let mut draft = Draft { manifest, config, layers: Vec::new() };
    draft.clear_layers();
    for (descriptor, blob) in new.manifest.layers.into_iter().zip(new.layers).chain(own_layers) {
        draft.add_described(descriptor, blob);
    }
    draft.config.diff_ids = diff_ids;
    draft.config.history = history;
    draft
}

fn chain<T: Clone>(base: &[T], image: &[T], skipped: usize) -> Vec<T> {
    base.iter().chain(image.iter().skip(skipped)).cloned().collect()
}
