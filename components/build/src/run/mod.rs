//! RUN: a native command with the stage's files as its root (BuildKit `dockerfile2llb/convert.go`, `dispatchRun`).
//!
//! The step decides what is run, as whom, and what it sees; the host runs it in a sandbox. Contents of secrets never come here.

mod command;
mod declare;
mod environment;
mod failure;
mod mounts;
mod user;

use steprun_dockerfile::instruction::{Instruction, Network, Run, Security};
use steprun_ports::{Failure, Host, Outcome, Process, Snapshot};

use self::command::Command;
use self::mounts::Mounts;
use self::user::Account;
use crate::image::known;
use crate::instruction::Step;
use crate::metadata;
use crate::stage::Stage;
use crate::{diagnose, scope};

/// A command as the host takes it.
type ProcessOf<H> = Process<<H as Host>::Snapshot, <H as Host>::Secret, <H as Host>::Agent>;

impl<H: Host + 'static> Step<'_, H> {
    /// Carries a RUN out.
    ///
    /// # Errors
    /// The command's own failure, with its exit status; what the host doesn't grant; a flag, user or mount that makes no sense.
    pub(crate) async fn run(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        run: &Run,
    ) -> Result<&'static str, Failure> {
        let place = |failure| diagnose::at(&self.source, instruction.span, failure);
        self.refuse(instruction, run)?;
        let command = Command::new(run.script(), metadata::shell_of(stage.config.container()));
        if command.arguments.is_empty() {
            return Err(place(Failure::failed("RUN has no command")));
        }
        let created_by = format!("RUN {}{} # buildkit", arguments(&stage.scope), command.arguments.join(" "));
        let resolved: Vec<_> =
            run.mounts.iter().map(|spec| self.expand_mount(stage, spec)).collect::<Result<_, _>>()?;
        let inputs = self.declare_command(stage, run, &command, &resolved).await?;
        if let Some(note) = self.recall_command(stage, instruction, &inputs, &created_by).await.map_err(place)? {
            return Ok(note);
        }
        let base = stage.files.clone().await.map_err(place)?;
        let user = stage.config.container().user.clone().unwrap_or_default();
        let account = user::account(&base, &user).await.map_err(place)?;
        let mounts = self.mounts(stage, instruction, run.mounts.iter().zip(resolved), &command).await?;
        let process = self.process(stage, run, command, account, mounts);
        let outcome = base.run(process).await;
        let hint = || self.foreign(stage);
        let outcome = outcome.map_err(|error| place(failure::not_run(&instruction.original, error, hint())))?;
        match outcome {
            Outcome { status: 0, snapshot: Some(snapshot), reads, .. } => {
                if self.stages.cache.by_reads() && reads.is_none() {
                    self.stages.cache.warn_blind();
                }
                let read = reads.map(|reads| (inputs.key_by_reads(), reads));
                let in_image = self.stages.in_image(self.stage);
                stage.layer(self.job, created_by, known(snapshot), in_image);
                if let Some(step) = stage.steps.last() {
                    self.remember_layer(step, stage.key.clone(), None, in_image, read);
                }
                Ok("")
            }
            outcome => Err(place(failure::of(&instruction.original, outcome, hint()))),
        }
    }

    /// Flags that ask for more than the sandbox gives.
    fn refuse(&self, instruction: &Instruction, run: &Run) -> Result<(), Failure> {
        if run.security == Security::Insecure {
            let message = "`RUN --security=insecure` is refused: commands never get the builder's own privileges";
            return Err(diagnose::failed(&self.source, instruction.span, message)
                .hint("leave the flag out: in the sandbox the command is root, with what an image's files need"));
        }
        match run.devices.first() {
            Some(device) => {
                let message = format!("the device `{}` can't be given: RUN has no access to devices", device.name);
                Err(diagnose::failed(&self.source, device.span, message))
            }
            None => Ok(()),
        }
    }

    fn process(
        &self,
        stage: &Stage<H>,
        run: &Run,
        command: Command,
        account: Account,
        mounts: Mounts<H>,
    ) -> ProcessOf<H> {
        let extra = environment::Extra {
            proxies: self.job.globals.proxies(),
            home: account.home,
            agent_socket: mounts.agent_socket,
            secrets: mounts.secret_environment.iter().map(|(name, _)| name.clone()).collect(),
        };
        Process {
            label: self.stages.label(self.job, self.stage),
            arguments: command.arguments,
            environment: environment::environment(stage.scope.variables(), extra),
            secret_environment: mounts.secret_environment,
            working_directory: stage.config.working_directory(),
            user: account.user,
            mounts: mounts.list,
            network: match run.network {
                Network::Default => steprun_ports::Network::Default,
                Network::None => steprun_ports::Network::None,
                Network::Host => steprun_ports::Network::Host,
            },
            standard_input: Vec::new(),
            // The host's own limits hold.
            time_limit: None,
            latest: self.job.clock.latest(),
            // The account was looked up there.
            reads: self.stages.cache.by_reads().then(|| user::FILES.map(str::to_owned).to_vec()),
        }
    }

    /// A hint for commands of an image that is made for other machines than this one.
    fn foreign(&self, stage: &Stage<H>) -> Option<String> {
        let (build, image) = (&self.job.platforms.build, stage.config.platform());
        let foreign = !image.architecture.is_empty() && !build.runs(image);
        foreign.then(|| {
            format!("the image is made for {image} and this machine is {build}: without an emulator its programs can't run here")
        })
    }
}

/// The ARGs as history shows them before the command: `|2 a=1 b=2 `.
fn arguments(scope: &scope::Scope) -> String {
    let texts: Vec<String> = scope.arguments().map(|(name, value)| format!("{name}={value} ")).collect();
    match texts.len() {
        0 => String::new(),
        count => format!("|{count} {}", texts.concat()),
    }
}
