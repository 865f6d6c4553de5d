//! COPY, ADD and WORKDIR: instructions that put files where they belong, without running anything.

use steprun_dockerfile::instruction::{Copy, Heredoc, Instruction};
use steprun_dockerfile::{Word, expand};
use steprun_ports::{Failure, Host};

use crate::cache::Inputs;
use crate::clock::Clock;
use crate::copy::{self, Remote, Request, Scene};
use crate::draft::{Draft, Metadata};
use crate::image::Once;
use crate::instruction::Step;
use crate::owner::{self, Owner};
use crate::recall::Changed;
use crate::stage::Stage;
use crate::{diagnose, paths};

impl<H: Host + 'static> Step<'_, H> {
    /// WORKDIR: makes the directories that are missing, owned by USER.
    pub(crate) async fn working_directory(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        word: &Word,
    ) -> Result<&'static str, Failure> {
        let path = self.not_empty(stage, word, "WORKDIR")?;
        let absolute = paths::absolute(&stage.config.working_directory(), &path);
        stage.config.container_mut().working_dir = Some(absolute.clone());
        let created_by = format!("WORKDIR {absolute}");
        if absolute == "/" {
            stage.unchanged(created_by);
            return Ok("nothing changed");
        }
        let user = stage.config.container().user.clone();
        let mut inputs = self.inputs("WORKDIR", stage);
        inputs.add("path", &absolute);
        inputs.add("user", user.as_deref().unwrap_or_default());
        let (files, clock, source, span) = (stage.files.clone(), self.job.clock, self.source.clone(), word.span);
        let place = async move {
            let made = make_directory::<H>(files, &absolute, user.as_deref(), clock).await;
            made.map_err(|failure| diagnose::at(&source, span, failure))
        };
        self.settle(stage, instruction, &inputs, created_by, place).await
    }

    /// COPY or ADD, as `name` says.
    pub(crate) async fn copy(
        &self,
        stage: &mut Stage<H>,
        instruction: &Instruction,
        copy: &Copy,
        name: &str,
    ) -> Result<&'static str, Failure> {
        let request = self.request(stage, instruction, copy, name == "ADD")?;
        self.check_sources(&request, name)?;
        if self.stages.only_looks() && request.sources.iter().any(|text| Remote::of(&text.value).is_some()) {
            return Err(diagnose::failed(&self.source, instruction.span, "what is fetched is not known before it is"));
        }
        let producer = self.origin(copy).await?;
        let scene = Scene {
            host: self.job.host.clone(),
            source: self.source.clone(),
            agents: self.job.agents.clone(),
            working_directory: stage.config.working_directory(),
            clock: self.job.clock,
        };
        let gathered = copy::gather(&scene, &producer, &request).await?;
        let mut inputs = self.inputs(name, stage);
        copy::declare(&scene, &producer, &request, &gathered, &mut inputs).await?;
        let created_by = format!("{name}{} # buildkit", arguments(&request));
        let (files, span) = (stage.files.clone(), instruction.span);
        let place = async move {
            let base = files.await.map_err(|failure| diagnose::at(&scene.source, span, failure))?;
            copy::perform(&scene, &base, producer, &request, gathered).await
        };
        self.settle(stage, instruction, &inputs, created_by, place).await
    }

    /// What every instruction depends on that changes files.
    pub(crate) fn inputs(&self, kind: &str, stage: &Stage<H>) -> Inputs {
        let mut inputs = Inputs::new(kind);
        inputs.add("base", stage.key.as_str());
        if let Some(latest) = self.job.clock.latest() {
            inputs.add("SOURCE_DATE_EPOCH", latest.seconds.to_string());
        }
        inputs
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

    fn texts(&self, stage: &Stage<H>, words: &[Word]) -> Result<Vec<copy::Text>, Failure> {
        words.iter().map(|word| self.copied_text(stage, word)).collect()
    }

    fn copied_text(&self, stage: &Stage<H>, word: &Word) -> Result<copy::Text, Failure> {
        Ok(copy::Text { value: self.expand(stage, word)?, span: word.span })
    }

    fn heredoc(&self, stage: &Stage<H>, heredoc: &Heredoc) -> Result<(String, String), Failure> {
        if !heredoc.expand {
            return Ok((heredoc.name.clone(), heredoc.content.clone()));
        }
        let lookup = |name: &str| stage.scope.variables().get(name).map(str::to_owned);
        let expanded = expand::expand_heredoc(&heredoc.content, '\\', &lookup);
        let expanded =
            expanded.map_err(|error| diagnose::failed(&self.source, heredoc.content_span, error.to_string()))?;
        self.warn_undefined(stage, heredoc.content_span, &expanded.undefined);
        Ok((heredoc.name.clone(), expanded.value))
    }

    /// COPY takes nothing from elsewhere, and a checksum is that of one thing from elsewhere (BuildKit `dockerfile2llb/convert_copy.go`).
    fn check_sources(&self, request: &Request, name: &str) -> Result<(), Failure> {
        let remote = request.sources.iter().find_map(|text| Some((text, Remote::of(&text.value)?)));
        match (remote, &request.checksum) {
            (Some((text, kind)), _) if name != "ADD" => {
                let message = format!("COPY can't take {}", kind.name());
                Err(diagnose::failed(&self.source, text.span, message).hint("ADD can"))
            }
            (None, Some(checksum)) => Err(diagnose::failed(
                &self.source,
                checksum.span,
                "`--checksum` is for URLs and Git repositories, and all sources are local",
            )),
            (Some(_), Some(checksum)) if request.sources.len() + request.heredocs.len() > 1 => Err(diagnose::failed(
                &self.source,
                checksum.span,
                "`--checksum` is that of one source, and there are several",
            )),
            _ => Ok(()),
        }
    }
}

async fn make_directory<H: Host>(
    files: Once<H::Snapshot>,
    path: &str,
    user: Option<&str>,
    clock: Clock,
) -> Result<Changed<H>, Failure> {
    let base = files.await?;
    let fail = |error| Failure::because(format!("could not make the working directory {path}"), error);
    let mut draft: Draft<H> = Draft::new(base.clone());
    let real = draft.real_path(path).await.map_err(fail)?;
    let owner = match user {
        Some(user) => owner::of_user(&base, user).await?,
        None => Owner::default(),
    };
    let metadata = Metadata { mode: 0o755, owner, modified: clock.made() };
    draft.ensure_directory(&real, metadata).await.map_err(fail)?;
    draft.finish().await.map_err(fail)
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
