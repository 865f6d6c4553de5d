//! Values of ARGs: `--build-arg` and `--build-arg-file`.

use std::collections::BTreeMap;

use steprun_dockerfile::{Source, Span};
use steprun_ports::{Failure, Host, InputFile};

use crate::{diagnose, load};

/// All build arguments. The last value of a name counts; those of `--build-arg` come after those in files. A bare name that the caller's
/// environment does not have is not given, as in BuildKit.
///
/// # Errors
/// Files that can't be read, and lines that are no `NAME=VALUE`, with their place.
pub(crate) async fn read<H: Host>(host: &H) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for file in host.input_files("build-arg-file") {
        let name = file.name();
        let bytes = file.read(load::LIMIT).await;
        let bytes = bytes.map_err(|error| Failure::because(format!("could not read {name}"), error))?;
        all.extend(lines(&load::text(&name, bytes)?)?);
    }
    let given = host.pairs("build-arg").into_iter();
    all.extend(given.filter_map(|(name, value)| value.map(|value| (name, value))));
    Ok(all)
}

/// The arguments in a file: one a line, taken as it stands; empty lines and those that begin with `#` don't count (buildah,
/// `--build-arg-file`). A name alone is refused: only names on the command line may ask for the caller's environment.
fn lines(source: &Source) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    let mut end = 0;
    for line in source.text.split_inclusive('\n') {
        end += line.len();
        let blanks = line.len() - line.trim_start_matches(['\u{feff}', ' ', '\t']).len();
        let text = line[blanks..].trim_end_matches(['\n', '\r']);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let start = end - line.len() + blanks;
        let wrong = |message: String| diagnose::failed(source, Span::new(start, start + text.len()), message);
        match text.split_once('=') {
            Some((name, _)) if name.is_empty() || name.contains(char::is_whitespace) => {
                return Err(wrong(format!("`{name}` can't be the name of a build argument")));
            }
            Some((name, value)) => found.push((name.to_owned(), value.to_owned())),
            None => {
                return Err(wrong(format!("the build argument `{text}` has no value")).hint(format!(
                    "write `{text}=VALUE`; a variable of the environment is taken only by `--build-arg {text}`"
                )));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Failure> {
        lines(&Source::new("args", text))
    }

    #[test]
    fn lines_are_taken_as_they_stand() {
        let found = read("\u{feff}A=1\r\n\n  # no\n\tB=\"x y\" # z\nC=a=b\nD=").unwrap();
        let found: Vec<String> = found.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(found, ["A:1", "B:\"x y\" # z", "C:a=b", "D:"]);
    }

    #[test]
    fn wrong_lines_are_shown() {
        let failure = read("A=1\n  HOME\n").unwrap_err();
        assert_eq!(failure.message, "the build argument `HOME` has no value");
        assert_eq!(failure.excerpt.as_deref(), Some("  |\n2 |   HOME\n  |   ^^^^"));
        for bad in ["=x", "A B=1", "export A=1"] {
            assert!(read(bad).unwrap_err().message.contains("can't be the name"), "{bad}");
        }
    }
}
