//! Keys: what the result of an instruction depends on, and a digest of that.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Goes into every key. A change of what results look like or of what they depend on needs a new one; the golden test beside this knows it.
const SCHEMA: &str = "steprun build 1";

/// The digest of all that a file system depends on: in hexadecimal digits. Equal keys stand for equal file systems, timestamps aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(String);

impl Key {
    /// The key of a file system without inputs of its own.
    pub(crate) fn of(kind: &str, values: impl IntoIterator<Item = String>) -> Self {
        let mut inputs = Inputs::new(kind);
        values.into_iter().for_each(|value| inputs.add("value", value));
        inputs.key()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A key that was written down.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a result depends on, by names that people understand, in a fixed order. Neither times nor contents of secrets nor the order in which directories
/// are read are ever among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs(Vec<(String, String)>);

impl Inputs {
    /// Those of a kind of instruction.
    pub(crate) fn new(kind: &str) -> Self {
        Self(vec![("kind".to_owned(), kind.to_owned())])
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Each value under the same name.
    pub(crate) fn add_all<'v>(&mut self, name: &str, values: impl IntoIterator<Item = &'v str>) {
        values.into_iter().for_each(|value| self.add(name, value));
    }

    /// The digest: each name and value with its length before it, so that no two lists look alike.
    pub(crate) fn key(&self) -> Key {
        let mut hash = Sha256::new();
        let mut frame = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        frame(SCHEMA);
        for (name, value) in &self.0 {
            frame(name);
            frame(value);
        }
        Key(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The same for comparing: with digests instead of values, which may be those of build arguments. Of files the values are such already.
    pub(crate) fn summary(&self) -> Self {
        let short = |name: &str, value: &str| match name.starts_with("file ") {
            true => value.to_owned(),
            false => Key::of("value", [value.to_owned()]).0[..16].to_owned(),
        };
        Self(self.0.iter().map(|(name, value)| (name.clone(), short(name, value))).collect())
    }

    pub(crate) fn to_json(&self) -> Value {
        json!(self.0)
    }

    /// What [`Inputs::to_json`] wrote; none if it is something else.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
        value.as_array()?.iter().map(pair).collect::<Option<_>>().map(Self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frozen: what is in the caches of users has these keys. Where this test must change, `SCHEMA` must.
    #[test]
    fn keys_are_frozen() {
        assert_eq!(Key::of("scratch", []).as_str(), "f3040d4713761c15f6588e83ba443e1d93bdb50cf432c0d12b6f08cbe9e0dc47");
        let mut inputs = Inputs::new("COPY");
        inputs.add("base", "b");
        inputs.add("file a", "644 sha256:0");
        assert_eq!(inputs.key().as_str(), "bd43a1edf5e93e4fd8535bf9380838c28fe1de1fec4f8a8d719e972f0150f0a2");
    }

    #[test]
    fn what_was_written_is_read() {
        let mut inputs = Inputs::new("RUN");
        inputs.add("x", "\n\u{0}é");
        assert_eq!(Inputs::from_json(&inputs.to_json()), Some(inputs.clone()));
        assert!(!inputs.summary().to_json().to_string().contains('é'));
        assert_eq!(Inputs::from_json(&json!([["a"]])), None);
        assert_eq!(Key::parse(inputs.key().as_str()), Some(inputs.key()));
        assert_eq!(Key::parse("../../x"), None);
    }

    proptest! {
        #[test]
        fn other_inputs_have_other_keys(one: Vec<(String, String)>, other: Vec<(String, String)>) {
            prop_assert_eq!(one == other, Inputs(one).key() == Inputs(other).key());
        }

        /// Where a boundary lies matters: pieces that are moved from one value to the next give another key.
        #[test]
        fn boundaries_count(text in "[ab]{2,8}", at in 1usize..8) {
            let at = at.min(text.len() - 1);
            let (head, tail) = text.split_at(at);
            let whole = Inputs(vec![(text.clone(), String::new())]).key();
            prop_assert_ne!(whole, Inputs(vec![(head.to_owned(), tail.to_owned())]).key());
        }
    }
}
