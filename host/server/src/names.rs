//! The names of the protocol. A value of these types is safe to use as a path: no `..`, no empty component, no `/` where none belongs.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Longest repository name; the limit of Docker's registry, which other registries share.
const REPOSITORY_LENGTH: usize = 255;

/// Longest tag (distribution-spec, "Pulling manifests").
const TAG_LENGTH: usize = 128;

/// A repository name: components of lower-case letters and digits, parted by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Repository(String);

impl Repository {
    /// The name; components never start with `_` or `.`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() <= REPOSITORY_LENGTH && text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::NameInvalid(text.to_owned()))
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`: runs of letters and digits with a separator between two of them.
fn is_component(text: &str) -> bool {
    let mut rest = text;
    loop {
        let word = rest.trim_start_matches(is_alphanumeric);
        if word.len() == rest.len() {
            return false;
        }
        if word.is_empty() {
            return true;
        }
        rest = word.trim_start_matches(|c| !is_alphanumeric(c));
        if !is_separator(&word[..word.len() - rest.len()]) {
            return false;
        }
    }
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_separator(text: &str) -> bool {
    matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-')
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// The tag; never starts with `.`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if (1..=TAG_LENGTH).contains(&text.len()) && !text.starts_with(['.', '-']) && text.chars().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::TagInvalid(text.to_owned()))
        }
    }
}

/// The registered digest algorithms of the image-spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// `sha256`
    Sha256,
    /// `sha512`
    Sha512,
}

impl Algorithm {
    /// As written before the colon.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A digest of a known algorithm: `sha256:` and 64 lower-case hexadecimal digits, or `sha512:` and 128.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// A digest of raw bytes, which must be as many as the algorithm gives.
    pub(crate) fn of_bytes(algorithm: Algorithm, bytes: &[u8]) -> Self {
        debug_assert_eq!(bytes.len() * 2, algorithm.hex_length());
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { algorithm, hex }
    }

    /// Before the colon.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// After the colon.
    pub(crate) fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::DigestInvalid(format!("{text:?} is not sha256:HEX or sha512:HEX"));
        let (name, hex) = text.split_once(':').ok_or_else(invalid)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(invalid()),
        };
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != algorithm.hex_length() || !is_hex {
            return Err(invalid());
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A name that can move.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.contains(':') { text.parse().map(Self::Digest) } else { text.parse().map(Self::Tag) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag.as_str()),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// The distribution-spec's own expressions.
    static NAME: LazyLock<regex::Regex> = LazyLock::new(|| {
        let component = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*";
        regex::Regex::new(&format!("^{component}(/{component})*$")).unwrap()
    });
    static TAG: LazyLock<regex::Regex> =
        LazyLock::new(|| regex::Regex::new("^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$").unwrap());

    #[test]
    fn repository_names() {
        for good in
            ["a", "0", "a/b", "a.b", "a_b", "a__b", "a---b", "library/debian", "a/b/c/d.e-f__g", "blobs/uploads"]
        {
            assert!(good.parse::<Repository>().is_ok(), "{good:?}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/..", "A", "aB", "a___b", "a..b", "a._b", "-a",
            "a-", "_a", "a_", "a\0b", "a\\b", "a b", "é", "a%2fb", "a\n", "_blobs", "a/_tags", ".hidden",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(255).parse::<Repository>().is_ok());
        assert!("a".repeat(256).parse::<Repository>().is_err());
    }

    #[test]
    fn tags() {
        for good in ["latest", "v1.0", "_", "A-b.C_d", "1..2"] {
            assert!(good.parse::<Tag>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "-a", ".a", "a/b", "a:b", "a b", "a\n", "é"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
        assert!("t".repeat(128).parse::<Tag>().is_ok());
        assert!("t".repeat(129).parse::<Tag>().is_err());
    }

    #[test]
    fn digests() {
        let sha256 = format!("sha256:{}", "0f".repeat(32));
        let sha512 = format!("sha512:{}", "0f".repeat(64));
        for good in [&sha256, &sha512] {
            assert_eq!(&good.parse::<Digest>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            ":",
            "sha256:",
            "sha256:../../x",
            &sha256.to_uppercase(),
            &sha256[..70],
            &format!("{sha256}0"),
            "md5:00",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
        assert_eq!(Digest::of_bytes(Algorithm::Sha256, &[0x0f; 32]).to_string(), sha256);
    }

    proptest! {
        #[test]
        fn repository_agrees_with_the_expression(text in "[a-bA0._/-]{0,12}") {
            prop_assert_eq!(text.parse::<Repository>().is_ok(), NAME.is_match(&text), "{:?}", text);
        }

        #[test]
        fn any_text_is_judged_as_the_expression_does(text in any::<String>()) {
            prop_assert_eq!(text.parse::<Repository>().is_ok(), text.len() <= 255 && NAME.is_match(&text));
            prop_assert_eq!(text.parse::<Tag>().is_ok(), TAG.is_match(&text));
        }

        #[test]
        fn tag_agrees_with_the_expression(text in "[a-bA0._/:-]{0,6}") {
            prop_assert_eq!(text.parse::<Tag>().is_ok(), TAG.is_match(&text), "{:?}", text);
        }

        #[test]
        fn names_stay_below_their_directory(text in "[a-z0-9._/-]{1,20}") {
            if let Ok(name) = text.parse::<Repository>() {
                let normal = std::path::Path::new(name.as_str()).components().all(|c| matches!(c, std::path::Component::Normal(_)));
                prop_assert!(normal);
            }
        }
    }
}
