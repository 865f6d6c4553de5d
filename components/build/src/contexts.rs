//! Named contexts: what `--build-context` puts in the place of stages and images (BuildKit `dockerui/namedcontext.go`).

use std::rc::Rc;

use steprun_ports::{self as ports, ContextSource, Failure, Host, ImageArgument, Timestamp};

use crate::clock::Clock;
use crate::copy::{self, Context};
use crate::ignore::Ignore;
use crate::image::{Once, once};
use crate::load;

/// Names that stand for what no context can replace.
const RESERVED: [&str; 2] = ["scratch", "context"];

/// The files of a directory as a file system, and the time of the newest one.
pub(crate) type Files<H> = Once<(<H as Host>::Snapshot, Option<Timestamp>)>;

/// What a named context leads to.
pub(crate) enum Source<H: Host> {
    /// A directory, without what its own .dockerignore leaves out.
    Directory { context: Rc<Context<H>>, files: Files<H> },
    /// An image.
    Image(ImageArgument<H::Repository>),
    /// `docker-image://scratch`.
    Nothing,
}

/// The named contexts of a build, each name once.
pub(crate) struct Contexts<H: Host> {
    names: Names,
    sources: Vec<Source<H>>,
}

/// What the named contexts are called.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// The context of a name, by index. `a`, `a:latest` and `docker.io/library/a` are one name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let wanted = familiar(name);
        self.0.iter().position(|own| familiar(own) == wanted)
    }

    /// All names as typed, by index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The short form of an image's name (distribution/reference, `FamiliarString`), without the tag that is there by default.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name)
}

impl<H: Host + 'static> Contexts<H> {
    /// Takes the arguments in; the last of a name counts. Directories are looked at for their .dockerignore only.
    ///
    /// # Errors
    /// Usage failures for reserved names; ignore files that can't be used.
    pub(crate) async fn read(
        host: &H,
        clock: Clock,
        given: &[ports::NamedContext<H::Directory, H::Repository>],
    ) -> Result<Self, Failure> {
        let mut contexts = Self { names: Names::default(), sources: Vec::new() };
        for ports::NamedContext { name, source } in given {
            if RESERVED.contains(&name.as_str()) {
                return Err(Failure::usage(format!("a named context can't be called `{name}`")));
            }
            let source = match source {
                ContextSource::Directory(directory) => directory_source(host, clock, name, directory).await?,
                ContextSource::Image(image) if image.typed == "scratch" => Source::Nothing,
                ContextSource::Image(image) => Source::Image(image.clone()),
            };
            match contexts.names.find(name) {
                Some(index) => contexts.sources[index] = source,
                None => {
                    contexts.names.0.push(name.clone());
                    contexts.sources.push(source);
                }
            }
        }
        Ok(contexts)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// A context's name and what it leads to, by an index of [`Names::find`].
    pub(crate) fn get(&self, index: usize) -> (&str, &Source<H>) {
        (&self.names.0[index], &self.sources[index])
    }
}

async fn directory_source<H: Host + 'static>(
    host: &H,
    clock: Clock,
    name: &str,
    directory: &H::Directory,
) -> Result<Source<H>, Failure> {
    let ignore = load::ignore_file(directory).await?.map(|mut source| {
        source.name = format!("{name}: {}", source.name);
        source
    });
    let context = Rc::new(Context { directory: directory.clone(), ignore: Ignore::new(host, ignore.as_ref())? });
    let files = once(copy::whole(host.clone(), context.clone(), clock));
    Ok(Source::Directory { context, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_54_names_are_those_of_images() {
        let names = Names(vec!["alpine".into(), "registry.test/a:1".into(), "docker.io/library/debian:12".into()]);
        for (name, found) in [
            ("alpine", Some(0)),
            ("alpine:latest", Some(0)),
            ("docker.io/library/alpine", Some(0)),
            ("library/alpine:latest", Some(0)),
            ("alpine:3", None),
            ("registry.test/a:1", Some(1)),
            ("registry.test/a", None),
            ("debian:12", Some(2)),
        ] {
            assert_eq!(names.find(name), found, "{name}");
        }
    }
}
