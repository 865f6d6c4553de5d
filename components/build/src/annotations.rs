//! `--annotation`: on manifests, on the index, or on the index's entries (docker buildx, `ParseAnnotations`; BuildKit, `docs/annotations.md`).

use std::collections::BTreeMap;

use steprun_image::Platform;
use steprun_ports::{Failure, Host};

use crate::platform;

/// What an annotation is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bearer {
    Manifest,
    Index,
    /// The entry of an image in the index.
    ManifestDescriptor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Annotation {
    bearer: Bearer,
    /// For the image of this platform alone.
    platform: Option<Platform>,
    name: String,
    value: String,
}

/// The annotations of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Annotations(Vec<Annotation>);

impl Annotations {
    /// Reads them; `platforms` are those that are built for, none where it is the host's.
    ///
    /// # Errors
    /// Usage failures: one without a value or a name, on something unknown, on an index where there is none, and for a platform that is not built.
    pub(crate) fn read<H: Host>(host: &H, platforms: &[Platform]) -> Result<Self, Failure> {
        let built = match platforms {
            [] => vec![platform::parse(&host.host_platform())?],
            platforms => platforms.to_vec(),
        };
        let mut all = Vec::new();
        for (typed, value) in host.pairs("annotation") {
            let Some(value) = value else { return Err(without_value(&typed)) };
            // As with buildx a name has no colon.
            let (bearers, name) = typed.split_once(':').unwrap_or(("manifest", &typed));
            if name.is_empty() {
                return Err(Failure::usage("a value of `--annotation` has no name"));
            }
            for word in bearers.split(',') {
                let (bearer, platform) = bearer(word)?;
                check(bearer, platform.as_ref(), word, &built)?;
                all.push(Annotation { bearer, platform, name: name.to_owned(), value: value.clone() });
            }
        }
        Ok(Self(all))
    }

    /// Those of the manifest for a platform.
    pub(crate) fn of_manifest(&self, platform: &Platform) -> BTreeMap<String, String> {
        self.on(Bearer::Manifest, Some(platform))
    }

    /// Those of the entry that the index has for a platform.
    pub(crate) fn of_descriptor(&self, platform: &Platform) -> BTreeMap<String, String> {
        self.on(Bearer::ManifestDescriptor, Some(platform))
    }

    /// Those of the index.
    pub(crate) fn of_index(&self) -> BTreeMap<String, String> {
        self.on(Bearer::Index, None)
    }

    /// The last of a name counts; one for a platform counts more than one for all.
    fn on(&self, bearer: Bearer, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let fits = |one: &&Annotation| one.platform.is_none() || one.platform.as_ref() == platform;
        let mut all: Vec<&Annotation> = self.0.iter().filter(|one| one.bearer == bearer).filter(fits).collect();
        all.sort_by_key(|one| one.platform.is_some());
        all.into_iter().map(|one| (one.name.clone(), one.value.clone())).collect()
    }
}

/// Reads `manifest`, `index` or `manifest-descriptor`, with a platform in square brackets where it is for that alone.
fn bearer(word: &str) -> Result<(Bearer, Option<Platform>), Failure> {
    let (name, platform) = match word.strip_suffix(']').and_then(|word| word.split_once('[')) {
        Some((name, platform)) => (name, Some(platform::parse(platform)?)),
        None => (word, None),
    };
    let bearer = match name {
        "manifest" => Bearer::Manifest,
        "index" => Bearer::Index,
        "manifest-descriptor" => Bearer::ManifestDescriptor,
        "index-descriptor" => {
            return Err(Failure::usage(
                "an annotation can't be put on `index-descriptor`: registries keep no such thing",
            )
            .hint("`index:` puts it on the index itself"));
        }
        _ => {
            return Err(Failure::usage(format!("an annotation can't be put on `{word}`")).hint(
                "write `NAME=VALUE`, `manifest:NAME=VALUE`, `index:NAME=VALUE` or `manifest-descriptor:NAME=VALUE`",
            ));
        }
    };
    Ok((bearer, platform))
}

fn check(bearer: Bearer, platform: Option<&Platform>, word: &str, built: &[Platform]) -> Result<(), Failure> {
    if bearer != Bearer::Manifest && built.len() < 2 {
        return Err(Failure::usage(format!(
            "an annotation can't be put on `{word}`: one platform is built, so there is no index"
        ))
        .hint("`manifest:` puts it on the image"));
    }
    match platform {
        Some(_) if bearer == Bearer::Index => {
            Err(Failure::usage(format!("an annotation can't be put on `{word}`: the index is for all platforms")))
        }
        Some(platform) if !built.contains(platform) => {
            Err(Failure::usage(format!("an annotation is for {platform}, which is not built")))
        }
        _ => Ok(()),
    }
}

fn without_value(typed: &str) -> Failure {
    Failure::usage(format!("`--annotation {typed}` has no value"))
        .hint(format!("write `--annotation {typed}=VALUE`, or set the environment variable `{typed}`"))
}
