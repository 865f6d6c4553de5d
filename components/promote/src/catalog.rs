//! `catalog`: the repositories of a registry.

use serde_json::json;
use steprun_ports::{Catalog, Error, Failure, Host};

use crate::arguments::{missing, wants_json};
use crate::query::{print, print_json};

pub(crate) async fn catalog<H: Host>(host: &H) -> Result<(), Failure> {
    let catalog = host.catalogs("registry").pop().ok_or_else(|| missing("registry"))?;
    let name = catalog.registry();
    let repositories = catalog.repositories().await.map_err(|error| unlisted(&name, error))?;
    if wants_json(host) {
        // As the registry itself answers (distribution's "Listing Repositories").
        return print_json(host, &json!({"repositories": repositories})).await;
    }
    let prefix = if host.flag("full-ref") { format!("{name}/") } else { String::new() };
    let lines: String = repositories.iter().map(|repository| format!("{prefix}{repository}\n")).collect();
    print(host, lines.as_bytes()).await
}

fn unlisted(registry: &str, error: Error) -> Failure {
    let kept = !matches!(error, Error::NotFound(_) | Error::Unsupported(_));
    let failure = Failure::because(format!("can't list the repositories of {registry}"), error);
    if kept {
        failure
    } else {
        failure.hint("the list is no part of the OCI distribution-spec: many registries have none")
    }
}
