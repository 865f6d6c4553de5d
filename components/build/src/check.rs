//! `--check`: what breaks lint rules, printed as `docker build --check` does.

use std::rc::Rc;

use steprun_dockerfile::lint::report::Report;
use steprun_dockerfile::lint::{self, Lint};
use steprun_dockerfile::{Diagnostic, Source};
use steprun_ports::{Failure, Host, Level};

use crate::bases::Bases;
use crate::findings::findings;
use crate::job::Job;
use crate::mode::CheckFormat;
use crate::{diagnose, plan};

/// Prints what is found in the target and what it needs; without a target in all stages.
///
/// # Errors
/// Any finding; a Dockerfile that can't be built. An image that can't be had is none: its variables are then not known.
pub(crate) async fn check<H: Host + 'static>(
    jobs: &[Rc<Job<H>>],
    target: Option<&str>,
    format: CheckFormat,
) -> Result<(), Failure> {
    let Some(first) = jobs.first() else { return Ok(()) };
    let mut found = Vec::new();
    for job in jobs {
        let plan = match target {
            Some(target) => plan::plan(job.input(), Some(target))?,
            None => plan::everything(job.input())?,
        };
        let bases = Bases::find(job, &plan).await;
        for failure in &bases.missing {
            let message =
                format!("{failure}; it is not known which variables it has, and whether it has this platform");
            match &failure.position {
                Some(position) => job.host.log_at(Level::Warning, position, &message),
                None => job.host.log(Level::Warning, &message),
            }
        }
        found.extend(findings(job, &plan, &bases).await);
    }
    let found = lint::keep(&first.dockerfile, found);
    let fail = lint::violation(first.dockerfile.directives.check.as_ref(), &found).is_some();
    let report = Report { source: &first.source, findings: &found, errors: &[] };
    print(&first.host, format, &report, fail).await?;
    if found.is_empty() { Ok(()) } else { Err(violation(lint::summary(&found))) }
}

/// Prints why a Dockerfile can't be parsed.
///
/// # Errors
/// Always: the first of the errors.
pub(crate) async fn malformed<H: Host>(
    host: &H,
    format: CheckFormat,
    source: &Source,
    errors: Vec<Diagnostic>,
) -> Result<(), Failure> {
    print(host, format, &Report { source, findings: &[], errors: &errors }, true).await?;
    Err(diagnose::first(host, source, errors))
}

/// Says before a build what is found in its stages.
///
/// # Errors
/// If `# check=error=true` makes findings errors.
pub(crate) fn warn<H: Host>(job: &Job<H>, found: &[Lint]) -> Result<(), Failure> {
    found.iter().for_each(|lint| diagnose::lint(&job.host, &job.source, lint));
    lint::violation(job.dockerfile.directives.check.as_ref(), found).map_or(Ok(()), |message| Err(violation(message)))
}

fn violation(message: String) -> Failure {
    Failure::failed(message).hint("`# check=skip=RULE` in the first line of the Dockerfile turns a rule off")
}

/// Prints a report; `fail` says whether the author wants findings to fail builds, too.
async fn print<H: Host>(host: &H, format: CheckFormat, report: &Report<'_>, fail: bool) -> Result<(), Failure> {
    let text = match format {
        CheckFormat::Text => report.text(),
        CheckFormat::Json => report.json(),
        CheckFormat::Sarif => report.sarif(fail),
    };
    let printed = host.print(text.as_bytes()).await;
    printed.map_err(|error| Failure::because("could not write to standard output", error))
}
