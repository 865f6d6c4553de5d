//! The arguments in the step's own types.

use steprun_image::Platform;
use steprun_ports::{Failure, Host, ImageArgument, Repository};

/// An image that the description requires.
pub(crate) fn image<H: Host>(host: &H, name: &str) -> Result<ImageArgument<H::Repository>, Failure> {
    host.images(name).into_iter().next().ok_or_else(|| missing(name))
}

/// That a required value is missing. The host has checked it; should it not have, this is what the user reads.
pub(crate) fn missing(name: &str) -> Failure {
    Failure::usage(format!("`{name}` is missing"))
}

/// The platform that was asked for; `all` is none.
pub(crate) fn platform(host: &impl Host) -> Result<Option<Platform>, Failure> {
    let typed = host.texts("platform").into_iter().next().filter(|typed| !matches!(typed.as_str(), "" | "all"));
    typed.map(|typed| typed.parse().map_err(|error| Failure::usage(format!("--platform: {error}")))).transpose()
}

/// The platforms that were asked for: `a,b`, or several values; `all` is none.
pub(crate) fn platforms(host: &impl Host) -> Result<Vec<Platform>, Failure> {
    let typed = host.texts("platform");
    let words = typed.iter().flat_map(|typed| typed.split(',')).filter(|word| !matches!(*word, "" | "all"));
    words.map(|word| word.parse().map_err(|error| Failure::usage(format!("--platform: {error}")))).collect()
}

/// Whether results, or parts of them, are wanted as JSON.
pub(crate) fn wants_json(host: &impl Host) -> bool {
    host.texts("format").iter().any(|word| word == "json") || !host.texts("select").is_empty()
}

/// The platform of commands that need a single image: linux/amd64 unless another was asked for, as with crane.
pub(crate) fn one_platform(host: &impl Host) -> Result<Platform, Failure> {
    Ok(platform(host)?.unwrap_or_else(|| Platform::new("linux", "amd64", None)))
}

/// How many transfers may run at the same time. 0 is crane's word for the default of 4.
pub(crate) fn jobs(host: &impl Host) -> Result<usize, Failure> {
    match host.integers("jobs").first().copied().unwrap_or(0) {
        0 => Ok(4),
        jobs => usize::try_from(jobs).map_err(|_| Failure::usage(format!("--jobs can't be {jobs}"))),
    }
}

/// An image's full name: `registry/repository:tag` or `registry/repository@digest`.
pub(crate) fn full_name<R: Repository>(image: &ImageArgument<R>) -> String {
    let separator = if image.digest.is_some() { '@' } else { ':' };
    format!("{}{separator}{}", image.repository.name(), image.reference())
}
