//! A Dockerfile with its context, as a file of the corpus has it.

use std::fs;
use std::path::Path;

use super::archive::archive;
use super::corpus;
use super::section::{Kind, Section, read};
use crate::Context;

/// A case: a text that says what it is about, a few settings, the Dockerfile, and the files of the context.
///
/// ```text
/// What it is about.
/// rows: 83 84            rows of docs/dockerfile.md that it exercises
/// args: --target=x       arguments for both builders; CONTEXT is the context's directory
/// fails: no directory    both must refuse it, and steprun says this
/// -- Dockerfile --
/// FROM REGISTRY/busybox  an image of ours, see `bases.rs`
/// -- Equivalent --
/// ...                    what it means in words that buildah knows, where it does not know all of the Dockerfile's
/// ```
#[derive(Debug)]
pub struct Case {
    /// The name of its file.
    pub name: String,
    /// Rows of docs/dockerfile.md.
    pub rows: Vec<u16>,
    /// What steprun says of it, if both builders must refuse it.
    pub fails: Option<String>,
    arguments: Vec<String>,
    equivalent: Option<Vec<u8>>,
    files: Vec<Section>,
}

/// A case that can be built.
#[derive(Debug)]
pub struct Scene {
    /// With the Dockerfile in it.
    pub(super) context: Context,
    /// For both builders.
    pub(super) arguments: Vec<String>,
    /// For buildah, in place of the Dockerfile.
    pub(super) equivalent: Option<Vec<u8>>,
}

impl Case {
    /// All cases, by name.
    pub fn all() -> Vec<Self> {
        let files = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "txtar")).collect();
        files.sort_unstable();
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (head, mut files) = read(&fs::read_to_string(path).unwrap());
        let setting = |setting: &str| head.lines().find_map(|line| line.strip_prefix(setting)).unwrap_or_default();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let rows = words(setting("rows:")).iter().map(|row| row.parse().unwrap()).collect();
        let (arguments, fails) = (words(setting("args:")), setting("fails:").trim());
        let fails = Some(fails).filter(|text| !text.is_empty()).map(str::to_owned);
        let equivalent =
            files.extract_if(.., |section| section.path == "Equivalent").next().map(|section| content(&section));
        Self { name, rows, fails, arguments, equivalent, files }
    }

    /// Whether both builders read the same Dockerfile.
    pub fn has_one_dockerfile(&self) -> bool {
        self.equivalent.is_none()
    }

    /// Makes the context, for images in a registry.
    pub fn prepare(&self, registry: &str) -> Scene {
        let text = |content: &[u8]| String::from_utf8(content.to_vec()).unwrap().replace("REGISTRY", registry);
        let plain = self.files.iter().filter(|section| !section.path.contains('!'));
        let context = plain.fold(Context::new(), |context, section| match section.path.as_str() {
            "Dockerfile" => context.file("Dockerfile", text(&content(section))),
            _ => with_file(context, section),
        });
        let context =
            members(&self.files).fold(context, |context, (name, members)| context.file(name, archive(name, &members)));
        let directory = context.path().to_str().unwrap();
        let arguments = self.arguments.iter().map(|argument| argument.replace("CONTEXT", directory)).collect();
        Scene { arguments, equivalent: self.equivalent.as_ref().map(|equal| text(equal).into_bytes()), context }
    }
}

fn content(section: &Section) -> Vec<u8> {
    match &section.kind {
        Kind::File(content) => content.clone(),
        other => panic!("{} is {other:?}", section.path),
    }
}

/// The archives, each with its members.
pub(super) fn members(files: &[Section]) -> impl Iterator<Item = (&str, Vec<Section>)> {
    let parts =
        |section: &'_ Section| section.path.split_once('!').map(|(name, path)| (name.to_owned(), path.to_owned()));
    let mut names: Vec<&str> =
        files.iter().filter_map(|section| section.path.split_once('!')).map(|(name, _)| name).collect();
    names.dedup();
    names.into_iter().map(move |name| {
        let inside = files.iter().filter_map(|section| {
            parts(section).filter(|(archive, _)| archive == name).map(|(_, path)| Section { path, ..section.clone() })
        });
        (name, inside.collect())
    })
}

fn with_file(context: Context, section: &Section) -> Context {
    let path = section.path.as_str();
    let mut context = match &section.kind {
        Kind::File(content) => context.file(path, content),
        Kind::Directory => context.directory(path),
        Kind::Symlink(target) => context.symlink(path, target),
        Kind::HardLink(existing) => context.hard_link(path, existing),
        Kind::Fifo => context.fifo(path),
    };
    if let Some((user, group)) = section.owner {
        context = context.owner(path, user, group);
    }
    // After the owner: a change of owner clears special bits.
    if let Some(mode) = section.mode {
        context = context.mode(path, mode);
    }
    if let Some((name, value)) = &section.xattr {
        context = context.xattr(path, name, value.as_bytes());
    }
    match section.modified {
        Some(seconds) => context.modified(path, seconds),
        None => context,
    }
}
