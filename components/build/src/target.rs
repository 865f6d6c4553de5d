//! The stage that an image is made of.

use steprun_dockerfile::Dockerfile;
use steprun_ports::Failure;

/// The stage of a name or an index; the last one without either.
///
/// # Errors
/// If there is none, with what may have been meant.
pub(crate) fn find(dockerfile: &Dockerfile, target: Option<&str>) -> Result<usize, Failure> {
    let Some(wanted) = target else {
        return Ok(dockerfile.stages.len().saturating_sub(1));
    };
    if let Some(index) = dockerfile.stage(wanted) {
        return Ok(index);
    }
    match wanted.parse::<usize>() {
        Ok(index) if index < dockerfile.stages.len() => Ok(index),
        _ => Err(no_target(dockerfile, wanted)),
    }
}

fn no_target(dockerfile: &Dockerfile, wanted: &str) -> Failure {
    let failure = Failure::failed(format!("the Dockerfile has no stage `{wanted}`"));
    let names = || dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref());
    match steprun_dockerfile::suggest::nearest(wanted, names()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None if names().next().is_none() => failure.hint("its stages have no names; their indices begin with 0"),
        None => failure.hint(format!("it has {}", names().collect::<Vec<_>>().join(", "))),
    }
}
