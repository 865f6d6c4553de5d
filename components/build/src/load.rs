//! Finding the Dockerfile and its .dockerignore.

use steprun_dockerfile::Source;
use steprun_ports::{Directory, Error, Failure, InputFile};

/// A Dockerfile, ignore file or file of build arguments larger than this is refused; in bytes.
pub(crate) const LIMIT: u64 = 4 << 20;

/// Names that are tried inside the context, in this order.
const NAMES: [&str; 3] = ["Dockerfile", "Containerfile", "dockerfile"];

/// Texts that a build begins with.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) dockerfile: Source,
    pub(crate) ignore: Option<Source>,
}

/// Reads the Dockerfile, as typed or else inside the context, and the ignore file: `<Dockerfile>.dockerignore` beside it, or else
/// `.dockerignore` of the context.
///
/// # Errors
/// If there is no context or no Dockerfile, or a file can't be read or is no UTF-8.
pub(crate) async fn load<D: Directory, F: InputFile>(context: &D, typed: Option<&F>) -> Result<Loaded, Failure> {
    check(context).await?;
    let (dockerfile, own_ignore) = match typed {
        Some(file) => read_typed(context, file).await?,
        None => read_default(context).await?,
    };
    let ignore = match own_ignore {
        Some(own) => Some(own),
        None => ignore_file(context).await?,
    };
    Ok(Loaded { dockerfile, ignore })
}

/// Without a context every file would seem to be missing from it.
async fn check<D: Directory>(context: &D) -> Result<(), Failure> {
    let there = context.stat("", true).await;
    there.map(drop).map_err(|error| {
        Failure::because(format!("can't use the context `{}`", context.name()), error).hint(
            "`--context` takes what COPY and ADD find their files in: a directory, a tar archive or a Git repository",
        )
    })
}

async fn read_default<D: Directory>(context: &D) -> Result<(Source, Option<Source>), Failure> {
    for name in NAMES {
        if let Some(source) = read(context, name).await? {
            return Ok((source, read(context, &format!("{name}.dockerignore")).await?));
        }
    }
    Err(Failure::failed(format!("there is no Dockerfile in the context `{}`", context.name()))
        .hint(format!("it has none of {}; name it with `--dockerfile FILE`", NAMES.join(", "))))
}

async fn read_typed<D: Directory, F: InputFile>(context: &D, file: &F) -> Result<(Source, Option<Source>), Failure> {
    let name = file.name();
    match file.read(LIMIT).await {
        Ok(bytes) if file.is_standard_input() => Ok((text("<stdin>", bytes)?, None)),
        Ok(bytes) => {
            let ignore_name = format!("{name}.dockerignore");
            let ignore = present(&ignore_name, file.read_ignore_file(LIMIT).await)?;
            Ok((text(&name, bytes)?, ignore))
        }
        Err(Error::NotFound(_)) => match read(context, &name).await? {
            Some(source) => Ok((source, read(context, &format!("{name}.dockerignore")).await?)),
            None => Err(Failure::failed(format!("there is no Dockerfile `{name}`"))
                .hint(format!("it was looked for as typed and in the context `{}`", context.name()))),
        },
        Err(error) => Err(Failure::because(format!("could not read {name}"), error)),
    }
}

/// The `.dockerignore` of a directory, if it has one.
///
/// # Errors
/// If it can't be read.
pub(crate) async fn ignore_file<D: Directory>(directory: &D) -> Result<Option<Source>, Failure> {
    read(directory, ".dockerignore").await
}

/// A file of the context, if it is there.
async fn read<D: Directory>(context: &D, name: &str) -> Result<Option<Source>, Failure> {
    present(name, context.read(name, LIMIT).await)
}

fn present(name: &str, read: steprun_ports::Result<Vec<u8>>) -> Result<Option<Source>, Failure> {
    match read {
        Ok(bytes) => text(name, bytes).map(Some),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(Failure::because(format!("could not read {name}"), error)),
    }
}

/// The text of a file.
///
/// # Errors
/// If it is no UTF-8, with the line.
pub(crate) fn text(name: &str, bytes: Vec<u8>) -> Result<Source, Failure> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            Err(Failure::failed(format!("{name} is no UTF-8 text: line {line} has other bytes")))
        }
    }
}
