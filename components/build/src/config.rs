//! The config of the image that is being built.

use steprun_image::{ContainerConfig, History, Platform, time};
use steprun_ports::{Digest, Timestamp};

use crate::paths;

/// What BuildKit gives an image without PATH (`util/system/path.go`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What BuildKit's Dockerfile front end calls itself in history.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// A history entry that the build adds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    created_by: String,
    layer: bool,
}

/// A config under construction: that of the base, and what this build adds to its history.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    image: steprun_image::Config,
    history: Vec<Entry>,
}

impl Config {
    /// The config of `FROM scratch`.
    pub(crate) fn scratch(platform: &Platform) -> Self {
        let mut image = steprun_image::Config::new(platform.clone());
        image.container.working_dir = Some("/".to_owned());
        Self::of_base(image)
    }

    /// The config of a base image. PATH and an absolute working directory are given where they are missing, as BuildKit does.
    pub(crate) fn of_base(mut image: steprun_image::Config) -> Self {
        if image.container.env("PATH").is_none() {
            image.container.set_env("PATH", DEFAULT_PATH);
        }
        if let Some(directory) = &mut image.container.working_dir {
            *directory = paths::absolute("/", directory);
        }
        Self { image, history: Vec::new() }
    }

    /// How containers run.
    pub(crate) fn container(&self) -> &ContainerConfig {
        &self.image.container
    }

    pub(crate) fn container_mut(&mut self) -> &mut ContainerConfig {
        &mut self.image.container
    }

    /// When the base was made, if it says so in a form that can be read.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        time::parse(self.image.created.as_deref()?).ok()
    }

    pub(crate) fn platform(&self) -> &Platform {
        &self.image.platform
    }

    /// Makes it an image for a platform. The variant of the base stays where the platform has none (BuildKit
    /// `finalizeResultImage`).
    pub(crate) fn set_platform(&mut self, platform: &Platform) {
        let own = &mut self.image.platform;
        if own.os != platform.os || own.architecture != platform.architecture {
            *own = platform.clone();
        } else if platform.variant.is_some() {
            own.variant.clone_from(&platform.variant);
        }
    }

    pub(crate) fn set_author(&mut self, author: &str) {
        self.image.author = Some(author.to_owned());
    }

    /// The working directory, absolute.
    pub(crate) fn working_directory(&self) -> String {
        self.image.container.working_dir.clone().unwrap_or_else(|| "/".to_owned())
    }

    /// Adds a history entry; gives its number, for [`Config::without_layer`].
    pub(crate) fn record(&mut self, created_by: String, layer: bool) -> usize {
        self.history.push(Entry { created_by, layer });
        self.history.len() - 1
    }

    /// An entry's instruction turned out to change nothing.
    pub(crate) fn without_layer(&mut self, entry: usize) {
        if let Some(entry) = self.history.get_mut(entry) {
            entry.layer = false;
        }
    }

    /// The bytes of the config: with these layers, and one time for the image and all new history entries.
    pub(crate) fn finish(self, created: Timestamp, diff_ids: Vec<Digest>, base_layers: usize) -> Vec<u8> {
        let mut image = self.image;
        let described = image.history.iter().filter(|entry| !entry.empty_layer).count();
        // A base that was made without history: each layer has an entry all the same, or those of new layers would seem theirs.
        let silent = (described..base_layers)
            .map(|_| History::new(Some(created), "a layer of the base image without history", false));
        let entry = |entry: Entry| History::new(Some(created), &entry.created_by, !entry.layer).comment(COMMENT);
        image.history.extend(silent);
        image.history.extend(self.history.into_iter().map(entry));
        image.set_created(created);
        image.diff_ids = diff_ids;
        image.to_bytes()
    }
}
