//! COPY and ADD of files (BuildKit `dockerfile2llb/convert_copy.go`, fsutil `copy/copy.go`).

mod declare;
mod find;
mod gather;
mod missing;
mod origin;
mod parents;
mod place;
mod remote;
mod walk;

use std::rc::Rc;

use steprun_dockerfile::mode::Mode;
use steprun_dockerfile::{Source, Span};
use steprun_ports::{Failure, FileKind, Host, Timestamp};

pub(crate) use self::declare::declare;
pub(crate) use self::gather::{Gathered, gather};
pub(crate) use self::missing::failure as missing;
pub(crate) use self::origin::{Context, Origin, Producer};
pub(crate) use self::place::Destination;
pub(crate) use self::remote::Remote;

use self::find::Match;
use self::gather::Sources;
use self::place::{Load, Placer, Style};
use self::remote::Fetched;
use crate::clock::Clock;
use crate::diagnose;
use crate::draft::Draft;
use crate::ignore::Patterns;
use crate::{owner, paths};

/// A value with its variables expanded, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) span: Span,
}

/// A COPY or ADD with its variables expanded.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) sources: Vec<Text>,
    /// Names and contents.
    pub(crate) heredocs: Vec<(String, String)>,
    /// As written.
    pub(crate) destination: Text,
    pub(crate) chown: Option<Text>,
    pub(crate) chmod: Option<Text>,
    pub(crate) exclude: Vec<Text>,
    pub(crate) link: bool,
    pub(crate) parents: bool,
    /// Whether archives are unpacked.
    pub(crate) unpack: bool,
    /// Whether archives that were fetched are.
    pub(crate) unpack_fetched: bool,
    /// What a fetched source is checked by: a file's digest, or how a commit's name begins.
    pub(crate) checksum: Option<Text>,
    pub(crate) keep_git_dir: bool,
    /// The whole instruction.
    pub(crate) span: Span,
}

/// Where a copy happens.
pub(crate) struct Scene<H: Host> {
    pub(crate) host: H,
    /// The Dockerfile that the request is written in.
    pub(crate) source: Rc<Source>,
    /// To log in to Git repositories.
    pub(crate) agents: Vec<H::Agent>,
    /// Absolute.
    pub(crate) working_directory: String,
    pub(crate) clock: Clock,
}

impl Destination {
    /// A destination as written, relative to the working directory.
    pub(crate) fn new(working_directory: &str, written: &str) -> Self {
        let directory = matches!(written, "" | ".") || written.ends_with('/') || written.ends_with("/.");
        let absolute = paths::absolute(working_directory, written);
        Self { path: paths::normal(&absolute), directory }
    }
}

/// The file system after a copy and the time of its newest entry; none if nothing is copied.
///
/// # Errors
/// Each with its place in the Dockerfile.
pub(crate) async fn perform<H: Host>(
    scene: &Scene<H>,
    base: &H::Snapshot,
    producer: Producer<H>,
    request: &Request,
    gathered: Gathered<H>,
) -> Result<Option<(H::Snapshot, Timestamp)>, Failure> {
    let whole = |failure| diagnose::at(&scene.source, request.span, failure);
    let style = style(scene, base, request).await?;
    let destination = Destination::new(&scene.working_directory, &request.destination.value);
    let origin = producer.origin().await?;
    let mut draft = Draft::new(base.clone());
    let number = draft.source(origin.content());
    let Gathered { sources, exclude, mut walks } = gathered;
    let found = find_later(scene, &origin, request, sources).await?;
    check_several(scene, &mut draft, request, &destination, &found).await?;

    let mut placer = Placer { host: &scene.host, draft: &mut draft, style: &style, destination: &destination };
    for (text, sources) in &found {
        let place = |failure| diagnose::at(&scene.source, text.span, failure);
        let mut load = Load::new(&origin, number).walked(walks);
        put_all(&mut placer, &mut load, request, sources, &exclude).await.map_err(place)?;
        walks = load.into_walks();
    }
    for (name, content) in &request.heredocs {
        placer.heredoc(name, content).await.map_err(whole)?;
    }
    let finished = draft.finish().await;
    finished.map_err(|error| whole(Failure::because("could not apply the copy", error)))
}

/// Finds the sources in file systems of stages and images.
async fn find_later<H: Host>(
    scene: &Scene<H>,
    origin: &Origin<H>,
    request: &Request,
    sources: Vec<(Text, Sources<H>)>,
) -> Result<Vec<(Text, Sources<H>)>, Failure> {
    let mut all = Vec::with_capacity(sources.len());
    for (text, found) in sources {
        let found = match found {
            Sources::Later => {
                let found = gather::sources_in(origin, request, &text).await;
                found.map_err(|failure| diagnose::at(&scene.source, text.span, failure))?
            }
            found => found,
        };
        all.push((text, found));
    }
    Ok(all)
}

/// Puts what one source means where it belongs.
async fn put_all<H: Host>(
    placer: &mut Placer<'_, H>,
    load: &mut Load<'_, H>,
    request: &Request,
    sources: &Sources<H>,
    exclude: &Patterns,
) -> Result<(), Failure> {
    match sources {
        Sources::Plain(matches) => {
            for found in matches.iter().filter(|found| !excluded(exclude, found)) {
                put(placer, load, found, request.unpack, exclude).await?;
            }
        }
        Sources::Fetched(Fetched { origin, found, .. }) if !excluded(exclude, found) => {
            let mut load = Load::new(origin, placer.draft.source(origin.content()));
            put(placer, &mut load, found, request.unpack_fetched, exclude).await?;
        }
        Sources::WithParents { base, items } => {
            for item in items.iter().filter(|item| !exclude.excludes(&item.path)) {
                placer.copy_with_parents(load, base, item, exclude).await?;
            }
        }
        Sources::Fetched(_) | Sources::Later => {}
    }
    Ok(())
}

/// All of a context that is not ignored, as a file system of its own, and the time of the newest file: what a RUN may mount and a stage
/// begin with. Times are those of the files, as far as the clock lets them be.
///
/// # Errors
/// Files that can't be listed, and device nodes.
pub(crate) async fn whole<H: Host>(
    host: H,
    context: Rc<Context<H>>,
    clock: Clock,
) -> Result<(H::Snapshot, Option<Timestamp>), Failure> {
    let origin = Origin::Context(context);
    let empty = host.scratch();
    let mut draft = Draft::new(empty.clone());
    let number = draft.source(origin.content());
    let style = Style { owner: None, mode: None, link: false, clock };
    let destination = Destination::new("/", "/");
    let mut placer = Placer { host: &host, draft: &mut draft, style: &style, destination: &destination };
    placer.everything(&mut Load::new(&origin, number)).await?;
    let finished = draft.finish().await;
    let finished = finished.map_err(|error| Failure::because("could not take the context", error))?;
    Ok(finished.map_or((empty, None), |(files, newest)| (files, Some(newest))))
}

/// Several files need a directory to go to: else each would replace the one before.
async fn check_several<H: Host>(
    scene: &Scene<H>,
    draft: &mut Draft<H>,
    request: &Request,
    destination: &Destination,
    found: &[(Text, Sources<H>)],
) -> Result<(), Failure> {
    let files = found.iter().map(|(_, sources)| sources.files()).sum::<usize>() + request.heredocs.len();
    if files < 2 || destination.directory {
        return Ok(());
    }
    let look = async {
        let real = draft.real_path(&destination.path).await?;
        draft.look(&real).await
    };
    match look.await {
        Ok(crate::draft::Found::Directory) => Ok(()),
        Ok(_) => Err(diagnose::failed(
            &scene.source,
            request.destination.span,
            format!("{files} files can't be copied to the one name `{}`", request.destination.value),
        )
        .hint(format!("write `{}/`: several files need a directory", request.destination.value))),
        Err(error) => Err(diagnose::at(
            &scene.source,
            request.destination.span,
            Failure::because(format!("could not look at `{}`", request.destination.value), error),
        )),
    }
}

/// Patterns of `--exclude` hold for files that a source names, too.
fn excluded(exclude: &Patterns, found: &Match) -> bool {
    found.stat.kind != FileKind::Directory && (exclude.excludes(found.name()) || exclude.excludes(&found.named))
}

/// Puts one file or directory where it belongs; `unpack` says whether an archive becomes its content.
async fn put<H: Host>(
    placer: &mut Placer<'_, H>,
    load: &mut Load<'_, H>,
    found: &Match,
    unpack: bool,
    exclude: &Patterns,
) -> Result<(), Failure> {
    let content = if unpack { archive(placer.host, load.origin, found).await? } else { None };
    let Some(content) = content else {
        return placer.copy(load, found, exclude).await;
    };
    let origin = Origin::Snapshot(content);
    let number = placer.draft.source(origin.content());
    let style = placer.style.of_archive();
    let (host, draft, destination) = (placer.host, &mut *placer.draft, placer.destination);
    Placer { host, draft, style: &style, destination }.unpack(&mut Load::new(&origin, number)).await
}

async fn archive<H: Host>(host: &H, origin: &Origin<H>, found: &Match) -> Result<Option<H::Snapshot>, Failure> {
    if found.stat.kind != FileKind::Regular {
        return Ok(None);
    }
    let opened = host.from_archive(&origin.content(), &found.path).await;
    opened.map_err(|error| Failure::because(format!("could not unpack `{}`", found.path), error))
}

async fn style<H: Host>(scene: &Scene<H>, base: &H::Snapshot, request: &Request) -> Result<Style, Failure> {
    let owner = match &request.chown {
        Some(chown) if !chown.value.is_empty() => {
            let owner = owner::resolve(base, &chown.value).await;
            Some(owner.map_err(|failure| diagnose::at(&scene.source, chown.span, failure))?)
        }
        _ => None,
    };
    let mode = match &request.chmod {
        Some(chmod) => Some(
            Mode::parse(&chmod.value)
                .map_err(|error| diagnose::failed(&scene.source, chmod.span, error.to_string()))?,
        ),
        None => None,
    };
    Ok(Style { owner, mode, link: request.link, clock: scene.clock })
}
