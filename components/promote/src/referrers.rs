//! Manifests that name others as their subject: `referrers`, `tree`, `copy --referrers`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steprun_image::Document;
use steprun_ports::{Failure, Host, ImageArgument, Manifest, Referrer, Repository, concurrently};

use crate::arguments::{image, jobs, platform, wants_json};
use crate::bundle::{Bundle, whole};
use crate::copy::{Options, Pair, chosen, copy_images};
use crate::fetch;
use crate::query::{print, print_json};

/// `referrers`: a line for each.
pub(crate) async fn list<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let root = fetch::fetch(&image, platform(host)?.as_ref()).await?;
    let kinds = host.texts("artifact-type");
    let mut found = of(&image.repository, &root.descriptor.digest).await?;
    found.retain(|referrer| {
        kinds.is_empty() || referrer.artifact_type.as_ref().is_some_and(|kind| kinds.contains(kind))
    });
    if wants_json(host) {
        return print_json(host, &found.iter().map(described).collect()).await;
    }
    let lines: String = found.iter().map(|referrer| format!("{}\n", line(referrer))).collect();
    print(host, lines.as_bytes()).await
}

async fn of<R: Repository>(repository: &R, digest: &str) -> Result<Vec<Referrer>, Failure> {
    let found = repository.referrers(digest).await;
    found
        .map_err(|error| Failure::because(format!("can't list the referrers of {}@{digest}", repository.name()), error))
}

fn line(referrer: &Referrer) -> String {
    format!("{} {}", referrer.descriptor.digest, kind(referrer))
}

/// What it says that it is: some tools state it in the manifest only, and registries differ in what they list.
fn kind(referrer: &Referrer) -> &str {
    referrer.artifact_type.as_deref().unwrap_or(&referrer.descriptor.media_type)
}

fn described(referrer: &Referrer) -> Value {
    let Referrer { descriptor, artifact_type, annotations } = referrer;
    let annotations: serde_json::Map<String, Value> =
        annotations.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({
        "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size,
        "artifactType": artifact_type, "annotations": annotations,
    })
}

/// A manifest in a tree.
struct Node {
    digest: String,
    /// Platform of an image, type of what refers to one.
    label: String,
    below: Vec<Node>,
}

/// `tree`: an image, the images of an index, and what refers to each.
pub(crate) async fn tree<H: Host>(host: &H) -> Result<(), Failure> {
    let image = image(host, "image")?;
    let root = fetch::fetch(&image, None).await?;
    let name = format!("{}@{}", image.repository.name(), root.descriptor.digest);
    let mut below = Vec::new();
    if let Document::Index(index) = fetch::parse(&name, &root)? {
        let entry = async |entry: steprun_image::Descriptor| {
            let below = referring(&image.repository, &entry.digest).await?;
            let label = entry.platform.map_or(entry.media_type, |platform| platform.to_string());
            Ok::<_, Failure>(Node { digest: entry.digest, label, below })
        };
        below = concurrently(jobs(host)?, index.manifests, entry).await?;
    }
    below.extend(referring(&image.repository, &root.descriptor.digest).await?);
    if wants_json(host) {
        let tree = Node { digest: root.descriptor.digest, label: root.descriptor.media_type, below };
        return print_json(host, &tree.json()).await;
    }
    let mut text = format!("{name}\n");
    draw(&below, "", &mut text);
    print(host, text.as_bytes()).await
}

/// What refers to a manifest, and to that in turn. It ends: a manifest's digest covers that of its subject.
async fn referring<R: Repository>(repository: &R, digest: &str) -> Result<Vec<Node>, Failure> {
    let mut nodes = Vec::new();
    for referrer in of(repository, digest).await? {
        let below = Box::pin(referring(repository, &referrer.descriptor.digest)).await?;
        nodes.push(Node { label: kind(&referrer).to_owned(), digest: referrer.descriptor.digest, below });
    }
    Ok(nodes)
}

impl Node {
    fn json(&self) -> Value {
        json!({"digest": self.digest, "kind": self.label, "below": self.below.iter().map(Self::json).collect::<Vec<_>>()})
    }
}

fn draw(nodes: &[Node], indent: &str, text: &mut String) {
    for (number, node) in nodes.iter().enumerate() {
        let (branch, stem) = if number + 1 == nodes.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        text.push_str(&format!("{indent}{branch}{} {}\n", node.digest, node.label));
        draw(&node.below, &format!("{indent}{stem}"), text);
    }
}

/// Copies what refers to a copied image or to what its index names, and what refers to that.
pub(crate) async fn copy<H: Host>(
    host: &H,
    (source, destination): &Pair<H::Repository>,
    options: &Options,
) -> Result<(), Failure> {
    let (from, to) = (&source.repository, &destination.repository);
    if from.name() == to.name() {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    let mut subjects = digests(from, chosen(host, source, &options.platforms).await?, options.rules.jobs).await?;
    let options = Options { platforms: Vec::new(), ..*options };
    while !subjects.is_empty() {
        subjects.retain(|digest| seen.insert(digest.clone()));
        let found = concurrently(options.rules.jobs, &subjects, |digest| of(from, digest)).await?;
        let found: BTreeSet<String> = found.into_iter().flatten().map(|referrer| referrer.descriptor.digest).collect();
        let named = |repository: &H::Repository, digest: &String| ImageArgument {
            repository: repository.clone(),
            typed: format!("{}@{digest}", repository.name()),
            tag: None,
            digest: Some(digest.clone()),
        };
        let pairs: Vec<_> = found.iter().map(|digest| (named(from, digest), named(to, digest))).collect();
        copy_images(host, &pairs, &options).await?;
        subjects = found.into_iter().collect();
    }
    Ok(())
}

/// A manifest and all manifests below it.
async fn digests<R: Repository>(repository: &R, root: Manifest, jobs: usize) -> Result<Vec<String>, Failure> {
    let Bundle { children, root, .. } = whole(repository, root, jobs).await?;
    Ok(children.into_iter().chain([root]).map(|manifest| manifest.descriptor.digest).collect())
}
