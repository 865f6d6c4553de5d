//! `index-filter`: an index with some of its images.

use steprun_ports::{Failure, Host};

use super::{Part, finish};
use crate::arguments::{full_name, image, platforms};
use crate::fetch::malformed;
use crate::target::Target;
use crate::transfer::Rules;

pub(crate) async fn filter<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let base = image(host, "base")?;
    let platforms = platforms(host)?;
    let mut index = super::read(&base).await?;
    if !platforms.is_empty() {
        index = index.narrowed(&platforms).map_err(|error| malformed(&full_name(&base), &error))?;
    }
    let entries = std::mem::take(&mut index.manifests);
    let part = Part { from: base.repository.clone(), entries };
    let to = host.images("tag").pop().unwrap_or(base);
    let bundle = finish(host, index, vec![part], &to.repository, rules.jobs).await?;
    Target::<H>::image(to).take(host, bundle, rules).await
}
