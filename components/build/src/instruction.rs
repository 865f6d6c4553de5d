//! One instruction of a stage.

use std::rc::Rc;

use steprun_dockerfile::instruction::{Copy, Heredoc, Instruction, KeyValue, Kind};
use steprun_dockerfile::lint::{Lint, Rule};
use steprun_dockerfile::{Span, Word, expand};
use steprun_ports::{Failure, Host, Timestamp};

use crate::copy::{self, Remote, Request, Scene};
use crate::draft::{Draft, Metadata};
use crate::job::Job;
use crate::owner::{self, Owner};
use crate::scope::Text;
use crate::stage::Stage;
use crate::stages::Stages;
use crate::{diagnose, metadata, paths};

/// Where an instruction is carried out.
pub(crate) struct Step<'a, H: Host> {
    pub(crate) job: &'a Rc<Job<H>>,
    /// Index of the stage.
    pub(crate) stage: usize,
    pub(crate) stages: &'a Stages<H>,
    /// Where the instruction stands: the Dockerfile, or a trigger of the base.
    pub(crate) text: Text<'a>,
    pub(crate) trigger: bool,
}

impl<H: Host + 'static> Step<'_, H> {
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
        let layers = stage.steps.len();
        match &instruction.kind {
            Kind::Run(run) => self.run(stage, instruction, run).await?,
            Kind::Copy(copy) => self.copy(stage, instruction, copy, "COPY").await?,
            Kind::Add(copy) => self.copy(stage, instruction, copy, "ADD").await?,
            Kind::Workdir(word) => self.working_directory(stage, word).await?,
            _ => {
                if let Some(created_by) = self.metadata(stage, instruction)? {
                    stage.config.record(created_by, false);
                }
            }
        }
        Ok(if stage.steps.len() > layers { "" } else { "nothing changed" })
    }

    fn expand(&self, stage: &Stage<H>, word: &Word) -> Result<String, Failure> {
        let (value, undefined) = stage.scope.variables().expand(self.text, word)?;
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
            diagnose::lint(&self.job.host, self.text.source, &Lint::undefined_variable(span, name, known));
        }
    }

    fn texts(&self, stage: &Stage<H>, words: &[Word]) -> Result<Vec<copy::Text>, Failure> {
        words.iter().map(|word| self.copied_text(stage, word)).collect()
    }

    fn copied_text(&self, stage: &Stage<H>, word: &Word) -> Result<copy::Text, Failure> {
        Ok(copy::Text { value: self.expand(stage, word)?, span: word.span })
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
                    let (name, value, undefined) = stage.scope.declare(self.text, &self.job.globals, arg)?;
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
                    diagnose::failed(self.text.source, word.span, format!("there is no signal `{signal}`"))
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

    fn not_empty(&self, stage: &Stage<H>, word: &Word, instruction: &str) -> Result<String, Failure> {
        match self.expand(stage, word)? {
            value if value.is_empty() => {
                Err(diagnose::failed(self.text.source, word.span, format!("{instruction} has an empty value")))
            }
            value => Ok(value),
        }
    }

    fn ports(&self, stage: &Stage<H>, words: &[Word]) -> Result<Vec<String>, Failure> {
        let mut ports = Vec::new();
        for word in words {
            let wrong = |message: String| diagnose::failed(self.text.source, word.span, message);
            let lookup = |name: &str| stage.scope.variables().get(name).map(str::to_owned);
            let texts = expand::words(&word.raw, self.text.escape, &lookup);
            for text in texts.map_err(|error| wrong(error.to_string()))? {
                ports.extend(metadata::ports(&text).map_err(wrong)?);
            }
        }
        Ok(ports)
    }

    /// WORKDIR: makes the directories that are missing, owned by USER.
    async fn working_directory(&self, stage: &mut Stage<H>, word: &Word) -> Result<(), Failure> {
        let path = self.not_empty(stage, word, "WORKDIR")?;
        let absolute = paths::absolute(&stage.config.working_directory(), &path);
        stage.config.container_mut().working_dir = Some(absolute.clone());
        let changed = if absolute == "/" {
            None
        } else {
            let made = self.make_directory(stage, &absolute).await;
            made.map_err(|failure| diagnose::at(self.text.source, word.span, failure))?
        };
        stage.change(format!("WORKDIR {absolute}"), changed);
        Ok(())
    }

    async fn make_directory(&self, stage: &Stage<H>, path: &str) -> Result<Option<(H::Snapshot, Timestamp)>, Failure> {
        let base = stage.files.clone().await?;
        let fail = |error| Failure::because(format!("could not make the working directory {path}"), error);
        let mut draft: Draft<H> = Draft::new(base.clone());
        let real = draft.real_path(path).await.map_err(fail)?;
        let owner = match &stage.config.container().user {
            Some(user) => owner::of_user(&base, user).await?,
            None => Owner::default(),
        };
        let metadata = Metadata { mode: 0o755, owner, modified: self.job.clock.made() };
        draft.ensure_directory(&real, metadata).await.map_err(fail)?;
        draft.finish().await.map_err(fail)
    }

    async fn copy(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        copy: &Copy,
        name: &str,
    ) -> Result<(), Failure> {
        let request = self.request(stage, instruction, copy, name == "ADD")?;
        self.check_sources(&request, name)?;
        let origin = self.origin(copy).await?;
        let place = |failure| diagnose::at(self.text.source, instruction.span, failure);
        let base = stage.files.clone().await.map_err(place)?;
        let working_directory = stage.config.working_directory();
        let scene = Scene {
            host: &self.job.host,
            source: self.text.source,
            origin: &origin,
            agents: &self.job.agents,
            working_directory: &working_directory,
            clock: self.job.clock,
        };
        let changed = copy::perform(&scene, &base, &request).await?;
        stage.change(format!("{name}{} # buildkit", arguments(&request)), changed);
        Ok(())
    }

    fn request(&self, stage: &Stage<H>, instruction: &Instruction, copy: &Copy, add: bool) -> Result<Request, Failure> {
        let optional = |word: &Option<Word>| word.as_ref().map(|word| self.copied_text(stage, word)).transpose();
        Ok(Request {
            sources: self.texts(stage, &copy.sources)?,
            heredocs: copy.heredocs.iter().map(|heredoc| self.heredoc(stage, heredoc)).collect::<Result<_, _>>()?,
            destination: self.copied_text(stage, &copy.destination)?,
            chown: optional(&copy.chown)?,
            chmod: optional(&copy.chmod)?,
            exclude: self.texts(stage, &copy.exclude)?,
            link: copy.link,
            parents: copy.parents,
            unpack: add && copy.unpack.unwrap_or(true),
            unpack_fetched: copy.unpack.unwrap_or(false),
            checksum: optional(&copy.checksum)?,
            keep_git_dir: copy.keep_git_dir,
            span: instruction.span,
        })
    }

    fn heredoc(&self, stage: &Stage<H>, heredoc: &Heredoc) -> Result<(String, String), Failure> {
        if !heredoc.expand {
            return Ok((heredoc.name.clone(), heredoc.content.clone()));
        }
        let lookup = |name: &str| stage.scope.variables().get(name).map(str::to_owned);
        let expanded = expand::expand_heredoc(&heredoc.content, '\\', &lookup);
        let expanded =
            expanded.map_err(|error| diagnose::failed(self.text.source, heredoc.content_span, error.to_string()))?;
        self.warn_undefined(stage, heredoc.content_span, &expanded.undefined);
        Ok((heredoc.name.clone(), expanded.value))
    }

    /// COPY takes nothing from elsewhere, and a checksum is that of one thing from elsewhere (BuildKit `dockerfile2llb/convert_copy.go`).
    fn check_sources(&self, request: &Request, name: &str) -> Result<(), Failure> {
        let remote = request.sources.iter().find_map(|text| Some((text, Remote::of(&text.value)?)));
        match (remote, &request.checksum) {
            (Some((text, kind)), _) if name != "ADD" => {
                let message = format!("COPY can't take {}", kind.name());
                Err(diagnose::failed(self.text.source, text.span, message).hint("ADD can"))
            }
            (None, Some(checksum)) => Err(diagnose::failed(
                self.text.source,
                checksum.span,
                "`--checksum` is for URLs and Git repositories, and all sources are local",
            )),
            (Some(_), Some(checksum)) if request.sources.len() + request.heredocs.len() > 1 => Err(diagnose::failed(
                self.text.source,
                checksum.span,
                "`--checksum` is that of one source, and there are several",
            )),
            _ => Ok(()),
        }
    }
}

/// Flags and operands as history shows them.
fn arguments(request: &Request) -> String {
    let mut words = Vec::new();
    if request.parents {
        words.push("--parents".to_owned());
    }
    words.extend(request.chown.iter().map(|chown| format!("--chown={}", chown.value)));
    words.extend(request.chmod.iter().map(|chmod| format!("--chmod={}", chmod.value)));
    words.extend(request.sources.iter().map(|source| source.value.clone()));
    words.extend(request.heredocs.iter().map(|(name, _)| format!("<<{name}")));
    words.push(request.destination.value.clone());
    words.iter().map(|word| format!(" {word}")).collect()
}
