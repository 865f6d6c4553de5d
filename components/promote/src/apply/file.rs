//! The file of `apply`, read and checked.
//!
//! It is TOML, as the policy is. The words of kpromo's YAML (`src`, `dmap`) are understood too, so that such a file can be converted as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use steprun_ports::{Failure, Position};
use toml::Spanned;

use crate::naming::{TAGS, is_tag};

/// What a file asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `registry[/path]` that images are taken from.
    pub(super) source: String,
    /// Those that they are brought to; at least one.
    pub(super) destinations: Vec<String>,
    /// By image and digest, each pair once.
    pub(super) promotions: Vec<Promotion>,
}

/// An image that all destinations are to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Promotion {
    /// Its name below a registry.
    pub(super) image: String,
    pub(super) digest: String,
    /// Sorted; none if the digest alone is wanted.
    pub(super) tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    registries: Vec<Registry>,
    #[serde(default)]
    images: Vec<Image>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    name: Spanned<String>,
    #[serde(default, alias = "src")]
    source: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    name: Spanned<String>,
    #[serde(alias = "dmap")]
    digests: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
}

/// The text of a file with its name, to say where something is wrong.
struct Text<'a> {
    name: &'a str,
    content: &'a str,
}

/// Reads a file.
pub(super) fn parse(name: &str, content: &str) -> Result<Wanted, Failure> {
    let text = Text { name, content };
    let file: File = toml::from_str(content).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        text.wrong(span, error.message().trim_end().to_owned())
    })?;
    let (source, destinations) = registries(&text, file.registries)?;
    Ok(Wanted { source, destinations, promotions: promotions(&text, file.images)? })
}

/// The registry that is the source, and the others.
fn registries(text: &Text<'_>, registries: Vec<Registry>) -> Result<(String, Vec<String>), Failure> {
    let (mut source, mut known) = (None, Vec::new());
    for Registry { name, source: is_source } in registries {
        let (span, mut name) = (name.span(), name.into_inner());
        name.truncate(name.trim_end_matches('/').len());
        if known.contains(&name) || source.as_ref() == Some(&name) {
            return Err(text.wrong(span, format!("the registry `{name}` is there twice")));
        }
        match (is_source, &source) {
            (true, Some(first)) => {
                let message = format!("`{first}` is the source already, and images are taken from one place");
                return Err(text.wrong(span, message));
            }
            (true, None) => source = Some(name),
            (false, _) => known.push(name),
        }
    }
    match source {
        Some(source) if !known.is_empty() => Ok((source, known)),
        Some(_) => Err(Failure::failed(format!("{} names no registry to bring images to", text.name))),
        None => {
            let failure = Failure::failed(format!("{} does not say which registry is the source", text.name));
            Err(failure.hint("one of the registries has `source = true`"))
        }
    }
}

/// The images by name and digest. What is said twice counts once; a tag can't stand for two images.
fn promotions(text: &Text<'_>, images: Vec<Image>) -> Result<Vec<Promotion>, Failure> {
    let mut tags_of: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut digest_of: BTreeMap<(String, String), String> = BTreeMap::new();
    for Image { name, digests } in images {
        let image = name.into_inner();
        for (digest, tags) in digests {
            let (span, digest) = (digest.span(), digest.into_inner());
            if !is_digest(&digest) {
                let failure = text.wrong(span, format!("`{digest}` is no digest"));
                return Err(failure.hint("a digest is `sha256:` and 64 hexadecimal digits in lower case"));
            }
            let all = tags_of.entry((image.clone(), digest.clone())).or_default();
            for tag in tags {
                let (span, tag) = (tag.span(), tag.into_inner());
                if !is_tag(&tag) {
                    return Err(text.wrong(span, format!("`{tag}` is no tag")).hint(TAGS));
                }
                let first = digest_of.entry((image.clone(), tag.clone())).or_insert_with(|| digest.clone());
                if *first != digest {
                    return Err(text.wrong(span, format!("{image}:{tag} is to stand for {first}, too")));
                }
                all.insert(tag);
            }
        }
    }
    let promotion =
        |((image, digest), tags): (_, BTreeSet<_>)| Promotion { image, digest, tags: tags.into_iter().collect() };
    Ok(tags_of.into_iter().map(promotion).collect())
}

/// The digests that the contract accepts (image-spec, "Digests").
fn is_digest(text: &str) -> bool {
    let length = match text.split_once(':') {
        Some(("sha256", hex)) => hex.len() == 64,
        Some(("sha512", hex)) => hex.len() == 128,
        _ => false,
    };
    let hex = text.rsplit(':').next().unwrap_or_default();
    length && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Text<'_> {
    /// A failure at a place: its line with carets below.
    fn wrong(&self, span: Range<usize>, message: String) -> Failure {
        let before = &self.content[..span.start.min(self.content.len())];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.content[start..].lines().next().unwrap_or_default();
        let (number, column) = (before.matches('\n').count() + 1, before.len() - start);
        let margin = " ".repeat(number.to_string().len());
        let indent: String = before[start..].chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let end = span.end.min(start + line.len());
        let carets = "^".repeat(self.content.get(span.start..end).map_or(1, |text| text.chars().count()).max(1));
        let excerpt = format!("{margin} |\n{number} | {line}\n{margin} | {indent}{carets}");
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let position = Position { file: self.name.into(), line: count(number), column: count(column + 1) };
        Failure::failed(message).at(position, Some(excerpt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[[registries]]\nname = \"a.test/x/\"\nsource = true\n[[registries]]\nname = \"b.test\"\n";

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn images_are_gathered_by_name_and_digest() {
        let (one, two) = (digest('1'), digest('2'));
        let images = format!(
            "[[images]]\nname = \"app\"\ndigests = {{ \"{two}\" = [\"v2\"], \"{one}\" = [\"v1\", \"1\", \"v1\"] }}\n\
             [[images]]\nname = \"app\"\n[images.dmap]\n\"{one}\" = [\"v1\"]\n\
             [[images]]\nname = \"dir/tool\"\ndigests = {{ \"{one}\" = [] }}\n"
        );
        let promotion = |image: &str, digest: &str, tags: &[&str]| Promotion {
            image: image.into(),
            digest: digest.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        let expected = Wanted {
            source: "a.test/x".into(),
            destinations: vec!["b.test".into()],
            promotions: vec![
                promotion("app", &one, &["1", "v1"]),
                promotion("app", &two, &["v2"]),
                promotion("dir/tool", &one, &[]),
            ],
        };
        assert_eq!(parse("f.toml", &format!("{HEAD}{images}")).unwrap(), expected);
        let kpromo = HEAD.replace("source", "src");
        assert_eq!(parse("f.toml", &format!("{kpromo}{images}")).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_shown() {
        let image = |digests: &str| format!("{HEAD}[[images]]\nname = \"app\"\ndigests = {{ {digests} }}\n");
        let (one, two) = (digest('1'), digest('2'));
        for (text, line, message, shown) in [
            (format!("images = 1\n{HEAD}"), 1, "invalid type: integer `1`, expected a sequence", "^"),
            (
                format!("{HEAD}[[image]]\nname = \"app\"\n"),
                6,
                "unknown field `image`, expected `registries` or `images`",
                "^",
            ),
            (image("\"sha256:1\" = []"), 8, "`sha256:1` is no digest", "^^^^^^^^^^"),
            (image(&format!("\"{one}\" = [\"v1\", \"a b\"]")), 8, "`a b` is no tag", "^^^^^"),
            (
                image(&format!("\"{one}\" = [\"v1\"], \"{two}\" = [\"v1\"]")),
                8,
                &format!("app:v1 is to stand for {one}, too"),
                "^^^^",
            ),
            (
                format!("{HEAD}[[registries]]\nname = \"b.test/\"\n"),
                7,
                "the registry `b.test` is there twice",
                "^^^^^^^^^",
            ),
        ] {
            let failure = parse("f.toml", &text).unwrap_err();
            let (position, excerpt) = (failure.position.unwrap(), failure.excerpt.unwrap());
            assert_eq!((failure.message.as_str(), position.line), (message, line), "{text}");
            let carets = excerpt.lines().last().unwrap().rsplit(' ').next().unwrap();
            assert!(carets.starts_with(shown), "{excerpt}");
        }
        for (text, message) in [
            ("registries = []", "f.toml does not say which registry is the source"),
            ("[[registries]]\nname = \"a\"\nsource = true", "f.toml names no registry to bring images to"),
        ] {
            assert_eq!(parse("f.toml", text).unwrap_err().to_string(), message);
        }
    }
}
