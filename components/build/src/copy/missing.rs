//! What to say when a source is not there.

use steprun_ports::{Failure, Host, Tree};

use super::origin::Origin;
use crate::paths;

/// The failure for a source that does not exist, with the most likely reason as its hint. `named_by` is what names its image.
pub(crate) async fn failure<H: Host>(origin: &Origin<H>, source: &str, named_by: &str) -> Failure {
    let path = paths::normal(source);
    let place = match origin {
        Origin::Context(_) => "the context".to_owned(),
        Origin::Snapshot(_) => format!("the image that `{named_by}` names"),
    };
    let failure = Failure::failed(format!("there is no `{source}` in {place}"));
    if let Some(hint) = ignored(origin, &path).await {
        return failure.hint(hint);
    }
    if let Some(target) = origin.stat(&path).await.ok().flatten().and_then(|stat| stat.target) {
        return failure.hint(format!("it is a symlink to `{target}`, where nothing is"));
    }
    match similar(origin, &path).await {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure,
    }
}

/// Says so if the file is there but ignored.
async fn ignored<H: Host>(origin: &Origin<H>, path: &str) -> Option<String> {
    let Origin::Context(context) = origin else { return None };
    let pattern = context.ignore.culprit(path)?;
    context.directory.stat(path, false).await.ok()?;
    Some(format!("the pattern `{pattern}` in {} leaves it out of the context", context.ignore.name()))
}

/// A path that differs a little in the first component that is missing.
async fn similar<H: Host>(origin: &Origin<H>, path: &str) -> Option<String> {
    let mut directory = String::new();
    for component in path.split('/') {
        let entries = origin.list(&directory).await.ok()?;
        if entries.iter().any(|entry| entry.name == component) {
            directory = paths::join(&directory, component);
            continue;
        }
        let names = entries.iter().map(|entry| entry.name.as_str());
        let near = steprun_dockerfile::suggest::nearest(component, names)?;
        let rest = &path[paths::join(&directory, component).len()..];
        return Some(format!("{}{rest}", paths::join(&directory, near)));
    }
    None
}
