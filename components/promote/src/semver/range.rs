//! Ranges of versions.

use std::cmp::Ordering;
use std::str::FromStr;

use super::version::{Partial, Pre, Version};

/// Versions that fit one of several sets of bounds: `>=1.2 <2 || ^3.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range(Vec<Set>);

/// Bounds that hold together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Set {
    bounds: Vec<(Bound, Version)>,
    /// Numbers of which pre-releases are asked for: those of bounds that are pre-releases themselves.
    pre: Vec<[u64; 3]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Least,
    Above,
    Most,
    Below,
    Equal,
    Other,
}

impl Range {
    /// Whether a version is in it. A pre-release is only if a bound is one of the same numbers, as with npm: nobody who asks for `>=1`
    /// wants `2.0.0-alpine` or `2.0.0-rc.1`.
    pub(crate) fn contains(&self, version: &Version) -> bool {
        self.0.iter().any(|set| set.contains(version))
    }
}

impl Set {
    fn contains(&self, version: &Version) -> bool {
        let wanted = version.pre == Pre::Release || self.pre.contains(&version.numbers);
        let holds = |(bound, limit): &(Bound, Version)| {
            let order = version.cmp(limit);
            match bound {
                Bound::Least => order != Ordering::Less,
                Bound::Above => order == Ordering::Greater,
                Bound::Most => order != Ordering::Greater,
                Bound::Below => order == Ordering::Less,
                Bound::Equal => order == Ordering::Equal,
                Bound::Other => order != Ordering::Equal,
            }
        };
        wanted && self.bounds.iter().all(holds)
    }

    /// Adds what a word such as `>=1.2` asks for.
    fn add(&mut self, word: &str) -> Option<()> {
        let operators = [">=", "<=", "!=", ">", "<", "=", "^", "~"];
        let operator = operators.into_iter().find(|operator| word.starts_with(operator)).unwrap_or("");
        let text = &word[operator.len()..];
        let partial = Partial::parse(text.strip_prefix('v').unwrap_or(text))?;
        if partial.pre != Pre::Release {
            self.pre.push(partial.filled());
        }
        let whole = partial.numbers.iter().all(Option::is_some);
        let version = partial.version();
        match operator {
            "" | "=" if whole => self.bounds.push((Bound::Equal, version)),
            "" | "=" => self.between(version, partial.next()),
            "!=" if whole => self.bounds.push((Bound::Other, version)),
            // All but several would need two sets.
            "!=" => return None,
            ">=" => self.bounds.push((Bound::Least, version)),
            "<" => self.bounds.push((Bound::Below, version)),
            ">" if whole => self.bounds.push((Bound::Above, version)),
            ">" => self.bounds.push((Bound::Least, Version::release(partial.next()?))),
            "<=" if whole => self.bounds.push((Bound::Most, version)),
            "<=" => self.between(Version::least([0; 3]), partial.next()),
            "~" => self.between(version, partial.tilde()),
            _ => self.between(version, partial.caret()),
        }
        Some(())
    }

    fn between(&mut self, least: Version, next: Option<[u64; 3]>) {
        self.bounds.push((Bound::Least, least));
        // Its pre-releases are not in the range either.
        self.bounds.extend(next.map(|next| (Bound::Below, Version::least(next))));
    }
}

impl FromStr for Range {
    type Err = ();

    /// Sets stand between `||`, bounds between spaces or commas; a space may follow an operator.
    fn from_str(text: &str) -> Result<Self, ()> {
        let set = |text: &str| {
            let mut set = Set::default();
            let mut operator = String::new();
            for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
                operator.push_str(word);
                if word.bytes().any(|byte| byte.is_ascii_alphanumeric() || byte == b'*') {
                    set.add(&operator).ok_or(())?;
                    operator.clear();
                }
            }
            if operator.is_empty() && !text.trim().is_empty() { Ok(set) } else { Err(()) }
        };
        text.split("||").map(set).collect::<Result<_, _>>().map(Self)
    }
}
