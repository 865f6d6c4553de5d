//! One instruction of a stage.

use std::rc::Rc;

use steprun_dockerfile::instruction::{Instruction, KeyValue, Kind};
use steprun_dockerfile::lint::{Lint, Rule};
use steprun_dockerfile::{Source, Span, Word, expand};
use steprun_ports::{Failure, Host};

use crate::job::Job;
use crate::scope::Text;
use crate::stage::Stage;
use crate::stages::Stages;
use crate::{diagnose, metadata};

/// Where an instruction is carried out.
pub(crate) struct Step<'a, H: Host> {
    pub(crate) job: &'a Rc<Job<H>>,
    /// Index of the stage.
    pub(crate) stage: usize,
    pub(crate) stages: &'a Stages<H>,
    /// Where the instruction stands: the Dockerfile, or a trigger of the base.
    pub(crate) source: Rc<Source>,
    pub(crate) escape: char,
    pub(crate) trigger: bool,
    /// Among the instructions of the stage, or among the triggers.
    pub(crate) number: usize,
}

impl<H: Host + 'static> Step<'_, H> {
    pub(crate) fn text(&self) -> Text<'_> {
        Text { source: &self.source, escape: self.escape }
    }

    /// Whether the instruction is work that people want to see.
    pub(crate) fn works(&self, instruction: &Instruction) -> bool {
        matches!(instruction.kind, Kind::Add(_) | Kind::Copy(_) | Kind::Run(_) | Kind::Workdir(_))
    }

    pub(crate) fn label(&self, instruction: &Instruction) -> String {
        let onbuild = if self.trigger { "ONBUILD " } else { "" };
        format!("[{}] {onbuild}{}", self.stages.label(self.job, self.stage), instruction.original)
    }

    /// Carries an instruction out. Gives a note on what came of it.
    pub(crate) async fn perform(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
    ) -> Result<&'static str, Failure> {
        match &instruction.kind {
            Kind::Run(run) => self.run(stage, instruction, run).await,
            Kind::Copy(copy) => self.copy(stage, instruction, copy, "COPY").await,
            Kind::Add(copy) => self.copy(stage, instruction, copy, "ADD").await,
            Kind::Workdir(word) => self.working_directory(stage, instruction, word).await,
            _ => {
                if let Some(created_by) = self.metadata(stage, instruction)? {
                    stage.config.record(created_by, false);
                }
                Ok("")
            }
        }
    }

    pub(crate) fn expand(&self, stage: &Stage<H>, word: &Word) -> Result<String, Failure> {
        let (value, undefined) = stage.scope.variables().expand(self.text(), word)?;
        self.warn_undefined(stage, word.span, &undefined);
        Ok(value)
    }

    /// Says which variables of a trigger have no value. Those of the Dockerfile were looked at before the build: see
    /// [`crate::findings`].
    pub(crate) fn warn_undefined(&self, stage: &Stage<H>, span: Span, undefined: &[String]) {
        let check = self.job.dockerfile.directives.check.as_ref();
        if !self.trigger || !Rule::UndefinedVar.is_on(check) {
            return;
        }
        for name in stage.scope.undefined(undefined) {
            let known = stage.scope.variables().iter().map(|(name, _)| name);
            diagnose::lint(&self.job.host, &self.source, &Lint::undefined_variable(span, name, known));
        }
    }

    /// An instruction that only changes the config. Gives its line in history; ONBUILD has none.
    fn metadata(&self, stage: &mut Stage<H>, instruction: &Instruction) -> Result<Option<String>, Failure> {
        let created_by = match &instruction.kind {
            Kind::Env(pairs) => {
                let variables = self.pairs(stage, pairs)?;
                for (name, value) in &variables {
                    stage.scope.set(name, value);
                }
                metadata::environment(stage.config.container_mut(), &variables)
            }
            Kind::Label(pairs) => {
                let labels = self.pairs(stage, pairs)?;
                metadata::labels(stage.config.container_mut(), &labels)
            }
            Kind::Arg(args) => {
                let mut texts = Vec::new();
                for arg in args {
                    let (name, value, undefined) = stage.scope.declare(self.text(), &self.job.globals, arg)?;
                    self.warn_undefined(stage, arg.span, &undefined);
                    texts.push(value.map_or(name.clone(), |value| format!("{name}={value}")));
                }
                format!("ARG {}", texts.join(" "))
            }
            Kind::Expose(words) => {
                let ports = self.ports(stage, words)?;
                metadata::expose(stage.config.container_mut(), &ports)
            }
            Kind::Volume(words) => {
                let volumes = words.iter().map(|word| self.not_empty(stage, word, "VOLUME"));
                let volumes = volumes.collect::<Result<Vec<_>, _>>()?;
                metadata::volumes(stage.config.container_mut(), &volumes)
            }
            Kind::User(word) => {
                let user = self.not_empty(stage, word, "USER")?;
                metadata::user(stage.config.container_mut(), &user)
            }
            Kind::StopSignal(word) => {
                let signal = self.expand(stage, word)?;
                metadata::stop_signal(stage.config.container_mut(), &signal).ok_or_else(|| {
                    diagnose::failed(&self.source, word.span, format!("there is no signal `{signal}`"))
                })?
            }
            Kind::Shell(shell) => metadata::shell(stage.config.container_mut(), shell),
            Kind::Healthcheck(check) => metadata::healthcheck(stage.config.container_mut(), check),
            Kind::Cmd(form) => {
                stage.own_command = true;
                metadata::command(stage.config.container_mut(), form)
            }
            Kind::Entrypoint(form) => metadata::entrypoint(stage.config.container_mut(), form, stage.own_command),
            Kind::Onbuild(onbuild) => {
                stage.triggers.push(onbuild.trigger.clone());
                stage.config.container_mut().on_build.clone_from(&stage.triggers);
                return Ok(None);
            }
            Kind::Maintainer(author) => {
                stage.config.set_author(author);
                format!("MAINTAINER {author}")
            }
            Kind::Add(_) | Kind::Copy(_) | Kind::Run(_) | Kind::Workdir(_) => return Ok(None),
        };
        Ok(Some(created_by))
    }

    /// Keys and values of ENV or LABEL: all see the variables as they were before the instruction.
    fn pairs(&self, stage: &Stage<H>, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Failure> {
        pairs.iter().map(|pair| Ok((self.expand(stage, &pair.key)?, self.expand(stage, &pair.value)?))).collect()
    }

    pub(crate) fn not_empty(&self, stage: &Stage<H>, word: &Word, instruction: &str) -> Result<String, Failure> {
        match self.expand(stage, word)? {
            value if value.is_empty() => {
                Err(diagnose::failed(&self.source, word.span, format!("{instruction} has an empty value")))
            }
            value => Ok(value),
        }
    }

    fn ports(&self, stage: &Stage<H>, words: &[Word]) -> Result<Vec<String>, Failure> {
        let mut ports = Vec::new();
        for word in words {
            let wrong = |message: String| diagnose::failed(&self.source, word.span, message);
            let lookup = |name: &str| stage.scope.variables().get(name).map(str::to_owned);
            let texts = expand::words(&word.raw, self.escape, &lookup);
            for text in texts.map_err(|error| wrong(error.to_string()))? {
                ports.extend(metadata::ports(&text).map_err(wrong)?);
            }
        }
        Ok(ports)
    }
}
