//! Build, check or plan.

use steprun_ports::{Failure, Host};

use crate::arguments::last;

/// How the findings of a check are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    Sarif,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanFormat {
    Text,
    Json,
}

/// What is made of the Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An image.
    Build,
    /// The findings of lint rules (`docker build --check`).
    Check(CheckFormat),
    /// What would be done.
    Plan(PlanFormat),
}

impl Mode {
    /// Reads `--check`, `--plan` and `--format`.
    ///
    /// # Errors
    /// Usage failures for what doesn't fit together.
    pub(crate) fn read<H: Host>(host: &H) -> Result<Self, Failure> {
        let format = last(host.texts("format"));
        match (host.flag("check"), host.flag("plan"), format.as_deref()) {
            (true, true, _) => Err(Failure::usage("`--check` and `--plan` don't go together")),
            (false, false, None) => Ok(Self::Build),
            (false, false, Some(format)) => Err(Failure::usage(format!("`--format {format}` has nothing to print"))
                .hint("it is for `--check` and `--plan`")),
            (true, false, Some("json")) => Ok(Self::Check(CheckFormat::Json)),
            (true, false, Some("sarif")) => Ok(Self::Check(CheckFormat::Sarif)),
            (true, false, _) => Ok(Self::Check(CheckFormat::Text)),
            (false, true, Some("json")) => Ok(Self::Plan(PlanFormat::Json)),
            (false, true, Some("sarif")) => {
                Err(Failure::usage("a plan can't be printed as SARIF")
                    .hint("`--plan` has the formats `text` and `json`"))
            }
            (false, true, _) => Ok(Self::Plan(PlanFormat::Text)),
        }
    }
}
