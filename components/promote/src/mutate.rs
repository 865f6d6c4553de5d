//! `mutate`: an image, or every image of an index, with other metadata and more layers.

use std::collections::BTreeMap;

use steprun_image::{Config, ContainerConfig, Document, Platform, media_type};
use steprun_ports::{Failure, Host, ImageArgument, Layer};

use crate::append::{add_all, import};
use crate::arguments::{image, one_platform, platform};
use crate::bundle::Bundle;
use crate::draft::{self, Draft};
use crate::fetch;
use crate::list;
use crate::rewrite::{Original, rewrite};
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn mutate<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let image = image(host, "image")?;
    let target = target(host, &image)?;
    let edits = Edits::read(host).await?;
    // An archive for `docker load` holds one image.
    let platform = if target.is_file() { Some(one_platform(host)?) } else { platform(host)? };
    let change = async |original: Original<H::Blob>| Ok(edits.apply(original.draft));
    let mut bundle = rewrite(host, &image, platform.as_ref(), rules.jobs, change).await?;
    if media_type::is_index(&bundle.root.descriptor.media_type) {
        edits.annotate_index(host, &mut bundle).await?;
    }
    target.take(host, bundle, rules).await
}

/// Where the result goes: over what was read, unless another place is given.
fn target<H: Host>(host: &H, image: &ImageArgument<H::Repository>) -> Result<Target<H>, Failure> {
    let given = Target::given(host, "tag");
    match (given, host.repositories("repo").pop()) {
        (Some(_), Some(_)) => {
            Err(Failure::usage("--repo puts the result there by its digest: it goes with neither --tag nor --output"))
        }
        (Some(target), None) => Ok(target),
        (None, Some(repository)) => Ok(Target::Repository(repository, None)),
        (None, None) => Ok(Target::image(image.clone())),
    }
}

/// What is to be changed. Lists that are empty change nothing.
struct Edits<B> {
    layers: Vec<Layer<B>>,
    annotations: BTreeMap<String, String>,
    labels: Vec<(String, String)>,
    env: Vec<(String, String)>,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    ports: Vec<String>,
    user: Option<String>,
    working_dir: Option<String>,
    platform: Option<Platform>,
}

impl<B: steprun_ports::Blob> Edits<B> {
    async fn read<H: Host<Blob = B>>(host: &H) -> Result<Self, Failure> {
        let filled = |option| host.texts(option).pop().filter(|text| !text.is_empty());
        let wrong = |error| Failure::usage(format!("--set-platform: {error}"));
        Ok(Self {
            annotations: list::pairs(host, "annotation")?.into_iter().collect(),
            labels: list::pairs(host, "label")?,
            env: env(host)?,
            entrypoint: list::items(host, "entrypoint")?,
            cmd: list::items(host, "cmd")?,
            ports: list::items(host, "exposed-ports")?,
            user: filled("user"),
            working_dir: filled("workdir"),
            platform: filled("set-platform").map(|typed| typed.parse().map_err(wrong)).transpose()?,
            layers: import(host, "append").await?,
        })
    }

    fn apply(&self, mut draft: Draft<B>) -> Draft<B> {
        add_all(&mut draft, &self.layers);
        draft.manifest.annotations.extend(self.annotations.clone());
        let Config { container, platform, .. } = &mut draft.config;
        self.set_command(container);
        self.labels.iter().for_each(|(name, value)| drop(container.labels.insert(name.clone(), value.clone())));
        self.env.iter().for_each(|(name, value)| container.set_env(name, value));
        if !self.ports.is_empty() {
            container.exposed_ports = self.ports.iter().cloned().collect();
        }
        if self.user.is_some() {
            container.user.clone_from(&self.user);
        }
        if self.working_dir.is_some() {
            container.working_dir.clone_from(&self.working_dir);
        }
        if let Some(wanted) = &self.platform {
            *platform = wanted.clone();
        }
        draft
    }

    /// A new entrypoint clears the command, as with Docker: it was made for the old one.
    fn set_command(&self, container: &mut ContainerConfig) {
        if !self.entrypoint.is_empty() {
            container.entrypoint = Some(self.entrypoint.clone());
            container.cmd = None;
        }
        if !self.cmd.is_empty() {
            container.cmd = Some(self.cmd.clone());
        }
    }

    /// Gives the index the annotations of its images, and makes sure that they are still for several platforms.
    async fn annotate_index<H: Host<Blob = B>>(&self, host: &H, bundle: &mut Bundle<B>) -> Result<(), Failure> {
        if self.platform.is_some() {
            let failure =
                Failure::usage("--set-platform would make all images of the index ones for the same platform");
            return Err(failure.hint("choose one of them by --platform"));
        }
        // Docker's lists have no annotations.
        if self.annotations.is_empty() || media_type::is_docker(&bundle.root.descriptor.media_type) {
            return Ok(());
        }
        if let Document::Index(mut index) = fetch::parse("the index", &bundle.root)? {
            index.annotations.extend(self.annotations.clone());
            bundle.root = draft::describe(host, &index.media_type, index.to_bytes()).await?;
        }
        Ok(())
    }
}

/// Variables; one without a value has the caller's.
fn env(host: &impl Host) -> Result<Vec<(String, String)>, Failure> {
    let missing = |name: &str| Failure::usage(format!("--env {name}: there is no value, and the environment has none"));
    let pairs = host.pairs("env").into_iter();
    pairs.map(|(name, value)| value.ok_or_else(|| missing(&name)).map(|value| (name, value))).collect()
}
