//! `apply`: images brought to where a file says that they belong, by the rules of kpromo.
//!
//! Let M be what the file asks for, S what the source has and D what a destination has. What is in M and D is left alone; what is in M and
//! S, and not in D, is copied; what is in neither is an error, and so is a tag of M that stands for another image in D.

mod compare;
mod file;

use std::collections::BTreeMap;

use steprun_ports::{Failure, Host, ImageArgument, Level, Repository, concurrently};

use crate::arguments::missing;
use crate::copy::{Options, Pair, copy_images};
use crate::preview;
use crate::transfer::Rules;
use compare::{Lack, Route};
use file::Wanted;

/// Larger files are refused.
const FILE_LIMIT: u64 = 16 << 20;

/// Reads the file, compares all registries with it, and only then writes.
pub(crate) async fn apply<H: Host>(host: &H) -> Result<(), Failure> {
    let rules = Rules::of(host)?;
    let wanted = read(host).await?;
    let routes = routes(host, &wanted)?;
    let lacks = compare::compare(&routes, rules.jobs).await?;
    if host.flag("dry-run") {
        return preview::print(host, lacks.iter().map(Lack::preview).collect()).await;
    }
    let asked: usize = routes.iter().map(|route| route.promotion.tags.len().max(1)).sum();
    host.log(Level::Info, &format!("{} of {asked} are missing", lacks.len()));
    bring(host, lacks, rules).await
}

async fn read<H: Host>(host: &H) -> Result<Wanted, Failure> {
    use steprun_ports::InputFile;
    let file = host.input_files("file").pop().ok_or_else(|| missing("file"))?;
    let name = file.name();
    let content = file.read(FILE_LIMIT).await;
    let content = content.map_err(|error| Failure::because(format!("can't read {name}"), error))?;
    let text = String::from_utf8(content).map_err(|_| Failure::failed(format!("{name} is not UTF-8")))?;
    file::parse(&name, &text)
}

/// From where and to where each promotion goes. This asks no registry: what is not granted is denied before any of them hears a name.
fn routes<'a, H: Host>(host: &H, wanted: &'a Wanted) -> Result<Vec<Route<'a, H::Repository>>, Failure> {
    let granted = |option: &str, namespace: &str, image: &str| {
        let repository = host.repository_in(option, &format!("{namespace}/{image}"));
        repository.map_err(|error| Failure::because(format!("can't use {namespace}/{image}"), error))
    };
    let mut routes = Vec::new();
    for promotion in &wanted.promotions {
        let from = granted("from", &wanted.source, &promotion.image)?;
        for destination in &wanted.destinations {
            let to = granted("to", destination, &promotion.image)?;
            routes.push(Route { from: from.clone(), to, promotion });
        }
    }
    Ok(routes)
}

/// Brings what is missing, pair by pair of repositories.
async fn bring<H: Host>(host: &H, lacks: Vec<Lack<H::Repository>>, rules: Rules) -> Result<(), Failure> {
    let mut groups: BTreeMap<(String, String), Vec<Pair<H::Repository>>> = BTreeMap::new();
    for lack in lacks {
        groups.entry((lack.from.name(), lack.to.name())).or_default().push(pair(lack));
    }
    // So many pairs at a time, each with its share of the transfers.
    let side_by_side = groups.len().clamp(1, rules.jobs);
    let rules = Rules { jobs: rules.jobs / side_by_side, ..rules };
    let options = Options { platforms: Vec::new(), keep_tags: false, rules };
    let copy = async |pairs: Vec<Pair<H::Repository>>| copy_images(host, &pairs, &options).await;
    concurrently(side_by_side, groups.into_values(), copy).await.map(drop)
}

fn pair<R: Repository>(Lack { from, to, digest, tag }: Lack<R>) -> Pair<R> {
    let by_digest = |repository: R| ImageArgument {
        typed: format!("{}@{digest}", repository.name()),
        repository,
        tag: None,
        digest: Some(digest.clone()),
    };
    let destination = match tag {
        Some(tag) => crate::copy::tagged(&to, &tag),
        None => by_digest(to),
    };
    (by_digest(from), destination)
}
