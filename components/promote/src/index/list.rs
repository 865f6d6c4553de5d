//! `index-list`: the entries of an index as a table.

use std::fmt::Write;

use serde_json::json;
use steprun_ports::{Failure, Host};

use crate::arguments::{image, wants_json};
use crate::query::{entry, print, print_json};

pub(crate) async fn list<H: Host>(host: &H) -> Result<(), Failure> {
    let index = super::read(&image(host, "image")?).await?;
    if wants_json(host) {
        let manifests: Vec<_> = index.manifests.iter().map(entry).collect();
        return print_json(host, &json!({"manifests": manifests})).await;
    }
    let mut table = String::new();
    let mut row = |digest: &str, media_type: &str, platform: &str| {
        // Writing to a string can't fail.
        let _ = writeln!(table, "{digest:<70} {media_type:<20} {platform}");
    };
    row("Digest", "MediaType", "Platform");
    for entry in &index.manifests {
        let platform = entry.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        row(&entry.digest, &entry.media_type, &platform);
    }
    print(host, table.as_bytes()).await
}
