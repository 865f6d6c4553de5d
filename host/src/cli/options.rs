//! The host's own flags. They are accepted before and after the name of the step.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, lines elsewhere.
    Auto,
    /// A line for each event.
    Plain,
    /// Bars.
    Tty,
    /// A JSON object for each event.
    Json,
    /// Only warnings and errors.
    Quiet,
}

/// Which sandbox commands run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// The strongest that the place allows.
    Auto,
    /// User, mount, PID, IPC, UTS and network namespaces.
    Userns,
    /// chroot as root.
    Chroot,
    /// Supervised system calls.
    Supervised,
}

/// A registry host and the file with the certificates that it is trusted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCertificate {
    /// `host` or `host:port`.
    pub host: String,
    /// PEM.
    pub file: PathBuf,
}

/// Flags of the host.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Host options")]
pub struct HostOptions {
    /// How progress is shown on standard error
    #[arg(long, value_name = "MODE", value_enum, default_value = "auto", env = "STEPRUN_PROGRESS")]
    pub progress: ProgressMode,

    /// Let a step that is not built in pull from this registry (repeatable; `*` is any)
    #[arg(long, value_name = "REGISTRY")]
    pub allow_pull: Vec<String>,

    /// Let a step that is not built in fetch files and Git repositories from this host (repeatable; `HOST/PATH` narrows, `*` is any)
    #[arg(long, value_name = "HOST")]
    pub allow_fetch: Vec<String>,

    /// Let the step run native commands (a Dockerfile's RUN), each in a sandbox
    #[arg(long, env = "STEPRUN_ALLOW_RUN", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_run: bool,

    /// Let those commands use the network: all of it, or only these hosts (`example.org`, `*.example.org:443`), through a proxy
    #[arg(long, value_name = "HOST", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "*", env = "STEPRUN_ALLOW_NET")]
    pub allow_net: Vec<String>,

    /// The sandbox of those commands; `auto` takes the strongest that the place allows, see `steprun doctor`
    #[arg(long, value_name = "KIND", value_enum, default_value = "auto", env = "STEPRUN_ISOLATION")]
    pub isolation: Isolation,

    /// Keep to a policy besides the runner's own in /etc/steprun/policy.toml; it can only narrow (repeatable)
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,

    /// Tell each request to a registry on standard error
    #[arg(short, long)]
    pub verbose: bool,

    /// Speak plain HTTP or unverified TLS with every registry
    #[arg(long)]
    pub insecure: bool,

    /// Speak plain HTTP or unverified TLS with this registry (repeatable)
    #[arg(long, value_name = "HOST[:PORT]", visible_alias = "skip-tls-verify-registry")]
    pub insecure_registry: Vec<String>,

    /// Trust this registry by the certificates in a PEM file (repeatable)
    #[arg(long, value_name = "HOST[:PORT]=FILE", value_parser = parse_certificate)]
    pub registry_certificate: Vec<RegistryCertificate>,

    /// Tries of each registry request, the first included
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub registry_tries: u32,

    /// End the step after this time: `90s`, `30m`, `2h`
    #[arg(long, value_name = "TIME", value_parser = parse_duration, env = "STEPRUN_TIMEOUT")]
    pub timeout: Option<Duration>,

    /// Memory that the component itself may use: `256MiB`, `1GiB`; not that of the host
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub max_memory: u64,

    /// Where layers and tables of contents are kept between runs
    #[arg(long, value_name = "DIR", env = "STEPRUN_STORE", aliases = ["cache_path", "cache-path"])]
    pub store: Option<PathBuf>,

    /// Append results to a file as `NAME=VALUE` lines (GitLab dotenv, `$GITHUB_OUTPUT`)
    #[arg(long, value_name = "FILE")]
    pub output_env: Option<PathBuf>,

    /// Write results to a file as a JSON object
    #[arg(long, value_name = "FILE")]
    pub output_json: Option<PathBuf>,

    /// The directory that a plain WASI command sees at /context, read-only
    #[arg(long, value_name = "DIR")]
    pub context_dir: Option<PathBuf>,
}

fn parse_certificate(text: &str) -> Result<RegistryCertificate, String> {
    let (host, file) = text.split_once('=').ok_or("expected HOST=FILE")?;
    if host.is_empty() || file.is_empty() {
        return Err("expected HOST=FILE".to_owned());
    }
    Ok(RegistryCertificate { host: host.to_owned(), file: file.into() })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "expected a number with s, m or h: `90s`")?;
    let seconds = match &text[digits.len()..] {
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        unit => return Err(format!("unknown unit `{unit}`: expected s, m or h")),
    };
    match seconds {
        Some(0) => Err("a time limit of nothing lets nothing run".to_owned()),
        Some(seconds) if seconds <= 366 * 24 * 3600 => Ok(Duration::from_secs(seconds)),
        _ => Err("longer than a year".to_owned()),
    }
}

pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "expected a size: `512MiB`")?;
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        unit => return Err(format!("unknown unit `{unit}`: expected KiB, MiB, GiB, KB, MB or GB")),
    };
    number.checked_mul(unit).filter(|&bytes| bytes > 0).ok_or_else(|| "not a possible size".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [("90s", Some(90)), ("90", Some(90)), ("2m", Some(120)), ("1h", Some(3600))] {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_secs()), expected, "{text}");
        }
        for text in ["", "0", "0s", "1d", "-1s", "1.5h", "999999999999h", "s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in
            [("1", 1), ("2k", 2048), ("512MiB", 512 << 20), ("1GB", 1_000_000_000), ("1gib", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "1XB", "GiB", "99999999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
