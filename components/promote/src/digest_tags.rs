//! Tags that belong to a manifest by their name: `sha256-HEX.sig`, `.att`, `.sbom` of cosign, and the referrers tag `sha256-HEX`
//! (distribution-spec, "Referrers Tag Schema").

use std::collections::BTreeSet;

use steprun_image::Document;
use steprun_ports::{Failure, Host};

use crate::arguments::full_name;
use crate::copy::{Options, Pair, chosen, copy_tags, tags_of};
use crate::fetch;
use crate::query::tags;

/// Copies the tags that belong to a copied image or to what its index names.
pub(crate) async fn copy<H: Host>(
    host: &H,
    (source, destination): &Pair<H::Repository>,
    options: &Options,
) -> Result<(), Failure> {
    let root = chosen(host, source, &options.platforms).await?;
    let mut digests = BTreeSet::from([root.descriptor.digest.clone()]);
    if let Document::Index(index) = fetch::parse(&full_name(source), &root)? {
        digests.extend(index.manifests.into_iter().map(|entry| entry.digest));
    }
    let mut wanted = tags(&source.repository).await?;
    wanted.retain(|tag| subject(tag).is_some_and(|digest| digests.contains(&digest)));
    if options.keep_tags {
        let kept = tags_of(&destination.repository).await?;
        wanted.retain(|tag| !kept.contains(tag));
    }
    // What belongs to an image may be an index itself, and none that platforms narrow.
    let options = Options { platforms: Vec::new(), ..*options };
    copy_tags(host, &source.repository, &destination.repository, &wanted, &options).await
}

/// The digest that a tag belongs to.
fn subject(tag: &str) -> Option<String> {
    let (algorithm, rest) = tag.split_once('-')?;
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return None,
    };
    let (hex, suffix) = rest.split_at_checked(length)?;
    let ends = suffix.is_empty() || suffix.starts_with(['.', '-']);
    (ends && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("{algorithm}:{hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_what_they_belong_to() {
        let hex = "0123456789abcdef".repeat(4);
        for suffix in ["", ".sig", ".att", "-1"] {
            assert_eq!(subject(&format!("sha256-{hex}{suffix}")), Some(format!("sha256:{hex}")), "{suffix}");
        }
        for other in
            ["latest", "sha256-abc", "sha1-abc", &format!("sha256-{hex}0"), &format!("sha256-{}", "x".repeat(64))]
        {
            assert_eq!(subject(other), None, "{other}");
        }
    }
}
