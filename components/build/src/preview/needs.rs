//! What a build would ask the host for, in the host's own words for its capabilities.

use std::collections::BTreeSet;
use std::rc::Rc;

use steprun_dockerfile::instruction::{Kind, Network};
use steprun_dockerfile::mount::{MountKey, MountSpec};
use steprun_ports::{Agent, Directory, Host, InputFile, OutputDirectory, OutputFile, Repository, Secret};

use crate::arguments::{Arguments, Outputs};
use crate::bases::Bases;
use crate::contexts::Source;
use crate::copy::Remote;
use crate::job::Job;
use crate::plan::{self, Plan};

/// A capability that is needed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) capability: &'static str,
    pub(super) subject: String,
    /// What grants it, where that isn't what was typed.
    pub(super) flag: Option<String>,
}

fn need(capability: &'static str, subject: impl Into<String>) -> Need {
    Need { capability, subject: subject.into(), flag: None }
}

/// All needs, sorted, each once.
pub(super) fn needs<H: Host + 'static>(
    arguments: &Arguments<H>,
    jobs: &[Rc<Job<H>>],
    plans: &[Plan],
    bases: &[Bases<H>],
) -> Vec<Need> {
    let mut needs = BTreeSet::from([need("context.read", arguments.context.name())]);
    for ((job, plan), bases) in jobs.iter().zip(plans).zip(bases) {
        let named = |name: &str| job.contexts.names().find(name).is_some();
        let pulled = bases.images().filter(|(_, base)| !named(&base.name));
        needs.extend(pulled.map(|(_, base)| need("registry.pull", base.name.clone())));
        needs.extend(plan::contexts(job.input(), plan).into_iter().filter_map(|index| context(job, index)));
        for &stage in &plan.stages {
            for instruction in plan::instructions(job.input(), stage) {
                match &instruction.kind {
                    Kind::Run(run) => {
                        needs.extend(command(run.network));
                        needs.extend(run.mounts.iter().filter_map(|mount| mounted(job, mount)));
                    }
                    Kind::Add(copy) => {
                        let fetched = copy.sources.iter().filter(|word| Remote::of(&word.raw).is_some());
                        needs.extend(fetched.map(|word| need("sources.fetch", word.raw.as_str())));
                    }
                    _ => {}
                }
            }
        }
    }
    needs.extend(arguments.dockerfile.iter().map(|file| need("file.read", file.name())));
    needs.extend(outputs(&arguments.outputs));
    needs.into_iter().collect()
}

/// A named context.
fn context<H: Host + 'static>(job: &Job<H>, index: usize) -> Option<Need> {
    let (name, source) = job.contexts.get(index);
    let (capability, subject) = match source {
        Source::Directory { context, .. } => ("context.read", context.directory.name()),
        // The images of a file or directory are no repository of a registry.
        Source::Image(image) if image.repository.registry() == image.repository.name() => {
            ("file.read", image.repository.name())
        }
        Source::Image(image) => ("registry.pull", image.typed.clone()),
        Source::Nothing => return None,
    };
    Some(need(capability, format!("{subject} (as {name})")))
}

fn command(network: Network) -> Option<Need> {
    let (subject, flag) = match network {
        Network::None => ("commands without network", "--allow-run"),
        Network::Default | Network::Host => ("commands", "--allow-run, and --allow-net where they use the network"),
    };
    Some(Need { flag: Some(flag.to_owned()), ..need("snapshots.run", subject) })
}

/// A secret or an agent; which flag is missing, if one is.
fn mounted<H: Host>(job: &Job<H>, mount: &MountSpec) -> Option<Need> {
    let value = |key: MountKey| mount.value(key).map(|word| word.raw.as_str());
    match value(MountKey::Type)? {
        "secret" => {
            let id = value(MountKey::Id)?;
            let given = job.secrets.iter().any(|secret| secret.id() == id);
            let flag = (!given).then(|| format!("--secret id={id}"));
            Some(Need { flag, ..need("secret.use", id) })
        }
        "ssh" => {
            let id = value(MountKey::Id).unwrap_or("default");
            let given = job.agents.iter().any(|agent| agent.id() == id);
            let flag = (!given).then(|| format!("--ssh {id}"));
            Some(Need { flag, ..need("agent.use", id) })
        }
        _ => None,
    }
}

fn outputs<H: Host>(outputs: &Outputs<H>) -> Vec<Need> {
    let files = [
        &outputs.tar,
        &outputs.oci_archive,
        &outputs.files,
        &outputs.digest,
        &outputs.name_digest,
        &outputs.name_tag_digest,
        &outputs.metadata,
    ];
    let files = files.into_iter().flatten().map(OutputFile::name);
    let files = files.chain(outputs.layout.iter().chain(&outputs.directory).map(OutputDirectory::name));
    let pushes = outputs.destinations().iter().map(|image| need("registry.push", image.repository.name()));
    files.map(|name| need("file.write", name)).chain(pushes).collect()
}
