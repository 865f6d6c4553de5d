//! What a RUN sees besides its file system (BuildKit `dockerfile2llb/convert_runmount.go`).

use steprun_dockerfile::expand;
use steprun_dockerfile::instruction::Instruction;
use steprun_dockerfile::mount::{self, MountSpec};
use steprun_ports::{
    Access, Agent, BindMount, CacheMount, Change, Failure, Host, Mount, MountSource, Secret, Sharing, Timestamp, Tree,
};

use super::command::{Command, SCRIPTS, ScriptFile};
use crate::copy::{self, Producer};
use crate::draft::{Draft, Metadata};
use crate::instruction::Step;
use crate::owner::Owner;
use crate::plan::Taker;
use crate::stage::Stage;
use crate::{diagnose, paths};

/// A mount as the host takes it.
type MountOf<H> = Mount<<H as Host>::Snapshot, <H as Host>::Secret, <H as Host>::Agent>;

/// What is seen there.
type SourceOf<H> = MountSource<<H as Host>::Snapshot, <H as Host>::Secret, <H as Host>::Agent>;

/// The mounts of a RUN, and the variables that come with them.
pub(super) struct Mounts<H: Host> {
    /// Those that are below others come after them.
    pub(super) list: Vec<MountOf<H>>,
    pub(super) secret_environment: Vec<(String, H::Secret)>,
    /// Where the first agent is seen.
    pub(super) agent_socket: Option<String>,
}

/// A `--mount` that is being resolved.
struct Place<'a, H: Host> {
    stage: &'a Stage<H>,
    spec: &'a MountSpec,
}

impl<H: Host> Place<'_, H> {
    /// A path as written, as an absolute one.
    fn target(&self, written: &str) -> String {
        paths::absolute(&self.stage.config.working_directory(), written)
    }
}

impl<H: Host + 'static> Step<'_, H> {
    /// Finds what all mounts show, in the order written.
    pub(super) async fn mounts(
        &self,
        stage: &Stage<H>,
        instruction: &Instruction,
        resolved: impl Iterator<Item = (&MountSpec, mount::Mount)>,
        command: &Command,
    ) -> Result<Mounts<H>, Failure> {
        let mut mounts = Mounts { list: Vec::new(), secret_environment: Vec::new(), agent_socket: None };
        if let Some(file) = &command.file {
            let place = |failure| diagnose::at(&self.source, instruction.span, failure);
            mounts.list.push(self.script(file).await.map_err(place)?);
        }
        let mut agents = 0;
        for (spec, mount) in resolved {
            let place = |failure| diagnose::at(&self.source, spec.span, failure);
            self.mount(&Place { stage, spec }, mount, &mut mounts, &mut agents).await.map_err(place)?;
        }
        // Parents first; of those at one place the last one written covers the others.
        mounts.list.sort_by_key(|mount| paths::normal(&mount.target).split('/').count());
        Ok(mounts)
    }

    /// A mount with its variables replaced.
    pub(super) fn expand_mount(&self, stage: &Stage<H>, spec: &MountSpec) -> Result<mount::Mount, Failure> {
        let lookup = |name: &str| stage.scope.variables().get(name).map(str::to_owned);
        let mut undefined = Vec::new();
        let resolved = spec.resolve(&mut |raw| {
            let expanded = expand::expand(raw, self.escape, &lookup)?;
            undefined.extend(expanded.undefined);
            Ok(expanded.value)
        });
        let resolved = resolved.map_err(|error| diagnose::first(&self.job.host, &self.source, vec![error]))?;
        self.warn_undefined(stage, spec.span, &undefined);
        Ok(resolved)
    }

    async fn mount(
        &self,
        place: &Place<'_, H>,
        mount: mount::Mount,
        mounts: &mut Mounts<H>,
        agents: &mut usize,
    ) -> Result<(), Failure> {
        let (target, source) = match mount {
            mount::Mount::Bind { source, target, writable, .. } => {
                let files = self.files(place, &source).await?;
                (target, MountSource::Bind(BindMount { writable, ..files }))
            }
            mount::Mount::Cache { id, source, target, writable, sharing, mode, uid, gid, .. } => {
                let id = id.unwrap_or_else(|| clean(&target));
                let (initial, access) = self.initial(place, &source, (mode, uid, gid)).await?;
                let sharing = sharing_of(sharing);
                (target, MountSource::Cache(CacheMount { id, initial, writable, sharing, access }))
            }
            mount::Mount::Tmpfs { target, size } => (target, MountSource::Tmpfs(size)),
            mount::Mount::Secret { id, target, env, required, mode, uid, gid } => {
                let Some(secret) = self.secret(&id, required)? else { return Ok(()) };
                mounts.secret_environment.extend(env.map(|name| (name, secret.clone())));
                let Some(target) = target else { return Ok(()) };
                (target, MountSource::Secret(secret, access(mode, 0o400, uid, gid)))
            }
            mount::Mount::Ssh { id, target, required, mode, uid, gid } => {
                let target = target.unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{agents}"));
                *agents += 1;
                let Some(agent) = self.agent(id.as_deref().unwrap_or("default"), required)? else { return Ok(()) };
                mounts.agent_socket.get_or_insert_with(|| place.target(&target));
                (target, MountSource::Agent(agent, access(mode, 0o600, uid, gid)))
            }
        };
        let target = place.target(&target);
        if target == "/" {
            return Err(Failure::failed("a mount can't cover the whole root `/`"));
        }
        mounts.list.push(Mount { target, source });
        Ok(())
    }

    /// The files that a mount names: of the context, a stage, a named context or an image.
    async fn files(&self, place: &Place<'_, H>, source: &str) -> Result<BindMount<H::Snapshot>, Failure> {
        let producer = self.mounted(place.spec).await?;
        let origin = producer.origin().await?;
        let snapshot = match producer {
            Producer::Context { files, .. } => files.await?.0,
            Producer::Files { files, .. } => files.await?,
        };
        let path = paths::normal(source);
        match snapshot.stat(&path, true).await {
            Ok(_) => Ok(BindMount { snapshot, path, writable: false }),
            Err(steprun_ports::Error::NotFound(_)) => Err(copy::missing(&origin, source, "from=").await),
            Err(error) => Err(Failure::because(format!("could not mount `{source}`"), error)),
        }
    }

    /// What the files of a mount are taken from.
    pub(super) async fn mounted(&self, spec: &MountSpec) -> Result<Producer<H>, Failure> {
        match spec.from().filter(|word| !word.raw.is_empty()) {
            Some(word) => self.producer(word, Taker::Mount).await,
            None => Ok(self.context()),
        }
    }

    /// What a new cache holds, and who may use it: what the flag says, else what its initial content has.
    async fn initial(
        &self,
        place: &Place<'_, H>,
        source: &str,
        (mode, uid, gid): (Option<u32>, Option<u32>, Option<u32>),
    ) -> Result<(Option<BindMount<H::Snapshot>>, Access), Failure> {
        let from = place.spec.from().filter(|word| !word.raw.is_empty());
        if from.is_none() {
            if !paths::normal(source).is_empty() {
                return Err(Failure::failed(format!("a new cache is empty, so it has no `{source}`"))
                    .hint("`source` of a cache is a path in what `from` names: add `from=`, or leave `source` out"));
            }
            return Ok((None, access(mode, 0o755, uid, gid)));
        }
        let files = self.files(place, source).await?;
        let fail = |error| Failure::because(format!("could not look at `{source}`"), error);
        // The root of a file system has no metadata of its own.
        let own = match files.path.as_str() {
            "" => Access { mode: 0o755, uid: 0, gid: 0 },
            path => {
                let stat = files.snapshot.stat(path, true).await.map_err(fail)?;
                Access { mode: stat.mode, uid: stat.uid, gid: stat.gid }
            }
        };
        let access =
            Access { mode: mode.unwrap_or(own.mode), uid: uid.unwrap_or(own.uid), gid: gid.unwrap_or(own.gid) };
        Ok((Some(files), access))
    }

    /// A secret of the command line; none if it isn't there and needn't be.
    fn secret(&self, id: &str, required: bool) -> Result<Option<H::Secret>, Failure> {
        let given = self.job.secrets.iter().rfind(|secret| secret.id() == id).cloned();
        match given {
            None if required => Err(Failure::failed(format!("the secret `{id}` is required, and not given"))
                .hint(format!("give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`"))),
            given => Ok(given),
        }
    }

    /// An SSH agent of the command line; none if it isn't there and needn't be.
    fn agent(&self, id: &str, required: bool) -> Result<Option<H::Agent>, Failure> {
        let given = self.job.agents.iter().rfind(|agent| agent.id() == id).cloned();
        match given {
            None if required => Err(Failure::failed(format!("the SSH agent `{id}` is required, and not given"))
                .hint(format!("give it with `--ssh {id}`, or with `--ssh {id}=SOCKET`"))),
            given => Ok(given),
        }
    }

    /// The script that a RUN is, as a file of its own.
    async fn script(&self, ScriptFile { name, content }: &ScriptFile) -> Result<MountOf<H>, Failure> {
        let fail = |error| Failure::because(format!("could not write the script `{name}`"), error);
        let metadata = Metadata { mode: 0o755, owner: Owner::default(), modified: Timestamp::default() };
        let mut draft: Draft<H> = Draft::new(self.job.host.scratch());
        let path = paths::normal(name);
        if let Some((parent, _)) = paths::split(&path) {
            draft.ensure_directory(parent, metadata).await.map_err(fail)?;
        }
        draft.put(&path, Change::Inline(content.as_bytes().to_vec()), metadata).await.map_err(fail)?;
        let written = draft.finish().await.map_err(fail)?;
        let snapshot = written.map_or_else(|| self.job.host.scratch(), |(snapshot, _)| snapshot);
        let source: SourceOf<H> = MountSource::Bind(BindMount { snapshot, path: String::new(), writable: false });
        Ok(Mount { target: SCRIPTS.to_owned(), source })
    }
}

fn access(mode: Option<u32>, default: u32, uid: Option<u32>, gid: Option<u32>) -> Access {
    Access { mode: mode.unwrap_or(default), uid: uid.unwrap_or(0), gid: gid.unwrap_or(0) }
}

fn sharing_of(sharing: mount::Sharing) -> Sharing {
    match sharing {
        mount::Sharing::Shared => Sharing::Shared,
        mount::Sharing::Private => Sharing::Private,
        mount::Sharing::Locked => Sharing::Locked,
    }
}

/// A target as the id of its cache: `/var/cache/`, `/var//cache` and `/var/cache` are one. As in BuildKit a relative one stays relative.
fn clean(target: &str) -> String {
    let normal = paths::normal(target);
    if target.starts_with('/') { format!("/{normal}") } else { normal }
}
